//! Texts of people about keys: the description of a key, and the reason of a change.
//!
//! Characters are restricted as in names, see [`super::visible_text`].

use std::fmt;

use super::{Secret, visible_text::find_invisible};

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Too long, after trimming.
    #[error("must have at most {0} characters after trimming")]
    Length(usize),
    /// Contains a control character (Unicode category Cc) that is not accepted, such as NUL.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// Contains a character that shows nothing, or changes how others are shown.
    #[error("must not contain U+{:04X}, which is invisible or changes the direction of text", u32::from(*.0))]
    Invisible(char),
    /// Contains the form of a secret, which would be shown to everybody who may read the key.
    #[error("must not contain an API key's secret; name a secret by its last 4 digits")]
    Secret,
}

/// What a key is for: 1 to 500 characters, which may be several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    pub const MAX_CHARS: usize = 500;

    /// Trims the text and validates it. Each line break becomes U+000A. `None`: the text is blank.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidText> {
        let text = text.replace("\r\n", "\n");
        Ok(validated(&text, Self::MAX_CHARS, |c| c == '\n')?.map(Self))
    }

    /// A text from the database, by whichever rules it was accepted.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a key was changed, for the audit trail: 1 to 200 characters in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    pub const MAX_CHARS: usize = 200;

    /// Trims the text and validates it. `None`: the text is blank.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidText> {
        Ok(validated(text, Self::MAX_CHARS, |_| false)?.map(Self))
    }

    /// A text from the database, by whichever rules it was accepted.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn validated(text: &str, max: usize, is_accepted: impl Fn(char) -> bool) -> Result<Option<String>, InvalidText> {
    let text = text.trim();
    if text.chars().any(|c| c.is_control() && !is_accepted(c)) {
        return Err(InvalidText::ControlCharacter);
    }
    // Part by part: between two characters that need a joiner, there is no line break.
    if let Some(invisible) = text.split(is_accepted).find_map(find_invisible) {
        return Err(InvalidText::Invisible(invisible));
    }
    if Secret::is_in(text) {
        return Err(InvalidText::Secret);
    }
    if text.chars().count() > max {
        return Err(InvalidText::Length(max));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Option<String>, InvalidText> {
        Description::parse(text).map(|description| description.map(|description| description.0))
    }

    #[test]
    fn a_description_may_have_lines_and_is_trimmed() {
        assert_eq!(parsed(" Nightly\r\nexport\n\nto the DWH \n"), Ok(Some("Nightly\nexport\n\nto the DWH".to_owned())));
        assert_eq!(parsed(" \r\n "), Ok(None));
        assert!(parsed(&format!(" {} ", "🔑".repeat(500))).is_ok());
        assert_eq!(parsed(&"🔑".repeat(501)), Err(InvalidText::Length(500)));
        for bad in ["a\0b", "a\tb", "a\rb", "a\u{b}b", "a\u{85}b", "a\n\r\rb"] {
            assert_eq!(parsed(bad), Err(InvalidText::ControlCharacter), "{bad:?}");
        }
    }

    #[test]
    fn a_description_with_invisible_characters_or_a_secret_is_refused() {
        let secret = "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c";
        for (bad, error) in [
            ("a\n\u{202e}cnyS", InvalidText::Invisible('\u{202e}')),
            ("می\u{200c}\nخ", InvalidText::Invisible('\u{200c}')),
            ("a\u{2028}b", InvalidText::Invisible('\u{2028}')),
            (&format!("line\n({secret}0)"), InvalidText::Secret),
            (&secret.to_uppercase(), InvalidText::Secret),
        ] {
            assert_eq!(parsed(bad), Err(error), "{bad:?}");
            assert!(!error.to_string().contains("7f3a"));
        }
        for good in ["rk_live_…1b4c", "می\u{200c}خواهم\nע", "👩\u{200d}💻\n"] {
            assert!(parsed(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_reason_is_one_line() {
        let parsed = |text: &str| Reason::parse(text).map(|reason| reason.map(|reason| reason.0));
        assert_eq!(parsed(" Too many writes\n"), Ok(Some("Too many writes".to_owned())));
        assert_eq!(parsed(" "), Ok(None));
        assert_eq!(parsed("a\nb"), Err(InvalidText::ControlCharacter));
        assert!(parsed(&"🔑".repeat(200)).is_ok());
        assert_eq!(parsed(&"🔑".repeat(201)), Err(InvalidText::Length(200)));
        assert_eq!(parsed("rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c"), Err(InvalidText::Secret));
    }

    proptest! {
        /// What is read can be sent back. The CHECK constraints of the table `api_keys` hold.
        #[test]
        fn a_parsed_description_parses_to_itself(text in "(\r|\n|\t| |a|🔑|\u{200c}|\u{85}){0,8}.{0,505}") {
            if let Ok(Some(description)) = Description::parse(&text) {
                prop_assert_eq!(Description::parse(description.as_str()), Ok(Some(description.clone())));
                prop_assert!((1..=500).contains(&description.as_str().chars().count()));
                let refused = |c: char| c.is_control() && c != '\n';
                prop_assert!(!description.as_str().contains(refused));
            }
        }
    }
}
