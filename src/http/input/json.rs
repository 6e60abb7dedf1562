//! JSON texts (RFC 8259): the members of one object, or what is wrong and where.
//!
//! No message repeats a part of the text, which may be a secret.

use std::{collections::HashSet, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, error::Category, value::RawValue};

/// The members of an object, duplicates included, which a map would drop.
struct Members<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

/// What serde_json says of a text, and what is said instead: what it should have found there.
const EXPECTED: &[(&str, &str)] = &[
    ("control character (\\u0000-\\u001F) found while parsing a string", "expected an escape, as in `\\n`"),
    ("expected ident", "expected `true`, `false` or `null`"),
    ("expected value", "expected a value"),
    ("invalid escape", "expected an escape, as in `\\n`"),
    ("invalid number", "expected a number, as in `-1.5e3`"),
    ("key must be a string", "expected a name in double quotes"),
    ("lone leading surrogate in hex escape", "expected a surrogate pair, as in `\\ud83d\\ude00`"),
    ("number out of range", "expected a number within the range of a 64-bit float"),
    ("recursion limit exceeded", "expected at most 127 levels of arrays and objects"),
    ("trailing characters", "expected the end of the body"),
    ("trailing comma", "expected no comma before the end of an array or object"),
    ("unexpected end of hex escape", "expected a surrogate pair, as in `\\ud83d\\ude00`"),
    ("EOF while parsing a list", "expected `,` or `]`"),
    ("EOF while parsing a string", "expected the rest of a string"),
    ("EOF while parsing a value", "expected a value"),
    ("EOF while parsing an object", "expected `,` or `}`"),
];

/// The members of the text's one object. An error continues a sentence that starts with the name of the text.
pub(super) fn parse_object(text: &[u8]) -> Result<Vec<(String, Value)>, String> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(format!("is not UTF-8 {}", position(text, error.valid_up_to())));
    }
    if text.starts_with("\u{feff}".as_bytes()) {
        return Err(format!("starts with a byte order mark {}: expected `{{`", position(text, 0)));
    }
    match serde_json::from_slice(text) {
        Ok(Members(members)) => Ok(members),
        Err(error) => Err(explain(text, &error)),
    }
}

/// The members that appear more than once in an object within the text's object, as in `rateLimit.requests`. The text is an
/// object, as [`parse_object`] accepts it.
pub(super) fn nested_repeats(text: &[u8]) -> Vec<String> {
    let Ok(Members(members)) = serde_json::from_slice::<Members<&RawValue>>(text) else { return Vec::new() };
    let mut repeats = Vec::new();
    for (object, value) in members {
        let Ok(Members(members)) = serde_json::from_str::<Members<IgnoredAny>>(value.get()) else { continue };
        let mut seen = HashSet::new();
        for (name, _) in members {
            let path = format!("{object}.{name}");
            if !seen.insert(name) {
                repeats.push(path);
            }
        }
    }
    repeats
}

fn explain(text: &[u8], error: &serde_json::Error) -> String {
    let position = || position(text, offset(text, error));
    match error.classify() {
        Category::Eof => format!("ends too early {}: {}", position(), expected_at_end(text, error)),
        Category::Syntax => format!("is not JSON {}: {}", position(), expected(error)),
        // Their messages repeat the value.
        Category::Data | Category::Io => other_than_an_object(text),
    }
}

/// Syntax errors have fixed messages, which end with the position.
fn expected(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = message.rsplit_once(" at line ").map_or(&*message, |(what, _position)| what);
    EXPECTED.iter().find(|(theirs, _)| *theirs == what).map_or(what, |(_, ours)| ours).to_owned()
}

/// What may follow the text's end. serde_json's messages are of the whole array or object there, so that each token that
/// could follow is tried.
fn expected_at_end(text: &[u8], error: &serde_json::Error) -> String {
    let may_follow = |token: &str| {
        let outcome = serde_json::from_slice::<Members<IgnoredAny>>(&[text, token.as_bytes()].concat());
        !outcome.is_err_and(|error| error.classify() == Category::Syntax)
    };
    let said = expected(error);
    let what = match &*said {
        "expected the rest of a string" => return said,
        _ if may_follow(":") => "expected `:`",
        _ if may_follow(",") && may_follow("}") => "expected `,` or `}`",
        _ if may_follow(",") => "expected `,` or `]`",
        _ if may_follow("0") && may_follow("]") => "expected a value or `]`",
        _ if may_follow("0") => "expected a value",
        _ if may_follow("\"\"") && may_follow("}") => "expected a name in double quotes or `}`",
        _ if may_follow("\"\"") => "expected a name in double quotes",
        _ => return said,
    };
    what.to_owned()
}

