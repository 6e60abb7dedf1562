//! `/forward-auth`, which gateways call before each request to the CRM.
//!
//! nginx's `auth_request`, Caddy's `forward_auth`, Traefik's ForwardAuth and Envoy's `ext_authz` (HTTP) let a request pass
//! on 2xx. A refusal is 401 or 403, since nginx turns any other status into a 500, and 429 only if the gateway asks for
//! it; its `code` is in `X-Rally-Error`. 503 means that access cannot be decided now.

mod check_parameters;
mod forged_headers;

use std::{
    ops::{Range, RangeBounds},
    sync::LazyLock,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, Uri, header},
    response::{IntoResponse as _, Response},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use utoipa::{IntoParams, openapi::ObjectBuilder};
use uuid::fmt::Hyphenated;

use self::check_parameters::CheckParameters;
use super::{
    key_lifecycle_headers,
    names::{
        FORWARD_AUTH, X_RALLY_ERROR, X_RALLY_KEY_EXPIRES, X_RALLY_KEY_ID, X_RALLY_PRINCIPAL, X_RALLY_SCOPES,
        X_RALLY_TENANT, X_RALLY_TENANT_ID, X_REQUEST_ID,
    },
    problem::{CALLER, Code, LimitedStatus, PARAMS, Problem, scope_schema},
    rate_limit_fields,
    refusal_log::RefusalLog,
    request_scope::RequestScope,
    sender::Sender,
};
use crate::{
    auth::{
        authenticator::{Authentication, Authenticator, Caller, Lookup},
        cache::receipts::Receipts,
        error::Refusal,
        request::{AuthRequest, Peer},
    },
    domain::{
        ApiKeyId, Principal, RemainingLimits, Revision, Slug, Tenant, Timestamp, TimestampText,
        access::{Permission, RequiredAccess},
        format_timestamp,
    },
};

/// How long a check waits for a revision: it delays the gateway's request.
const REVISION_TIMEOUT: Duration = Duration::from_secs(1);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Envoy appends the original request's path to the configured prefix.
pub(super) fn matches(path: &str) -> bool {
    path.strip_prefix(FORWARD_AUTH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the description")]
struct ScopeParam {
    #[param(schema_with = additional_scope, required = false)]
    scope: Option<String>,
    /// `429`: a request that exceeds its key's limits gets the status 429 instead of 403
    #[param(nullable = false, example = "429", pattern = "^429$")]
    limited: Option<String>,
}

fn additional_scope() -> ObjectBuilder {
    scope_schema()
        .description(Some("An additional scope that the original request needs. Unknown parameters are refused"))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "for the description")]
struct OriginalRequestParams {
    /// The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
    #[param(rename = "X-Rally-Required-Scope", nullable = false, example = "admin")]
    required_scope: Option<String>,
    /// The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
    /// may send it
    #[param(rename = "X-Rally-Min-Revision", nullable = false, example = "01a2073f-ad52-724d-9ab3-01acd5b13093")]
    min_revision: Option<String>,
    /// The original request's method
    #[param(rename = "X-Forwarded-Method", nullable = false, example = "POST")]
    forwarded_method: Option<String>,
    /// The original request's method
    #[param(rename = "X-Original-Method", nullable = false, example = "POST")]
    original_method: Option<String>,
}

/// Whether a request to the CRM may pass: what a gateway asks before each.
///
/// By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
/// this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
/// `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
///
/// `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
#[utoipa::path(
    method(get, post, put, patch, delete, head, options),
    path = "/forward-auth",
    operation_id = "check",
    tag = "Gateways",
    params(ScopeParam, OriginalRequestParams),
    responses((
        status = 200,
        description = "It may pass. All of these headers are there, empty where there is no value.",
        headers(
            ("X-Rally-Tenant"),
            ("X-Rally-Tenant-Id"),
            ("X-Rally-Principal"),
            ("X-Rally-Scopes"),
            ("X-Rally-Key-Id"),
            ("X-Rally-Key-Expires" = String, description = "When the key ends; empty if it does not"),
        )
    )),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-gateway-problems" = json!([CALLER, PARAMS, [Code::RevisionNotReached, Code::InternalError]]))),
)]
pub(super) fn begin<B>(
    authenticator: &Authenticator,
    refusals: &RefusalLog,
    request: &Request<B>,
    peer: Peer,
    scope: &RequestScope,
) -> Result<Response, Box<Pending>> {
    let (uri, headers, proxies) = (request.uri(), request.headers(), &authenticator.tenancy.trusted_proxies);
    let sender = || Sender::new(uri, headers, Some(proxies), peer.0);
    let parameters =
        forged_headers::refuse(headers).and_then(|any| check_parameters::read(request, peer.0, proxies, any));
    let (required, limited, min_revision) = match parameters {
        Ok(CheckParameters { scope, limited, min_revision }) => {
            (RequiredAccess::to_use(Permission::Scope(scope)), limited, min_revision)
        }
        Err(problem) => {
            let problem = problem.for_gateways(LimitedStatus::default());
            refusals.log(&problem, None, &sender(), &scope.id);
            return Ok(respond_with(problem));
        }
    };
    // A request over plain HTTP is refused without a database query.
    if let Some(revision) = min_revision
        && !authenticator.tenancy.must_refuse_plain_http(headers, peer.0)
    {
        let (uri, headers) = (uri.clone(), headers.clone());
        let check = Box::new(RevisionCheck { uri, headers, peer, required, revision });
        return Err(Box::new(Pending { step: Step::WaitForRevision(check), sender: sender(), limited }));
    }
    let request = AuthRequest { uri, headers, peer, request_id: &scope.id, required, span: &scope.span };
    match authenticator.begin(request) {
        Authentication::Ready(Ok(ref caller)) => {
            Ok(allowed(&caller.tenant, &caller.principal, &caller.remaining_limits))
        }
        Authentication::Ready(Err(refusal)) => Ok(refuse(&refusal, limited, refusals, &sender(), scope)),
        Authentication::Pending(lookup) => {
            Err(Box::new(Pending { step: Step::Lookup(lookup), sender: sender(), limited }))
        }
    }
}

