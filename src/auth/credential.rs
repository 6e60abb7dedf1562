//! The credential of a request.

use axum::http::{HeaderMap, HeaderName, header};

use super::{
    error::{Error, TokenError},
    headers::single_value,
};
use crate::domain::Secret;

pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Secrets of one request that are recorded as exposed.
const MAX_EXPOSED: usize = 4;

/// A credential that is not verified yet.
pub(super) enum Credential<'a> {
    /// A JWT (RFC 7519) as a Bearer token (RFC 6750).
    Token(&'a str),
    /// The secret of an API key.
    Secret(Secret),
}

impl<'a> Credential<'a> {
    /// From `Authorization: Bearer <JWT or secret>` or `X-Api-Key: <secret>`. Both of them are one credential if their
    /// values are equal or one is empty.
    pub(super) fn from_headers(headers: &'a HeaderMap) -> Result<Self, Error> {
        let header = |name| single_value(headers, name).map_err(|()| Error::AmbiguousCredentials);
        match (header(header::AUTHORIZATION)?, header(X_API_KEY)?.map(str::trim)) {
            (None, None) => Err(Error::MissingCredentials),
            (None, Some(key)) => Self::from_api_key(key),
            (Some(authorization), None | Some("")) => Self::from_authorization(authorization),
            (Some(authorization), Some(key)) => match bearer(authorization) {
                Some("") => Self::from_api_key(key),
                Some(value) if value == key => Self::from_authorization(authorization),
                _ => Err(Error::AmbiguousCredentials),
            },
        }
    }

    /// Every whole secret in the headers of credentials, also where they are ambiguous.
    pub(super) fn secrets(headers: &HeaderMap) -> Vec<Secret> {
        let values = [header::AUTHORIZATION, X_API_KEY].into_iter().flat_map(|name| headers.get_all(name));
        let words = values.flat_map(|value| value.as_bytes().split(|b| b" \t,".contains(b)));
        words.filter_map(Secret::parse).take(MAX_EXPOSED).collect()
    }

    fn from_api_key(value: &str) -> Result<Self, Error> {
        refuse_joined(value)?;
        Self::secret(value)
    }

    fn from_authorization(authorization: &'a str) -> Result<Self, Error> {
        match bearer(authorization) {
            None | Some("") => Err(TokenError::NotBearer.into()),
            Some(value) => {
                refuse_joined(value)?;
                if value.starts_with(Secret::PREFIX) { Self::secret(value) } else { Ok(Self::Token(value)) }
            }
        }
    }

    fn secret(text: &str) -> Result<Self, Error> {
        Secret::parse(text.as_bytes()).map(Self::Secret).ok_or(Error::InvalidKey)
    }
}

/// The token of Bearer credentials (RFC 6750, section 2.1); empty if it, or the whole header, is missing. `None`: another
/// authentication scheme.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, value) = authorization.trim().split_once(' ').unwrap_or((authorization.trim(), ""));
    (scheme.is_empty() || scheme.eq_ignore_ascii_case("bearer")).then(|| value.trim())
}

/// A proxy may join a header that came twice by a comma (RFC 9110, 5.3). No secret and no token contains one.
fn refuse_joined(value: &str) -> Result<(), Error> {
    if value.contains(',') { Err(Error::AmbiguousCredentials) } else { Ok(()) }
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

        /// Two headers are one credential if and only if one is empty or both have the same value.
        #[test]
        fn two_credentials_are_ambiguous(authorizations in prop::collection::vec(texts(), 0..3), keys in prop::collection::vec(texts(), 0..3)) {
            let headers = headers(&authorizations, &keys);
            let found = Credential::from_headers(&headers);
            let is_joined = |value: &str| value.contains(',');
            match (&authorizations[..], &keys[..]) {
                ([], []) => prop_assert!(matches!(found, Err(Error::MissingCredentials))),
                ([], [key]) => prop_assert_eq!(matches!(found, Err(Error::AmbiguousCredentials)), is_joined(key)),
                ([one], []) => {
                    let is_ambiguous = bearer(one).is_some_and(is_joined);
                    prop_assert_eq!(matches!(found, Err(Error::AmbiguousCredentials)), is_ambiguous);
                }
                ([one], [key]) => {
                    let (value, key) = (bearer(one), key.trim());
                    let is_one = key.is_empty() || value == Some("") || value == Some(key);
                    if !is_one {
                        prop_assert!(matches!(found, Err(Error::AmbiguousCredentials)));
                    } else if key.is_empty() {
                        prop_assert_eq!(kind(&found), kind(&Credential::from_headers(&self::headers(&authorizations, &[]))));
                    } else if value == Some("") {
                        prop_assert_eq!(kind(&found), kind(&Credential::from_headers(&self::headers(&[], &keys))));
                    }
                }
                _ => prop_assert!(matches!(found, Err(Error::AmbiguousCredentials))),
            }
        }

        #[test]
        fn one_value_in_both_headers_is_what_it_is_in_authorization(value in prop_oneof!["[!-~]{1,20}", "rk_live_[0-9a-f]{31,33}"], scheme in "[bB]earer {1,2}") {
            let authorization = [format!("{scheme}{value}")];
            let both = headers(&authorization, &[value]);
            let alone = headers(&authorization, &[]);
            prop_assert_eq!(kind(&Credential::from_headers(&both)), kind(&Credential::from_headers(&alone)));
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
                Err(Error::AmbiguousCredentials) => prop_assert!(rest.contains(',')),
                _ => prop_assert!(false, "not taken for a secret"),
            }
        }
    }

    /// The credential or error as text.
    fn kind(found: &Result<Credential<'_>, Error>) -> String {
        match found {
            Ok(Credential::Token(token)) => format!("token {token}"),
            Ok(Credential::Secret(secret)) => format!("secret {}", secret.hint()),
            Err(error) => error.to_string(),
        }
    }

    fn headers(authorizations: &[String], keys: &[String]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(header::AUTHORIZATION, authorizations), (X_API_KEY, keys)] {
            for value in values {
                headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
            }
        }
        headers
    }

    #[test]
    fn a_value_that_is_not_ascii_is_not_empty() {
        let secret = "rk_live_00000000000000000000000000000000";
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        for (authorization, key) in [
            (value(format!("Bearer {secret}").as_bytes()), value(b"\xff")),
            (value(b"\xff"), value(secret.as_bytes())),
            (value(b"Bearer \xff"), value(secret.as_bytes())),
            (value(b"Bearer \xff"), value(b"\xff")),
        ] {
            let headers = [(header::AUTHORIZATION, authorization), (X_API_KEY, key)].into_iter().collect();
            assert!(matches!(Credential::from_headers(&headers), Err(Error::AmbiguousCredentials)), "{headers:?}");
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ ]?",
            "Bearer ?",
            "(Bearer )?[a-b](, ?[a-b])?",
            "[ -~]{0,20}",
            "(Bearer|bearer|Basic|Bearer ) ?[-A-Za-z0-9_]{0,9}(\\.[-A-Za-z0-9_]{0,9}){0,4}",
            "(Bearer )?rk_live_[0-9a-f]{30,33}",
        ]
    }
}
