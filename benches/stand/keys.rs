//! Tenants and keys, by COPY; and tokens.

use std::fmt::Write as _;

use chrono::{TimeDelta, Utc};
use rally_api_keys::{
    auth::{
        api_key::pepper::{Pepper, Peppers},
        jwt::{signer::TokenSigner, verification_key::ClaimRules},
    },
    domain::{ApiKeyId, Scope, ScopeSet, Secret, Slug, Tenant, Timestamp},
    store::{NewSecret, TenantAdmin},
};
use sqlx::PgConnection;

use super::Outcome;

pub const PEPPER: &str = "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub const JWT_SECRET: &str = "a secret of the benchmark, of more than 32 bytes";

/// A row with a stamp is never held against its PHC string, so one of the right form does for
/// all of them; 200,000 real ones would take half an hour.
const SOME_PHC: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A key with its secret.
pub struct Key {
    pub tenant: Tenant,
    pub id: ApiKeyId,
    pub secret: Secret,
}

pub async fn tenant(operator: &mut TenantAdmin, slug: &str) -> Outcome<Tenant> {
    let slug = Slug::parse(slug)?;
    let id = operator.create_tenant(&slug, slug.as_str(), Utc::now()).await?.ok_or("a tenant exists already")?;
    Ok(Tenant { id, slug })
}

pub fn generate(tenants: &[Tenant], count: usize) -> Vec<Key> {
    let tenants = tenants.iter().cycle().take(count);
    tenants.map(|it| Key { tenant: *it, id: ApiKeyId::generate(), secret: Secret::generate() }).collect()
}

/// Keys with stamps, as those are that were made under the pepper.
pub async fn copy_stamped(connection: &mut PgConnection, keys: &[Key]) -> Outcome<()> {
    let peppers = Peppers { current: Some(Pepper::parse(PEPPER)?), retired: Vec::new() };
    let sealed = keys.iter().map(|key| NewSecret {
        lookup_digest: key.secret.lookup_digest(),
        phc: SOME_PHC.to_owned(),
        stamp: peppers.stamp(key.tenant.id, key.id, &key.secret),
        hint: key.secret.hint(),
    });
    copy(connection, keys, sealed.collect()).await
}

pub async fn copy(connection: &mut PgConnection, keys: &[Key], secrets: Vec<NewSecret>) -> Outcome<()> {
    let (created, end) = lifetime()?;
    let (mut key_rows, mut secret_rows) = (String::new(), String::new());
    for (n, (key, sealed)) in keys.iter().zip(secrets).enumerate() {
        let (tenant, id) = (key.tenant.id, key.id);
        writeln!(key_rows, "{tenant}\t{id}\tKey {n}\tread\t{end}\t{created}\tload@example.com")?;
        let (stamp, pepper_id) = match sealed.stamp {
            Some((stamp, pepper_id)) => (bytea(&stamp), pepper_id),
            None => ("\\N".to_owned(), "\\N".to_owned()),
        };
        let (digest, phc, last4) = (bytea(sealed.lookup_digest.as_bytes()), sealed.phc, sealed.hint.last4().to_owned());
        writeln!(secret_rows, "{tenant}\t{digest}\t{id}\t{phc}\t{stamp}\t{pepper_id}\t{last4}\t{created}")?;
    }
    let key_columns = "COPY api_keys (tenant_id, id, name, scopes, expires_at, created_at, created_by) FROM STDIN";
    let secret_columns = "COPY api_key_secrets
        (tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, created_at) FROM STDIN";
    for (statement, rows) in [(key_columns, key_rows), (secret_columns, secret_rows)] {
        let mut copy = connection.copy_in_raw(statement).await?;
        copy.send(rows.into_bytes()).await?;
        copy.finish().await?;
    }
    Ok(())
}

/// In COPY's text form, where a backslash is written twice.
fn bytea(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\\\x"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn lifetime() -> Outcome<(String, String)> {
    let created: Timestamp = Utc::now();
    // Every key has an end, as most should: it is checked, and told in a header.
    let end = created.checked_add_signed(TimeDelta::days(365)).ok_or("no next year")?;
    Ok((created.to_rfc3339(), end.to_rfc3339()))
}

/// A user's token for that tenant, good for hours.
pub fn token(tenant: &Tenant, scope: Scope) -> Outcome<String> {
    let rules = ClaimRules { issuers: vec![], audiences: vec![], tenant_claim: "tenant".into() };
    let now = Utc::now();
    let end = now.checked_add_signed(TimeDelta::hours(6)).ok_or("no next hours")?;
    let scopes: ScopeSet = std::iter::once(scope).collect();
    Ok(TokenSigner::hs256(JWT_SECRET.as_bytes(), rules)?.sign(&tenant.slug, "load@example.com", scopes, now, end)?)
}
