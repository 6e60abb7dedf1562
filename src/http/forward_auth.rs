//! `/forward-auth`, which gateways call before each request to the CRM.
//!
//! nginx's `auth_request`, Caddy's `forward_auth`, Traefik's ForwardAuth and Envoy's `ext_authz` (HTTP) let a request pass
//! on 2xx. A refusal is 401 or 403, since nginx turns any other status into a 500; its `code` is in `X-Rally-Error`. 503
//! means that access cannot be decided now.

use std::{
    ops::{Range, RangeBounds},
    sync::LazyLock,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, Request, Uri, header},
    response::{IntoResponse as _, Response},
};
use uuid::fmt::Hyphenated;

use super::{
    key_lifecycle_headers,
    names::{
        FORWARD_AUTH, METHOD_HEADERS, X_RALLY_ERROR, X_RALLY_KEY_EXPIRES, X_RALLY_KEY_ID, X_RALLY_PRINCIPAL,
        X_RALLY_SCOPES, X_RALLY_TENANT, X_RALLY_TENANT_ID, X_REQUEST_ID,
    },
    problem::{CALLER, Code, FieldError, PARAMS, Problem},
    request_scope::RequestScope,
};
use crate::{
    auth::{
        authenticator::{Authentication, Authenticator, Caller, Lookup},
        error::Refusal,
        request::{AuthRequest, Peer},
    },
    domain::{
        ApiKeyId, Principal, Scope, Slug, Tenant, Timestamp, TimestampText,
        access::{Permission, RequiredAccess},
        format_timestamp,
    },
};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Envoy appends the original request's path to the configured prefix.
pub(super) fn matches(path: &str) -> bool {
    path.strip_prefix(FORWARD_AUTH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a request to the CRM may pass: what a gateway asks before each.
///
/// By the method of the original request (this request's own, `X-Forwarded-Method` and
/// `X-Original-Method`: of all that are there, the strictest counts), GET, HEAD and OPTIONS need the scope
/// `read`, and any other `write`.
#[utoipa::path(
    method(get, post, put, patch, delete, head, options),
    path = "/forward-auth",
    operation_id = "check",
    tag = "Gateways",
    params(
        ("scope" = inline(Option<String>), Query, description = "What it needs besides: `read`, `write` or `admin`"),
        ("X-Forwarded-Method" = Option<String>, Header, description = "The original request's method"),
        ("X-Original-Method" = Option<String>, Header, description = "The original request's method"),
    ),
    responses((
        status = 200,
        description = "It may pass. All of these headers are there, empty where there is no value.",
        headers(
            ("X-Rally-Tenant" = String, description = "The tenant's slug"),
            ("X-Rally-Tenant-Id" = String, description = "The tenant's id"),
            ("X-Rally-Principal" = String, description = "`api-key:<id>` or `user:<name>`"),
            ("X-Rally-Scopes" = String, description = "The caller's scopes, comma-separated"),
            ("X-Rally-Key-Id" = String, description = "The key's id"),
            ("X-Rally-Key-Expires" = String, description = "When the key ends"),
        )
    )),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-gateway-problems" = json!([CALLER, PARAMS, [Code::InternalError]]))),
)]
pub(super) fn begin<B>(
    authenticator: &Authenticator,
    request: &Request<B>,
    peer: Peer,
    scope: &RequestScope,
) -> Result<Response, Box<Lookup>> {
    let (uri, headers) = (request.uri(), request.headers());
    let required = match required_scope(request.method(), uri, headers) {
        Ok(scope) => RequiredAccess::to_use(Permission::Scope(scope)),
        Err(problem) => return Ok(refused(problem)),
    };
    let request = AuthRequest { uri, headers, peer, request_id: &scope.id, required, span: &scope.span };
    match authenticator.begin(request) {
        Authentication::Ready(ref outcome) => Ok(respond(outcome)),
        Authentication::Pending(lookup) => Err(lookup),
    }
}

/// Responds after a cache miss.
pub(super) async fn resolve(authenticator: &Authenticator, lookup: Box<Lookup>) -> Response {
    respond(&authenticator.resolve(lookup).await)
}

fn respond(outcome: &Result<Caller, Refusal>) -> Response {
    match outcome {
        Ok(caller) => allowed(&caller.tenant, &caller.principal),
        Err(Refusal { error, principal }) => {
            let mut response = refused(error.clone().into());
            if let Some(principal) = principal {
                key_lifecycle_headers::insert(principal, response.headers_mut());
            }
            response
        }
    }
}

/// The strictest scope that any of the methods and `?scope=` require. All methods count, since a client can send such a
/// header through a gateway that does not overwrite it.
fn required_scope(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Scope, Problem> {
    let own = std::iter::once(method.as_str().as_bytes());
    let forwarded = METHOD_HEADERS.into_iter().flat_map(|name| headers.get_all(name)).map(HeaderValue::as_bytes);
    let by_method = own.chain(forwarded).map(scope_of_method).max().unwrap_or(Scope::Write);
    // If the gateway has appended a path, the query is the client's.
    let Some(query) = uri.query().filter(|_| uri.path() == FORWARD_AUTH) else {
        return Ok(by_method);
    };
    let by_query = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "scope");
    by_query.into_iter().try_fold(by_method, |required, (_, name)| match Scope::from_name(&name) {
        Some(scope) => Ok(required.max(scope)),
        None => Err(Problem::invalid_request(vec![FieldError::new("scope", "must be read, write or admin")])),
    })
}

