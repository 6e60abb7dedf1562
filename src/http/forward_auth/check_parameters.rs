//! The parameters of a check, in the gateway's request: the required scope, by the methods and by what the gateway names
//! besides, and the status for exceeded limits.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::forged_headers::letters;
use crate::{
    auth::client_address::TrustedProxies,
    domain::{Revision, Scope},
    http::{
        input::redacted,
        names::{FORWARD_AUTH, METHOD_HEADERS, X_RALLY_MIN_REVISION, X_RALLY_REQUIRED_SCOPE},
        problem::{FieldError, LimitedStatus, Problem},
    },
};

const SCOPE: &str = "scope";
const LIMITED: &str = "limited";
const NOT_A_SCOPE: &str = "must be read, write or admin, in lower case";

/// The parameters of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckParameters {
    /// The strictest of everything that the request names. Nothing in it lowers the requirement.
    pub(super) scope: Scope,
    /// The status of a request that exceeds its key's limits.
    pub(super) limited: LimitedStatus,
    /// What the state must contain that the request is decided by.
    pub(super) min_revision: Option<Revision>,
}

/// `has_own_headers`: there is one whose name begins as ours do.
pub(super) fn read<B>(
    request: &Request<B>,
    peer: IpAddr,
    trusted_proxies: &TrustedProxies,
    has_own_headers: bool,
) -> Result<CheckParameters, Problem> {
    let headers = request.headers();
    let by_method = by_methods(request.method(), headers);
    let QueryParameters { scope: by_query, limited } = by_query(request.uri().path(), request.uri().query())?;
    // Of other peers these headers are a client's, which does not decide what it needs.
    let (by_header, min_revision) = if has_own_headers && trusted_proxies.contain(peer) {
        (by_header(headers)?, min_revision(headers)?)
    } else {
        (None, None)
    };
    let scope = by_query.into_iter().chain(by_header).fold(by_method, Scope::max);
    Ok(CheckParameters { scope, limited, min_revision })
}

/// All methods count, since a client can send such a header through a gateway that does not overwrite it, and the CRM
/// may obey it.
fn by_methods(own: &Method, headers: &HeaderMap) -> Scope {
    let named = headers.iter().filter(|(name, _)| names_a_method(name)).map(|(_, value)| value.as_bytes());
    named.map(of_method).fold(of_method(own.as_str().as_bytes()), Scope::max)
}

/// Whether the header is one of [`METHOD_HEADERS`], in any spelling.
fn names_a_method(name: &HeaderName) -> bool {
    let is_spelt = |known: &&str| letters(name).eq(known.bytes().filter(u8::is_ascii_alphanumeric));
    METHOD_HEADERS.iter().any(is_spelt)
}

fn of_method(method: &[u8]) -> Scope {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS];
    if reads.iter().any(|read| read.as_str().as_bytes() == method) { Scope::Read } else { Scope::Write }
}

/// The query's parameters.
#[derive(Default)]
struct QueryParameters {
    /// The strictest one.
    scope: Option<Scope>,
    limited: LimitedStatus,
}

/// If the gateway has appended its client's path, the query is the client's too, and not read.
fn by_query(path: &str, query: Option<&str>) -> Result<QueryParameters, Problem> {
    let is_the_gateways = path.strip_prefix(FORWARD_AUTH).is_some_and(|rest| rest.is_empty() || rest == "/");
    let mut found = QueryParameters::default();
    let Some(query) = query.filter(|_| is_the_gateways) else { return Ok(found) };
    let mut errors = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            (SCOPE, name) => match Scope::from_name(name) {
                Some(scope) => found.scope = found.scope.max(Some(scope)),
                None => errors.push(FieldError::new(SCOPE, NOT_A_SCOPE)),
            },
            (LIMITED, "429") => found.limited = LimitedStatus::TooManyRequests,
            (LIMITED, _) => errors.push(FieldError::new(LIMITED, "must be 429")),
            // A misspelt `scope` must not let anybody in.
            _ => {
                let message = "is unknown; a check has only `scope` and `limited`";
                errors.push(FieldError::of_part("(parameter)", redacted(name.into_owned()), message));
            }
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(Problem::invalid_request(errors)) }
}

