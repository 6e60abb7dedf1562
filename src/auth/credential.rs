//! The one credential that a request presents.

use axum::http::{HeaderMap, HeaderName, header};

use super::{error::Error, tenant_host::single};
use crate::domain::Secret;

/// The header that the reference page documents for API keys.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A credential, not yet checked.
pub enum Credential<'a> {
    /// A JWT (RFC 7519) as a Bearer token (RFC 6750).
    Token(&'a str),
    /// What should be an API key's secret; `None` when it has not even the form of one.
    Secret(Option<Secret>),
}

impl<'a> Credential<'a> {
    /// Takes exactly one credential from `Authorization: Bearer <JWT or secret>` and
    /// `X-Api-Key: <secret>`.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Self, Error> {
        let header = |name| single(headers, name).map_err(|()| Error::AmbiguousCredentials);
        match (header(header::AUTHORIZATION)?, header(X_API_KEY)?) {
            (None, None) => Err(Error::MissingCredentials),
            (Some(_), Some(_)) => Err(Error::AmbiguousCredentials),
            (None, Some(secret)) => Ok(Self::Secret(Secret::parse(secret.trim().as_bytes()))),
            (Some(authorization), None) => {
                let (scheme, value) = authorization.split_once(' ').unwrap_or((authorization, ""));
                let value = value.trim();
                if !scheme.eq_ignore_ascii_case("bearer") || value.is_empty() {
                    return Err(Error::InvalidToken("Authorization must be `Bearer <token>`"));
                }
                if value.starts_with(Secret::PREFIX) {
                    return Ok(Self::Secret(Secret::parse(value.as_bytes())));
                }
                Ok(Self::Token(value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_header_panics(authorization in any::<Vec<u8>>(), key in any::<Vec<u8>>()) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&authorization) {
                headers.insert(header::AUTHORIZATION, value);
            }
            let _ = Credential::from_headers(&headers);
            if let Ok(value) = HeaderValue::from_bytes(&key) {
                headers.append(X_API_KEY, value);
            }
            let _ = Credential::from_headers(&headers);
        }

        /// One credential or none is taken; from two, none is chosen.
        #[test]
        fn two_are_never_one(authorizations in prop::collection::vec(texts(), 0..3), keys in prop::collection::vec(texts(), 0..3)) {
            let mut headers = HeaderMap::new();
            for (name, values) in [(header::AUTHORIZATION, &authorizations), (X_API_KEY, &keys)] {
                for value in values {
                    headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
                }
            }
            let found = Credential::from_headers(&headers);
            match authorizations.len() + keys.len() {
                0 => prop_assert!(matches!(found, Err(Error::MissingCredentials))),
                1 => prop_assert!(!matches!(found, Err(Error::MissingCredentials | Error::AmbiguousCredentials))),
                _ => prop_assert!(matches!(found, Err(Error::AmbiguousCredentials))),
            }
        }

        /// What begins as a secret is never taken for a token, which could be logged or explained.
        #[test]
        fn a_secret_is_no_token(scheme in "[bB][eE][aA][rR][eE][rR]", rest in "[ -~]{0,40}") {
            let value = format!("{scheme} rk_live_{rest}");
            let headers = [(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap())].into_iter().collect();
            let Ok(Credential::Secret(secret)) = Credential::from_headers(&headers) else {
                return Err(TestCaseError::fail("not taken for a secret"));
            };
            let well_formed = Secret::parse(format!("rk_live_{}", rest.trim_end()).as_bytes());
            prop_assert_eq!(secret.is_some(), well_formed.is_some());
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,20}",
            "(Bearer|bearer|Basic|Bearer ) ?[-A-Za-z0-9_]{0,9}(\\.[-A-Za-z0-9_]{0,9}){0,4}",
            "(Bearer )?rk_live_[0-9a-f]{30,33}",
        ]
    }
}
