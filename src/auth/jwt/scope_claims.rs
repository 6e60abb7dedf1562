//! The scopes that a token grants. Issuers write them into claims of many names, in words of their own.

use serde_json::{Map, Value};

use super::{claim_path::ClaimPath, token::excerpt};
use crate::domain::{Scope, ScopeSet};

/// Before the names of scopes where an issuer gives scopes of many services.
const PREFIXES: [&str; 2] = ["rally:", "rally/"];
/// The number of words that a description of a claim repeats.
const MAX_WORDS: usize = 10;

/// Where scopes are read, and in which words.
#[derive(Clone, Debug)]
pub struct ScopeClaims {
    /// In the order in which they are read.
    pub(crate) claims: Vec<ClaimPath>,
    /// Issuers' own words. They have precedence over the names of scopes.
    pub(crate) words: Vec<(String, Scope)>,
}

impl Default for ScopeClaims {
    fn default() -> Self {
        let claims = ["scope", "scp", "scopes", "permissions", "roles", "role"].map(ClaimPath::new);
        Self { claims: claims.into(), words: vec![] }
    }
}

impl ScopeClaims {
    /// The scopes of the first claim that holds a known word, and that claim.
    pub(super) fn granted(&self, claims: &Map<String, Value>) -> Option<(&ClaimPath, ScopeSet)> {
        self.claims.iter().find_map(|path| {
            let scopes: ScopeSet = words(path.find(claims)?).into_iter().filter_map(|word| self.scope(word)).collect();
            (scopes != ScopeSet::default()).then_some((path, scopes))
        })
    }

    fn scope(&self, word: &str) -> Option<Scope> {
        match self.words.iter().find(|(known, _)| known == word) {
            Some((_, scope)) => Some(*scope),
            None => Scope::from_name(PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(word)),
        }
    }

    /// What was read and what it held, for a user whose token does not grant enough. One or more sentences.
    pub(super) fn describe(&self, claims: &Map<String, Value>) -> String {
        if let Some((path, scopes)) = self.granted(claims) {
            return format!("The token grants `{scopes}`, by its claim `{path}`.");
        }
        let (present, absent): (Vec<_>, Vec<_>) = self.claims.iter().partition(|path| path.find(claims).is_some());
        let present = present.iter().filter_map(|path| Some(format!("`{path}` holds {}", held(path.find(claims)?))));
        let absent = absent.iter().map(|path| format!("`{path}` is missing"));
        let read: Vec<_> = present.chain(absent).collect();
        format!(
            "The token grants none: {}. JWT_SCOPE_CLAIM and JWT_SCOPE_MAP set where scopes are read.",
            read.join(", ")
        )
    }
}

/// A text is separated by spaces (RFC 8693, 4.2) or commas, and may be one word as a whole. Each text of an array is one
/// word.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => {
            let separator = |c: char| c == ',' || c.is_ascii_whitespace();
            std::iter::once(text.trim()).chain(text.split(separator)).filter(|word| !word.is_empty()).collect()
        }
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::trim).collect(),
        _ => vec![],
    }
}

fn held(value: &Value) -> String {
    match value {
        Value::String(text) => excerpt(text),
        Value::Array(items) => {
            let shown: Vec<_> = items.iter().filter_map(Value::as_str).take(MAX_WORDS).map(excerpt).collect();
            let end = if items.len() > shown.len() { ", …" } else { "" };
            format!("[{}{end}]", shown.join(", "))
        }
        Value::Object(_) => "an object".into(),
        _ => "neither a string nor an array".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(claims: Value) -> Map<String, Value> {
        match claims {
            Value::Object(claims) => claims,
            _ => panic!("an object"),
        }
    }

    fn granted_by(rules: &ScopeClaims, claims: Value) -> String {
        rules.granted(&object(claims)).map(|(path, scopes)| format!("{path}: {scopes}")).unwrap_or_default()
    }

    #[test]
    fn scopes_are_those_of_the_first_claim_with_a_known_word() {
        for (claims, expected) in [
            (json!({"scope": "openid write read"}), "scope: read,write"),
            (json!({"scope": "openid,admin"}), "scope: admin"),
            (json!({"scopes": "read, admin"}), "scopes: read,admin"),
            (json!({"scope": ["write"]}), "scope: write"),
            (json!({"role": "admin"}), "role: admin"),
            (json!({"roles": ["admin", "owner"]}), "roles: admin"),
            (
                json!({"scope": "openid email", "scp": [], "permissions": ["read"], "role": "admin"}),
                "permissions: read",
            ),
            (json!({"scope": "", "role": "admin"}), "role: admin"),
            (json!({"scope": null, "role": "admin"}), "role: admin"),
            (json!({"scope": "rally:admin other:write"}), "scope: admin"),
            (json!({"scope": "openid rally/write"}), "scope: write"),
            (json!({"scp": ["rally:read", 7, ["admin"]]}), "scp: read"),
            (json!({"roles": ["admin assistant", "the admin"]}), ""),
            (json!({"scope": "Admin ADMIN admins other:admin rally.admin rally:rally:admin"}), ""),
            (json!({"scope": {"admin": true}, "role": true}), ""),
            (json!({}), ""),
        ] {
            assert_eq!(granted_by(&ScopeClaims::default(), claims.clone()), expected, "{claims}");
        }
    }

    #[test]
    fn an_issuers_own_words_are_mapped_to_scopes() {
        let words = [("Rally.Admin", Scope::Admin), ("CRM Readers", Scope::Read), ("admin", Scope::Read)];
        let rules =
            ScopeClaims { words: words.map(|(word, scope)| (word.to_owned(), scope)).into(), ..Default::default() };
        assert_eq!(granted_by(&rules, json!({"roles": ["Rally.Admin"]})), "roles: admin");
        assert_eq!(granted_by(&rules, json!({"roles": ["CRM Readers"]})), "roles: read");
        assert_eq!(granted_by(&rules, json!({"role": "CRM Readers"})), "role: read");
        assert_eq!(granted_by(&rules, json!({"roles": ["rally.admin"]})), "");
        assert_eq!(granted_by(&rules, json!({"roles": ["admin"]})), "roles: read", "the map has precedence");
    }

    #[test]
    fn a_description_says_what_was_read_and_nothing_else() {
        let describe = |claims| ScopeClaims::default().describe(&object(claims));
        assert_eq!(describe(json!({"scp": "read"})), "The token grants `read`, by its claim `scp`.");
        let described =
            describe(json!({"scope": "openid\u{202e} email", "roles": vec!["a"; 12], "role": {}, "email": "a@b"}));
        assert!(described.contains("`scope` holds \"openid\u{fffd} email\", `roles` holds [\"a\""), "{described}");
        assert!(described.contains(", …], `role` holds an object, `scp` is missing"), "{described}");
        assert!(!described.contains("a@b"), "{described}");
        assert!(describe(json!({"scope": "x".repeat(9_000)})).len() < 500);
    }
}