/// `X-Rally-Min-Revision`.
fn min_revision(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    let mut values = headers.get_all(X_RALLY_MIN_REVISION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let revision = value.to_str().ok().and_then(Revision::parse).filter(|_| values.next().is_none());
    revision.map(Some).ok_or_else(|| {
        let message = "must be one revision, as in Rally-Receipt";
        Problem::invalid_request(vec![FieldError::of_header(&X_RALLY_MIN_REVISION, message)])
    })
}

/// The strictest scope of `X-Rally-Required-Scope`; proxies may have joined several lines by commas.
fn by_header(headers: &HeaderMap) -> Result<Option<Scope>, Problem> {
    let values = headers.get_all(X_RALLY_REQUIRED_SCOPE).iter().map(HeaderValue::to_str);
    let names = values.flat_map(|value| value.unwrap_or_default().split(',').map(str::trim));
    names
        .map(Scope::from_name)
        .try_fold(None, |strictest, scope| Some(strictest.max(Some(scope?))))
        .ok_or_else(|| Problem::invalid_request(vec![FieldError::of_header(&X_RALLY_REQUIRED_SCOPE, NOT_A_SCOPE)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::forward_auth::forged_headers::refuse;
    use proptest::prelude::*;

    /// Headers as pairs of name and value; the peer is 10.0.0.1, which is trusted.
    fn required(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Scope, Problem> {
        required_from("10.0.0.1", method, target, headers)
    }

    fn required_from(peer: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Scope, Problem> {
        let request = Request::builder().method(method).uri(target);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let request = request.body(()).unwrap();
        let has_own_headers = refuse(request.headers())?;
        read(&request, peer.parse().unwrap(), &proxies, has_own_headers).map(|parameters| parameters.scope)
    }

    #[test]
    fn only_the_gateways_own_query_sets_the_status_for_exceeded_limits() {
        let limited = |target: &str| {
            let request = Request::get(target).body(()).unwrap();
            let read = read(&request, [10, 0, 0, 1].into(), &TrustedProxies::default(), false);
            read.ok().map(|parameters| parameters.limited)
        };
        for (target, status) in [
            ("/forward-auth", Some(LimitedStatus::Forbidden)),
            ("/forward-auth?limited=429", Some(LimitedStatus::TooManyRequests)),
            ("/forward-auth/?scope=read&limited=429", Some(LimitedStatus::TooManyRequests)),
            ("/forward-auth/contacts?limited=429", Some(LimitedStatus::Forbidden)),
            ("/forward-auth?limited=403", None),
            ("/forward-auth?limited", None),
            ("/forward-auth?Limited=429", None),
        ] {
            assert_eq!(limited(target), status, "{target}");
        }
    }

    fn methods() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec!["GET", "HEAD", "OPTIONS"]).prop_map(str::to_owned),
            prop::sample::select(vec!["POST", "PUT", "DELETE", "PURGE", "get", "Get", "TRACE"]).prop_map(str::to_owned),
            "[A-Za-z]{1,8}",
        ]
    }

    /// Methods, lists, spaces, nothing.
    fn forwarded() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = (prop::sample::select(METHOD_HEADERS.to_vec()), prop::sample::select(vec!["-", "_", ".", "--", ""]))
            .prop_map(|(name, mark)| name.replace('-', mark));
        let value = prop_oneof![methods(), "[ -~]{0,10}", "GET, POST|GET,GET"];
        prop::collection::vec((name, value), 0..4)
    }

    fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn reads(method: &str) -> bool {
        ["GET", "HEAD", "OPTIONS"].contains(&method)
    }

    #[test]
    fn the_gateways_own_path_has_no_other_parameter_than_scope() {
        for path in ["/forward-auth", "/forward-auth/"] {
            let required = |query: &str| required("GET", &format!("{path}{query}"), &[]).ok();
            for bad in
                ["scopes=admin", "Scope=admin", "scope[]=admin", "scope%5B%5D=admin", "_method=DELETE", "scope", "="]
            {
                assert_eq!(required(&format!("?{bad}")), None, "{path}?{bad}");
                assert_eq!(required(&format!("?scope=read&{bad}")), None, "{path}?scope=read&{bad}");
            }
            for bad in ["ADMIN", "Admin", "", "%20admin", "read,write", "admin%00"] {
                assert_eq!(required(&format!("?scope={bad}")), None, "{path}?scope={bad}");
            }
            for none in ["", "?", "?&"] {
                assert_eq!(required(none), Some(Scope::Read), "{path}{none}");
            }
            assert_eq!(required("?scope=admin"), Some(Scope::Admin));
            assert_eq!(required("?sc%6Fpe=adm%69n&"), Some(Scope::Admin));
        }
        let behind = required("GET", "/forward-auth/contacts?scopes=admin&scope=bogus", &[]);
        assert_eq!(behind.ok(), Some(Scope::Read), "the query is the client's");
    }

    #[test]
    fn the_header_of_a_trusted_proxy_adds_a_requirement() {
        let header = "x-rally-required-scope";
        for target in ["/forward-auth", "/forward-auth/", "/forward-auth/contacts?scope=read"] {
            let required = |value| required("GET", target, &[(header, value)]).ok();
            assert_eq!(required("admin"), Some(Scope::Admin));
            assert_eq!(required("read, admin,write"), Some(Scope::Admin), "lines that were joined");
            for bad in ["", "Admin", "everything", "read,", "admin;", "read write"] {
                assert_eq!(required(bad), None, "{bad:?}");
            }
        }
        let lines = [(header, "read"), (header, "write")];
        assert_eq!(required("GET", "/forward-auth", &lines).ok(), Some(Scope::Write));
        assert_eq!(required("POST", "/forward-auth", &[(header, "read")]).ok(), Some(Scope::Write));
        for ignored in ["admin", "everything", ""] {
            let found = required_from("192.0.2.1", "GET", "/forward-auth", &[(header, ignored)]);
            assert_eq!(found.ok(), Some(Scope::Read), "{ignored:?}");
        }
    }

    proptest! {
        /// `read` is enough only if every method reads.
        #[test]
        fn the_strictest_method_counts(own in methods(), forwarded in forwarded(), behind in any::<bool>()) {
            let target = if behind { "/forward-auth/a/b?scope=nonsense" } else { "/forward-auth" };
            let required = required(&own, target, &pairs(&forwarded)).unwrap();
            // A header's value arrives without surrounding spaces.
            let all_read = reads(&own) && forwarded.iter().all(|(_, method)| reads(method));
            prop_assert_eq!(required, if all_read { Scope::Read } else { Scope::Write });
        }

        #[test]
        fn another_method_or_scope_never_requires_less(own in methods(), forwarded in forwarded(), more in methods(), query in "[a-z=&%+]{0,12}") {
            let headers = pairs(&forwarded);
            let before = required(&own, "/forward-auth", &headers).unwrap();
            let with_more = [&headers[..], &[("x-forwarded-method", &*more)]].concat();
            prop_assert!(required(&own, "/forward-auth", &with_more).unwrap() >= before);
            for scope in Scope::ALL {
                let with_scope = required(&own, &format!("/forward-auth?{query}&scope={scope}"), &headers);
                prop_assert!(with_scope.is_err() || with_scope.unwrap() == before.max(scope));
                let with_header = [&headers[..], &[("x-rally-required-scope", scope.as_str())]].concat();
                prop_assert_eq!(required(&own, "/forward-auth/a", &with_header).unwrap(), before.max(scope));
            }
        }

        #[test]
        fn an_unknown_scope_is_refused(name in "[a-zA-Z%]{0,8}") {
            prop_assume!(Scope::from_name(&name).is_none());
            let target = format!("/forward-auth?scope={name}");
            prop_assert!(required("GET", &target, &[]).is_err());
        }
    }
}
