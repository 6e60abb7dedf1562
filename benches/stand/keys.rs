//! Tenants, keys (written by COPY) and tokens.

use std::fmt::Write as _;

use chrono::{TimeDelta, Utc};
use rally_api_keys::{
    auth::{
        api_key::pepper::{Pepper, Peppers},
        jwt::{claims::ClaimRules, signer::TokenSigner},
    },
    domain::{ApiKeyId, Scope, ScopeSet, Secret, Slug, Tenant, Timestamp},
    store::{NewSecret, TenantAdmin},
};
use sqlx::PgConnection;

use super::Outcome;

pub const PEPPER: &str = "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub const JWT_SECRET: &str = "a secret of the benchmark, of more than 32 bytes";

/// The PHC string of a row with a stamp is never verified, so all rows have this one. 200,000 hashes would take half an
/// hour.
pub const SOME_PHC: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A key and its secret.
pub struct Key {
    pub tenant: Tenant,
    pub id: ApiKeyId,
    pub secret: Secret,
}

pub async fn tenant(admin: &mut TenantAdmin, slug: &str) -> Outcome<Tenant> {
    let slug = Slug::parse(slug)?;
    let id = admin.create_tenant(&slug, slug.as_str(), Utc::now()).await?.ok_or("a tenant exists already")?;
    Ok(Tenant { id, slug, external_id: None })
}

pub fn generate(tenants: &[Tenant], count: usize) -> Vec<Key> {
    let tenants = tenants.iter().cycle().take(count);
    tenants.map(|it| Key { tenant: *it, id: ApiKeyId::generate(), secret: Secret::generate() }).collect()
}

/// Inserts keys whose secrets have stamps.
pub async fn copy_stamped(connection: &mut PgConnection, keys: &[Key]) -> Outcome<()> {
    let peppers = Peppers { current: Some(Pepper::parse(PEPPER)?), ..Peppers::default() };
    let sealed = keys.iter().map(|key| NewSecret {
        lookup_digest: key.secret.lookup_digest(),
        phc: SOME_PHC.to_owned(),
        stamp: peppers.stamp(key.tenant.id, key.id, &key.secret),
        hint: key.secret.hint(),
    });
    copy(connection, keys, sealed.collect()).await
}

/// Columns of `api_keys` that older schemas lack: `load compare` measures older binaries too.
const NEWER_COLUMNS: [&str; 2] = ["folded_name", "last4"];

/// Inserts keys into the current schema, or into one without some of [`NEWER_COLUMNS`].
pub async fn copy(connection: &mut PgConnection, keys: &[Key], secrets: Vec<NewSecret>) -> Outcome<()> {
    let newer: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'api_keys' AND column_name = ANY ($1)",
    )
    .bind(NEWER_COLUMNS)
    .fetch_all(&mut *connection)
    .await?;
    let (created, end) = lifetime()?;
    let (mut key_rows, mut secret_rows) = (String::new(), String::new());
    for (n, (key, sealed)) in keys.iter().zip(secrets).enumerate() {
        let (tenant, id) = (key.tenant.id, key.id);
        let last4 = sealed.hint.last4().to_owned();
        write!(key_rows, "{tenant}\t{id}\tKey {n}\tread\t{end}\t{created}\tload@example.com")?;
        for column in &newer {
            match column.as_str() {
                "last4" => write!(key_rows, "\t{last4}")?,
                _ => write!(key_rows, "\tkey {n}")?,
            }
        }
        key_rows.push('\n');
        let (stamp, pepper_id) = match sealed.stamp {
            Some((stamp, pepper_id)) => (bytea(&stamp), pepper_id),
            None => ("\\N".to_owned(), "\\N".to_owned()),
        };
        let (digest, phc) = (bytea(sealed.lookup_digest.as_bytes()), sealed.phc);
        writeln!(secret_rows, "{tenant}\t{digest}\t{id}\t{phc}\t{stamp}\t{pepper_id}\t{last4}\t{created}")?;
    }
    let mut columns = vec!["tenant_id", "id", "name", "scopes", "expires_at", "created_at", "created_by"];
    columns.extend(newer.iter().map(String::as_str));
    let key_columns = format!("COPY api_keys ({}) FROM STDIN", columns.join(", "));
    let secret_columns = "COPY api_key_secrets
        (tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, created_at) FROM STDIN";
    for (statement, rows) in [(key_columns.as_str(), key_rows), (secret_columns, secret_rows)] {
        let mut copy = connection.copy_in_raw(statement).await?;
        copy.send(rows.into_bytes()).await?;
        copy.finish().await?;
    }
    Ok(())
}

/// The text format of COPY, in which a backslash is doubled.
fn bytea(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\\\x"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn lifetime() -> Outcome<(String, String)> {
    let created: Timestamp = Utc::now();
    // Every key expires, as most should: a check compares the time and sends it in a header.
    let end = created.checked_add_signed(TimeDelta::days(365)).ok_or("no next year")?;
    Ok((created.to_rfc3339(), end.to_rfc3339()))
}

/// A user's JWT, valid for six hours.
pub fn token(tenant: &Tenant, scope: Scope) -> Outcome<String> {
    let rules = ClaimRules::default();
    let now = Utc::now();
    let end = now.checked_add_signed(TimeDelta::hours(6)).ok_or("no next hours")?;
    let scopes: ScopeSet = std::iter::once(scope).collect();
    Ok(TokenSigner::hs256(JWT_SECRET.as_bytes(), rules)?.sign(&tenant.slug, "load@example.com", scopes, now, end)?)
}
