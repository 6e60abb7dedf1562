//! Bodies, queries and path parameters. A [`Problem`] names every bad field at once.

mod body;
mod json;
mod query;

use std::{borrow::Cow, collections::HashSet, fmt, ops::RangeInclusive};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use serde_json::Value;
use utoipa::IntoParams;

pub(crate) use self::{
    body::{JsonBody, MergePatchBody, OptionalJsonBody, read_json_body, read_raw_json_body},
    query::{NoQuery, QueryParams, parse_principal, parse_query_timestamp},
};
use super::problem::{FieldError, Problem};
use crate::domain::{ApiKeyId, Revision, Secret};

/// The members of a JSON object, or the parameters of a query. A handler takes them one by one; errors are collected
/// until [`InputFields::finish`] returns them.
#[derive(Debug)]
pub(crate) struct InputFields {
    members: Vec<(String, Value)>,
    errors: Vec<FieldError>,
}

impl InputFields {
    fn new(members: Vec<(String, Value)>) -> Self {
        let mut seen = HashSet::new();
        let mut fields = Self { members: Vec::new(), errors: Vec::new() };
        for (name, value) in members {
            if seen.insert(name.clone()) {
                fields.members.push((name, value));
            } else {
                fields.refuse_repeated(name);
            }
        }
        fields
    }

    /// RFC 8259, section 4, does not define which of several members of one name counts.
    fn refuse_repeated(&mut self, name: String) {
        self.errors.push(FieldError::new(redacted(name), "must appear only once"));
    }

    /// Adds an error to those that `finish` returns.
    pub(crate) fn refuse(&mut self, field: &'static str, message: impl Into<Cow<'static, str>>) {
        self.errors.push(FieldError::new(field, message));
    }

    /// All members in a form that does not depend on their order, on white space or on how numbers and texts are written
    /// (RFC 8785). To be called before a member is taken.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let members: Value = self.members.iter().cloned().collect();
        // Fails for numbers beyond those of JavaScript alone, which no field accepts.
        serde_json_canonicalizer::to_vec(&members).unwrap_or_else(|_| members.to_string().into_bytes())
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.swap_remove(index).1)
    }

    /// Takes a string that `parse` accepts. `None`: absent or refused.
    pub(crate) fn parse<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if let Value::String(text) = self.take(name)? {
            self.parsed(name, parse(&text))
        } else {
            self.refuse(name, "must be a string");
            None
        }
    }

    /// Like `parse`. `Some(None)`: null.
    #[allow(clippy::option_option, reason = "absent, null and a value differ")]
    pub(crate) fn parse_nullable<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match self.take(name)? {
            Value::Null => Some(None),
            Value::String(text) => self.parsed(name, parse(&text)).map(Some),
            _ => {
                self.refuse(name, "must be a string or null");
                None
            }
        }
    }

    /// Takes a whole number within bounds. `60.0` is one, as in JSON Schema.
    pub(crate) fn integer(&mut self, name: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(name)?;
        let number = value.as_i64().or_else(|| whole(value.as_f64()?)).filter(|number| bounds.contains(number));
        if number.is_none() {
            self.refuse(name, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    /// Takes an array of at most `max` strings that `parse` accepts. `Some(None)`: null. An element's error is named as in
    /// `allowedAddresses[3]`.
    #[allow(clippy::option_option, reason = "absent, null and a value differ")]
    pub(crate) fn parse_list<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        max: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Option<Vec<T>>> {
        let items = match self.take(name)? {
            Value::Null => return Some(None),
            Value::Array(items) if items.len() <= max => items,
            _ => {
                self.refuse(name, format!("must be an array of at most {max} strings, or null"));
                return None;
            }
        };
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let outcome = item.as_str().ok_or("must be a string".to_owned());
            match outcome.and_then(|text| parse(text).map_err(|error| error.to_string())) {
                Ok(item) => parsed.push(item),
                Err(message) => self.errors.push(FieldError::of_part(name, format!("{name}[{index}]"), message)),
            }
        }
        (parsed.len() == items.len()).then_some(Some(parsed))
    }

    /// Takes an object, whose members `read` takes. `Some(None)`: null. A member's error is named as in
    /// `rateLimit.requests`.
    #[allow(clippy::option_option, reason = "absent, null and a value differ")]
    pub(crate) fn parse_object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        let mut members = match self.take(name)? {
            Value::Null => return Some(None),
            Value::Object(members) => Self::new(members.into_iter().collect()),
            _ => {
                self.refuse(name, "must be an object or null");
                return None;
            }
        };
        let value = read(&mut members);
        let errors = members.into_errors(&[]);
        let is_good = errors.is_empty();
        self.errors.extend(errors.into_iter().map(|error| {
            let part = format!("{name}.{}", error.field);
            FieldError::of_part(name, part, error.message)
        }));
        value.filter(|_| is_good).map(Some)
    }

    /// Like `integer`. Null is as absent.
    pub(crate) fn nullable_integer(&mut self, name: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        self.take_null(name);
        self.integer(name, bounds)
    }

    /// Takes a boolean. Null is as absent.
    pub(crate) fn nullable_boolean(&mut self, name: &'static str) -> Option<bool> {
        self.take_null(name);
        let value = self.take(name)?;
        if !value.is_boolean() {
            self.refuse(name, "must be a boolean or null");
        }
        value.as_bool()
    }

    fn take_null(&mut self, name: &str) {
        self.members.retain(|(member, value)| member != name || !value.is_null());
    }

    /// Like `integer`, and absence is an error.
    pub(crate) fn required_integer(&mut self, name: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        self.require(name);
        self.integer(name, bounds)
    }

    /// Like `parse`, and absence is an error.
    pub(crate) fn required<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.require(name);
        self.parse(name, parse)
    }

    /// Like `parse_list`, and absence and null are errors.
    pub(crate) fn required_list<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        max: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        self.require(name);
        let list = self.parse_list(name, max, parse)?;
        if list.is_none() {
            self.refuse(name, format!("must be an array of at most {max} strings"));
        }
        list
    }

    fn require(&mut self, name: &'static str) {
        if !self.members.iter().any(|(member, _)| member == name) {
            self.refuse(name, "is required");
        }
    }

    fn parsed<T, E: fmt::Display>(&mut self, name: &'static str, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.refuse(name, error.to_string())).ok()
    }

    /// True if no error was added for the field.
    pub(crate) fn is_good(&self, name: &str) -> bool {
        !self.errors.iter().any(|error| error.field == name)
    }

    /// Refuses every field that was not taken, and returns all errors. `read_only`: fields of responses, which clients
    /// may send back.
    pub(crate) fn finish(self, read_only: &[&str]) -> Result<(), Problem> {
        let errors = self.into_errors(read_only);
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid_request(errors)) }
    }

    fn into_errors(mut self, read_only: &[&str]) -> Vec<FieldError> {
        for (name, _) in std::mem::take(&mut self.members) {
            let message = if read_only.contains(&name.as_str()) { "is read-only" } else { "is unknown" };
            self.errors.push(FieldError::new(redacted(name), message));
        }
        self.errors
    }
}