fn other_than_an_object(text: &[u8]) -> String {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
    let kind = match text.get(start) {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    format!("is {kind} {}: expected an object", position(text, start))
}

/// The byte that serde_json means. It counts columns in bytes, and column 0 is the line break before the line.
fn offset(text: &[u8], error: &serde_json::Error) -> usize {
    let lines_before = text.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    (lines_before.map(<[u8]>::len).sum::<usize>() + error.column()).saturating_sub(1)
}

/// As editors count: from 1, columns in characters.
fn position(text: &[u8], offset: usize) -> String {
    let before = String::from_utf8_lossy(&text[..offset.min(text.len())]);
    let mut lines = before.split('\n');
    let (line, column) = (lines.clone().count(), 1 + lines.next_back().unwrap_or_default().chars().count());
    format!("at line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: impl AsRef<[u8]>) -> String {
        parse_object(text.as_ref()).unwrap_err()
    }

    #[test]
    fn malformed_json_is_refused_with_its_position_and_what_was_expected() {
        let (deep, half) = (format!(r#"{{"a":{}"#, "[".repeat(200)), r#"{"a":"\ud83d"}"#);
        let texts: &[(&[u8], &str)] = &[
            (b"", "ends too early at line 1, column 1: expected a value"),
            (b" \n ", "ends too early at line 2, column 1: expected a value"),
            (b"{", "ends too early at line 1, column 1: expected a name in double quotes or `}`"),
            (b"{ \n", "ends too early at line 1, column 3: expected a name in double quotes or `}`"),
            (b"{\n\"a\"", "ends too early at line 2, column 3: expected `:`"),
            (br#"{"a":1,"#, "ends too early at line 1, column 7: expected a name in double quotes"),
            (br#"{"a":"x""#, "ends too early at line 1, column 8: expected `,` or `}`"),
            (br#"{"a":1"#, "ends too early at line 1, column 6: expected `,` or `}`"),
            (br#"{"a":-"#, "ends too early at line 1, column 6: expected a value"),
            (br#"{"a":["#, "ends too early at line 1, column 6: expected a value or `]`"),
            (br#"{"a":[1,"#, "ends too early at line 1, column 8: expected a value"),
            (br#"{"a":{"b":[{}"#, "ends too early at line 1, column 13: expected `,` or `]`"),
            (br#"{"a":"#, "ends too early at line 1, column 5: expected a value"),
            (br#"{"a":"x"#, "ends too early at line 1, column 7: expected the rest of a string"),
            (br#"{"a":[1"#, "ends too early at line 1, column 7: expected `,` or `]`"),
            (b"[1]", "is an array at line 1, column 1: expected an object"),
            (b"\n  \"rk\"", "is a string at line 2, column 3: expected an object"),
            (b"-7", "is a number at line 1, column 1: expected an object"),
            (b"false", "is a boolean at line 1, column 1: expected an object"),
            (b" null", "is null at line 1, column 2: expected an object"),
            (b"name=x", "is not JSON at line 1, column 2: expected `true`, `false` or `null`"),
            (b"<x/>", "is not JSON at line 1, column 1: expected a value"),
            (b"{'a':1}", "is not JSON at line 1, column 2: expected a name in double quotes"),
            (br#"{"a" 1}"#, "is not JSON at line 1, column 6: expected `:`"),
            (br#"{"a":1 "b":2}"#, "is not JSON at line 1, column 8: expected `,` or `}`"),
            (
                b"{\"a\":1,\n}",
                "is not JSON at line 2, column 1: expected no comma before the end of an array or object",
            ),
            (br#"{"a":[1 2]}"#, "is not JSON at line 1, column 9: expected `,` or `]`"),
            (br#"{"a":x}"#, "is not JSON at line 1, column 6: expected a value"),
            (br#"{"a":01}"#, "is not JSON at line 1, column 7: expected a number, as in `-1.5e3`"),
            (
                br#"{"a":1e400}"#,
                "is not JSON at line 1, column 10: expected a number within the range of a 64-bit float",
            ),
            (br#"{"a":"\x"}"#, "is not JSON at line 1, column 8: expected an escape, as in `\\n`"),
            (b"{\"a\":\"x\ny\"}", "is not JSON at line 1, column 8: expected an escape, as in `\\n`"),
            (half.as_bytes(), "is not JSON at line 1, column 13: expected a surrogate pair, as in `\\ud83d\\ude00`"),
            (
                br#"{"a":"\udc00x"}"#,
                "is not JSON at line 1, column 12: expected a surrogate pair, as in `\\ud83d\\ude00`",
            ),
            (br#"{"a":1}{"a":2}"#, "is not JSON at line 1, column 8: expected the end of the body"),
            (deep.as_bytes(), "is not JSON at line 1, column 132: expected at most 127 levels of arrays and objects"),
            (b"\xef\xbb\xbf{}", "starts with a byte order mark at line 1, column 1: expected `{`"),
            (b"\xff\xfe{\0}\0", "is not UTF-8 at line 1, column 1"),
            (b"{\n\"\xc3\xa9\xff\":1}", "is not UTF-8 at line 2, column 3"),
            ("{\"äöü\": €}".as_bytes(), "is not JSON at line 1, column 9: expected a value"),
        ];
        for (text, expected) in texts {
            assert_eq!(error(text), *expected, "{:?}", String::from_utf8_lossy(text));
        }
        for (_, ours) in EXPECTED {
            assert!(texts.iter().any(|(_, error)| error.ends_with(ours)), "no example: {ours}");
        }
    }

    proptest! {
        #[test]
        fn every_error_has_a_position_within_the_text(text in prop_oneof![
            "[ \n{}\\[\\],:\"\\\\0-9eé€a-u.+-]{0,30}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..30),
        ]) {
            let Err(error) = parse_object(&text) else { return Ok(()) };
            let (_, position) = error.split_once(" at line ").unwrap();
            let numbers: Vec<usize> =
                position.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).take(2).map(|part| part.parse().unwrap()).collect();
            let text = String::from_utf8_lossy(&text);
            let line = text.split('\n').nth(numbers[0] - 1);
            prop_assert!(line.is_some_and(|line| numbers[1] <= line.chars().count() + 1), "{error} in {text:?}");
        }
    }
}
