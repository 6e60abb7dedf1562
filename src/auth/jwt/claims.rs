//! What the claims of a token must be, and who its user is.

use serde_json::{Map, Value};

use super::{
    claim_path::ClaimPath,
    scope_claims::ScopeClaims,
    token::{excerpt, is_other_space},
};
use crate::{
    auth::error::{Error, TokenError},
    domain::{Principal, Secret, Slug, Tenant, Timestamp, User, visible_text::find_invisible},
};

/// Clock skew between an issuer and this service.
pub(super) const LEEWAY_SECONDS: f64 = 60.0;
/// The longest name that the audit trail keeps: the longest address of RFC 5321.
const MAX_NAME_CHARS: usize = 320;
/// The client that a token was issued to. Some issuers write it in place of `aud`.
const AUDIENCE_CLAIMS: [&str; 3] = ["aud", "client_id", "azp"];

/// Rules for the claims of tokens.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// The accepted values of `iss`; empty = it is not checked.
    pub issuers: Vec<String>,
    /// The tenants that each issuer may speak for; empty = each for every tenant.
    pub issuer_tenants: Vec<IssuerTenants>,
    /// The accepted values of `aud`; empty = it is not checked.
    pub audiences: Vec<String>,
    /// The claim that names the tenant.
    pub tenant: ClaimPath,
    /// The claims that name the user, in order of preference; `sub` is the last.
    pub names: Vec<ClaimPath>,
    /// The claims that grant scopes.
    pub scopes: ScopeClaims,
}

/// The tenants that an issuer may speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerTenants {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `None` = every tenant.
    pub tenants: Option<Vec<Slug>>,
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self {
            issuers: vec![],
            issuer_tenants: vec![],
            audiences: vec![],
            tenant: ClaimPath::new("tenant"),
            names: vec![ClaimPath::new("email"), ClaimPath::new("sub")],
            scopes: ScopeClaims::default(),
        }
    }
}

impl ClaimRules {
    pub(super) fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        match text(claims, "iss") {
            _ if self.issuers.is_empty() => Ok(()),
            Some(issuer) if self.issuers.iter().any(|trusted| trusted == issuer) => Ok(()),
            Some(issuer) => Err(TokenError::UntrustedIssuer(excerpt(issuer))),
            None => Err(TokenError::NoIssuer),
        }
    }

    pub(super) fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        if self.audiences.is_empty() {
            return Ok(());
        }
        let present = |name| claims.get(name).filter(|value| !value.is_null()).map(|value| (name, value));
        let (claim, value) = AUDIENCE_CLAIMS.into_iter().find_map(present).ok_or(TokenError::NoAudience)?;
        let named = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let is_ours = |name: &Value| self.audiences.iter().any(|audience| name == audience.as_str());
        if named.iter().any(is_ours) { Ok(()) } else { Err(TokenError::WrongAudience(claim)) }
    }

    /// A token that is bound to a key is worthless without a proof of that key, which is not checked here. So whoever stole it
    /// must not be able to use it.
    pub(super) fn check_unbound(claims: &Map<String, Value>) -> Result<(), TokenError> {
        match claims.get("cnf") {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(TokenError::SenderConstrained),
        }
    }

    pub(super) fn check_tenant(&self, claims: &Map<String, Value>, tenant: &Tenant) -> Result<(), Error> {
        let wrong = |why: String| Err(Error::WrongTenant(why));
        let Some(value) = self.tenant.find(claims) else {
            return wrong(format!(
                "The token has no claim `{}` (JWT_TENANT_CLAIM), which names its tenant.",
                self.tenant
            ));
        };
        if !names_tenant(value, tenant) {
            let names = tenant_names(value);
            if names.iter().any(|name| tenant.is_named(name)) {
                return wrong(format!(
                    "The token's claim `{}` names the tenant of the host by the key of an organization whose `id` is another \
                     one than the tenant's external id.",
                    self.tenant
                ));
            }
            let held: Vec<_> = names.iter().take(5).map(|name| excerpt(name)).collect();
            let held = if held.is_empty() { "no string".into() } else { held.join(", ") };
            return wrong(format!(
                "The token's claim `{}` holds {held}, which does not name the tenant of the host. Use the host of the token's tenant.",
                self.tenant
            ));
        }
        if !self.may_speak_for(text(claims, "iss"), &tenant.slug) {
            return wrong("The token's issuer may not speak for the tenant of the host (JWT_ISSUER_TENANTS).".into());
        }
        Ok(())
    }

    /// True if tokens of that issuer may be for that tenant.
    pub(super) fn may_speak_for(&self, issuer: Option<&str>, tenant: &Slug) -> bool {
        self.may_speak_if(issuer, |tenants| tenants.is_none_or(|tenants| tenants.contains(tenant)))
    }

    /// True if tokens of that issuer may be for every tenant.
    pub(super) fn may_speak_for_all(&self, issuer: Option<&str>) -> bool {
        self.may_speak_if(issuer, |tenants| tenants.is_none())
    }

    fn may_speak_if(&self, issuer: Option<&str>, allows: impl Fn(Option<&Vec<Slug>>) -> bool) -> bool {
        let is_allowed = |rule: &IssuerTenants| Some(rule.issuer.as_str()) == issuer && allows(rule.tenants.as_ref());
        self.issuer_tenants.is_empty() || self.issuer_tenants.iter().any(is_allowed)
    }

    /// The user, by the first claim that can name one.
    pub(super) fn user(&self, claims: &Map<String, Value>) -> Result<User, TokenError> {
        let (_, name) = self.name(claims)?;
        Ok(User {
            name: name.to_owned(),
            issuer: self.checked_issuer(claims)?.map(str::to_owned),
            subject: recorded(claims, "sub")?.map(str::to_owned),
        })
    }

    /// `None` where JWT_ISSUER is not set: anybody who signs tokens could have written any `iss`.
    fn checked_issuer<'a>(&self, claims: &'a Map<String, Value>) -> Result<Option<&'a str>, TokenError> {
        if self.issuers.is_empty() { Ok(None) } else { recorded(claims, "iss") }
    }

    /// The user's name, and the claim that it is from.
    pub(super) fn name<'a>(&self, claims: &'a Map<String, Value>) -> Result<(&ClaimPath, &'a str), TokenError> {
        let mut unusable = Vec::new();
        for path in &self.names {
            match name_by(path, claims) {
                Ok(name) => return Ok((path, name)),
                Err(why) => unusable.push(format!("`{path}` {why}")),
            }
        }
        Err(TokenError::NoName(unusable.join(", ")))
    }
}

