//! Settings of JWTs: trusted keys and required claims.

use std::{collections::HashSet, fmt, fs, path::PathBuf, sync::Arc};

use zeroize::Zeroizing;

use super::{HIDDEN, joined, reader::Reader};
use crate::{
    auth::jwt::{
        claim_path::ClaimPath,
        claims::{ClaimRules, IssuerTenants},
        jwks::{IssuerKeys, JwksLocation},
        scope_claims::ScopeClaims,
        shared_issuers::{is_multi_tenant, signs_for_many_issuers},
        verification_key::PublicKey,
        verifier::TrustedKeys,
    },
    domain::{Scope, Slug},
};

/// The warning about [`Jwt::accepts_any_audience`].
pub(crate) const ANY_AUDIENCE: &str = "JWT_AUDIENCE is not set: tokens that the issuer signs for other services are accepted \
                                       too; set JWT_AUDIENCE to what your issuer writes into `aud` (or `client_id`) for the CRM";

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

    /// The configured keys and those of the issuers.
    pub(crate) fn trusted_keys(&self, issuers: Vec<Arc<IssuerKeys>>) -> TrustedKeys<'_> {
        let public_key = self.public_key.as_ref().map(|(_, key)| key);
        TrustedKeys { secret: self.secret.as_deref().map(Vec::as_slice), public_key, issuers }
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
        if public_key.is_some() {
            settings.warn_if_replaceable("JWT_PUBLIC_KEY_FILE");
        }
        let issuers = settings.list("JWT_ISSUER", "https://login.microsoftonline.com/<directory id>/v2.0", one_issuer);
        if has_duplicates(issuers.iter()) {
            settings.reject("JWT_ISSUER", "must name each issuer once", "");
        }
        let urls = settings.list("JWT_JWKS_URL", "", any);
        let discovery = urls.is_empty()
            && ["JWT_SECRET", "JWT_PUBLIC_KEY_FILE"].into_iter().all(|name| settings.get(name).is_none());
        let rules = claim_rules(settings, issuers);
        let issuers = if discovery { discovered(settings, &rules) } else { published(settings, &rules, &urls) };
        Self { secret, public_key, issuers, rules }
    }

    /// True if tokens that an issuer signs for other services are accepted too.
    pub(crate) fn accepts_any_audience(&self) -> bool {
        self.rules.audiences.is_empty() && !(self.issuers.is_empty() && self.rules.issuers.is_empty())
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        let file = self.public_key.as_ref().map(|(path, _)| path.display().to_string());
        vec![
            ("JWT_SECRET", self.secret.as_ref().map(|_| HIDDEN.to_owned()).unwrap_or_default()),
            ("JWT_PUBLIC_KEY_FILE", file.unwrap_or_default()),
            ("JWT_JWKS_URL", joined(self.issuers.iter().filter_map(JwksLocation::url).map(str::to_owned))),
            ("JWT_ISSUER", joined(self.rules.issuers.iter().cloned())),
            ("JWT_AUDIENCE", joined(self.rules.audiences.iter().cloned())),
            ("JWT_ISSUER_TENANTS", joined(self.rules.issuer_tenants.iter().map(issuer_tenants_text))),
            ("JWT_TENANT_CLAIM", self.rules.tenant.to_string()),
            ("JWT_SCOPE_CLAIM", joined(self.rules.scopes.claims.iter().map(ClaimPath::to_string))),
            ("JWT_SCOPE_MAP", joined(self.rules.scopes.words.iter().map(|(word, scope)| format!("{word}={scope}")))),
            ("JWT_NAME_CLAIM", joined(self.rules.names.iter().map(ClaimPath::to_string))),
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

fn claim_rules(settings: &mut Reader, issuers: Vec<String>) -> ClaimRules {
    let path = ClaimPath::parse;
    let default = ClaimRules::default();
    let or_default = |given: Vec<ClaimPath>, default| if given.is_empty() { default } else { given };
    let mut names = or_default(settings.list("JWT_NAME_CLAIM", "", path), default.names);
    if names.iter().all(|name| name.as_str() != "sub") {
        names.push(ClaimPath::new("sub"));
    }
    ClaimRules {
        issuer_tenants: issuer_tenants(settings, &issuers),
        issuers,
        audiences: settings.list("JWT_AUDIENCE", "rally-crm", compared_text),
        tenant: settings.parse("JWT_TENANT_CLAIM", "org_id", tenant_claim).unwrap_or(default.tenant),
        names,
        scopes: ScopeClaims {
            claims: or_default(settings.list("JWT_SCOPE_CLAIM", "", path), default.scopes.claims),
            words: scope_map(settings),
        },
    }
}

fn one_issuer(text: &str) -> Result<String, &'static str> {
    if is_multi_tenant(text) {
        return Err(
            "names an issuer for many directories (`common`, `organizations`, `{tenantid}`), whose tokens have another \
                    `iss` for each: list the issuer of each directory that you trust",
        );
    }
    if text.contains(char::is_whitespace) {
        return Err("must hold no spaces: issuers are separated by commas");
    }
    compared_text(text)
}

fn tenant_claim(text: &str) -> Result<ClaimPath, &'static str> {
    if text.contains(',') {
        return Err("must be one claim and not a list");
    }
    ClaimPath::parse(text)
}