/// A check that needs I/O.
pub(super) struct Pending {
    step: Step,
    sender: Sender,
    limited: LimitedStatus,
}

enum Step {
    Lookup(Box<Lookup>),
    WaitForRevision(Box<RevisionCheck>),
}

/// A check that is to be decided by a state that contains a revision.
struct RevisionCheck {
    uri: Uri,
    headers: HeaderMap,
    peer: Peer,
    required: RequiredAccess,
    revision: Revision,
}

impl RevisionCheck {
    async fn decide(
        self,
        authenticator: &Authenticator,
        receipts: &Receipts,
        scope: &RequestScope,
    ) -> Result<Result<Caller, Refusal>, Problem> {
        let Self { uri, headers, peer, required, revision } = self;
        let request =
            AuthRequest { uri: &uri, headers: &headers, peer, request_id: &scope.id, required, span: &scope.span };
        if !authenticator.wait_for_revision(request, revision, receipts, REVISION_TIMEOUT).await? {
            return Err(Code::RevisionNotReached.into());
        }
        Ok(match authenticator.begin(request) {
            Authentication::Ready(outcome) => outcome,
            Authentication::Pending(lookup) => authenticator.resolve(lookup).await,
        })
    }
}

/// Responds by I/O.
pub(super) async fn resolve(
    authenticator: &Authenticator,
    receipts: &Receipts,
    refusals: &RefusalLog,
    pending: Box<Pending>,
    scope: &RequestScope,
) -> Response {
    let Pending { step, sender, limited } = *pending;
    let refuse_with = |problem: Problem| {
        let problem = problem.for_gateways(limited);
        refusals.log(&problem, None, &sender, &scope.id);
        respond_with(problem)
    };
    let (lease, snapshot) = (authenticator.lease(), authenticator.lease().snapshot());
    if lease.forbids(snapshot) {
        return refuse_with(Code::DatabaseUnavailable.into());
    }
    let outcome = match step {
        Step::Lookup(lookup) => authenticator.resolve(lookup).await,
        Step::WaitForRevision(check) => match check.decide(authenticator, receipts, scope).await {
            Ok(outcome) => outcome,
            Err(problem) => return refuse_with(problem),
        },
    };
    if lease.forbids(snapshot) {
        return refuse_with(Code::DatabaseUnavailable.into());
    }
    match outcome {
        Ok(caller) => allowed(&caller.tenant, &caller.principal, &caller.remaining_limits),
        Err(refusal) => refuse(&refusal, limited, refusals, &sender, scope),
    }
}

#[cold]
fn refuse(
    refusal: &Refusal,
    limited: LimitedStatus,
    refusals: &RefusalLog,
    sender: &Sender,
    scope: &RequestScope,
) -> Response {
    let problem = Problem::from(refusal.error.clone()).for_gateways(limited);
    refusals.log(&problem, refusal.caller.as_deref(), sender, &scope.id);
    let mut response = respond_with(problem);
    if let Some((principal, remaining_limits)) = refusal.valid_caller() {
        key_lifecycle_headers::insert(principal, response.headers_mut());
        rate_limit_fields::insert(remaining_limits, response.headers_mut());
    }
    response
}