fn text<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a str> {
    claims.get(claim).and_then(Value::as_str)
}

/// The names that a tenant claim holds: a text, the texts of an array, or an object's keys and the `id`s below them
/// (Keycloak's `organization`).
pub(super) fn tenant_names(value: &Value) -> Vec<&str> {
    match value {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::Object(organizations) => organizations
            .iter()
            .flat_map(|(alias, details)| [Some(alias.as_str()), details.get("id").and_then(Value::as_str)])
            .flatten()
            .collect(),
        _ => vec![],
    }
}

/// True if the value names the tenant. An organization with an `id` names no tenant by its key that has an external id:
/// it would name two tenants, and at some issuers its members choose the key.
fn names_tenant(value: &Value, tenant: &Tenant) -> bool {
    let Value::Object(organizations) = value else {
        return tenant_names(value).into_iter().any(|name| tenant.is_named(name));
    };
    organizations.iter().any(|(alias, details)| match details.get("id").filter(|id| !id.is_null()) {
        Some(id) if id.as_str().is_some_and(|id| tenant.is_named(id)) => true,
        Some(_) => tenant.external_id.is_none() && tenant.is_named(alias),
        None => tenant.is_named(alias),
    })
}

fn name_by<'a>(path: &ClaimPath, claims: &'a Map<String, Value>) -> Result<&'a str, &'static str> {
    let value = path.find(claims).ok_or("is missing")?;
    let name = value.as_str().ok_or("is not a string")?.trim();
    if path.as_str() == "email" && is_false(claims.get("email_verified")) {
        return Err("is not verified (`email_verified` is false)");
    }
    let begins_with = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if begins_with(Principal::API_KEY) {
        return Err("has the form of an API key's name");
    }
    if begins_with(Principal::OPERATOR) {
        return Err("has the form of an operator's name");
    }
    if name.is_empty() { Err("is empty") } else { check_text(name).map(|()| name) }
}

/// Issuers write `false` as text too.
fn is_false(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => !value,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("false"),
        _ => false,
    }
}

