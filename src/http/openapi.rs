//! The API's own description (OpenAPI 3.1): put together from what stands beside each handler, and
//! completed by what holds for all or many of them: the problems, each with an example that is
//! written out by [`Problem`] itself, the headers of every answer, and the credentials.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{
    api_keys, forward_auth, health,
    problem::{Problem, ProblemDocument},
};

/// What every part of the description starts from. Its text is what people read first.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rally CRM API keys",
        description = "API keys provide server-to-server authentication for the Rally CRM API. Create keys with \
                       scoped permissions, track usage, and rotate them when needed. Keys are scoped to a tenant and \
                       can be restricted to read, write, or admin access.\n\nCall your tenant's own host. Errors are \
                       problem documents (RFC 9457); match on their `code`. Times are RFC 3339, in UTC in answers, \
                       with any offset in requests."
    ),
    servers(
        (url = "/", description = "The host that this document comes from"),
        (url = "https://{tenant}.rallycrm.io", description = "A tenant's host",
         variables(("tenant" = (default = "your-tenant", description = "The tenant's slug"))))
    ),
    tags(
        (name = "API keys", description = "For the tenant's admins"),
        (name = "Rotation", description = "A new secret for the same key; both work for a while"),
        (name = "Usage and events", description = "What keys are used for, and who did what to them"),
        (name = "The calling key", description = "The same, for the key that calls"),
        (name = "Gateways", description = "The check of every request to the CRM"),
        (name = "Service", description = "For whoever runs it")
    ),
    paths(forward_auth::begin, health::healthz),
    components(schemas(ProblemDocument))
)]
pub struct Description;

/// The document, as JSON.
#[must_use]
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| complete(super::routes().into_openapi()).to_string());
    &DOCUMENT
}

/// What `requestId` is in examples.
const EXAMPLE_REQUEST: &str = "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10";

/// What is told to whoever uses a secret that was rotated away.
const OF_OLD_SECRETS: &[&str] = &["Deprecation", "Sunset"];

/// The problems of whoever is asked who is calling.
const CALLER: &[&str] = &[
    "ambiguous_tenant",
    "missing_host",
    "ambiguous_credentials",
    "missing_credentials",
    "invalid_key",
    "key_expired",
    "key_revoked",
    "invalid_token",
    "token_expired",
    "wrong_tenant",
    "insufficient_scope",
    "tenant_not_found",
    "busy",
    "database_unavailable",
    "issuer_unavailable",
];

fn complete(openapi: utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    let problems: BTreeMap<&str, Problem> =
        Problem::examples().into_iter().map(|problem| (problem.example_name(), problem)).collect();
    let mut used = BTreeMap::new();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                complete_operation(path, method, operation, &problems, &mut used);
            }
        }
    }
    complete_components(&mut document["components"], &used);
    // An empty one is no licence.
    if let Some(info) = document["info"].as_object_mut() {
        info.remove("license");
    }
    document
}

fn complete_operation(
    path: &str,
    method: &str,
    operation: &mut Value,
    problems: &BTreeMap<&str, Problem>,
    used: &mut BTreeMap<String, Value>,
) {
    let (is_api, is_check) = (path.starts_with(api_keys::PATH), path == forward_auth::ROUTE);
    if is_check {
        // The same whatever the method; their names must differ.
        operation["operationId"] = json!(format!("check{}{}", method[..1].to_uppercase(), &method[1..]));
    }
    operation["security"] = if is_api || is_check { json!([{"apiKey": []}, {"bearer": []}]) } else { json!([]) };
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        // What a schema of our own says of itself is said of the parameter.
        let schema = parameter.get_mut("schema").and_then(Value::as_object_mut);
        if let Some(description) = schema.and_then(|schema| schema.remove("description")) {
            parameter["description"] = description;
        }
    }
    if path.ends_with("/rotate") {
        // No body at all is as good as `{}`.
        operation["requestBody"]["required"] = json!(false);
    }
    let mut answers: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for code in codes(path, method, operation) {
        let Some(problem) = problems.get(code).cloned() else { continue };
        let problem = if is_check { problem.for_gateways() } else { problem };
        answers.entry(problem.status().as_str().to_owned()).or_default().push(problem);
    }
    let is_paged = operation.to_string().contains("\"name\":\"cursor\"");
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for response in responses.values_mut() {
        if is_paged {
            add_headers(response, &["Link", "X-Total-Count"]);
        }
        if response.to_string().contains("schemas/ApiKeyResponse\"") && !is_paged {
            add_headers(response, &["ETag"]);
        }
        if is_api {
            add_headers(response, &["X-Rally-Key-Expires"]);
        }
        if is_api || is_check {
            add_headers(response, &["Cache-Control"]);
            add_headers(response, OF_OLD_SECRETS);
        }
        add_headers(response, &["X-Request-Id", "traceresponse"]);
    }
    for (status, problems) in answers {
        let mut examples = Map::new();
        for problem in &problems {
            let name = format!("{}{}", if is_check { "gateway_" } else { "" }, problem.example_name());
            used.entry(name.clone())
                .or_insert_with(|| json!({"summary": problem.title(), "value": problem.document(EXAMPLE_REQUEST)}));
            examples.insert(name.clone(), json!({"$ref": format!("#/components/examples/{name}")}));
        }
        let described: Vec<String> = problems.iter().map(|problem| format!("`{}`", problem.code())).collect();
        let mut response = json!({
            "description": described.join(", "),
            "content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": examples,
            }},
        });
        match status.as_str() {
            "401" => add_headers(&mut response, &["WWW-Authenticate"]),
            "503" => add_headers(&mut response, &["Retry-After"]),
            // A key that is let in and then refused is told of its end all the same.
            _ if is_api || is_check => {
                add_headers(&mut response, &["X-Rally-Key-Expires"]);
                add_headers(&mut response, OF_OLD_SECRETS);
            }
            _ => {}
        }
        add_headers(&mut response, &["X-Request-Id", "traceresponse"]);
        if is_check {
            add_headers(&mut response, &["X-Rally-Error"]);
        }
        if is_api || is_check {
            add_headers(&mut response, &["Cache-Control"]);
        }
        responses.insert(status, response);
    }
}