/// A text that tokens must have to the letter.
fn compared_text(text: &str) -> Result<String, &'static str> {
    if text.contains('*') {
        return Err("is compared to the letter: a `*` stands for nothing else; list each value by itself");
    }
    if text.starts_with(['"', '\'']) {
        return Err("starts with a quotation mark, which would be a part of it; leave it out");
    }
    Ok(text.to_owned())
}

fn scope_map(settings: &mut Reader) -> Vec<(String, Scope)> {
    const NAME: &str = "JWT_SCOPE_MAP";
    const EXAMPLE: &str = "crm-admins=admin,Rally.Reader=read";
    let words = settings.list(NAME, EXAMPLE, scope_of_word);
    if has_duplicates(words.iter().map(|(word, _)| word)) {
        settings.reject(NAME, "must map each of the issuer's words once: only the first would count", EXAMPLE);
    }
    words
}

fn has_duplicates<'a>(mut items: impl Iterator<Item = &'a String>) -> bool {
    let mut seen = HashSet::new();
    !items.all(|item| seen.insert(item))
}

fn scope_of_word(item: &str) -> Result<(String, Scope), &'static str> {
    const PROBLEM: &str = "must be a comma-separated list of <the issuer's word>=<read, write or admin>";
    let (word, scope) = item.rsplit_once('=').ok_or(PROBLEM)?;
    let word = Some(word.trim()).filter(|word| !word.is_empty()).ok_or(PROBLEM)?;
    Ok((word.to_owned(), Scope::from_name(scope.trim()).ok_or(PROBLEM)?))
}

const EVERY_TENANT: &str = "*";

/// JWT_ISSUER_TENANTS, which must name every issuer: one that was left out by mistake would speak for every tenant, or for
/// none.
fn issuer_tenants(settings: &mut Reader, issuers: &[String]) -> Vec<IssuerTenants> {
    const NAME: &str = "JWT_ISSUER_TENANTS";
    const EXAMPLE: &str = "https://login.acme.example=acme,https://login.rallycrm.io=*";
    let rules = settings.list(NAME, EXAMPLE, tenants_of_issuer);
    if rules.is_empty() {
        return rules;
    }
    let named = |issuer: &str| rules.iter().filter(|rule| rule.issuer == issuer).count();
    if rules.iter().any(|rule| !issuers.contains(&rule.issuer)) {
        settings.reject(NAME, "names an issuer that is not in JWT_ISSUER", EXAMPLE);
    }
    if issuers.iter().any(|issuer| named(issuer) != 1) {
        settings.reject(
            NAME,
            "must name each issuer of JWT_ISSUER once; `=*` is for one that may speak for every tenant",
            EXAMPLE,
        );
    }
    rules
}

