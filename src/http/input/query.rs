//! Query parameters (`application/x-www-form-urlencoded`).

use axum::{extract::FromRequestParts, http::request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{InputFields, redacted};
use crate::{
    domain::{Secret, Timestamp, parse_timestamp},
    http::problem::{FieldError, Problem},
};

/// As in the database.
const MAX_PRINCIPAL_CHARS: usize = 320;

pub(crate) struct QueryParams(pub(crate) InputFields);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(read(parts.uri.query().unwrap_or_default())))
    }
}

/// The query of a call that has no parameters.
pub(crate) struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(parts.uri.query().unwrap_or_default()).finish(&[]).map(|()| Self)
    }
}

fn read(query: &str) -> InputFields {
    let (mut members, mut errors) = (Vec::new(), Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (decode(name), decode(value)) {
            (Some(name), Some(value)) => members.push((name, Value::String(value))),
            (Some(name), None) => errors.push(FieldError::new(redacted(name), "must be UTF-8")),
            (None, _) => errors.push(FieldError::new("query", "must have names in UTF-8")),
        }
    }
    let mut fields = InputFields::new(members);
    fields.errors.append(&mut errors);
    fields
}

/// `None`: the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Into::into)
}

/// In a query, the `+` of an offset is a space unless it is encoded.
pub(crate) fn parse_query_timestamp(text: &str) -> Result<Timestamp, String> {
    parse_timestamp(text).map_err(|error| match text.rsplit_once(' ') {
        Some((time, offset)) if parse_timestamp(&format!("{time}+{offset}")).is_ok() => {
            format!("{error}; encode the `+` of the offset as %2B")
        }
        _ => error.to_string(),
    })
}

/// A principal as `createdBy` and `actor` name it.
pub(crate) fn parse_principal(text: &str) -> Result<String, &'static str> {
    if !(1..=MAX_PRINCIPAL_CHARS).contains(&text.chars().count()) {
        return Err("must have 1 to 320 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    if Secret::is_in(text) {
        return Err("must not contain an API key's secret");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_query_that_was_written_is_read(pairs in prop::collection::btree_map(".{0,5}", ".{0,5}", 0..5)) {
            let mut query = form_urlencoded::Serializer::new(String::new());
            let mut fields = read(&query.extend_pairs(&pairs).finish());
            prop_assert!(fields.errors.is_empty());
            fields.members.sort_by(|(a, _), (b, _)| a.cmp(b));
            let expected: Vec<_> = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            prop_assert_eq!(fields.members, expected);
        }

        #[test]
        fn no_byte_of_a_query_is_replaced(query in "([a-c=&+]|%[0-9a-fA-F]{2}|%[0-9a-f]?){0,20}") {
            let fields = read(&query);
            let replaced = fields.members.iter().any(|(name, value)| format!("{name}{value}").contains('\u{fffd}'));
            prop_assert!(!replaced || query.to_lowercase().contains("%ef%bf%bd"), "{}", query);
        }
    }
}
