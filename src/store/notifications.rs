//! The change feed: notifications (NOTIFY) that triggers send at commit, and those of instances to one another, received on
//! a connection of its own.
//!
//! PostgreSQL delivers the notifications of all channels in the order of their commits. So once a message that this
//! instance sent has come back, every change that was committed before it was sent has been received.

use sqlx::{
    Executor as _, PgConnection,
    postgres::{PgListener, PgPoolOptions},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{DatabaseUrl, Error, ServerIdentity};
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
    server: ServerIdentity,
}

impl ChangeFeed {
    /// Listens. From then on, no notification is missed until [`ChangeFeed::next`] fails.
    pub async fn listen(url: &DatabaseUrl) -> Result<Self, Error> {
        // A listener needs a pool. This one lends its only connection to nothing else.
        let pool = PgPoolOptions::new().max_connections(1).connect_with(url.options()).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        // An automatic reconnect would miss changes without an error.
        listener.eager_reconnect(false);
        listener.execute(NO_IDLE_TIMEOUT).await?;
        listener.listen_all([CHANGES, INSTANCES]).await?;
        let server = sqlx::query_scalar("SELECT public.server_identity()").fetch_one(&mut listener).await?;
        // A standby has refused the LISTEN.
        let server = ServerIdentity::parse(server).ok_or_else(standby)?;
        Ok(Self { listener, server })
    }

    /// The server that the feed is of, as long as the connection lasts.
    #[must_use]
    pub const fn server(&self) -> &ServerIdentity {
        &self.server
    }

    /// The next notification. After an error or `None` some may be missed: drop the feed. Not cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Notification>, Error> {
        Ok(self.listener.try_recv().await?.map(|notification| match notification.channel() {
            INSTANCES => Notification::Message(notification.payload().to_owned()),
            _ => Notification::Change(Change::parse(notification.payload())),
        }))
    }
}

/// A server that ends idle sessions must not end one that listens.
const NO_IDLE_TIMEOUT: &str = "SET idle_session_timeout = 0";

/// Waits until the commit is durable, on the synchronous standbys too, if there are any.
const DURABLE_COMMIT: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)
     WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')";

/// A commit with a notification that waits for a synchronous standby holds a lock that all others need. Without a limit, each
/// instance would leave one more session that waits for it, at each attempt. Not less than a heartbeat may take.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '5s'";

fn standby() -> Error {
    Error::Unavailable(sqlx::Error::Protocol("the server is a standby, which takes no writes".into()))
}

pub(super) fn read_only() -> Error {
    let error = "the server is a standby or read-only (default_transaction_read_only), and takes no writes";
    Error::Unavailable(sqlx::Error::Protocol(error.into()))
}

/// Sends messages to all instances, this one included.
pub struct MessageSender {
    connection: PgConnection,
}

/// Messages that were sent: the commit has returned.
#[derive(Clone, Debug)]
pub struct Sent {
    /// By the database's clock.
    pub time: Timestamp,
    /// That committed them.
    pub server: ServerIdentity,
    /// The place in the write-ahead log of what was written, which is durable. `None`: nothing was.
    pub position: Option<i64>,
}

impl MessageSender {
    /// Connects.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, Error> {
        let mut connection = url.connect().await?;
        connection.execute(NO_IDLE_TIMEOUT).await?;
        connection.execute(DURABLE_COMMIT).await?;
        connection.execute(LOCK_TIMEOUT).await?;
        Ok(Self { connection })
    }

    /// The secret that instances share, and no role but the service's reads.
    pub async fn shared_secret(&mut self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let secret = sqlx::query_scalar("SELECT secret FROM public.instance_secrets").fetch_one(&mut self.connection);
        Ok(Zeroizing::new(secret.await?))
    }

    /// Sends messages, in their order and in one transaction. With `is_proof`, it also writes to the write-ahead log, so
    /// that the success proves a primary that takes writes: a transaction that only notifies works in a read-only session,
    /// and waits for no standby. Fails on a server that takes no writes, though the messages may have been sent.
    pub async fn send(&mut self, messages: &[String], is_proof: bool) -> Result<Sent, Error> {
        let (time, server, takes_writes, position) =
            sqlx::query_as::<_, (Timestamp, Option<String>, bool, Option<i64>)>(
                "SELECT pg_catalog.clock_timestamp(), public.server_identity(),
                    pg_catalog.current_setting('transaction_read_only') = 'off',
                    pg_catalog.pg_wal_lsn_diff(written.position, '0/0')::pg_catalog.int8
             FROM (SELECT pg_catalog.count(pg_catalog.pg_notify($1, message)::pg_catalog.text)
                   FROM pg_catalog.unnest($2::pg_catalog.text[]) message) sent,
                  (SELECT CASE WHEN $3 THEN pg_catalog.pg_logical_emit_message(true, 'rally-api-keys', '') END
                       AS position) written",
            )
            .bind(INSTANCES)
            .bind(messages)
            .bind(is_proof)
            .fetch_one(&mut self.connection)
            .await?;
        let server = ServerIdentity::parse(server).ok_or_else(standby)?;
        if !takes_writes {
            return Err(read_only());
        }
        Ok(Sent { time, server, position })
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
