//! What a request brings, refused as [`Problem`]: bodies, queries and path parameters, with
//! every bad field named at once.

use std::{collections::HashSet, convert::Infallible, fmt, time::Duration};

use axum::{
    body::HttpBody as _,
    extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request},
    http::{HeaderMap, header, request::Parts},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, error::Category};

use utoipa::IntoParams;

use super::problem::{Code, FieldError, Problem};
use crate::domain::{ApiKeyId, Secret};

/// The largest body, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The members of a JSON object or the parameters of a query, taken one by one; what is wrong
/// is collected, and told all at once by [`InputFields::finish`].
#[derive(Debug)]
pub struct InputFields {
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
                // RFC 8259, 4 leaves it open which one counts, so none does.
                fields.errors.push(FieldError::new(shown(name), "must appear only once"));
            }
        }
        fields
    }

    /// Notes that a field is bad.
    pub fn refuse(&mut self, field: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.errors.push(FieldError::new(field, message));
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.swap_remove(index).1)
    }

    /// A string that `parse` accepts. Absent, or noted as bad: `None`.
    pub fn parse<T, E: fmt::Display>(
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

    /// The same where JSON's null is a value of its own.
    #[allow(clippy::option_option, reason = "absent, null and a value are three different wishes")]
    pub fn parse_nullable<T, E: fmt::Display>(
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

    /// A whole number within bounds; `60.0` is one, as JSON Schema has it.
    pub fn integer(&mut self, name: &'static str, bounds: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(name)?;
        let number = value.as_i64().or_else(|| whole(value.as_f64()?)).filter(|number| bounds.contains(number));
        if number.is_none() {
            self.refuse(name, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    fn parsed<T, E: fmt::Display>(&mut self, name: &'static str, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.refuse(name, error.to_string())).ok()
    }

    /// Whether nothing bad was noted about a field.
    #[must_use]
    pub fn is_good(&self, name: &str) -> bool {
        !self.errors.iter().any(|error| error.field == name)
    }

    /// Refuses whatever was not taken, together with everything noted before. `read_only` are
    /// names that clients know from responses.
    pub fn finish(mut self, read_only: &[&str]) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.members) {
            let message = if read_only.contains(&name.as_str()) { "is read-only" } else { "is unknown" };
            self.errors.push(FieldError::new(shown(name), message));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid_request(self.errors)) }
    }
}

/// A client's own name for a field, unless a secret has strayed into it.
fn shown(name: String) -> String {
    if name.contains(Secret::PREFIX) { "[redacted]".into() } else { name }
}

/// Deserialises an object member by member, where a map would fold duplicates.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor).map_err(de::Error::custom)
    }
}

/// A body that is one JSON object, at most 16 KiB.
pub struct JsonBody(pub InputFields);

/// The same, where `application/merge-patch+json` (RFC 7396) is as welcome.
pub struct MergePatchBody(pub InputFields);

/// The same, where no body at all is as good as `{}`.
pub struct OptionalJsonBody(pub InputFields);

impl<S: Send + Sync> FromRequest<S> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if request.body().size_hint().exact() == Some(0) {
            return Ok(Self(InputFields::new(Vec::new())));
        }
        read(request, &["application/json"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, &["application/json"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for MergePatchBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, &["application/json", "application/merge-patch+json"]).await.map(Self)
    }
}

async fn read(request: Request, media_types: &[&'static str]) -> Result<InputFields, Problem> {
    if !is_one_of(request.headers(), media_types) {
        return Err(Code::UnsupportedMediaType.into());
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Code::BodyTooLarge.into()),
        Ok(Err(_)) => return Err(Problem::invalid_json("was cut short".into())),
        Err(_) => return Err(Code::RequestTimeout.into()),
    };
    let Members(members) = serde_json::from_slice(&bytes).map_err(|error| Problem::invalid_json(explain(&error)))?;
    Ok(InputFields::new(members))
}

/// Where the JSON goes wrong. Not in serde's words: they may repeat a value, which may be a secret.
fn explain(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Eof => format!("ends too early, at line {line}, column {column}"),
        Category::Data => "is not a JSON object".into(),
        Category::Syntax | Category::Io => format!("is not JSON at line {line}, column {column}"),
    }
}

/// Whether the body's media type is one of these; parameters such as `charset` do not matter,
/// since JSON is UTF-8 (RFC 8259, 8.1) whatever they say.
fn is_one_of(headers: &HeaderMap, media_types: &[&'static str]) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    media_types.iter().any(|media_type| essence.eq_ignore_ascii_case(media_type))
}

/// The query's parameters.
pub struct QueryParams(pub InputFields);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let pairs =
            Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|Query(pairs)| pairs).unwrap_or_default();
        Ok(Self(InputFields::new(pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect())))
    }
}

/// A number without a fraction, where a float tells it from its neighbours (below 2⁵³).
#[allow(clippy::cast_possible_truncation, reason = "checked just before")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

/// The path's `{id}`.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
pub struct KeyIdParam(
    /// Unique key identifier
    #[param(value_type = Uuid)]
    pub ApiKeyId,
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::response::IntoResponse as _;
    use proptest::prelude::*;

    const DIGITS: &str = "7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c";

    fn body(bytes: impl Into<Body>) -> Result<InputFields, Problem> {
        let request = Request::builder().header(header::CONTENT_TYPE, "application/json").body(bytes.into()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(read(request, &["application/json"]))
    }

    /// A whole problem document, as it would be sent.
    fn told(problem: Problem) -> String {
        let mut response = problem.clone().into_response();
        problem.write_out("id", &mut response);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = body(bytes).map(|fields| fields.finish(&[]));
        }

        /// Exactly the objects are taken, with every name that they have.
        #[test]
        fn every_member_is_seen(names in prop::collection::vec("[a-c]{1,2}", 0..6)) {
            let members: Vec<_> = names.iter().map(|name| format!("{name:?}:1")).collect();
            let refused = body(format!("{{{}}}", members.join(","))).unwrap().finish(&["a"]);
            prop_assert_eq!(refused.is_ok(), names.is_empty());
            if let Err(problem) = refused {
                let told: Value = serde_json::from_str(&told(problem)).unwrap();
                for name in &names {
                    let errors = told["errors"].as_array().unwrap();
                    let of_it: Vec<_> = errors.iter().filter(|error| error["field"] == **name).collect();
                    let times = names.iter().filter(|other| *other == name).count();
                    prop_assert_eq!(of_it.len(), times, "each time that it appears is told: {:?}", told);
                }
            }
        }

        /// Wherever a secret strays in a body, what is told of the body does not repeat it.
        #[test]
        fn no_problem_repeats_a_secret(before in "[ -~]{0,20}", after in "[ -~]{0,20}", shape in 0..5) {
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
            let told = told(problem);
            prop_assert!(!told.contains(&DIGITS[..8]) && !told.contains(&DIGITS[24..]), "{}", told);
        }
    }
}
