//! The change feed: notifications (NOTIFY) that triggers send at commit, received on a connection of its own.
//!
//! PostgreSQL delivers notifications in the order of their commits. So once this instance's heartbeat has come back, every
//! change that was committed before the heartbeat was sent has been received.

use std::fmt;

use sqlx::{
    PgConnection,
    postgres::{PgListener, PgPoolOptions},
};
use uuid::Uuid;

use super::{DatabaseUrl, Error};
use crate::domain::{ApiKeyId, Slug, TenantId, Timestamp, random_bytes};

const CHANNEL: &str = "rally_changes";

/// A notification. Any role of the database can send one, so all that they do is to invalidate. Only a heartbeat renews
/// the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of a key, or of one of its secrets.
    Key(TenantId, ApiKeyId),
    /// Of a tenant.
    Tenant(TenantId, Slug),
    /// Of anything: of a whole table, or of what this version does not know.
    Anything,
    /// A heartbeat.
    Heartbeat(Heartbeat),
}

/// The content of a heartbeat: a random number, so that nobody can send it before it was sent. (Whoever listens learns it
/// then, and may send it again.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat(u128);

impl Heartbeat {
    /// One that was never sent.
    #[must_use]
    pub fn random() -> Self {
        Self(u128::from_le_bytes(*random_bytes()))
    }
}

impl fmt::Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "heartbeat {:032x}", self.0)
    }
}

impl Change {
    fn parse(payload: &str) -> Self {
        let words: Vec<&str> = payload.split(' ').collect();
        let id = |text| Uuid::try_parse(text).ok();
        let known = || match words[..] {
            ["key", tenant, key] => Some(Self::Key(TenantId(id(tenant)?), ApiKeyId(id(key)?))),
            ["tenant", tenant, slug] => Some(Self::Tenant(TenantId(id(tenant)?), Slug::parse(slug).ok()?)),
            ["heartbeat", number] => Some(Self::Heartbeat(Heartbeat(u128::from_str_radix(number, 16).ok()?))),
            _ => None,
        };
        known().unwrap_or(Self::Anything)
    }
}

/// Receives notifications.
pub struct ChangeFeed {
    listener: PgListener,
}

impl ChangeFeed {
    /// Listens. From then on, no change is missed until [`ChangeFeed::next`] fails.
    pub async fn listen(url: &DatabaseUrl) -> Result<Self, Error> {
        // A listener needs a pool. This one lends its only connection to nothing else.
        let pool = PgPoolOptions::new().max_connections(1).connect_with(url.options()).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        // An automatic reconnect would miss changes without an error.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Self { listener })
    }

    /// The next change. After an error or `None` changes may be missed: drop the feed. Not cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Change>, Error> {
        Ok(self.listener.try_recv().await?.map(|notification| Change::parse(notification.payload())))
    }
}

/// Sends heartbeats.
pub struct HeartbeatSender {
    connection: PgConnection,
}

impl HeartbeatSender {
    /// Connects.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, Error> {
        Ok(Self { connection: url.connect().await? })
    }

    /// Sends a heartbeat. Returns the time by the database's clock.
    pub async fn send(&mut self, heartbeat: Heartbeat) -> Result<Timestamp, Error> {
        Ok(sqlx::query_scalar("SELECT pg_catalog.clock_timestamp() FROM pg_catalog.pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(heartbeat.to_string())
            .fetch_one(&mut self.connection)
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_payload_is_parsed_as_its_change() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(Change::parse(&format!("key {a} {b}")), Change::Key(TenantId(a), ApiKeyId(b)));
        let acme = Slug::parse("acme").unwrap();
        assert_eq!(Change::parse(&format!("tenant {a} acme")), Change::Tenant(TenantId(a), acme));
        let heartbeat = Heartbeat::random();
        assert_eq!(Change::parse(&heartbeat.to_string()), Change::Heartbeat(heartbeat));
        for unknown in ["", "all", "key", "key x y", "tenant 1 2", "heartbeat", "heartbeat z 1", "rotate the key"] {
            assert_eq!(Change::parse(unknown), Change::Anything, "{unknown:?}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_is_parsed_without_panic(payload in any::<String>()) {
            let _ = Change::parse(&payload);
        }
    }
}