/// The name of a field as the client sent it, unless it contains a secret.
pub(super) fn redacted(name: String) -> String {
    if name.contains(Secret::PREFIX) { "[redacted]".into() } else { name }
}

/// The number, if it has no fraction and a float represents it exactly (below 2⁵³).
#[allow(clippy::cast_possible_truncation, reason = "the value is checked before")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

/// The path's `{id}`.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
pub(crate) struct KeyIdParam(
    /// Unique key identifier
    #[param(value_type = Uuid, example = "a1b2c3d4-e5f6-7890-abcd-ef1234567890")]
    pub(crate) ApiKeyId,
);

impl<S: Send + Sync> FromRequestParts<S> for KeyIdParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        RawPathParams::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|params| params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| ApiKeyId::parse(id)))
            .map(Self)
            .ok_or_else(|| {
                Problem::invalid_request(vec![FieldError::new(
                    "id",
                    "must be a UUID, as in a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                )])
            })
    }
}

/// The path's `{revision}`.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(names("revision"), parameter_in = Path)]
pub(crate) struct RevisionParam(
    /// The change: the id of its event
    #[param(value_type = Uuid, example = "01a2073f-ad52-724d-9ab3-01acd5b13093")]
    pub(crate) Revision,
);

impl<S: Send + Sync> FromRequestParts<S> for RevisionParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let named = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "revision"));
        named.and_then(|(_, text)| Revision::parse(text)).map(Self).ok_or_else(|| {
            Problem::invalid_request(vec![FieldError::new("revision", "must be a UUID, as in Rally-Receipt")])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::Body,
        extract::{FromRequest as _, Request},
        http::header,
        response::IntoResponse as _,
    };
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    const DIGITS: &str = "7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c";

    fn body(bytes: impl Into<Body>) -> Result<InputFields, Problem> {
        let request = Request::builder().header(header::CONTENT_TYPE, "application/json").body(bytes.into()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(JsonBody::from_request(request, &())).map(|JsonBody(fields)| fields)
    }

    /// The problem document as a client gets it.
    fn document(problem: &Problem) -> String {
        let mut response = problem.clone().into_response();
        problem.write_out("id", &mut response);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn a_body_of_random_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = body(bytes).map(|fields| fields.finish(&[]));
        }

        #[test]
        fn an_object_with_unknown_members_is_refused_with_all_their_names(names in prop::collection::vec("[a-c]{1,2}", 0..6)) {
            let members: Vec<_> = names.iter().map(|name| format!("{name:?}:1")).collect();
            let refused = body(format!("{{{}}}", members.join(","))).unwrap().finish(&["a"]);
            prop_assert_eq!(refused.is_ok(), names.is_empty());
            if let Err(problem) = refused {
                let document: Value = serde_json::from_str(&document(&problem)).unwrap();
                for name in &names {
                    let errors = document["errors"].as_array().unwrap();
                    let of_it: Vec<_> = errors.iter().filter(|error| error["field"] == **name).collect();
                    let times = names.iter().filter(|other| *other == name).count();
                    prop_assert_eq!(of_it.len(), times, "one error for each occurrence: {:?}", document);
                }
            }
        }

        #[test]
        fn a_secret_anywhere_in_a_body_is_not_in_the_problem(before in "[ -~]{0,20}", after in "[ -~]{0,20}", shape in 0..5) {
            let secret = format!("rk_live_{DIGITS}");
            let text = match shape {
                0 => format!("{before}{secret}{after}"),
                1 => serde_json::json!({ format!("{before}{secret}{after}"): 1 }).to_string(),
                2 => serde_json::json!({ "name": format!("{before}{secret}{after}") }).to_string(),
                3 => format!("{{\"{secret}\":1,\"{secret}\":2}}"),
                _ => format!("{{\"name\":\"{secret}\"{before}"),
            };
            let problem = match body(text) {
                Err(problem) => problem,
                Ok(mut fields) => {
                    let _ = fields.parse("name", |_| Err::<(), _>("is bad"));
                    match fields.finish(&[]) {
                        Err(problem) => problem,
                        Ok(()) => return Ok(()),
                    }
                }
            };
            let document = document(&problem);
            prop_assert!(!document.contains(&DIGITS[..8]) && !document.contains(&DIGITS[24..]), "{}", document);
        }
    }
}
