//! The API's description (OpenAPI 3.1): what every operation shares, added to what stands at each handler.
//!
//! A handler's `#[utoipa::path]` declares, besides its parameters and responses:
//! - `security`, if it authenticates its caller;
//! - the extension `x-problems`: lists of the [`Code`]s that it can respond with (`x-gateway-problems`: in the form
//!   that gateways support);
//! - headers: one without a description is the component of that name; one with, such as a receipt's `Location`, has its
//!   example.
//!
//! [`complete`] replaces the extensions by responses.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{
    api_keys::{event_details, event_schemas, examples, receipt_response},
    problem::{Code, FieldError, LimitedStatus, Problem, ProblemDocument},
};
use crate::{
    auth::error::{Error, TokenError},
    domain::{Budget, Quota, QuotaPeriod, QuotaUse, RateLimit, Scope, Violation, parse_timestamp},
};

/// The parts that are no operation's.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rally CRM API keys",
        description = "API keys provide server-to-server authentication for the Rally CRM API. Create keys with \
                       scoped permissions, track usage, and rotate them when needed. Keys are scoped to a tenant and \
                       can be restricted to read, write, or admin access.\n\nSend requests to your tenant's own \
                       host. Errors are problem documents (RFC 9457); match on their `code`. Times are RFC 3339: in \
                       UTC in responses, with any offset in requests."
    ),
    tags(
        (name = "API keys", description = "For the tenant's admins"),
        (name = "Rotation", description = "A new secret for the same key; both secrets work for a while"),
        (name = "Policy", description = "Rules for all keys of the tenant"),
        (name = "Usage and events", description = "What keys are used for, and who changed them"),
        (name = "The calling key", description = "The same operations, for the key that sends the request"),
        (name = "Leaks", description = "For whoever finds a secret where it should not be"),
        (name = "Gateways", description = "The check of every request to the CRM"),
        (name = "Service", description = "For operators")
    ),
    components(schemas(
        ProblemDocument,
        event_details::ActorDetails,
        event_details::DecoyUseDetails,
        event_details::EndedSecretDetails,
        event_details::ExposureDetails,
        event_details::GrantDetails,
        event_details::IdleNoticeDetails,
        event_details::LeakDetails,
        event_details::ReusedSecretDetails,
        event_details::PolicyChangeDetails,
        receipt_response::ReceiptDetails,
        event_details::RotationDetails,
        event_details::SuspensionDetails,
        event_details::UpdateDetails
    ))
)]
pub(crate) struct Description;

/// The `requestId` of examples.
const EXAMPLE_REQUEST: &str = "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10";

/// The URL of the receipt in examples.
const EXAMPLE_RECEIPT_URL: &str =
    "https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093";
/// The `Rally-Receipt` of examples.
const EXAMPLE_RECEIPT: &str =
    "revision=\"01a2073f-ad52-724d-9ab3-01acd5b13093\", instances=3, acknowledged=3, lapsed=0, slowest-ms=2.1";

/// The schemas of responses that may lack properties.
const PARTIAL: [&str; 3] = ["Problem", "Readiness", "UpdateDetails"];

/// A schema and a property that only some of its responses have.
const OPTIONAL: [(&str, &str); 6] = [
    ("ApiKeyResponse", "usage"),
    ("ApiKeyResponse", "decoy"),
    ("ApiKeyResponse", "receipt"),
    ("ApiKeyCreatedResponse", "decoy"),
    ("ApiKeyCreatedResponse", "receipt"),
    ("GrantDetails", "reason"),
];

/// In every response.
const OF_ALL: [&str; 2] = ["X-Request-Id", "traceresponse"];
/// In every response of an operation that authenticates its caller.
const OF_AUTHENTICATED: [&str; 1] = ["Cache-Control"];
/// In a response to an authenticated key.
const OF_CALLER: [&str; 5] = ["X-Rally-Key-Expires", "Deprecation", "Sunset", "RateLimit-Policy", "RateLimit"];