fn tenants_of_issuer(item: &str) -> Result<IssuerTenants, &'static str> {
    const PROBLEM: &str =
        "must be a comma-separated list of <issuer>=<slugs of tenants, with spaces between them, or *>";
    let (issuer, tenants) = item.rsplit_once('=').ok_or(PROBLEM)?;
    let tenants = match tenants.trim() {
        "" => return Err(PROBLEM),
        EVERY_TENANT => None,
        slugs => Some(slugs.split_whitespace().map(Slug::parse).collect::<Result<_, _>>().map_err(|_| PROBLEM)?),
    };
    Ok(IssuerTenants { issuer: issuer.trim().to_owned(), tenants })
}

fn issuer_tenants_text(IssuerTenants { issuer, tenants }: &IssuerTenants) -> String {
    let slugs = |tenants: &Vec<Slug>| tenants.iter().map(Slug::as_str).collect::<Vec<_>>().join(" ");
    format!("{issuer}={}", tenants.as_ref().map_or(EVERY_TENANT.to_owned(), slugs))
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
    if issuers.is_empty()
        && let Some(problem) = needs_issuer(urls)
    {
        settings.reject("JWT_JWKS_URL", problem, "");
        return vec![];
    }
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

/// Why key sets at these addresses need JWT_ISSUER.
fn needs_issuer(urls: &[String]) -> Option<&'static str> {
    if urls.len() > 1 {
        return Some(
            "holds several addresses, which needs JWT_ISSUER: without it, each issuer could sign tokens in the name of \
             another; list the `iss` of each in JWT_ISSUER, in the same order",
        );
    }
    urls.iter().any(|url| signs_for_many_issuers(url)).then_some(
        "is an address whose keys sign for many issuers, which needs JWT_ISSUER: without it, anybody who opens an account \
         there could sign in; set JWT_ISSUER to the `iss` of the one that you trust",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    #[test]
    fn the_tenants_of_issuers_are_read_for_every_issuer_or_refused() {
        let (a, b) = ("https://a.example", "https://b.example/?x=y");
        let both = format!("{a},{b}");
        let read = |value: &str| {
            let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
            config(&[secret, ("JWT_ISSUER", &both), ("JWT_ISSUER_TENANTS", value)]).map(|config| config.jwt.rules)
        };
        let rules = read(&format!("{a} = acme  globex , {b}=*")).unwrap();
        let (acme, globex) = (Slug::parse("acme").unwrap(), Slug::parse("globex").unwrap());
        assert_eq!(
            rules.issuer_tenants,
            [
                IssuerTenants { issuer: a.to_owned(), tenants: Some(vec![acme, globex]) },
                IssuerTenants { issuer: b.to_owned(), tenants: None },
            ]
        );
        for value in [
            a.to_owned(),
            format!("{a}=acme"),
            format!("{a}=acme,{b}="),
            format!("{a}=Acme,{b}=*"),
            format!("{a}=acme,{b}=*,https://c.example=*"),
            format!("{a}=acme,{a}=globex,{b}=*"),
            format!("{a}=acme,{b}=* acme"),
        ] {
            let error = read(&value).unwrap_err();
            assert!(error.contains("JWT_ISSUER_TENANTS "), "{value}: {error}");
        }
    }

    #[test]
    fn the_map_of_scopes_is_read_or_refused() {
        let read = |value: &str| config(&[("JWT_SCOPE_MAP", value)]).map(|config| config.jwt.rules.scopes.words);
        let expected =
            [("crm admins", Scope::Admin), ("a=b", Scope::Read)].map(|(word, scope)| (word.to_owned(), scope));
        assert_eq!(read(" crm admins = admin, a=b=read,").unwrap(), expected);
        for value in ["admin", "=admin", "a=Admin", "a=read write", "a="] {
            assert!(read(value).unwrap_err().contains("JWT_SCOPE_MAP must be"), "{value}");
        }
    }

    #[test]
    fn what_could_never_match_or_contradicts_itself_is_refused() {
        let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        let a = "https://a.example";
        for (name, value, why) in [
            ("JWT_TENANT_CLAIM", "a..b", "must be a claim's name"),
            ("JWT_TENANT_CLAIM", ".", "must be a claim's name"),
            ("JWT_TENANT_CLAIM", "a.", "must be a claim's name"),
            ("JWT_TENANT_CLAIM", "tenant,org", "must be one claim"),
            ("JWT_SCOPE_CLAIM", "scope,.roles", "must be a claim's name"),
            ("JWT_NAME_CLAIM", "a..b", "must be a claim's name"),
            ("JWT_ISSUER", "https://*.okta.com", "is compared to the letter"),
            ("JWT_ISSUER", "https://a.example https://b.example", "must hold no spaces"),
            ("JWT_ISSUER", "\"https://a.example\"", "starts with a quotation mark"),
            ("JWT_ISSUER", &format!("{a},{a}"), "must name each issuer once"),
            ("JWT_AUDIENCE", "*", "is compared to the letter"),
            ("JWT_AUDIENCE", "'crm'", "starts with a quotation mark"),
            ("JWT_SCOPE_MAP", "x=read,x=admin", "must map each of the issuer's words once"),
            ("JWT_SCOPE_MAP", "x=read,y=read,x=read", "must map each of the issuer's words once"),
        ] {
            let error = config(&[secret, (name, value)]).unwrap_err();
            assert!(error.contains(&format!("{name} {why}")), "{name}={value}: {error}");
        }
        for (name, value) in [
            ("JWT_TENANT_CLAIM", "https://rallycrm.io/app.tenant"),
            ("JWT_SCOPE_CLAIM", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"),
            ("JWT_ISSUER", "https://a.example,https://a.example/"),
            ("JWT_AUDIENCE", "My API,api://rally-crm"),
        ] {
            assert!(config(&[secret, (name, value)]).is_ok(), "{name}={value}");
        }
    }

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
        let one = "https://a.example/keys?for=us";
        assert_eq!(trusted(&[("JWT_JWKS_URL", one)]).unwrap(), ["https://a.example/keys"]);
        assert_eq!(trusted(&[secret, ("JWT_JWKS_URL", keys), ("JWT_ISSUER", &both)]).unwrap(), [a, b]);
        for (pairs, wrong) in [
            (vec![("JWT_ISSUER", "login")], "JWT_ISSUER must be an https://"),
            (vec![("JWT_ISSUER", "http://login.example")], "JWT_ISSUER must be an https://"),
            (vec![("JWT_ISSUER", "https://a.example?x")], "JWT_ISSUER must have no query"),
            (vec![("JWT_ISSUER", "https://u:p@a.example")], "JWT_ISSUER must hold no user name"),
            (
                vec![("JWT_ISSUER", "https://login.microsoftonline.com/common/v2.0")],
                "JWT_ISSUER names an issuer for many",
            ),
            (
                vec![("JWT_ISSUER", "https://login.microsoftonline.us/Organizations/v2.0")],
                "JWT_ISSUER names an issuer for many",
            ),
            (
                vec![("JWT_ISSUER", "https://login.example/{tenantid}/v2.0"), secret],
                "JWT_ISSUER names an issuer for many",
            ),
            (vec![("JWT_JWKS_URL", "http://10.0.0.1/keys")], "JWT_JWKS_URL must be an https://"),
            (vec![("JWT_JWKS_URL", keys), ("JWT_ISSUER", a)], "JWT_JWKS_URL must hold as many"),
            (vec![("JWT_JWKS_URL", keys)], "JWT_JWKS_URL holds several addresses, which needs JWT_ISSUER"),
            (vec![("JWT_JWKS_URL", keys), secret], "JWT_JWKS_URL holds several addresses, which needs JWT_ISSUER"),
            (
                vec![("JWT_JWKS_URL", "https://login.microsoftonline.com/common/discovery/v2.0/keys")],
                "JWT_JWKS_URL is an address whose keys sign for many issuers, which needs JWT_ISSUER",
            ),
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
