//! Headers of a client that pose as the gateway's.

use axum::http::{HeaderMap, HeaderName};

use crate::http::{
    input::redacted,
    names::{
        X_RALLY_KEY_EXPIRES, X_RALLY_KEY_ID, X_RALLY_MIN_REVISION, X_RALLY_PRINCIPAL, X_RALLY_REQUIRED_SCOPE,
        X_RALLY_SCOPES, X_RALLY_TENANT, X_RALLY_TENANT_ID,
    },
    problem::{FieldError, Problem},
};

/// The beginning of our headers' names, letters only.
const OURS: &[u8] = b"xrally";

/// Refuses a request with a header that the CRM could take for one of ours, such as `X-Rally--Scopes` or `X-Rally-Role`:
/// some gateways can remove headers by their exact names only. Those that a gateway overwrites on each request, or that
/// it sends itself, are allowed under their exact names. Returns whether there is any.
pub(super) fn refuse(headers: &HeaderMap) -> Result<bool, Problem> {
    const KNOWN: [HeaderName; 8] = [
        X_RALLY_TENANT,
        X_RALLY_TENANT_ID,
        X_RALLY_PRINCIPAL,
        X_RALLY_SCOPES,
        X_RALLY_KEY_ID,
        X_RALLY_KEY_EXPIRES,
        X_RALLY_REQUIRED_SCOPE,
        X_RALLY_MIN_REVISION,
    ];
    let mut any = false;
    let ours = headers.keys().filter(|name| letters(name).take(OURS.len()).eq(OURS.iter().copied()));
    let errors = ours.inspect(|_| any = true).filter(|name| !KNOWN.contains(name)).map(|name| {
        FieldError::of_part(
            "(header)",
            redacted(name.as_str().to_owned()),
            "is not a client's to send; send the request without it",
        )
    });
    let errors: Vec<_> = errors.collect();
    if errors.is_empty() { Ok(any) } else { Err(Problem::invalid_request(errors)) }
}

/// A header's name without punctuation: many programs read different punctuation as the same, as `X_Rally.Scopes` and
/// `X-Rally-Scopes`.
pub(super) fn letters(name: &HeaderName) -> impl Iterator<Item = u8> {
    name.as_str().bytes().filter(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn is_refused(name: &str) -> bool {
        let name = HeaderName::try_from(name).unwrap();
        refuse(&[(name, HeaderValue::from_static("forged"))].into_iter().collect()).is_err()
    }

    #[test]
    fn headers_that_gateways_overwrite_are_allowed_by_their_exact_names() {
        for name in [
            "X-Rally-Tenant",
            "x-rally-key-expires",
            "X-RALLY-REQUIRED-SCOPE",
            "X-Rally-Min-Revision",
            "X-Api-Key",
            "X-Request-Id",
            "Rally",
        ] {
            assert!(!is_refused(name), "{name}");
        }
        for name in
            ["X-Rally-Role", "X-Rally-Error", "X_Rally_Scopes", "X-Rally--Scopes", "XRally-Tenant", "-x.rally~tenant"]
        {
            assert!(is_refused(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_other_punctuation_is_refused(marks in prop::collection::vec("[!#$%&'*+.^_`|~-]{0,2}", 6), rest in "[a-z!._-]{0,8}") {
            let name: String = marks.iter().zip("xRaLlY".chars()).flat_map(|(mark, letter)| mark.chars().chain([letter])).collect();
            let name = name + &rest;
            let exact = ["tenant", "tenant-id", "principal", "scopes", "key-id", "key-expires", "required-scope", "min-revision"];
            let is_exact = exact.iter().any(|known| name.to_lowercase() == format!("x-rally-{known}"));
            prop_assert_eq!(is_refused(&name), !is_exact, "{}", name);
        }
    }
}