/// A claim that the audit trail keeps, if it is there.
fn recorded<'a>(claims: &'a Map<String, Value>, claim: &'static str) -> Result<Option<&'a str>, TokenError> {
    let Some(value) = text(claims, claim) else { return Ok(None) };
    check_text(value).map_err(|why| TokenError::Unrecordable(claim, why))?;
    Ok(Some(value))
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > MAX_NAME_CHARS {
        return Err("has more than 320 characters");
    }
    // It would be shown, and logged.
    if Secret::is_in(text) {
        return Err("has the form of an API key's secret");
    }
    let is_hidden = find_invisible(text).is_some() || text.chars().any(is_other_space);
    if is_hidden { Err("has control or invisible characters") } else { Ok(()) }
}

/// From when until when a token is valid, in seconds since 1970, without the leeway.
#[derive(Clone, Copy)]
pub(super) struct Validity {
    pub(super) not_before: Option<f64>,
    pub(super) expires: f64,
}

impl Validity {
    pub(super) fn of(claims: &Map<String, Value>) -> Result<Self, TokenError> {
        let expires = time(claims, "exp")?.ok_or(TokenError::NoExpiry)?;
        if expires < 0.0 {
            return Err(TokenError::BadTime("exp", "is before the year 1970"));
        }
        #[allow(clippy::cast_precision_loss, reason = "only a bound")]
        if expires > u64::MAX as f64 {
            return Err(TokenError::BadTime("exp", "is too far ahead to be a time"));
        }
        Ok(Self { not_before: time(claims, "nbf")?, expires })
    }

    pub(super) fn check(self, now: Timestamp) -> Result<(), Error> {
        #[allow(clippy::cast_precision_loss, reason = "microseconds fit f64 until the year 2255")]
        let now = now.timestamp_micros() as f64 / 1e6;
        if now >= self.expires + LEEWAY_SECONDS {
            return Err(Error::TokenExpired);
        }
        if self.not_before.is_some_and(|not_before| now + LEEWAY_SECONDS < not_before) {
            return Err(TokenError::NotYetValid.into());
        }
        Ok(())
    }
}

