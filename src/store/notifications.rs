//! The change feed: PostgreSQL's NOTIFY, sent by triggers at commit, received on a connection
//! of its own.
//!
//! PostgreSQL delivers notifications in the order of their commits. So when a heartbeat of our
//! own has come back, every change that was committed before it was sent has come too.

use std::fmt;

use sqlx::{
    PgConnection,
    postgres::{PgListener, PgPoolOptions},
};
use uuid::Uuid;

use super::{DatabaseUrl, Error};
use crate::domain::{ApiKeyId, Slug, TenantId};

const CHANNEL: &str = "rally_changes";

/// What the feed tells. Anybody in the database can send any of them, so they only ever take
/// trust away; a heartbeat gives it, and carries a number that its sender alone knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key, or one of its secrets.
    Key(TenantId, ApiKeyId),
    /// A tenant.
    Tenant(TenantId, Slug),
    /// Anything, or something that this version does not know.
    Anything,
    /// A heartbeat.
    Beat(Beat),
}

/// A heartbeat: random for its sender, and counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Drawn by each sender for each connection.
    pub nonce: u128,
    /// Which one of that sender's.
    pub number: u64,
}

impl fmt::Display for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "beat {:032x} {}", self.nonce, self.number)
    }
}

impl Change {
    fn parse(payload: &str) -> Self {
        let mut words = payload.split(' ');
        let known = || {
            let kind = words.next()?;
            let (first, second) = (words.next()?, words.next()?);
            let id = |text| Uuid::try_parse(text).ok();
            Some(match kind {
                "key" => Self::Key(TenantId(id(first)?), ApiKeyId(id(second)?)),
                "tenant" => Self::Tenant(TenantId(id(first)?), Slug::parse(second).ok()?),
                "beat" => {
                    Self::Beat(Beat { nonce: u128::from_str_radix(first, 16).ok()?, number: second.parse().ok()? })
                }
                _ => return None,
            })
        };
        let mut known = known;
        known().unwrap_or(Self::Anything)
    }
}

/// The receiving end.
pub struct ChangeFeed {
    listener: PgListener,
}

impl ChangeFeed {
    /// Listens. From here on, no change is missed until [`ChangeFeed::next`] fails.
    pub async fn listen(url: &DatabaseUrl) -> Result<Self, Error> {
        // A pool of one for this one connection: it is never lent to anything else.
        let pool = PgPoolOptions::new().max_connections(1).connect_with(url.options()).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        // Else a lost connection would be made again behind our back, and changes be missed.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Self { listener })
    }

    /// The next change. After an error, or `None`, the feed is over and changes may be missed:
    /// drop it. Not to be dropped half-way and called again.
    pub async fn next(&mut self) -> Result<Option<Change>, Error> {
        Ok(self.listener.try_recv().await?.map(|notification| Change::parse(notification.payload())))
    }
}

/// The sending end of heartbeats.
pub struct Heart {
    connection: PgConnection,
}

impl Heart {
    /// Connects.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, Error> {
        Ok(Self { connection: url.connect().await? })
    }

    /// Sends one.
    pub async fn beat(&mut self, beat: Beat) -> Result<(), Error> {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(beat.to_string())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn payloads_are_read() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(Change::parse(&format!("key {a} {b}")), Change::Key(TenantId(a), ApiKeyId(b)));
        let acme = Slug::parse("acme").unwrap();
        assert_eq!(Change::parse(&format!("tenant {a} acme")), Change::Tenant(TenantId(a), acme));
        let beat = Beat { nonce: u128::MAX - 7, number: 9 };
        assert_eq!(Change::parse(&beat.to_string()), Change::Beat(beat));
        for unknown in ["", "all", "key", "key x y", "tenant 1 2", "beat", "beat z 1", "rotate the key"] {
            assert_eq!(Change::parse(unknown), Change::Anything, "{unknown:?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in any::<String>()) {
            let _ = Change::parse(&payload);
        }
    }
}
