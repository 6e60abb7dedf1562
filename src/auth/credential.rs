//! The credential of a request.

use axum::http::{HeaderMap, HeaderName, header};

use super::{
    error::{Error, TokenError},
    headers::single_value,
};
use crate::domain::Secret;

pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A credential that is not verified yet.
pub(super) enum Credential<'a> {
    /// A JWT (RFC 7519) as a Bearer token (RFC 6750).
    Token(&'a str),
    /// The secret of an API key.
    Secret(Secret),
}

impl<'a> Credential<'a> {
    /// From `Authorization: Bearer <JWT or secret>` or `X-Api-Key: <secret>`; exactly one of them.
    pub(super) fn from_headers(headers: &'a HeaderMap) -> Result<Self, Error> {
        let header = |name| single_value(headers, name).map_err(|()| Error::AmbiguousCredentials);
        match (header(header::AUTHORIZATION)?, header(X_API_KEY)?) {
            (None, None) => Err(Error::MissingCredentials),
            (Some(_), Some(_)) => Err(Error::AmbiguousCredentials),
            (None, Some(secret)) => Self::secret(secret.trim()),
            (Some(authorization), None) => {
                let (scheme, value) = authorization.split_once(' ').unwrap_or((authorization, ""));
                let value = value.trim();
                if !scheme.eq_ignore_ascii_case("bearer") || value.is_empty() {
                    return Err(TokenError::NotBearer.into());
                }
                if value.starts_with(Secret::PREFIX) {
                    return Self::secret(value);
                }
                Ok(Self::Token(value))
            }
        }
    }

    fn secret(text: &str) -> Result<Self, Error> {
        Secret::parse(text.as_bytes()).map(Self::Secret).ok_or(Error::InvalidKey)
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

        #[test]
        fn two_credentials_are_ambiguous(authorizations in prop::collection::vec(texts(), 0..3), keys in prop::collection::vec(texts(), 0..3)) {
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

        /// Parts of a token may appear in an error's detail; parts of a secret never.
        #[test]
        fn a_bearer_value_with_the_secrets_prefix_is_not_a_token(scheme in "[bB][eE][aA][rR][eE][rR]", rest in "[ -~]{0,40}") {
            let value = format!("{scheme} rk_live_{rest}");
            let headers = [(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap())].into_iter().collect();
            let well_formed = Secret::parse(format!("rk_live_{}", rest.trim_end()).as_bytes()).is_some();
            match Credential::from_headers(&headers) {
                Ok(Credential::Secret(_)) => prop_assert!(well_formed),
                Err(Error::InvalidKey) => prop_assert!(!well_formed),
                _ => prop_assert!(false, "not taken for a secret"),
            }
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
