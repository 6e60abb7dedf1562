//! What keys were used for: noted in batches, summed up now and then and before it is read, and read by
//! the hour or day.

use std::{
    fmt::{Display, Write as _},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Store, TenantTransaction};
use crate::domain::{ApiKeyId, KeyHint, LookupDigest, TenantId, Timestamp, UsageBucket, UsageWindow};

/// How long a batch of notes waits for the database's answer, once there is a connection; then it goes again.
const NOTE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a secret was used for in an hour, in addition to what is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageNote {
    /// Whose secret.
    pub tenant: TenantId,
    /// Which one.
    pub lookup_digest: LookupDigest,
    /// Its last use; none: it was only refused.
    pub last_use: Option<LastUse>,
    /// The hour's beginning.
    pub hour: Timestamp,
    /// All requests.
    pub requests: i64,
    /// Those of them that were refused, since the key had expired.
    pub denied_expired: i64,
    /// Those that were refused, since its scopes did not suffice.
    pub denied_scope: i64,
}

/// When and by whom a secret was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub client: Arc<LastClient>,
}

/// Who used a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct LastClient {
    /// A hash of the rest, by which clients are told apart where that is enough.
    pub hash: u32,
    /// From which address; none: the one that is known already.
    pub address: Option<IpAddr>,
    /// With which program, as that says of itself: one line.
    pub user_agent: Box<str>,
}

impl UsageNote {
    /// What notes have in common where it is the same.
    #[must_use]
    pub fn order(&self) -> (Uuid, Timestamp, Option<u32>) {
        (self.tenant.0, self.hour, self.client().map(|client| client.hash))
    }

    fn client(&self) -> Option<&LastClient> {
        Some(&*self.last_use.as_ref()?.client)
    }
}

/// Notes as PostgreSQL keeps them (0011_notes_in_lists.sql): those of a tenant and hour are a part, and within it
/// those of a client lie together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    tenants: Vec<Uuid>,
    hours: Vec<Timestamp>,
    digests: Vec<Vec<u8>>,
    used_at: Vec<String>,
    requests: Vec<String>,
    denied_expired: Vec<Option<String>>,
    denied_scope: Vec<Option<String>>,
    addresses: Vec<String>,
    agents: Vec<String>,
    client_lengths: Vec<String>,
}

impl Parts {
    fn of(notes: &[UsageNote]) -> Self {
        let mut parts = Self::default();
        for part in notes.chunk_by(|a, b| (a.tenant, a.hour) == (b.tenant, b.hour)) {
            let hour = part[0].hour;
            let micros = |used: &LastUse| used.at.signed_duration_since(hour).num_microseconds();
            parts.tenants.push(part[0].tenant.0);
            parts.hours.push(hour);
            parts.digests.push(part.iter().flat_map(|note| note.lookup_digest.to_bytes()).collect());
            parts.used_at.push(list(part.iter().map(|note| note.last_use.as_ref().and_then(micros))));
            parts.requests.push(list(part.iter().map(|note| Some(note.requests))));
            parts.denied_expired.push(unless_all_zero(part.iter().map(|note| note.denied_expired)));
            parts.denied_scope.push(unless_all_zero(part.iter().map(|note| note.denied_scope)));
            let clients = || part.chunk_by(|a, b| a.client() == b.client());
            let address = |client: Option<&LastClient>| client.and_then(|client| client.address);
            parts.addresses.push(list(clients().map(|of_one| address(of_one[0].client()))));
            parts.client_lengths.push(list(clients().map(|of_one| Some(of_one.len()))));
            parts.agents.push(clients().flat_map(|of_one| [agent(of_one[0].client()), "\n"]).collect());
        }
        parts
    }
}

/// A tab: it was not used, and by whom it was is told already. A program's own word has none in it, and no end of a line.
fn agent(client: Option<&LastClient>) -> &str {
    client.map_or("\t", |client| &client.user_agent)
}

/// With commas between them; what is not there is empty.
fn list(items: impl Iterator<Item = Option<impl Display>>) -> String {
    let mut list = String::new();
    for (n, item) in items.enumerate() {
        if n > 0 {
            list.push(',');
        }
        if let Some(item) = item {
            let _ = write!(list, "{item}");
        }
    }
    list
}

