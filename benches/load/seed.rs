//! Tenants and keys, by COPY.

use std::{fmt::Write as _, num::NonZeroUsize, thread::available_parallelism};

use chrono::{TimeDelta, Utc};
use rally_api_keys::{
    auth::{
        SecretHasher,
        bearer::TokenSigner,
        hashing::Argon2Cost,
        jwk::ClaimRules,
        pepper::{Pepper, Peppers},
    },
    domain::{ApiKeyId, Scope, ScopeSet, Secret, Slug, Tenant, Timestamp},
    store::{NewSecret, Operator},
};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::{Outcome, Plan, postgres::Database};

pub const PEPPER: &str = "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub const JWT_SECRET: &str = "a secret of the benchmark, of more than 32 bytes";

const TENANTS: usize = 10;
const KEYS_PER_TENANT: usize = 10_000;
/// In one more tenant, so that there are 200,000 in all to be remembered.
const MORE_KEYS: usize = 100_000;
const LISTED_KEYS: usize = 1_000;
/// They cost a real argon2 each to make.
const UNSTAMPED_KEYS: usize = 200;

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

/// What was planted.
pub struct Seed {
    /// 10 × 10,000, tenant by tenant in turn.
    pub keys: Vec<Key>,
    /// All of one tenant; only for the row of memory.
    pub more: Vec<Key>,
    /// All of one tenant.
    pub listed: Vec<Key>,
    /// The same, to be given new secrets.
    pub rotating: Vec<Key>,
    /// Without stamps, as where there never was a pepper.
    pub unstamped: Vec<Key>,
    /// Has no keys yet.
    pub empty: Tenant,
    /// When that was.
    pub planted: Timestamp,
}

impl Seed {
    pub async fn plant(database: &Database, plan: &Plan) -> Outcome<Self> {
        let peppers = Peppers { current: Some(Pepper::parse(PEPPER)?), retired: Vec::new() };
        let mut operator = Operator::connect(&database.url()).await?;
        let mut connection = database.connect().await?;
        let mut tenants = Vec::new();
        for n in 0..TENANTS {
            tenants.push(tenant(&mut operator, &format!("tenant-{n}")).await?);
        }
        let keys = generate(&tenants, TENANTS * KEYS_PER_TENANT);
        let more_tenant = [tenant(&mut operator, "more").await?];
        let more = generate(&more_tenant, if plan.has('j') { MORE_KEYS } else { 0 });
        let listed = generate(&[tenant(&mut operator, "listed").await?], LISTED_KEYS);
        let rotating = generate(&[tenant(&mut operator, "rotating").await?], LISTED_KEYS);
        for keys in [&keys, &more, &listed, &rotating] {
            let sealed = keys.iter().map(|key| NewSecret {
                lookup_digest: key.secret.lookup_digest(),
                phc: SOME_PHC.to_owned(),
                stamp: peppers.stamp(key.tenant.id, key.id, &key.secret),
                hint: key.secret.hint(),
            });
            copy(&mut connection, keys, sealed.collect()).await?;
        }
        let unstamped_tenant = [tenant(&mut operator, "unstamped").await?];
        let unstamped = generate(&unstamped_tenant, if plan.has('f') { UNSTAMPED_KEYS } else { 0 });
        let sealed = seal_without_pepper(&unstamped).await?;
        copy(&mut connection, &unstamped, sealed).await?;
        // One key was used in each hour of 400 days.
        let hours = format!(
            "INSERT INTO api_key_usage SELECT '{}', '{}', date_trunc('hour', now(), 'UTC') - n * interval '1 hour', 9, 1, 1
             FROM generate_series(0, 400 * 24 - 1) n",
            listed[0].tenant.id, listed[0].id
        );
        connection.execute(AssertSqlSafe(hours)).await?;
        // As a database is that has had these rows for a while.
        connection.execute("VACUUM (ANALYZE)").await?;
        connection.execute("CHECKPOINT").await?;
        let empty = tenant(&mut operator, "empty").await?;
        Ok(Self { keys, more, listed, rotating, unstamped, empty, planted: Utc::now() })
    }

    pub fn count(&self) -> usize {
        self.keys.len() + self.more.len() + self.listed.len() + self.unstamped.len()
    }
}

async fn tenant(operator: &mut Operator, slug: &str) -> Outcome<Tenant> {
    let slug = Slug::parse(slug)?;
    let id = operator.create_tenant(&slug, slug.as_str(), Utc::now()).await?.ok_or("a tenant exists already")?;
    Ok(Tenant { id, slug })
}

fn generate(tenants: &[Tenant], count: usize) -> Vec<Key> {
    let tenants = tenants.iter().cycle().take(count);
    tenants.map(|it| Key { tenant: it.clone(), id: ApiKeyId::generate(), secret: Secret::generate() }).collect()
}

/// Through the real hasher: this is what the row without a pepper checks.
async fn seal_without_pepper(keys: &[Key]) -> Outcome<Vec<NewSecret>> {
    let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let hasher = SecretHasher::new(Argon2Cost::default(), Peppers::default(), cores, UNSTAMPED_KEYS);
    let sealing = keys.iter().map(|key| hasher.seal(key.tenant.id, key.id, &key.secret));
    Ok(futures_util::future::try_join_all(sealing).await?)
}

async fn copy(connection: &mut PgConnection, keys: &[Key], secrets: Vec<NewSecret>) -> Outcome<()> {
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
    Ok(TokenSigner::hs256(JWT_SECRET.as_bytes(), rules).sign(&tenant.slug, "load@example.com", scopes, now, end)?)
}
