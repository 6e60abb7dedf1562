//! Signing of tokens, for development and for a first admin.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, errors::Error};
use serde_json::json;

use super::claims::ClaimRules;
use crate::domain::{Scope, ScopeSet, Slug, Timestamp};

/// Signs by HS256.
pub struct TokenSigner {
    key: EncodingKey,
    rules: ClaimRules,
}

impl TokenSigner {
    /// The tokens are valid under the same secret and rules. An empty secret is an error.
    pub fn hs256(secret: &[u8], rules: ClaimRules) -> Result<Self, Error> {
        Ok(Self { key: EncodingKey::from_secret(secret)?, rules })
    }

    /// A token for a user of a tenant.
    pub fn sign(
        &self,
        tenant: &Slug,
        email: &str,
        scopes: ScopeSet,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<String, Error> {
        let scopes: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        let mut claims = json!({
            "sub": email,
            "email": email,
            "iat": issued_at.timestamp(),
            "exp": expires_at.timestamp(),
        });
        claims[self.rules.tenant.as_str()] = json!(tenant.as_str());
        if let Some(claim) = self.rules.scopes.claims.first() {
            claims[claim.as_str()] = json!(scopes.join(" "));
        }
        let may_speak = |issuer: &&String| self.rules.may_speak_for(Some(issuer), tenant);
        if let Some(issuer) = self.rules.issuers.iter().find(may_speak) {
            claims["iss"] = json!(issuer);
        }
        if let Some(audience) = self.rules.audiences.first() {
            claims["aud"] = json!(audience);
        }
        encode(&Header::new(Algorithm::HS256), &claims, &self.key)
    }
}
