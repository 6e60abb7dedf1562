//! A token as it was received: taken apart, and not verified.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use crate::{
    auth::error::TokenError,
    domain::{Secret, visible_text::is_invisible},
};

/// The accepted algorithms by their names (RFC 7518, 3.1; RFC 8037, 3.1; RFC 9864, 2.2).
pub(super) const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("HS256", Algorithm::HS256),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("Ed25519", Algorithm::EdDSA),
];

/// The algorithm of that name. Case-sensitive.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
}

/// A JWS in compact form (RFC 7515, 7.1) that may be a JWT for this service, whoever signed it.
pub(super) struct Token<'a> {
    /// Header and payload, as they were signed.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    pub(super) algorithm: Algorithm,
    /// The algorithm as the token names it.
    pub(super) algorithm_name: String,
    pub(super) key_id: Option<String>,
    pub(super) claims: Map<String, Value>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenError> {
        let (signed, signature) = split(text)?;
        let (header, payload) = match *text.split('.').collect::<Vec<_>>() {
            [header, payload, _] => (header, payload),
            [_, _, _, _, _] => return Err(TokenError::Encrypted),
            _ => return Err(TokenError::NotAJwt),
        };
        let header = json_object(header).ok_or(TokenError::Malformed("header"))?;
        check_type(&header)?;
        if member(&header, "crit").is_some() {
            return Err(TokenError::Critical);
        }
        let name = member(&header, "alg").and_then(Value::as_str).ok_or(TokenError::NoAlgorithm)?;
        let key_id = match member(&header, "kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()).filter(|id| !id.is_empty()),
            Some(_) => return Err(TokenError::KeyId),
        };
        Ok(Self {
            signed,
            signature,
            algorithm: algorithm(name).ok_or_else(|| TokenError::UnsupportedAlgorithm(excerpt(name)))?,
            algorithm_name: name.to_owned(),
            key_id,
            claims: json_object(payload).ok_or(TokenError::Malformed("payload"))?,
        })
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

/// The signed part of a token, and the signature.
pub(super) fn split(token: &str) -> Result<(&str, &str), TokenError> {
    token.rsplit_once('.').ok_or(TokenError::NotAJwt)
}

fn json_object(base64: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(base64).ok()?).ok()
}

/// A member that is there and not null.
fn member<'a>(header: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    header.get(name).filter(|value| !value.is_null())
}

/// A signed object of another kind is no token (RFC 8725, 3.11), such as a notice that somebody has logged out.
fn check_type(header: &Map<String, Value>) -> Result<(), TokenError> {
    let Some(value) = member(header, "typ") else { return Ok(()) };
    let Some(name) = value.as_str() else { return Err(TokenError::Type("not a string".into())) };
    let lower_case = name.to_ascii_lowercase();
    // RFC 7515, 4.1.9: `application/` may be left out.
    match lower_case.strip_prefix("application/").unwrap_or(&lower_case) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(TokenError::Type(excerpt(name))),
    }
}

/// The beginning of a text out of a token, in quotes and without characters that a reader could not see. Nothing of a text
/// with a secret in it: it is shown, and logged.
pub(super) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    if may_hold_secret(text) {
        return "\"[redacted]\"".into();
    }
    let shown = text.chars().take(MAX_CHARS).map(|c| if is_invisible(c) || is_other_space(c) { '\u{fffd}' } else { c });
    let end = if text.chars().nth(MAX_CHARS).is_some() { "…" } else { "" };
    format!("\"{}{end}\"", shown.collect::<String>())
}

/// True if the text contains the beginning of a secret, in either case and whatever white space is within it.
fn may_hold_secret(text: &str) -> bool {
    let visible: String = text.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c)).collect();
    visible.to_ascii_lowercase().contains(Secret::PREFIX)
}

/// White space other than U+0020, from which it cannot be told apart.
pub(super) fn is_other_space(c: char) -> bool {
    c.is_whitespace() && c != ' '
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_nothing_of_a_secret() {
        let secret = "rk_live_00112233445566778899aabbccddeeff";
        for text in [
            secret.to_owned(),
            secret.to_uppercase(),
            format!("openid {secret} email"),
            format!("{}{secret}", "x".repeat(60)),
            secret.replace("live", "li\u{200b}ve"),
            secret.replace('_', " _"),
            secret[..39].to_owned(),
        ] {
            assert_eq!(excerpt(&text), "\"[redacted]\"", "{text}");
        }
        assert_eq!(excerpt("rk_test_1"), "\"rk_test_1\"");
    }
}