fn scope_of_method(method: &[u8]) -> Scope {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS];
    if reads.iter().any(|read| read.as_str().as_bytes() == method) { Scope::Read } else { Scope::Write }
}

/// 200, always with all the headers: if one is missing, some gateways pass on the client's own copy of it.
fn allowed(tenant: &Tenant, principal: &Principal) -> Response {
    let [tenant_slug, tenant_id, name, key_id, key_expires] = match principal {
        Principal::ApiKey { id, expires_at, .. } => values_of_key(tenant, *id, *expires_at),
        Principal::User { name, .. } => values_of_user(tenant, name.as_deref().unwrap_or_default()),
    };
    let scopes = HeaderValue::from_static(principal.scopes().as_str());
    let mut headers = ALLOWED.clone();
    // In the order of `ALLOWED`.
    let values = [tenant_slug, tenant_id, name, scopes, key_id, key_expires];
    for (header, value) in headers.values_mut().zip(values) {
        *header = value;
    }
    key_lifecycle_headers::insert_rotation(principal, &mut headers);
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    response
}

/// Tenant, tenant's id, principal, key's id, key's expiry. All of them share one allocation.
fn values_of_key(tenant: &Tenant, key: ApiKeyId, expires_at: Option<Timestamp>) -> [HeaderValue; 5] {
    const TENANT_ID: Range<usize> = 0..Hyphenated::LENGTH;
    const NAME: Range<usize> = TENANT_ID.end..KEY_ID.end;
    const KEY_ID: Range<usize> = TENANT_ID.end + KIND.len()..TENANT_ID.end + KIND.len() + Hyphenated::LENGTH;
    const KEY_EXPIRES: usize = KEY_ID.end;
    const SLUG: usize = KEY_EXPIRES + TimestampText::MAX_LEN;
    const KIND: &[u8] = Principal::API_KEY.as_bytes();
    let mut text = [0; SLUG + Slug::MAX_LEN];
    let mut put = |start: usize, value: &[u8]| {
        text[start..start + value.len()].copy_from_slice(value);
        start..start + value.len()
    };
    put(NAME.start, KIND);
    let end = expires_at.and_then(TimestampText::new);
    let key_expires = end.map_or(0..0, |end| put(KEY_EXPIRES, end.as_bytes()));
    let slug = put(SLUG, tenant.slug.as_bytes());
    tenant.id.0.hyphenated().encode_lower(&mut text[TENANT_ID]);
    key.0.hyphenated().encode_lower(&mut text[KEY_ID]);
    let text = Bytes::from_owner(text);
    let mut values = [slug, TENANT_ID, NAME, KEY_ID, key_expires].map(|place| part(&text, place));
    if let (Some(unusual_end), None) = (expires_at, end) {
        values[4] = part(&Bytes::from(format_timestamp(unusual_end)), ..);
    }
    values
}

fn values_of_user(tenant: &Tenant, name: &str) -> [HeaderValue; 5] {
    let (slug, id) = (tenant.slug.as_str(), tenant.id.0.hyphenated());
    let text = Bytes::from(format!("{slug}{id}{}{name}", Principal::USER));
    let name = slug.len() + Hyphenated::LENGTH;
    let places = [0..slug.len(), slug.len()..name, name..text.len(), 0..0, 0..0];
    places.map(|place| part(&text, place))
}

/// A user's name may have non-ASCII characters, which stay UTF-8.
fn part(text: &Bytes, place: impl RangeBounds<usize>) -> HeaderValue {
    HeaderValue::from_maybe_shared(text.slice(place)).unwrap_or(HeaderValue::from_static(""))
}

/// The headers of every 200, without values: a clone is cheaper than inserting them. A map iterates in the order of
/// insertion; its documentation does not promise that, so a test does.
static ALLOWED: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::with_capacity(12);
    for name in
        [X_RALLY_TENANT, X_RALLY_TENANT_ID, X_RALLY_PRINCIPAL, X_RALLY_SCOPES, X_RALLY_KEY_ID, X_RALLY_KEY_EXPIRES]
    {
        headers.insert(name, HeaderValue::from_static(""));
    }
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(X_REQUEST_ID, HeaderValue::from_static(""));
    headers
});