/// A NumericDate (RFC 7519, 2), which may have a fraction.
fn time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<f64>, TokenError> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(_)) => Err(TokenError::BadTime(claim, "is a string and not a number")),
        Some(value) => value.as_f64().map(Some).ok_or(TokenError::BadTime(claim, "is not a number")),
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

    fn user(claims: Value) -> Result<String, String> {
        ClaimRules::default().user(&object(claims)).map(|user| user.name).map_err(|error| error.to_string())
    }

    #[test]
    fn an_email_names_the_user_unless_it_is_unverified_or_unusable() {
        for email in ["a@b.example", " a@b.example ", "é@b.example", "api-keys@b.example"] {
            assert_eq!(user(json!({"email": email, "sub": "42"})).as_deref(), Ok(email.trim()));
        }
        for verified in [json!(true), json!("true"), json!(null), json!(1)] {
            assert_eq!(user(json!({"email": "a@b", "email_verified": verified, "sub": "42"})).as_deref(), Ok("a@b"));
        }
        for verified in [json!(false), json!("false"), json!("False ")] {
            assert_eq!(user(json!({"email": "a@b", "email_verified": verified, "sub": "42"})).as_deref(), Ok("42"));
        }
        let long = "a".repeat(321);
        for email in [
            "",
            " ",
            "api-key:01a22481-da1a-75d3-9d14-41a5b8f65ecc",
            " API-KEY:x",
            "Operator:root",
            "a\u{0}b",
            "a\nb",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{2800}",
            "\u{3164}",
            "a\u{a0}b",
            "a\u{e0041}b",
            &long,
        ] {
            assert_eq!(user(json!({"email": email, "sub": "42"})).as_deref(), Ok("42"), "{email:?}");
        }
        for email in [json!(7), json!(["a@b"]), json!({"a": "b"}), json!(null)] {
            assert_eq!(user(json!({"email": email, "sub": "42"})).as_deref(), Ok("42"));
        }
    }

    #[test]
    fn a_token_without_a_usable_name_is_refused_with_the_reason() {
        for (claims, reason) in [
            (json!({}), "`email` is missing, `sub` is missing"),
            (json!({"sub": "api-key:x"}), "`sub` has the form of an API key's name"),
            (json!({"sub": "operator:root"}), "`sub` has the form of an operator's name"),
            (json!({"sub": 42}), "`sub` is not a string"),
            (
                json!({"email": "a@b", "email_verified": false}),
                "`email` is not verified (`email_verified` is false), `sub` is missing",
            ),
            (
                json!({"email": "a@b", "sub": "x-RK_LIVE_00112233445566778899aabbccddeeff"}),
                "its `sub` has the form of an API key's secret",
            ),
            (json!({"email": "a@b", "sub": "a\u{0}"}), "its `sub` has control or invisible characters"),
            (json!({"email": "a@b", "sub": "a\u{a0}b"}), "its `sub` has control or invisible characters"),
        ] {
            let error = user(claims.clone()).unwrap_err();
            assert!(error.contains(reason), "{claims}: {error}");
        }
    }

    #[test]
    fn an_issuer_that_nothing_checked_is_not_recorded() {
        let claims = object(json!({"iss": "https://a.example", "sub": "42"}));
        let issuer = |rules: ClaimRules| rules.user(&claims).map(|user| user.issuer);
        let checked = ClaimRules { issuers: vec!["https://a.example".into()], ..ClaimRules::default() };
        assert_eq!(issuer(ClaimRules::default()), Ok(None));
        assert_eq!(issuer(checked), Ok(Some("https://a.example".into())));
    }

    #[test]
    fn an_organization_with_an_id_names_a_tenant_with_an_external_id_by_that_alone() {
        let tenant = |external_id: Option<&str>| Tenant {
            id: crate::domain::TenantId(uuid::Uuid::from_u128(1)),
            slug: Slug::parse("globex").unwrap(),
            external_id: external_id.map(|id| crate::domain::ExternalId::parse(id).unwrap()),
        };
        for (claim, external_id, accepted) in [
            (json!({"globex": {}}), None, true),
            (json!({"globex": {}}), Some("43"), true),
            (json!({"globex": null}), Some("43"), true),
            (json!({"globex": {"id": null}}), Some("43"), true),
            (json!({"globex": {"id": "42"}}), None, true),
            (json!({"globex": {"id": "42"}}), Some("42"), true),
            (json!({"other": {"id": "42"}}), Some("42"), true),
            (json!({"globex": {"id": "42"}}), Some("43"), false),
            (json!({"43": {"id": "42"}}), Some("43"), false),
            (json!({"globex": {"id": 42}}), Some("43"), false),
            (json!({"globex": {"id": "42"}, "x": {"id": "43"}}), Some("43"), true),
            (json!({"x": {"id": "y"}}), None, false),
        ] {
            assert_eq!(names_tenant(&claim, &tenant(external_id)), accepted, "{claim} {external_id:?}");
        }
    }

    #[test]
    fn a_token_without_aud_is_for_the_client_that_it_was_issued_to() {
        let rules = ClaimRules { audiences: vec!["rally".into(), "crm".into()], ..ClaimRules::default() };
        for claims in [
            json!({"aud": "crm"}),
            json!({"aud": ["x", "rally"], "azp": "x"}),
            json!({"client_id": "rally"}),
            json!({"aud": null, "azp": "rally"}),
        ] {
            assert_eq!(rules.check_audience(&object(claims.clone())), Ok(()), "{claims}");
        }
        for (claims, error) in [
            (json!({}), TokenError::NoAudience),
            (json!({"aud": "x", "client_id": "rally", "azp": "rally"}), TokenError::WrongAudience("aud")),
            (json!({"aud": [], "client_id": "rally"}), TokenError::WrongAudience("aud")),
            (json!({"client_id": "x", "azp": "rally"}), TokenError::WrongAudience("client_id")),
            (json!({"azp": 7}), TokenError::WrongAudience("azp")),
        ] {
            assert_eq!(rules.check_audience(&object(claims.clone())), Err(error), "{claims}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_told_as_it_is() {
        for (claims, expected) in [
            (json!({}), "it has no `exp`"),
            (json!({"exp": "4102444800"}), "its `exp` is a string and not a number"),
            (json!({"exp": null}), "its `exp` is not a number"),
            (json!({"exp": -1}), "its `exp` is before the year 1970"),
            (json!({"exp": 1e300}), "its `exp` is too far ahead to be a time"),
            (json!({"exp": 1, "nbf": true}), "its `nbf` is not a number"),
        ] {
            let error = Validity::of(&object(claims.clone())).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(expected), "{claims}");
        }
    }
}
