//! Settings of JWTs: trusted keys and required claims.

use std::{fmt, fs, path::PathBuf};

use zeroize::Zeroizing;

use super::{HIDDEN, joined, reader::Reader};
use crate::auth::jwt::{
    jwks::JwksLocation,
    verification_key::{ClaimRules, PublicKey},
};

/// A JWT is trusted if any of these keys signed it.
#[derive(Clone)]
pub(crate) struct Jwt {
    /// For HS256.
    pub(crate) secret: Option<Zeroizing<Vec<u8>>>,
    /// The key, and the file that it was read from.
    pub(crate) public_key: Option<(PathBuf, PublicKey)>,
    /// Where issuers publish their keys.
    pub(crate) issuers: Vec<JwksLocation>,
    pub(crate) rules: ClaimRules,
}

impl Jwt {
    /// True if no key is configured, so that no user could log in.
    pub(crate) fn is_empty(&self) -> bool {
        self.secret.is_none() && self.public_key.is_none() && self.issuers.is_empty()
    }

    pub(super) fn read(settings: &mut Reader) -> Self {
        let secret = settings.parse("JWT_SECRET", "<the output of `openssl rand -base64 48`>", |text| {
            if text.len() < 32 {
                return Err("must be 32 bytes or more");
            }
            Ok(Zeroizing::new(text.as_bytes().to_vec()))
        });
        let public_key = settings.parse("JWT_PUBLIC_KEY_FILE", "/etc/rally/jwt.pem", |path| {
            // The path is not repeated: it may be a key by mistake.
            let pem = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
            let key = PublicKey::from_pem(&pem).map_err(str::to_owned)?;
            Ok::<_, String>((PathBuf::from(path), key))
        });
        let any = |text: &str| Ok::<_, &str>(text.to_owned());
        let issuers = settings.list("JWT_ISSUER", "", any);
        let urls = settings.list("JWT_JWKS_URL", "", any);
        let discovery = urls.is_empty()
            && ["JWT_SECRET", "JWT_PUBLIC_KEY_FILE"].into_iter().all(|name| settings.get(name).is_none());
        let rules = ClaimRules {
            issuers,
            audiences: settings.list("JWT_AUDIENCE", "", any),
            tenant_claim: settings.get("JWT_TENANT_CLAIM").unwrap_or("tenant").to_owned(),
        };
        let issuers = if discovery { discovered(settings, &rules) } else { published(settings, &rules, &urls) };
        Self { secret, public_key, issuers, rules }
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        let file = self.public_key.as_ref().map(|(path, _)| path.display().to_string());
        vec![
            ("JWT_SECRET", self.secret.as_ref().map(|_| HIDDEN.to_owned()).unwrap_or_default()),
            ("JWT_PUBLIC_KEY_FILE", file.unwrap_or_default()),
            ("JWT_JWKS_URL", joined(self.issuers.iter().filter_map(JwksLocation::url).map(str::to_owned))),
            ("JWT_ISSUER", joined(self.rules.issuers.iter().cloned())),
            ("JWT_AUDIENCE", joined(self.rules.audiences.iter().cloned())),
            ("JWT_TENANT_CLAIM", self.rules.tenant_claim.clone()),
        ]
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("secret", &self.secret.as_ref().map(|_| "[redacted]"))
            .field("public_key", &self.public_key)
            .field("issuers", &self.issuers)
            .field("rules", &self.rules)
            .finish()
    }
}

/// Issuers whose key sets are found by OpenID Connect Discovery.
fn discovered(settings: &mut Reader, rules: &ClaimRules) -> Vec<JwksLocation> {
    let locations: Result<_, _> = rules.issuers.iter().map(|issuer| JwksLocation::of(issuer)).collect();
    locations.unwrap_or_else(|problem| {
        let problem = format!(
            "{problem}, since without JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_URL its keys are found by discovery"
        );
        settings.reject("JWT_ISSUER", problem, "https://login.rallycrm.io");
        vec![]
    })
}

/// Issuers whose key sets are at the addresses in JWT_JWKS_URL.
fn published(settings: &mut Reader, rules: &ClaimRules, urls: &[String]) -> Vec<JwksLocation> {
    const EXAMPLE: &str = "https://login.rallycrm.io/jwks";
    let issuers = &rules.issuers;
    if !urls.is_empty() && !issuers.is_empty() && urls.len() != issuers.len() {
        let problem = "must hold as many addresses as JWT_ISSUER holds issuers, in the same order";
        settings.reject("JWT_JWKS_URL", problem, EXAMPLE);
        return vec![];
    }
    let issuers = issuers.iter().cloned().map(Some).chain(std::iter::repeat(None));
    let locations: Result<_, _> = urls.iter().zip(issuers).map(|(url, issuer)| JwksLocation::at(url, issuer)).collect();
    locations.unwrap_or_else(|problem| {
        settings.reject("JWT_JWKS_URL", problem, EXAMPLE);
        vec![]
    })
}

#[cfg(test)]
mod tests {
    use crate::config::tests::config;

    #[test]
    fn an_issuers_keys_are_found_by_discovery_or_at_the_configured_address() {
        let trusted = |pairs: &[(&str, &str)]| {
            config(pairs).map(|config| config.jwt.issuers.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let (secret, a, b) =
            (("JWT_SECRET", "0123456789abcdef0123456789abcdef"), "https://a.example", "https://b.example/");
        let both = format!("{a}, {b}");
        assert_eq!(trusted(&[("JWT_ISSUER", &both)]).unwrap(), [a, b], "discovered");
        assert!(
            trusted(&[secret, ("JWT_ISSUER", "anything")]).unwrap().is_empty(),
            "with a secret, JWT_ISSUER is only a required claim"
        );
        let keys = "https://a.example/keys?for=us,https://b.example/keys";
        assert_eq!(trusted(&[("JWT_JWKS_URL", keys)]).unwrap(), ["https://a.example/keys", "https://b.example/keys"]);
        assert_eq!(trusted(&[secret, ("JWT_JWKS_URL", keys), ("JWT_ISSUER", &both)]).unwrap(), [a, b]);
        for (pairs, wrong) in [
            (vec![("JWT_ISSUER", "login")], "JWT_ISSUER must be an https://"),
            (vec![("JWT_ISSUER", "http://login.example")], "JWT_ISSUER must be an https://"),
            (vec![("JWT_ISSUER", "https://a.example?x")], "JWT_ISSUER must have no query"),
            (vec![("JWT_ISSUER", "https://u:p@a.example")], "JWT_ISSUER must hold no user name"),
            (vec![("JWT_JWKS_URL", "http://10.0.0.1/keys")], "JWT_JWKS_URL must be an https://"),
            (vec![("JWT_JWKS_URL", keys), ("JWT_ISSUER", a)], "JWT_JWKS_URL must hold as many"),
            (vec![("JWT_PUBLIC_KEY_FILE", "/nowhere")], "JWT_PUBLIC_KEY_FILE cannot be read: No such file"),
            (vec![("JWT_PUBLIC_KEY_FILE", "Cargo.toml")], "JWT_PUBLIC_KEY_FILE holds no public key"),
        ] {
            let error = trusted(&pairs).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
        for loopback in ["http://localhost:3000", "http://127.0.0.1:3000/realm", "http://[::1]:3000"] {
            assert_eq!(trusted(&[("JWT_ISSUER", loopback)]).unwrap(), [loopback]);
        }
    }
}
