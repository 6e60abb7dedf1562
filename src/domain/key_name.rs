//! The display name of an API key.

use std::fmt;

use super::{Secret, visible_text::find_invisible};

/// A key's display name: 1 to 100 characters without surrounding white space, control characters, invisible characters
/// ([`find_invisible`]) and secrets. Names need not be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

/// Why a text is not a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Empty or longer than 100 characters after trimming.
    #[error("must have 1 to 100 characters after trimming")]
    Length,
    /// Contains a control character (Unicode category Cc), such as NUL.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// Contains a character that shows nothing, or changes how others are shown.
    #[error("must not contain U+{:04X}, which is invisible or changes the direction of text", u32::from(*.0))]
    Invisible(char),
    /// Contains the form of a secret, which would be shown to everybody who may read the key.
    #[error("must not contain an API key's secret; name the key by its purpose")]
    Secret,
}

impl KeyName {
    /// Trims the text and validates it.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let name = text.trim();
        if name.chars().any(char::is_control) {
            return Err(InvalidName::ControlCharacter);
        }
        if let Some(invisible) = find_invisible(name) {
            return Err(InvalidName::Invisible(invisible));
        }
        if Secret::is_in(name) {
            return Err(InvalidName::Secret);
        }
        if !(1..=100).contains(&name.chars().count()) {
            return Err(InvalidName::Length);
        }
        Ok(Self(name.to_owned()))
    }

    /// A name from the database, by whichever rules it was accepted: one name must not make a whole list unreadable.
    #[must_use]
    pub const fn stored(name: String) -> Self {
        Self(name)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_its_length_is_limited() {
        assert_eq!(KeyName::parse("  Zapier Sync\n").map(|n| n.0), Ok("Zapier Sync".to_owned()));
        assert!(KeyName::parse(&"🔑".repeat(100)).is_ok());
        assert_eq!(KeyName::parse(&"🔑".repeat(101)), Err(InvalidName::Length));
        assert_eq!(KeyName::parse(" \t "), Err(InvalidName::Length));
        for bad in ["a\0b", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(KeyName::parse(bad), Err(InvalidName::ControlCharacter), "{bad:?}");
        }
    }

    #[test]
    fn a_name_with_invisible_characters_or_a_secret_is_refused_without_repeating_it() {
        let secret = "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c";
        for (bad, error) in [
            ("\u{202e}cnyS", InvalidName::Invisible('\u{202e}')),
            ("\u{3164}", InvalidName::Invisible('\u{3164}')),
            (secret, InvalidName::Secret),
            (&format!("Zapier ({secret}0)"), InvalidName::Secret),
            (&secret.to_uppercase(), InvalidName::Secret),
        ] {
            assert_eq!(KeyName::parse(bad), Err(error), "{bad:?}");
            assert!(!error.to_string().contains("7f3a"));
        }
        let message = InvalidName::Invisible('\u{ad}').to_string();
        assert_eq!(message, "must not contain U+00AD, which is invisible or changes the direction of text");
        for good in ["rk_live_", "rk_live_…1b4c", &secret[..39], "7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c"] {
            assert!(KeyName::parse(good).is_ok(), "{good}");
        }
    }
}