fn unless_all_zero(counts: impl Iterator<Item = i64> + Clone) -> Option<String> {
    counts.clone().any(|count| count != 0).then(|| list(counts.map(Some)))
}

/// One secret of a key, as far as its use goes.
#[derive(Clone, Debug)]
pub struct SecretUse {
    /// What may be shown of it.
    pub hint: KeyHint,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a newer one took its place.
    pub retired_at: Option<Timestamp>,
    /// When it ends, where that is before the key's end.
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// From which address.
    pub last_address: Option<IpAddr>,
    /// By which program, as that says of itself.
    pub last_user_agent: Option<String>,
}

struct SecretUseRow {
    last4: String,
    created_at: Timestamp,
    retired_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    last_address: Option<IpNet>,
    last_user_agent: Option<String>,
}

impl TryFrom<SecretUseRow> for SecretUse {
    type Error = Error;

    fn try_from(row: SecretUseRow) -> Result<Self, Error> {
        let hint = KeyHint::from_last4(&row.last4);
        Ok(Self {
            hint: hint.ok_or(Error::BadRow { table: "api_key_secrets", column: "last4" })?,
            created_at: row.created_at,
            retired_at: row.retired_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            last_address: row.last_address.map(|net| net.addr()),
            last_user_agent: row.last_user_agent.filter(|agent| !agent.is_empty()),
        })
    }
}

impl Store {
    /// Notes what secrets of any number of tenants were used for: one statement. `number` counts the
    /// batches of `writer` up, and each number is noted once, however often it is sent: tells whether this was the
    /// first time. It costs least where notes are in their order ([`UsageNote::order`]).
    pub async fn note_usage(&self, writer: Uuid, number: i64, notes: &[UsageNote]) -> Result<bool, Error> {
        let parts = Parts::of(notes);
        within!(NOTE_TIMEOUT, self.pool, |connection| sqlx::query_scalar!(
            r#"SELECT note_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS "is_news!""#,
            writer,
            number,
            &parts.tenants,
            &parts.hours,
            &parts.digests,
            &parts.used_at,
            &parts.requests,
            &parts.denied_expired as &[Option<String>],
            &parts.denied_scope as &[Option<String>],
            &parts.addresses,
            &parts.agents,
            &parts.client_lengths,
        )
        .fetch_one(connection))
    }

    /// Tenants of which something was noted before that moment, and not summed up since.
    pub async fn tenants_with_notes_before(&self, before: Timestamp) -> Result<Vec<TenantId>, Error> {
        let mut transaction = self.pool.begin().await?;
        set_usage_before(&mut transaction, before).await?;
        let tenants =
            sqlx::query_scalar!("SELECT DISTINCT tenant_id FROM api_key_usage_notes WHERE noted_at < $1", before)
                .fetch_all(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok(tenants.into_iter().map(TenantId).collect())
    }

    /// Removes a part of the hours before that one, of all tenants, and what nobody needs of writers that are gone.
    /// Tells how many rows it removed, or `None` where another instance is at it.
    pub async fn remove_usage_before(&self, before: Timestamp) -> Result<Option<u64>, Error> {
        /// Any number that is always the same.
        const LOCK: i64 = 0x7261_6c6c_7975_7367;
        const PART: i64 = 10_000;
        let mut transaction = self.pool.begin().await?;
        let is_ours = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "is_ours!""#, LOCK)
            .fetch_one(&mut *transaction)
            .await?;
        if !is_ours {
            return Ok(None);
        }
        set_usage_before(&mut transaction, before).await?;
        let removed = sqlx::query!(
            "DELETE FROM api_key_usage
             WHERE ctid = ANY (ARRAY(SELECT ctid FROM api_key_usage WHERE hour < $1 LIMIT $2))",
            before,
            PART,
        )
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        sqlx::query!("DELETE FROM usage_writers WHERE written_at < now() - interval '1 day'")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(removed))
    }
}

