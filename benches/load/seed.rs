//! What is in the database before anything is measured.

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
/// In one more tenant, so that there are 200,000 in all to be remembered.
const MORE_KEYS: usize = 100_000;
const LISTED_KEYS: usize = 1_000;
/// They cost a real argon2 each to make.
const UNSTAMPED_KEYS: usize = 200;

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
        let mut operator = TenantAdmin::connect(&database.url()).await?;
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
            copy_stamped(&mut connection, keys).await?;
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

/// Through the real hasher: this is what the row without a pepper checks.
async fn seal_without_pepper(keys: &[Key]) -> Outcome<Vec<NewSecret>> {
    let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let hasher = SecretHasher::new(Argon2Cost::default(), Peppers::default(), cores, UNSTAMPED_KEYS);
    let sealing = keys.iter().map(|key| hasher.seal(key.tenant.id, key.id, &key.secret));
    Ok(futures_util::future::try_join_all(sealing).await?)
}