/// Completes what utoipa collected from the handlers. `server`: the URL of a tenant's host.
///
/// Absolute and without a variable: some tools cannot resolve a relative URL, and some validators refuse variables.
pub(crate) fn complete(openapi: utoipa::openapi::OpenApi, server: &str) -> Value {
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    document["servers"] = json!([{"url": server, "description": "Your tenant's host"}]);
    let headers = headers();
    let mut examples = BTreeMap::new();
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let Some(operations) = item.as_object_mut() else { continue };
        let is_shared = operations.len() > 1 && same_id(operations);
        for (method, operation) in operations {
            if is_shared {
                // One handler for several methods; the ids of operations must differ.
                let id = operation["operationId"].as_str().unwrap_or_default();
                operation["operationId"] = json!(format!("{id}{}{}", method[..1].to_uppercase(), &method[1..]));
            }
            complete_operation(method, operation, &headers, &mut examples);
        }
    }
    let components = &mut document["components"];
    components["examples"] = json!(examples);
    components["headers"] = headers;
    components["securitySchemes"] = json!({
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key: `rk_live_…`"},
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A user's JWT. An API key is accepted too.",
        },
    });
    for (name, schema) in components["schemas"].as_object_mut().into_iter().flatten() {
        let is_request = schema["additionalProperties"] == json!(false);
        if !is_request && !PARTIAL.contains(&name.as_str()) {
            // A response has all its properties, also those that are null.
            let properties = schema["properties"].as_object().into_iter().flat_map(Map::keys);
            let is_in_all = |property: &&str| !OPTIONAL.contains(&(name.as_str(), *property));
            schema["required"] = properties.map(String::as_str).filter(is_in_all).collect();
        }
    }
    if let Some(schemas) = components["schemas"].as_object_mut() {
        event_schemas::split_by_type(schemas);
    }
    let mut enums = Map::new();
    name_enums(&mut document, &mut enums);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(enums);
    }
    document
}

/// Moves each enumeration with a title to the components, under that name: otherwise generators of types would name it
/// after each place where it stands.
fn name_enums(value: &mut Value, enums: &mut Map<String, Value>) {
    if value.get("enum").is_some()
        && let Some(Value::String(name)) = value.as_object_mut().and_then(|schema| schema.remove("title"))
    {
        let schema = std::mem::replace(value, reference("schemas", &name));
        // A parameter's description is not the schema's.
        if schema.get("description").is_some() || !enums.contains_key(&name) {
            enums.insert(name, schema);
        }
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| name_enums(member, enums)),
        Value::Array(items) => items.iter_mut().for_each(|item| name_enums(item, enums)),
        _ => {}
    }
}

fn same_id(operations: &Map<String, Value>) -> bool {
    let mut ids = operations.values().map(|operation| &operation["operationId"]);
    let first = ids.next();
    ids.all(|id| Some(id) == first)
}

fn complete_operation(method: &str, operation: &mut Value, headers: &Value, examples: &mut BTreeMap<String, Value>) {
    let Some(operation) = operation.as_object_mut() else { return };
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        move_to_parameter(parameter);
    }
    if let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut)
        && let Some(optional) = body.remove("x-optional")
    {
        body.insert("required".into(), json!(optional != json!(true)));
    }
    if let Some(body) = operation.get_mut("requestBody") {
        add_examples(body);
    }
    let authenticates = operation.contains_key("security");
    if !authenticates {
        operation.insert("security".into(), json!([]));
    }
    let problems = problems(operation);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for response in responses.values_mut() {
        for (name, header) in response.get_mut("headers").and_then(Value::as_object_mut).into_iter().flatten() {
            if header.get("description").is_none() && headers.get(name).is_some() {
                *header = reference("headers", name);
            } else if name == "Location" {
                header["example"] = json!(EXAMPLE_RECEIPT_URL);
            } else {
                header["example"] = headers[name]["example"].clone();
            }
        }
        add_examples(response);
        add_headers(response, OF_ALL);
        if authenticates {
            add_headers(response, OF_CALLER);
            add_headers(response, OF_AUTHENTICATED);
        }
    }
    for (status, problems) in problems {
        let mut response = problem_response(&problems, examples);
        add_headers(&mut response, OF_ALL);
        if authenticates {
            add_headers(&mut response, OF_AUTHENTICATED);
            if !["401", "503"].contains(&status.as_str()) {
                add_headers(&mut response, OF_CALLER);
            }
        }
        let of_problems = headers.as_object().into_iter().flat_map(Map::keys);
        for name in of_problems.filter(|name| problems.iter().all(|(_, problem)| problem.has_header(name))) {
            add_headers(&mut response, [name.as_str()]);
        }
        if status == "415" {
            add_headers(&mut response, ["Accept", "Accept-Encoding"]);
            if method == "patch" {
                add_headers(&mut response, ["Accept-Patch"]);
            }
        }
        if problems.iter().any(|(_, problem)| problem.kind() == Code::IdempotencyKeyInUse) {
            add_headers(&mut response, ["Retry-After"]);
        }
        if problems.iter().any(|(name, _)| name.starts_with(GATEWAY)) {
            add_headers(&mut response, ["X-Rally-Error"]);
        }
        responses.insert(status, response);
    }
}

/// What describes a schema of our own describes the parameter.
fn move_to_parameter(parameter: &mut Value) {
    let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) else { return };
    let description = schema.remove("description");
    let example = schema.remove("examples").map(|mut examples| examples[0].take());
    for (name, value) in [("description", description), ("example", example)] {
        if let Some(value) = value {
            parameter[name] = value;
        }
    }
}

