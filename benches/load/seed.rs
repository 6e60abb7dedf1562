//! The content of the database.

use std::{num::NonZeroUsize, thread::available_parallelism};

use chrono::Utc;
use rally_api_keys::{
    auth::api_key::{
        hasher::{Argon2Cost, SecretHasher},
        pepper::Peppers,
    },
    domain::{Tenant, Timestamp},
    store::{NewSecret, TenantAdmin},
};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::{
    Outcome, Plan,
    stand::{
        keys::{Key, copy, copy_stamped, generate, tenant},
        postgres::Database,
    },
};

const TENANTS: usize = 10;
const KEYS_PER_TENANT: usize = 10_000;
/// In another tenant: with them, 200,000 keys can be cached.
const MORE_KEYS: usize = 100_000;
const LISTED_KEYS: usize = 1_000;
/// As many as the keys of row b2, which those with a limit are compared with.
const LIMITED_KEYS: usize = TENANTS * KEYS_PER_TENANT;
/// Each costs an argon2 to create.
const UNSTAMPED_KEYS: usize = 200;

pub struct Seed {
    /// 10 × 10,000, of the tenants in turn.
    pub keys: Vec<Key>,
    /// Of one tenant, for the row of memory only.
    pub more: Vec<Key>,
    /// Of one tenant.
    pub listed: Vec<Key>,
    /// Of one tenant, to be rotated.
    pub rotating: Vec<Key>,
    /// Without stamps, as created without a pepper.
    pub unstamped: Vec<Key>,
    /// With a rate limit that no load reaches.
    pub limited: Vec<Key>,
    /// With a rate limit that one request uses up for a day.
    pub refused: Vec<Key>,
    /// A tenant without keys.
    pub empty: Tenant,
    pub seeded_at: Timestamp,
}

impl Seed {
    pub async fn write(database: &Database, plan: &Plan) -> Outcome<Self> {
        let mut admin = TenantAdmin::connect(&database.url()).await?;
        let mut connection = database.connect().await?;
        let mut tenants = Vec::new();
        for n in 0..TENANTS {
            tenants.push(tenant(&mut admin, &format!("tenant-{n}")).await?);
        }
        let keys = generate(&tenants, TENANTS * KEYS_PER_TENANT);
        let more_tenant = [tenant(&mut admin, "more").await?];
        let more = generate(&more_tenant, if plan.has('j') { MORE_KEYS } else { 0 });
        let listed = generate(&[tenant(&mut admin, "listed").await?], LISTED_KEYS);
        let rotating = generate(&[tenant(&mut admin, "rotating").await?], LISTED_KEYS);
        let limited = generate(&[tenant(&mut admin, "limited").await?], if plan.has('n') { LIMITED_KEYS } else { 0 });
        let refused = generate(&[tenant(&mut admin, "refused").await?], 1);
        for keys in [&keys, &more, &listed, &rotating, &limited, &refused] {
            copy_stamped(&mut connection, keys).await?;
        }
        for (slug, requests, seconds) in [("limited", 1_000_000, 1), ("refused", 1, 86_400)] {
            let limit = format!(
                "UPDATE api_keys SET rate_limit_requests = {requests}, rate_limit_window_seconds = {seconds}
                 WHERE tenant_id = (SELECT id FROM tenants WHERE slug = '{slug}')"
            );
            connection.execute(AssertSqlSafe(limit)).await?;
        }
        let unstamped_tenant = [tenant(&mut admin, "unstamped").await?];
        let unstamped = generate(&unstamped_tenant, if plan.has('f') { UNSTAMPED_KEYS } else { 0 });
        let sealed = seal_without_pepper(&unstamped).await?;
        copy(&mut connection, &unstamped, sealed).await?;
        // One key was used in every hour of 400 days.
        let hours = format!(
            "INSERT INTO api_key_usage SELECT '{}', '{}', date_trunc('hour', now(), 'UTC') - n * interval '1 hour', 9, 1, 1, 1
             FROM generate_series(0, 400 * 24 - 1) n",
            listed[0].tenant.id, listed[0].id
        );
        connection.execute(AssertSqlSafe(hours)).await?;
        // As in a database that has had these rows for a while.
        connection.execute("VACUUM (ANALYZE)").await?;
        connection.execute("CHECKPOINT").await?;
        let empty = tenant(&mut admin, "empty").await?;
        Ok(Self { keys, more, listed, rotating, unstamped, limited, refused, empty, seeded_at: Utc::now() })
    }

    pub fn count(&self) -> usize {
        self.keys.len() + self.more.len() + self.listed.len() + self.unstamped.len() + self.limited.len()
    }
}

/// Hashes with argon2, which the row without a pepper verifies.
async fn seal_without_pepper(keys: &[Key]) -> Outcome<Vec<NewSecret>> {
    let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let hasher = SecretHasher::new(Argon2Cost::default(), Peppers::default(), cores, UNSTAMPED_KEYS);
    let sealing = keys.iter().map(|key| hasher.seal(key.tenant.id, key.id, &key.secret));
    Ok(futures_util::future::try_join_all(sealing).await?)
}
