//! Fields of the text log: `name=value`. A value that could be read as something else is quoted and escaped, so that
//! nobody forges a field or a line by a name. (JSON escapes by itself.)

use std::fmt::{self, Debug};

use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

/// Writes one field, or the message, which has no name.
pub(super) fn write(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let name = field.name();
    if name.starts_with("log.") {
        return Ok(()); // metadata of an event of the crate `log`, which are in the line already
    }
    let text = format!("{value:?}");
    if name == "message" {
        return if is_plain_message(&text) { writer.write_str(&text) } else { write!(writer, "{text:?}") };
    }
    let name = name.strip_prefix("r#").unwrap_or(name);
    if writer.has_ansi_escapes() {
        write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
    } else {
        write!(writer, "{name}=")?;
    }
    if is_plain(&text) || is_quoted(&text) { writer.write_str(&text) } else { write!(writer, "{text:?}") }
}

fn is_plain_message(text: &str) -> bool {
    text.chars().all(|c| is_printable(c) && c != '=') && !text.starts_with('"')
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_printable(c) && !matches!(c, ' ' | '"' | '\\' | '=' | '{' | '}'))
}

/// Whether the text is one string in quotes already, as `Debug` writes it.
fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut escaped = false;
    for c in inner.chars() {
        if !is_printable(c) || (c == '"' && !escaped) {
            return false;
        }
        escaped = c == '\\' && !escaped;
    }
    !escaped
}

/// Not: control characters, other spaces than U+0020, and characters that are invisible or change the direction of text.
/// `Debug` escapes them.
fn is_printable(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() || matches!(c, '…' | '→')
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{info, info_span};

    use super::*;
    use crate::telemetry::text;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of a span with that principal and an event with that value, without time and level.
    fn logged(principal: &str, value: &str) -> String {
        let output = Output::default();
        let writer = output.clone();
        let subscriber = text().with_writer(move || writer.clone()).with_ansi(false).without_time().finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = info_span!("request", principal = tracing::field::Empty, tenant = "acme");
            span.record("principal", tracing::field::display(principal));
            span.in_scope(|| info!(status = 200_u16, value, shown = %value, "request finished"));
        });
        let bytes = output.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let target = module_path!();
        text.trim_start().strip_prefix("INFO ").unwrap().replace(&format!("{target}: "), "")
    }

    #[test]
    fn plain_values_are_not_quoted() {
        assert_eq!(
            logged("user:a@b.com", "x:1/2"),
            "request{tenant=\"acme\" principal=user:a@b.com}: request finished status=200 value=\"x:1/2\" shown=x:1/2\n"
        );
    }

    #[test]
    fn a_value_cannot_forge_a_field_a_span_or_a_line() {
        for (forged, quoted) in [
            ("user:a tenant=globex status=200", r#""user:a tenant=globex status=200""#),
            ("user:a}: rally:", r#""user:a}: rally:""#),
            ("tenant=globex", r#""tenant=globex""#),
            ("a\" tenant=\"globex", r#""a\" tenant=\"globex""#),
            ("\"a\" tenant=\"globex\"", r#""\"a\" tenant=\"globex\"""#),
            ("\"a\\\" b\\\\\"", r#""a\" b\\""#), // one string in quotes
            ("\"a\\\\\" b\"", r#""\"a\\\\\" b\"""#),
            ("a\n2026-01-01T00:00:00Z  INFO", r#""a\n2026-01-01T00:00:00Z  INFO""#),
            ("a\r\t\u{7}", r#""a\r\t\u{7}""#),
            ("\u{1b}[2Ja", r#""\u{1b}[2Ja""#),
            ("a\u{a0}b\u{2028}c", r#""a\u{a0}b\u{2028}c""#),
            ("\u{202e}moc", r#""\u{202e}moc""#),
            ("\"\u{202e}\"", r#""\"\u{202e}\"""#),
            ("", r#""""#),
        ] {
            let line = logged(forged, forged);
            let expected = format!(
                "request{{tenant=\"acme\" principal={quoted}}}: request finished status=200 value={forged:?} shown={quoted}\n"
            );
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn a_message_cannot_forge_a_field_or_a_line() {
        for (message, plain) in [("two words", true), ("a tenant=globex", false), ("a\nb", false), ("\"a\" b", false)] {
            assert_eq!(is_plain_message(message), plain, "{message}");
        }
    }
}
