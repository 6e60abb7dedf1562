//! The value of the header field `Idempotency-Key`.

use std::fmt;

use zeroize::Zeroizing;

const FORM: &str = "must have 1 to 255 visible ASCII characters, bare or in double quotes, as in \
                    9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10";
const MAX_LEN: usize = 255;

/// A name that a client chooses for a request, the same for its repetitions. `Debug` redacts it: without a pepper, the secret
/// depends on it.
pub struct IdempotencyKey(Zeroizing<String>);

impl IdempotencyKey {
    /// Reads a string of RFC 9651, section 3.3.3, without parameters; or the same characters without quotes, as most clients
    /// send them.
    pub fn parse(field: &[u8]) -> Result<Self, &'static str> {
        let value = match field {
            [b'"', inner @ .., b'"'] => unescape(inner).ok_or(FORM)?,
            bare if bare.contains(&b'"') => return Err(FORM),
            bare => Zeroizing::new(bare.to_vec()),
        };
        if !(1..=MAX_LEN).contains(&value.len()) || !value.iter().all(u8::is_ascii_graphic) {
            return Err(FORM);
        }
        String::from_utf8(value.to_vec()).map(|text| Self(Zeroizing::new(text))).map_err(|_| FORM)
    }

    /// The number of characters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What is between the quotes. `None`: a quote without a backslash, or a backslash before anything but a quote or a backslash.
fn unescape(inner: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(Vec::with_capacity(inner.len()));
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        value.push(match byte {
            b'"' => return None,
            b'\\' => *bytes.next().filter(|escaped| matches!(escaped, b'"' | b'\\'))?,
            byte => *byte,
        });
    }
    Some(value)
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(field: &str) -> Option<String> {
        IdempotencyKey::parse(field.as_bytes()).ok().map(|key| key.0.to_string())
    }

    #[test]
    fn a_value_is_read_bare_or_quoted() {
        for (field, value) in [
            ("a", "a"),
            ("\"a\"", "a"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r"a\b", r"a\b"),
            ("9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10", "9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10"),
        ] {
            assert_eq!(parsed(field).as_deref(), Some(value), "{field}");
        }
        let longest = "x".repeat(255);
        assert_eq!(parsed(&format!("\"{longest}\"")), Some(longest));
    }

    #[test]
    fn a_malformed_value_is_refused() {
        let too_long = "x".repeat(256);
        for bad in [
            "",
            "\"",
            "\"\"",
            "\"a",
            "a\"",
            "a\"b",
            "\"a\"b\"",
            r#""a\""#,
            r#""a\b""#,
            "a b",
            "\"a b\"",
            "a\tb",
            "é",
            "\"a\";b=1",
            &too_long,
        ] {
            assert_eq!(parsed(bad), None, "{bad:?}");
        }
        assert!(IdempotencyKey::parse(b"a\x7f").is_err() && IdempotencyKey::parse(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn bytes_are_read_without_a_panic_and_never_shown(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(key) = IdempotencyKey::parse(&bytes) {
                prop_assert!((1..=255).contains(&key.len()));
                prop_assert_eq!(format!("{key:?}"), "IdempotencyKey([redacted])");
            }
        }

        #[test]
        fn every_visible_value_reads_the_same_quoted(value in "[!-~]{1,255}") {
            let quoted = format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""));
            prop_assert_eq!(parsed(&quoted), Some(value.clone()));
            if !value.contains('"') {
                prop_assert_eq!(parsed(&value), Some(value));
            }
        }
    }
}
