//! Schemas of strings with a syntax of their own. Patterns are regular expressions in the dialect of JSON Schema
//! (ECMA-262); tests hold them to the domain's parsers.

use utoipa::openapi::{ObjectBuilder, Type};

use crate::domain::{EventKind, Status, UsageInterval};

/// [`crate::domain::KeyName`]: white space (Unicode's White_Space), 1 to 100 characters that are not always refused, white
/// space. Not in it: secrets, and the invisible characters that some scripts and emoji need between others.
const NAME: &str = "^[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*[^\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb]([^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb]{0,98}[^\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb])?[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*$";
/// [`crate::domain::ScopeSet`]
const SCOPES: &str = "^ *(read|write|admin) *(, *(read|write|admin) *)*$";
const STATUSES: &str = "^(active|expired|revoked)(,(active|expired|revoked))*$";
const NO_CONTROL_CHARACTERS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> ObjectBuilder {
    string().enum_values(Some(names))
}

pub(super) fn name() -> ObjectBuilder {
    string()
        .description(Some(
            "Human-readable name (e.g., \"Zapier Sync\", \"ETL Pipeline\"): 1 to 100 characters after trimming, none of them invisible",
        ))
        .pattern(Some(NAME))
        .examples(["Zapier Sync"])
}

pub(super) fn scopes() -> ObjectBuilder {
    string()
        .description(Some("Comma-separated: \"read\", \"write\", \"admin\""))
        .pattern(Some(SCOPES))
        .examples(["read,write"])
}

pub(super) fn default_scopes() -> ObjectBuilder {
    scopes()
        .description(Some("Comma-separated: \"read\", \"write\", \"admin\" (default: \"read\")"))
        .default(Some("read".into()))
}

pub(super) fn statuses() -> ObjectBuilder {
    string()
        .description(Some("Only keys with one of these states, comma-separated (default: all)"))
        .pattern(Some(STATUSES))
}

pub(super) fn search() -> ObjectBuilder {
    string()
        .description(Some("Only keys whose name contains this text, in any case and script, or whose current secret ends in these 4 digits"))
        .max_length(Some(100))
        .pattern(Some(NO_CONTROL_CHARACTERS))
}

pub(super) fn key_status() -> ObjectBuilder {
    one_of(Status::ALL.iter().map(|status| status.as_str())).description(Some("Whether the key works, and why not"))
}

pub(super) fn event_type() -> ObjectBuilder {
    one_of(EventKind::ALL.iter().map(|kind| kind.as_str())).description(Some("What happened"))
}

pub(super) fn usage_interval() -> ObjectBuilder {
    one_of(UsageInterval::ALL.iter().map(|interval| interval.as_str()))
        .description(Some("The length of a bucket, in UTC (default: day)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyName, ScopeSet};
    use proptest::prelude::*;

    /// ECMA-262's `$` is `\z` in the regex crate.
    fn matches(pattern: &str, text: &str) -> bool {
        regex::Regex::new(&pattern.replace('$', r"\z")).unwrap().is_match(text)
    }

    proptest! {
        #[test]
        fn the_pattern_of_names_matches_what_the_parser_accepts(text in "[ \\t\u{85}\u{a0}\u{3000}\u{feff}\u{0}\u{1b}\u{ad}\u{200e}\u{202e}\u{2800}a-c,é😀]{0,12}|[ -~é字😀]{95,104}") {
            prop_assert_eq!(matches(NAME, &text), KeyName::parse(&text).is_ok(), "{:?}", text);
        }

        #[test]
        fn the_pattern_of_names_matches_every_accepted_name(text in "[ a字👩💻मي\u{1820}\u{34f}\u{180b}-\u{180f}\u{2000}-\u{206f}\u{fe00}-\u{fe0f}\u{feff}]{1,6}|.{1,20}") {
            prop_assert!(matches(NAME, &text) || KeyName::parse(&text).is_err(), "{:?}", text);
        }

        #[test]
        fn the_pattern_of_scopes_matches_what_the_parser_accepts(text in "( |,|read|write|admin|Read){0,8}") {
            prop_assert_eq!(matches(SCOPES, &text), ScopeSet::parse(&text).is_ok(), "{:?}", text);
        }
    }
}