/// Adds an example to each body that has none.
fn add_examples(holder: &mut Value) {
    const SCHEMAS: &str = "#/components/schemas/";
    for content in holder.get_mut("content").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        let named = |schema: &Value| Some(schema["$ref"].as_str()?.strip_prefix(SCHEMAS)?.to_owned());
        let schema = &content["schema"];
        let example = named(schema)
            .and_then(|name| examples::of_schema(&name))
            .or_else(|| examples::of_list(&named(&schema["items"])?));
        if let Some(example) = example.filter(|_| content.get("example").is_none()) {
            content["example"] = example;
        }
    }
}

/// Begins the name of an example in the form for gateways.
const GATEWAY: &str = "gateway_";

type NamedProblem = (String, Problem);

/// Takes the problems from an operation's extensions, by status.
fn problems(operation: &mut Map<String, Value>) -> BTreeMap<String, Vec<NamedProblem>> {
    let mut by_status = BTreeMap::<_, Vec<_>>::new();
    for (extension, is_for_gateways) in [("x-problems", false), ("x-gateway-problems", true)] {
        let lists = operation.remove(extension).unwrap_or_default();
        let names = lists.as_array().into_iter().flatten().filter_map(Value::as_array).flatten();
        for code in names.filter_map(|name| Code::from_unique_name(name.as_str()?)) {
            let as_it_is = (code.unique_name().to_owned(), example(code));
            let for_gateways = || {
                let problem = example(code).for_gateways(LimitedStatus::Forbidden);
                (format!("{GATEWAY}{}", code.unique_name()), problem)
            };
            let forms = match (is_for_gateways, code.status()) {
                (false, _) => vec![as_it_is],
                (true, StatusCode::TOO_MANY_REQUESTS) => vec![for_gateways(), as_it_is],
                (true, _) => vec![for_gateways()],
            };
            for (name, problem) in forms {
                let problems = by_status.entry(problem.status().as_str().to_owned()).or_default();
                if !problems.iter().any(|(other, _)| *other == name) {
                    problems.push((name, problem));
                }
            }
        }
    }
    by_status
}

fn problem_response(problems: &[NamedProblem], examples: &mut BTreeMap<String, Value>) -> Value {
    let mut references = Map::new();
    for (name, problem) in problems {
        let document = problem.document(EXAMPLE_REQUEST);
        examples.insert(name.clone(), json!({"summary": document["title"], "value": document}));
        references.insert(name.clone(), reference("examples", name));
    }
    let codes: Vec<String> = problems.iter().map(|(_, problem)| format!("`{}`", problem.code())).collect();
    json!({
        "description": codes.join(", "),
        "content": {"application/problem+json": {
            "schema": reference("schemas", "Problem"),
            "examples": references,
        }},
    })
}

/// A problem of that code, with all that it can have.
fn example(code: Code) -> Problem {
    match code {
        Code::InvalidRequest => Problem::invalid_request(vec![
            FieldError::new("name", "must have 1 to 100 characters after trimming"),
            FieldError::new("expiresAt", "must be in the future"),
        ]),
        Code::InvalidJson => Problem::invalid_json("ends too early at line 1, column 20: expected `,` or `}`".into()),
        Code::AmbiguousTenant => Error::AmbiguousTenant("X-Forwarded-Host names another tenant than Host").into(),
        Code::InvalidToken => Error::from(TokenError::WrongSignature).into(),
        Code::TooManyReports => {
            parse_timestamp("2026-11-24T09:00:00Z").map_or(code.into(), |now| Problem::too_many_reports(41, now))
        }
        Code::TooManyRotations => {
            parse_timestamp("2026-11-24T09:00:41Z").map_or(code.into(), |until| Problem::too_many_rotations(41, until))
        }
        Code::RateLimited => RateLimit::new(100, 60)
            .zip(parse_timestamp("2026-11-24T09:00:00.6Z").ok())
            .map_or(code.into(), |(limit, until)| Problem::rate_limited(Budget::new(limit, limit.burst()), until)),
        Code::QuotaExceeded => quota_use().map_or_else(|| code.into(), |quota| Problem::quota_exceeded(&quota)),
        Code::AddressNotAllowed => Error::AddressNotAllowed(Some([203, 0, 113, 8].into())).into(),
        Code::InsufficientScope => Error::InsufficientScope(Scope::Admin).into(),
        Code::PolicyViolation => Violation { rule: "maxLifetimeDays", limit: json!(365), value: json!(null) }.into(),
        other => other.into(),
    }
}

