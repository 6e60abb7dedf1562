//! Schemas of strings with a syntax of their own. Patterns are regular expressions in the dialect of JSON Schema
//! (ECMA-262); tests hold them to the domain's parsers.

use utoipa::openapi::{ObjectBuilder, Type};

use crate::domain::{EventKind, Status, UsageInterval};

/// [`crate::domain::ScopeSet`]
const SCOPES: &str = "^ *(read|write|admin) *(, *(read|write|admin) *)*$";
const STATUSES: &str = "^(active|expired|revoked)(,(active|expired|revoked))*$";
const NO_CONTROL_CHARACTERS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// `title` becomes the name of the schema.
fn one_of<'a>(title: &str, names: impl Iterator<Item = &'a str>) -> ObjectBuilder {
    string().title(Some(title)).enum_values(Some(names))
}

pub(super) fn name() -> ObjectBuilder {
    string()
        .description(Some(
            "Human-readable name (e.g., \"Zapier Sync\", \"ETL Pipeline\"): 1 to 100 characters after trimming. Control characters, invisible characters and the form of a secret are refused",
        ))
        .min_length(Some(1))
        .max_length(Some(100))
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
        // Without `default`: generators of types would require the property.
        .description(Some("Comma-separated: \"read\", \"write\", \"admin\" (default: \"read\")"))
}

pub(super) fn statuses() -> ObjectBuilder {
    string()
        .description(Some("Only keys with one of these states, comma-separated (default: all)"))
        .pattern(Some(STATUSES))
        .examples(["active,expired"])
}

pub(super) fn search() -> ObjectBuilder {
    string()
        .description(Some("Only keys whose name contains this text, in any case and script, or whose current secret ends in these 4 digits"))
        .max_length(Some(100))
        .pattern(Some(NO_CONTROL_CHARACTERS))
        .examples(["zapier"])
}

pub(super) fn key_status() -> ObjectBuilder {
    one_of("KeyStatus", Status::ALL.iter().map(|status| status.as_str()))
        .description(Some("Whether the key works, and why not"))
}

pub(super) fn event_type() -> ObjectBuilder {
    one_of("EventType", EventKind::ALL.iter().map(|kind| kind.as_str()))
        .description(Some("What happened"))
        .examples(["created"])
}

pub(super) fn usage_interval() -> ObjectBuilder {
    one_of("UsageInterval", UsageInterval::ALL.iter().map(|interval| interval.as_str()))
        .description(Some("The length of a bucket, in UTC (default: day)"))
        .examples(["hour"])
}

pub(super) fn caller_secret() -> ObjectBuilder {
    one_of("CallerSecret", ["current", "previous"].into_iter())
        .description(Some("Which secret was used: the current one, or one that a rotation has replaced"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ScopeSet;
    use proptest::prelude::*;

    /// ECMA-262's `$` is `\z` in the regex crate.
    fn matches(pattern: &str, text: &str) -> bool {
        regex::Regex::new(&pattern.replace('$', r"\z")).unwrap().is_match(text)
    }

    proptest! {
        #[test]
        fn the_pattern_of_scopes_matches_what_the_parser_accepts(text in "( |,|read|write|admin|Read){0,8}") {
            prop_assert_eq!(matches(SCOPES, &text), ScopeSet::parse(&text).is_ok(), "{:?}", text);
        }
    }
}