fn refused(problem: Problem) -> Response {
    let problem = problem.for_gateways();
    let code = HeaderValue::from_static(problem.code());
    let mut response = problem.into_response();
    response.headers_mut().insert(X_RALLY_ERROR, code);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// The response after a panic.
pub(super) fn failed() -> Response {
    refused(Problem::internal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyHint, LookupDigest, RotatedAway, ScopeSet, TenantId, parse_timestamp};
    use axum::http::Request;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn required(method: &str, target: &str, forwarded: &[(usize, String)]) -> Result<Scope, Problem> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in forwarded {
            request = request.header(METHOD_HEADERS[name % METHOD_HEADERS.len()].clone(), value);
        }
        let request = request.body(()).unwrap();
        required_scope(request.method(), request.uri(), request.headers())
    }

    fn methods() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec!["GET", "HEAD", "OPTIONS"]).prop_map(str::to_owned),
            prop::sample::select(vec!["POST", "PUT", "DELETE", "PURGE", "get", "Get", "TRACE"]).prop_map(str::to_owned),
            "[A-Za-z]{1,8}",
        ]
    }

    /// Methods, lists, spaces, nothing.
    fn forwarded() -> impl Strategy<Value = Vec<(usize, String)>> {
        prop::collection::vec((0_usize..2, prop_oneof![methods(), "[ -~]{0,10}", "GET, POST|GET,GET"]), 0..4)
    }

    fn reads(method: &str) -> bool {
        ["GET", "HEAD", "OPTIONS"].contains(&method)
    }

    #[test]
    fn every_header_of_a_200_has_its_own_value() {
        let tenant = Tenant { id: TenantId(Uuid::from_u128(7)), slug: Slug::parse("acme").unwrap() };
        let end = parse_timestamp("2027-01-31T09:00:00Z").unwrap();
        let key = Principal::ApiKey {
            id: ApiKeyId(Uuid::from_u128(8)),
            scopes: ScopeSet::parse("read,write").unwrap(),
            expires_at: Some(end),
            secret: LookupDigest::NONE,
            hint: KeyHint::from_last4("1b4c").unwrap(),
            rotated_away: Some(RotatedAway { since: end, until: end }),
        };
        let user = Principal::User { name: Some("zoë@acme.com".to_owned()), scopes: ScopeSet::READ };
        for (name, of_key, of_user) in [
            ("x-rally-tenant", "acme", "acme"),
            ("x-rally-tenant-id", "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000000007"),
            ("x-rally-principal", "api-key:00000000-0000-0000-0000-000000000008", "user:zoë@acme.com"),
            ("x-rally-scopes", "read,write", "read"),
            ("x-rally-key-id", "00000000-0000-0000-0000-000000000008", ""),
            ("x-rally-key-expires", "2027-01-31T09:00:00Z", ""),
            ("cache-control", "no-store", "no-store"),
        ] {
            for (principal, value) in [(&key, of_key), (&user, of_user)] {
                let response = allowed(&tenant, principal);
                let values: Vec<_> = response.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect();
                assert_eq!(values, [value.as_bytes()], "{name}");
            }
        }
    }

    #[test]
    fn the_longest_values_fit() {
        let slug = "s".repeat(Slug::MAX_LEN);
        let tenant = Tenant { id: TenantId(Uuid::max()), slug: Slug::parse(&slug).unwrap() };
        let end = "9999-12-31T23:59:59.999999Z";
        let values = values_of_key(&tenant, ApiKeyId(Uuid::max()), Some(parse_timestamp(end).unwrap()));
        let id = Uuid::max().to_string();
        assert_eq!(
            values.map(|value| value.to_str().unwrap().to_owned()),
            [slug, id.clone(), format!("api-key:{id}"), id, end.to_owned()]
        );
        let name = "n".repeat(1_000);
        assert_eq!(values_of_user(&tenant, &name)[2].to_str().unwrap(), format!("user:{name}"));
    }

    proptest! {
        /// `read` is enough only if every method reads.
        #[test]
        fn the_strictest_method_counts(own in methods(), forwarded in forwarded(), behind in any::<bool>()) {
            let target = if behind { "/forward-auth/a/b?scope=nonsense" } else { "/forward-auth" };
            let required = required(&own, target, &forwarded).unwrap();
            // A header's value arrives without surrounding spaces.
            let all_read = reads(&own) && forwarded.iter().all(|(_, method)| reads(method));
            prop_assert_eq!(required, if all_read { Scope::Read } else { Scope::Write });
        }

        #[test]
        fn another_method_or_scope_never_requires_less(own in methods(), forwarded in forwarded(), more in methods(), query in "[a-z=&%+]{0,12}") {
            let required = |target: &str, forwarded: &[_]| required(&own, target, forwarded);
            let before = required("/forward-auth", &forwarded).unwrap();
            let with_more = [&forwarded[..], &[(0, more)]].concat();
            prop_assert!(required("/forward-auth", &with_more).unwrap() >= before);
            for scope in Scope::ALL {
                let with_scope = required(&format!("/forward-auth?{query}&scope={scope}"), &forwarded);
                prop_assert!(with_scope.is_err() || with_scope.unwrap() == before.max(scope));
            }
        }

        #[test]
        fn an_unknown_scope_is_refused(name in "[a-zA-Z%]{0,8}") {
            prop_assume!(Scope::from_name(&name).is_none());
            let target = format!("/forward-auth?scope={name}");
            prop_assert!(required("GET", &target, &[]).is_err());
        }

        #[test]
        fn only_whole_segments_match_the_route(rest in "[/a-z.%-]{0,8}") {
            prop_assert_eq!(matches(&format!("/forward-auth{rest}")), rest.is_empty() || rest.starts_with('/'));
        }
    }
}
