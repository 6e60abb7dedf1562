//! Schemas of strings with a syntax of their own. Patterns are regular expressions in the dialect of JSON Schema
//! (ECMA-262); tests hold them to the domain's parsers.

use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Type, schema::SchemaType},
};

use super::key_sorts::SORTS;
use crate::domain::{
    AllowedAddresses, Description, EventKind, LeakAction, OnLeak, QuotaPeriod, Reason, Reporter, Scope, Status,
    UsageInterval,
};

/// [`crate::domain::ScopeSet`]
const SCOPES: &str = "^ *(read|write|admin) *(, *(read|write|admin) *)*$";
const STATUSES: &str = "^(active|suspended|expired|revoked)(,(active|suspended|expired|revoked))*$";
const NO_CONTROL_CHARACTERS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// The same of a text that is trimmed.
const NO_CONTROL_CHARACTERS_WITHIN: &str = "^[\\t-\\r \\u0085]*[^\\u0000-\\u001f\\u007f-\\u009f]*[\\t-\\r \\u0085]*$";

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

pub(super) fn description() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "What the key is for, in any number of lines (null or blank: none). Other control characters than line breaks, invisible characters and the form of a secret are refused",
        ))
        .max_length(Some(Description::MAX_CHARS))
        .examples(["Nightly sync of deals"])
}

pub(super) fn allowed_scopes() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("No key has a scope that these do not imply"))
        .pattern(Some(SCOPES))
        .examples(["read,write"])
}

pub(super) fn on_leak_of_response() -> ObjectBuilder {
    one_of("OnLeak", OnLeak::ALL.iter().map(|on_leak| on_leak.as_str()))
        .description(Some("What happens to a key whose secret is reported as leaked"))
}

pub(super) fn on_leak() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "What happens to a key whose secret is reported as leaked: `revoke`, `suspend` or `notify` (null: revoke)",
        ))
        .pattern(Some("^(revoke|suspend|notify)$"))
        .examples(["suspend"])
}

/// openapi-generator fails on the type `null` alone.
pub(super) fn no_end() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Null, or absent: a suspension has an end, a resumption has none"))
}

pub(super) fn reason() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "Why, for the audit trail (null or blank: not said). Control characters, invisible characters and the form of a secret are refused",
        ))
        .max_length(Some(Reason::MAX_CHARS))
        .pattern(Some(NO_CONTROL_CHARACTERS))
        .examples(["Too many writes; under investigation"])
}

pub(super) fn allowed_addresses() -> ArrayBuilder {
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .description(Some(
            "The addresses and CIDR blocks that the key may be used from, IPv4 and IPv6 (null or empty: any). A block must have no host bits. IPv4-mapped addresses become IPv4",
        ))
        .items(string().examples(["203.0.113.0/24"]))
        .max_items(Some(AllowedAddresses::MAX))
        .examples([serde_json::json!(["203.0.113.0/24", "2001:db8::7"])])
}

/// At most so many requests in any window of that length
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct RateLimit {
    /// Requests in a window; as many may come at once
    #[schema(minimum = 1, maximum = 1_000_000, example = 600)]
    requests: i64,
    /// The length of the window, in seconds
    #[schema(minimum = 1, maximum = 86_400, example = 60)]
    window_seconds: i64,
}

/// At most so many requests in each period
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct Quota {
    /// Requests in a period
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 100_000)]
    requests: i64,
    #[schema(schema_with = quota_period)]
    per: String,
}

fn quota_period() -> ObjectBuilder {
    one_of("QuotaPeriod", QuotaPeriod::ALL.iter().map(|period| period.as_str()))
        .description(Some("The period, which begins at midnight in UTC"))
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
        .description(Some("Only keys whose name or description contains this text, in any case and script, or whose current secret ends in these 4 digits"))
        .max_length(Some(100))
        .pattern(Some(NO_CONTROL_CHARACTERS))
        .examples(["zapier"])
}

pub(super) fn scope() -> ObjectBuilder {
    one_of("Scope", Scope::ALL.iter().map(|scope| scope.as_str()))
        .description(Some("Only keys that have this scope, also if another one implies it"))
        .examples(["admin"])
}

pub(super) fn created_by() -> ObjectBuilder {
    string()
        .description(Some("Only keys whose `createdBy` is exactly this"))
        .min_length(Some(1))
        .max_length(Some(320))
        .pattern(Some(NO_CONTROL_CHARACTERS))
        .examples(["admin@acme.com"])
}

pub(super) fn sort() -> ObjectBuilder {
    one_of("KeySort", SORTS.iter().map(|(name, _)| *name))
        .description(Some("The order, descending with `-` (default: `-createdAt`). Equal keys are ordered by id. A key that was never used is before all others by `lastUsedAt`, one that never expires after all others by `expiresAt`"))
        .examples(["-lastUsedAt"])
}

pub(super) fn include() -> ObjectBuilder {
    string()
        .enum_values(Some(["usage"]))
        .description(Some("`usage`: with the requests of each of the last 30 days. Needs a `limit` of at most 100"))
        .examples(["usage"])
}

pub(super) fn key_status() -> ObjectBuilder {
    one_of("KeyStatus", Status::ALL.iter().map(|status| status.as_str()))
        .description(Some("Whether the key works, and why not"))
}

pub(super) fn event_types() -> ObjectBuilder {
    let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    string()
        .description(Some(format!("Only events of these types, comma-separated (default: all): {}", names.join(", "))))
        .examples(["created,rotated"])
}

pub(super) fn actor() -> ObjectBuilder {
    string()
        .description(Some("Only events whose `actor` is exactly this: as `createdBy`, or `api-key:` and a key's id"))
        .min_length(Some(1))
        .max_length(Some(320))
        .pattern(Some(NO_CONTROL_CHARACTERS))
        .examples(["admin@acme.com"])
}

pub(super) fn query_reason() -> ObjectBuilder {
    string()
        .description(Some(
            "Why, for the audit trail (blank: not said). Control characters, invisible characters and the form of a secret are refused",
        ))
        .max_length(Some(Reason::MAX_CHARS))
        .pattern(Some(NO_CONTROL_CHARACTERS_WITHIN))
        .examples(["Replaced by the key of the new ETL job"])
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

pub(super) fn leaked_secret() -> ObjectBuilder {
    one_of("LeakedSecret", ["current", "previous", "ended"].into_iter())
        .description(Some(
            "Which secret leaked: the current one, one that a rotation has replaced, or one that had ended",
        ))
        .examples(["current"])
}

pub(super) fn leak_action() -> ObjectBuilder {
    one_of("LeakAction", LeakAction::ALL.iter().map(|action| action.as_str()))
        .description(Some("What was done: to the key, or to the leaked secret alone"))
        .examples(["revoked"])
}

pub(super) fn reporter() -> ObjectBuilder {
    one_of("LeakReporter", Reporter::ALL.iter().map(|reporter| reporter.as_str()))
        .description(Some("Who reported it"))
        .examples(["github"])
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
