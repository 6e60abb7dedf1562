//! The change feed: notifications (NOTIFY) that triggers send at commit, and those of instances to one another, received on
//! a connection of its own.
//!
//! PostgreSQL delivers the notifications of all channels in the order of their commits. So once a message that this
//! instance sent has come back, every change that was committed before it was sent has been received.

use sqlx::{
    PgConnection,
    postgres::{PgListener, PgPoolOptions},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{DatabaseUrl, Error};
use crate::domain::{ApiKeyId, Slug, TenantId, Timestamp};

/// Of changes.
const CHANGES: &str = "rally_changes";
/// Of what instances tell one another.
const INSTANCES: &str = "rally_instances";

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// Of a change.
    Change(Change),
    /// A message of an instance.
    Message(String),
}

/// Of a change. Any role of the database can send one, so all that they do is to invalidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of a key, or of one of its secrets.
    Key(TenantId, ApiKeyId),
    /// Of a tenant.
    Tenant(TenantId, Slug),
    /// Of anything: of a whole table, or of what this version does not know.
    Anything,
}

impl Change {
    fn parse(payload: &str) -> Self {
        let words: Vec<&str> = payload.split(' ').collect();
        let id = |text| Uuid::try_parse(text).ok();
        let known = || match words[..] {
            ["key", tenant, key] => Some(Self::Key(TenantId(id(tenant)?), ApiKeyId(id(key)?))),
            ["tenant", tenant, slug] => Some(Self::Tenant(TenantId(id(tenant)?), Slug::parse(slug).ok()?)),
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
    /// Listens. From then on, no notification is missed until [`ChangeFeed::next`] fails.
    pub async fn listen(url: &DatabaseUrl) -> Result<Self, Error> {
        // A listener needs a pool. This one lends its only connection to nothing else.
        let pool = PgPoolOptions::new().max_connections(1).connect_with(url.options()).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        // An automatic reconnect would miss changes without an error.
        listener.eager_reconnect(false);
        listener.listen_all([CHANGES, INSTANCES]).await?;
        Ok(Self { listener })
    }

    /// The next notification. After an error or `None` some may be missed: drop the feed. Not cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Notification>, Error> {
        Ok(self.listener.try_recv().await?.map(|notification| match notification.channel() {
            INSTANCES => Notification::Message(notification.payload().to_owned()),
            _ => Notification::Change(Change::parse(notification.payload())),
        }))
    }
}

/// Sends messages to all instances, this one included.
pub struct MessageSender {
    connection: PgConnection,
}

impl MessageSender {
    /// Connects.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, Error> {
        Ok(Self { connection: url.connect().await? })
    }

    /// The secret that instances share, and no role but the service's reads.
    pub async fn shared_secret(&mut self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let secret = sqlx::query_scalar("SELECT secret FROM public.instance_secrets").fetch_one(&mut self.connection);
        Ok(Zeroizing::new(secret.await?))
    }

    /// Sends messages, in their order and in one transaction. Returns the time by the database's clock.
    pub async fn send(&mut self, messages: &[String]) -> Result<Timestamp, Error> {
        Ok(sqlx::query_scalar(
            "SELECT pg_catalog.clock_timestamp()
             FROM (SELECT pg_catalog.count(pg_catalog.pg_notify($1, message)::pg_catalog.text)
                   FROM pg_catalog.unnest($2::pg_catalog.text[]) message) sent",
        )
        .bind(INSTANCES)
        .bind(messages)
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
        for unknown in ["", "all", "key", "key x y", "tenant 1 2", "beat", "rotate the key"] {
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
