//! Who uses a key: reading, and what is kept. Callers are written with usage (see [`super::UsageStore::record_usage`]).

use std::net::IpAddr;

use chrono::TimeDelta;
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use super::{Error, ReadTx};
use crate::domain::{ApiKeyId, LookupDigest, TenantId, Timestamp};

/// Callers that were not seen for that long are neither shown nor kept.
pub(super) const CALLER_AGE: TimeDelta = TimeDelta::days(30);
/// No more of a key's callers are shown or kept.
pub(super) const CALLERS_OF_A_KEY: i32 = 50;

/// What a caller used a secret for since that was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerUsage {
    /// The tenant of the key.
    pub tenant: TenantId,
    /// The key of the secret.
    pub key: ApiKeyId,
    /// The secret.
    pub lookup_digest: LookupDigest,
    /// Its caller.
    pub caller: SecretCaller,
}

/// A caller of a secret: an address and a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretCaller {
    /// The client's address, as far as trusted proxies tell it. `None`: callers that are not told apart.
    pub address: Option<IpAddr>,
    /// The client's `User-Agent`, truncated and without control characters.
    pub user_agent: Option<Box<str>>,
    /// When it was first let in.
    pub first_seen_at: Timestamp,
    /// When it was last let in.
    pub last_seen_at: Timestamp,
    /// How often it was let in.
    pub requests: i64,
}

impl SecretCaller {
    /// What makes it the same caller, in 16 bytes.
    pub(super) fn digest(&self) -> [u8; 16] {
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        let hash = Sha256::new().chain_update(address).chain_update(b" ");
        let hash = hash.chain_update(self.user_agent.as_deref().unwrap_or_default()).finalize();
        std::array::from_fn(|place| hash[place])
    }
}

/// A caller of a key.
#[derive(Clone, Debug)]
pub struct KeyCaller {
    /// The caller.
    pub caller: SecretCaller,
    /// It used the key's current secret, and not one that a rotation has replaced.
    pub uses_current_secret: bool,
}

struct KeyCallerRow {
    address: Option<IpNet>,
    user_agent: Option<String>,
    first_seen_at: Timestamp,
    last_seen_at: Timestamp,
    requests: i64,
    uses_current_secret: bool,
}

impl From<KeyCallerRow> for KeyCaller {
    fn from(row: KeyCallerRow) -> Self {
        let caller = SecretCaller {
            address: row.address.map(|net| net.addr()),
            user_agent: row.user_agent.map(Into::into),
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            requests: row.requests,
        };
        Self { caller, uses_current_secret: row.uses_current_secret }
    }
}

impl ReadTx {
    /// The key's latest 50 callers of the 30 days before that time, the latest first.
    pub async fn callers(&mut self, key: ApiKeyId, now: Timestamp) -> Result<Vec<KeyCaller>, Error> {
        let rows = sqlx::query_as!(
            KeyCallerRow,
            r#"SELECT c.address AS "address: IpNet", c.user_agent, c.first_seen_at, c.last_seen_at, c.requests,
                      EXISTS (SELECT FROM public.api_key_secrets s
                              WHERE s.tenant_id = c.tenant_id AND s.lookup_digest = c.lookup_digest
                                AND s.retired_at IS NULL) AS "uses_current_secret!"
               FROM public.api_key_callers c
               WHERE c.tenant_id = $1 AND c.key_id = $2 AND c.last_seen_at > $3
               ORDER BY c.last_seen_at DESC, c.caller
               LIMIT $4"#,
            self.tenant.0,
            key.0,
            now - CALLER_AGE,
            i64::from(CALLERS_OF_A_KEY),
        )
        .fetch_all(self.transaction.session())
        .await?;
        Ok(rows.into_iter().map(KeyCaller::from).collect())
    }
}