/// Says in a transaction what is old, so that what is older shows, whosever it is; nobody's locks are
/// worth waiting for, and a part does not take long.
async fn set_usage_before(connection: &mut PgConnection, before: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT FROM set_config('rally.usage_before', $1, true) old, set_config('lock_timeout', '1s', true) wait,
                     set_config('statement_timeout', '10s', true) answer",
        before.to_rfc3339()
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

impl TenantTransaction {
    /// What a key was used for in each part of the window in which it was.
    pub async fn usage(&mut self, key: ApiKeyId, window: &UsageWindow) -> Result<Vec<UsageBucket>, Error> {
        Ok(sqlx::query_as!(
            UsageBucket,
            r#"SELECT date_trunc($5, hour, 'UTC') AS "start!", sum(requests)::bigint AS "requests!",
                      sum(denied_expired)::bigint AS "denied_expired!", sum(denied_scope)::bigint AS "denied_scope!"
               FROM api_key_usage
               WHERE tenant_id = $1 AND key_id = $2 AND hour >= $3 AND hour < $4
               GROUP BY 1
               ORDER BY 1"#,
            self.tenant.0,
            key.0,
            window.from(),
            window.to(),
            window.interval().as_str(),
        )
        .fetch_all(&mut *self.transaction)
        .await?)
    }

    /// A key's secrets, the newest first.
    pub async fn secret_uses(&mut self, key: ApiKeyId) -> Result<Vec<SecretUse>, Error> {
        let rows = sqlx::query_as!(
            SecretUseRow,
            r#"SELECT last4, created_at, retired_at, expires_at, last_used_at, last_address AS "last_address: IpNet",
                      last_user_agent
               FROM api_key_secrets
               WHERE tenant_id = $1 AND key_id = $2
               ORDER BY created_at DESC, lookup_digest
               LIMIT 100"#,
            self.tenant.0,
            key.0,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        rows.into_iter().map(SecretUse::try_from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn what_notes_have_in_common_is_told_once() {
        let hour = |hour: i64| DateTime::from_timestamp(hour * 3_600, 0).unwrap();
        let note = |tenant: u128, at: i64, agent: Option<&str>, denied_scope: i64| UsageNote {
            tenant: TenantId(Uuid::from_u128(tenant)),
            lookup_digest: LookupDigest::NONE,
            last_use: agent.map(|agent| LastUse {
                at: hour(at) + TimeDelta::milliseconds(1_500),
                client: Arc::new(LastClient {
                    hash: u32::from(agent == "wget"),
                    address: (agent != "no address").then(|| "192.0.2.1".parse().unwrap()),
                    user_agent: agent.into(),
                }),
            }),
            hour: hour(at),
            requests: 1 + denied_scope,
            denied_expired: 0,
            denied_scope,
        };
        let mut notes = vec![
            note(2, 7, Some("curl"), 0),
            note(1, 8, Some("wget"), 0),
            note(1, 7, None, 3),
            note(1, 8, Some("curl"), 0),
            note(1, 8, Some("wget"), 0),
            note(1, 8, Some("curl"), 0),
            note(3, 7, Some("no address"), 0),
            note(3, 7, Some(""), 0),
        ];
        notes.sort_by_key(UsageNote::order);
        let parts = Parts::of(&notes);
        assert_eq!(parts.tenants, [1, 1, 2, 3].map(Uuid::from_u128));
        assert_eq!(parts.hours, [7, 8, 7, 7].map(hour));
        assert_eq!(parts.digests.iter().map(Vec::len).collect::<Vec<_>>(), [16, 64, 16, 32]);
        let used = "1500000";
        assert_eq!(parts.used_at, ["", &[used; 4].join(","), used, &[used; 2].join(",")]);
        assert_eq!(parts.requests, ["4", "1,1,1,1", "1", "1,1"]);
        assert_eq!(parts.denied_expired, [const { None }; 4]);
        assert_eq!(parts.denied_scope, [Some("3".to_owned()), None, None, None]);
        let address = "192.0.2.1";
        assert_eq!(parts.addresses, ["", &[address; 2].join(","), address, ",192.0.2.1"]);
        assert_eq!(parts.agents, ["\t\n", "curl\nwget\n", "curl\n", "no address\n\n"]);
        assert_eq!(parts.client_lengths, ["1", "2,2", "1", "1,1"]);
        assert_eq!(Parts::of(&[]), Parts::default());
    }
}