/// 200, always with all the headers: if one is missing, some gateways pass on the client's own copy of it.
fn allowed(tenant: &Tenant, principal: &Principal, remaining_limits: &RemainingLimits) -> Response {
    let [tenant_slug, tenant_id, name, key_id, key_expires] = match principal {
        Principal::ApiKey { id, expires_at, .. } => values_of_key(tenant, *id, *expires_at),
        Principal::User { user, .. } => values_of_user(tenant, &user.name),
    };
    let scopes = HeaderValue::from_static(principal.scopes().as_str());
    let mut headers = ALLOWED.clone();
    // In the order of `ALLOWED`.
    let values = [tenant_slug, tenant_id, name, scopes, key_id, key_expires];
    for (header, value) in headers.values_mut().zip(values) {
        *header = value;
    }
    key_lifecycle_headers::insert_rotation(principal, &mut headers);
    rate_limit_fields::insert(remaining_limits, &mut headers);
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

/// What is percent-encoded in a user's name, besides everything beyond ASCII: what a header cannot hold, the spaces that
/// it loses at its end, and the comma by which proxies join headers; and `%`, so that no name is read as another one.
const ENCODED_IN_NAMES: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

fn values_of_user(tenant: &Tenant, name: &str) -> [HeaderValue; 5] {
    let (slug, id, name) =
        (tenant.slug.as_str(), tenant.id.0.hyphenated(), utf8_percent_encode(name, ENCODED_IN_NAMES));
    let text = Bytes::from(format!("{slug}{id}{}{name}", Principal::USER));
    let name = slug.len() + Hyphenated::LENGTH;
    let places = [0..slug.len(), slug.len()..name, name..text.len(), 0..0, 0..0];
    places.map(|place| part(&text, place))
}

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

/// A problem for gateways, with its code in a header.
fn respond_with(problem: Problem) -> Response {
    let code = HeaderValue::from_static(problem.code());
    let mut response = problem.into_response();
    response.headers_mut().insert(X_RALLY_ERROR, code);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// The response after a panic.
pub(super) fn failed() -> Response {
    respond_with(Problem::internal().for_gateways(LimitedStatus::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyHint, LookupDigest, RotatedAway, ScopeSet, TenantId, parse_timestamp};
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use std::sync::Arc;
    use uuid::Uuid;

    #[test]
    fn every_header_of_a_200_has_its_own_value() {
        let tenant = Tenant { id: TenantId(Uuid::from_u128(7)), slug: Slug::parse("acme").unwrap(), external_id: None };
        let end = parse_timestamp("2027-01-31T09:00:00Z").unwrap();
        let key = Principal::ApiKey {
            id: ApiKeyId(Uuid::from_u128(8)),
            scopes: ScopeSet::parse("read,write").unwrap(),
            expires_at: Some(end),
            secret: LookupDigest::NONE,
            hint: KeyHint::from_last4("1b4c").unwrap(),
            rotated_away: Some(RotatedAway { since: end, until: end }),
        };
        let user = Arc::new(crate::domain::User { name: "zoë@acme.com".to_owned(), issuer: None, subject: None });
        let user = Principal::User { user, scopes: ScopeSet::READ };
        for (name, of_key, of_user) in [
            ("x-rally-tenant", "acme", "acme"),
            ("x-rally-tenant-id", "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000000007"),
            ("x-rally-principal", "api-key:00000000-0000-0000-0000-000000000008", "user:zo%C3%AB@acme.com"),
            ("x-rally-scopes", "read,write", "read"),
            ("x-rally-key-id", "00000000-0000-0000-0000-000000000008", ""),
            ("x-rally-key-expires", "2027-01-31T09:00:00Z", ""),
            ("cache-control", "no-store", "no-store"),
        ] {
            for (principal, value) in [(&key, of_key), (&user, of_user)] {
                let response = allowed(&tenant, principal, &RemainingLimits::default());
                let values: Vec<_> = response.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect();
                assert_eq!(values, [value.as_bytes()], "{name}");
            }
        }
    }

    #[test]
    fn the_longest_values_fit() {
        let slug = "s".repeat(Slug::MAX_LEN);
        let tenant = Tenant { id: TenantId(Uuid::max()), slug: Slug::parse(&slug).unwrap(), external_id: None };
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
        /// Whatever a name is, the CRM decodes it to that name, and to no key's.
        #[test]
        fn a_users_principal_is_ascii_and_decodes_to_the_name(name in prop_oneof![any::<String>(), "(api-key:|user:|%2C|[ ,%é\u{0}\r\n\t\u{7f}]){0,6}"]) {
            let tenant = Tenant { id: TenantId(Uuid::nil()), slug: Slug::parse("acme").unwrap(), external_id: None };
            let value = values_of_user(&tenant, &name)[2].clone();
            let text = value.to_str().unwrap();
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b','), "{}", text);
            let encoded = text.strip_prefix("user:").unwrap();
            prop_assert_eq!(percent_decode_str(encoded).decode_utf8().unwrap(), name);
        }

        #[test]
        fn only_whole_segments_match_the_route(rest in "[/a-z.%-]{0,8}") {
            prop_assert_eq!(matches(&format!("/forward-auth{rest}")), rest.is_empty() || rest.starts_with('/'));
        }
    }
}