/// A quota that is used up.
fn quota_use() -> Option<QuotaUse> {
    let at = parse_timestamp("2026-11-24T17:02:11Z").ok()?;
    Some(QuotaUse {
        quota: Quota::new(100_000, QuotaPeriod::Day)?,
        used: 100_000,
        at,
        resets_at: QuotaPeriod::Day.end(at),
    })
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// Adds headers that the response does not have yet.
fn add_headers<'a>(response: &mut Value, names: impl IntoIterator<Item = &'a str>) {
    for name in names {
        if response["headers"].get(name).is_none() {
            response["headers"][name] = reference("headers", name);
        }
    }
}

fn headers() -> Value {
    let header = |description: &str, schema: Value, example: Value| json!({"description": description, "schema": schema, "example": example});
    let text = || json!({"type": "string"});
    let required = |description: &str, example: &str| json!({"description": description, "required": true, "schema": {"type": "string"}, "example": example});
    json!({
        "Accept": header("The media types that are supported", text(), json!("application/json")),
        "Accept-Encoding": header("`identity`, if the body had a content coding", text(), json!("identity")),
        "Accept-Patch": header(
            "The media types that are supported (RFC 5789)",
            text(),
            json!("application/merge-patch+json, application/json"),
        ),
        "Cache-Control": required("`no-store`", "no-store"),
        "Deprecation": header(
            "When a newer secret than the one in the request was created (RFC 9745)",
            json!({"type": "string", "pattern": "^@[0-9]+$"}),
            json!("@1795507200"),
        ),
        "ETag": required(
            "The entity tag, for `If-Match` and `If-None-Match` (RFC 9110)",
            "\"1-mR9vXo2cQ4eTyU7b\"",
        ),
        "Link": header(
            "With `limit`: the absolute URL of the next page, as `rel=\"next\"` (RFC 8288)",
            text(),
            json!("<https://your-tenant.rallycrm.io/api/v1/api-keys?limit=100&cursor=AQAGYO483xYAobLD1OX2eJCrze8SNFZ4kA>; rel=\"next\""),
        ),
        "Location": json!({
            "description": "The key's absolute URL",
            "required": true,
            "schema": {"type": "string", "format": "uri"},
            "example": "https://your-tenant.rallycrm.io/api/v1/api-keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        }),
        "Preference-Applied": header(
            "With `Prefer: wait`, on a change that takes something away: the seconds that were granted (RFC 7240)",
            text(),
            json!("wait=10"),
        ),
        "Rally-Receipt": header(
            "With `Prefer: wait`: no instance uses a state from before the change any more (a dictionary of RFC 9651)",
            text(),
            json!(EXAMPLE_RECEIPT),
        ),
        "RateLimit": header(
            "The remaining requests of the calling key's rate limit (`\"rally-key\"`) and quota (`\"rally-quota\"`): `r` now, and \
             more in `t` seconds (draft-ietf-httpapi-ratelimit-headers-11)",
            text(),
            json!("\"rally-key\";r=99;t=1"),
        ),
        "RateLimit-Policy": header(
            "The calling key's rate limit (`\"rally-key\"`) and quota (`\"rally-quota\"`), if it has them: `q` requests in `w` \
             seconds (draft-ietf-httpapi-ratelimit-headers-11)",
            text(),
            json!("\"rally-key\";q=100;w=60"),
        ),
        "Retry-After": header("Try again after this number of seconds", json!({"type": "integer"}), json!(1)),
        "Sunset": header(
            "When the secret in the request stops to work (RFC 8594)",
            text(),
            json!("Wed, 25 Nov 2026 08:00:00 GMT"),
        ),
        "traceresponse": header(
            "The request's span, if the service exports traces (a draft of the W3C, in the form of `traceparent`)",
            json!({"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"}),
            json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ),
        "WWW-Authenticate": required("How to authenticate (RFC 6750)", "Bearer realm=\"rally-api-keys\""),
        "X-Total-Count": header(
            "With `limit`: the number of items on all pages",
            json!({"type": "integer"}),
            json!(250),
        ),
        "X-Rally-Tenant": required("The tenant's slug", "acme"),
        "X-Rally-Tenant-Id": required("The tenant's id", "01a2073f-9c11-7d3e-8f60-5b1d2c3a4e5f"),
        "X-Rally-Principal": required(
            "`api-key:<id>` or `user:<name>`, the name percent-encoded",
            "api-key:a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        ),
        "X-Rally-Scopes": required("The caller's scopes, comma-separated", "read,write"),
        "X-Rally-Key-Id": required("The key's id; empty for a user", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
        "X-Rally-Error": required("The problem's `code`", "invalid_key"),
        "X-Rally-Key-Expires": header(
            "When the calling key expires, if it does",
            json!({"type": "string", "format": "date-time"}),
            json!("2030-01-01T00:00:00Z"),
        ),
        "X-Request-Id": required(
            "The request's id: the request's own `X-Request-Id` if it is valid, otherwise a new one",
            EXAMPLE_REQUEST,
        ),
    })
}