fn add_headers(response: &mut Value, names: &[&str]) {
    for name in names {
        response["headers"][*name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
}

/// The problems that an operation can have, by what it is asked with.
fn codes(path: &str, method: &str, operation: &Value) -> Vec<&'static str> {
    let mut codes = vec![];
    let has = |member: &str| operation.get(member).is_some();
    if path.starts_with(api_keys::PATH) {
        codes.extend_from_slice(CALLER);
        codes.push("timeout");
        codes.push("internal_error");
        if has("parameters") || has("requestBody") {
            codes.push("invalid_request");
        }
        if has("requestBody") {
            codes.extend(["invalid_json", "body_too_large", "unsupported_media_type", "request_timeout"]);
        }
        if path.contains("{id}") || path.ends_with("/events") {
            codes.push("key_not_found");
        }
        if path.contains("/self") {
            codes.push("key_required");
        }
        if path.ends_with("/rotate") {
            codes.extend(["key_revoked_conflict", "key_expired_conflict"]);
        }
        if method == "patch" {
            codes.extend(["key_revoked_conflict", "precondition_failed"]);
        }
    } else if path == forward_auth::ROUTE {
        codes.extend_from_slice(CALLER);
        codes.push("invalid_request");
    } else if path == "/readyz" {
        codes.extend(["database_unavailable", "stopping"]);
    }
    codes
}

fn complete_components(components: &mut Value, examples: &BTreeMap<String, Value>) {
    let header = |description: &str, schema: Value| json!({"description": description, "schema": schema});
    let required =
        |description: &str| json!({"description": description, "required": true, "schema": {"type": "string"}});
    components["examples"] = json!(examples);
    components["headers"] = json!({
        "Cache-Control": required("`no-store`"),
        "Deprecation": header(
            "Since when there is a newer secret than the one that the caller used (RFC 9745)",
            json!({"type": "string", "pattern": "^@[0-9]+$"}),
        ),
        "ETag": required("The key's state, for `If-Match` (RFC 9110)"),
        "Link": header("With `limit`: the next page, as `rel=\"next\"` (RFC 8288)", json!({"type": "string"})),
        "Retry-After": header("After how many seconds to try again", json!({"type": "integer"})),
        "Sunset": header("Until when the secret that the caller used works (RFC 8594)", json!({"type": "string"})),
        "traceresponse": header(
            "The request's span, where the service sends traces (a draft of W3C's, in the form of `traceparent`)",
            json!({"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"}),
        ),
        "WWW-Authenticate": required("How to authenticate (RFC 6750)"),
        "X-Total-Count": header("With `limit`: how many there are on all pages", json!({"type": "integer"})),
        "X-Rally-Error": required("The problem's `code`"),
        "X-Rally-Key-Expires": header(
            "When the key that the caller used ends, where it has an end",
            json!({"type": "string", "format": "date-time"}),
        ),
        "X-Request-Id": required("The request's id: the caller's own `X-Request-Id`, if it is sane, or a new one"),
    });
    components["securitySchemes"] = json!({
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key: `rk_live_…`"},
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A user's JWT; an API key is taken as well",
        },
    });
    for (name, schema) in components["schemas"].as_object_mut().into_iter().flatten() {
        if name.ends_with("Request") {
            // What is unknown is refused.
            schema["additionalProperties"] = json!(false);
        } else if name != "Problem" {
            // Every member is always there, if only as null.
            let all: Vec<String> =
                schema["properties"].as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
            schema["required"] = json!(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_described() {
        // Each constructor of a problem names its code as a literal.
        let source = include_str!("problem.rs");
        let source = source.split("#[cfg(test)]").next().unwrap();
        let described = document();
        let mut found = 0;
        for line in source.lines() {
            let code = line.trim().trim_matches(['"', ',']);
            let is_code = line.trim().starts_with('"') && line.trim().ends_with("\",") && code.contains('_');
            if is_code && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                found += 1;
                // Of requests for what the document does not have.
                if !["method_not_allowed"].contains(&code) {
                    assert!(described.contains(&format!("\"code\":\"{code}\"")), "{code} is not described");
                }
            }
        }
        assert!(found > 15, "{found}");
    }
}
