//! The audit trail's rows, written in the transaction of what they tell.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Error, Page, Store, TenantStore, TenantTransaction};
use crate::domain::{ApiKeyId, ChainedEvent, Event, EventKind, KeyHint, LookupDigest, NewEvent, TenantId, Timestamp};

/// Somebody used a secret that works no more.
#[derive(Clone, Debug)]
pub struct SecretReuse {
    /// Whose secret it was.
    pub tenant: TenantId,
    /// Which key's.
    pub key: ApiKeyId,
    /// Which one.
    pub lookup_digest: LookupDigest,
    /// What may be shown of it.
    pub hint: KeyHint,
    /// When it was used.
    pub at: Timestamp,
    /// From which address.
    pub address: Option<IpAddr>,
    /// In which request.
    pub request_id: String,
}

/// An entry of the chain as it is found.
#[derive(Clone, Debug)]
pub struct Link {
    /// What it says.
    pub event: ChainedEvent,
    /// The hash that stands beside it.
    pub hash: Vec<u8>,
}

/// The end of a tenant's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The last entry's number; 0 where there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// Which entries are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// About this key.
    pub key: Option<ApiKeyId>,
}

struct EventRow {
    id: Uuid,
    key_id: Uuid,
    kind: String,
    occurred_at: Timestamp,
    actor: Option<String>,
    address: Option<IpNet>,
    request_id: String,
    details: Value,
}

impl TryFrom<EventRow> for Event {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self, Error> {
        let bad_kind = Error::BadRow { table: "api_key_events", column: "kind" };
        Ok(Self {
            id: row.id,
            key_id: ApiKeyId(row.key_id),
            kind: EventKind::from_name(&row.kind).ok_or(bad_kind)?,
            occurred_at: row.occurred_at,
            actor: row.actor,
            address: row.address.map(|net| net.addr()),
            request_id: row.request_id,
            details: row.details,
        })
    }
}

const BAD_HEAD: Error = Error::BadRow { table: "api_key_event_heads", column: "hash" };

struct LinkRow {
    id: Uuid,
    key_id: Uuid,
    kind: String,
    occurred_at: Timestamp,
    actor: Option<String>,
    address: Option<IpNet>,
    request_id: String,
    details: Value,
    seq: i64,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl LinkRow {
    fn into_link(self, tenant: TenantId) -> Result<Link, Error> {
        let Self { id, key_id, kind, occurred_at, actor, address, request_id, details, .. } = self;
        let bad_hash = Error::BadRow { table: "api_key_events", column: "previous_hash" };
        let previous_hash = self.previous_hash.try_into().map_err(|_| bad_hash)?;
        let event = EventRow { id, key_id, kind, occurred_at, actor, address, request_id, details }.try_into()?;
        Ok(Link { event: ChainedEvent { tenant, seq: self.seq, previous_hash, event }, hash: self.hash })
    }
}

impl Store {
    /// Appends an event that a dead secret was used, unless one told so of it within the last hour.
    pub async fn record_reuse(&self, reuse: &SecretReuse) -> Result<(), Error> {
        let mut transaction = TenantStore { store: self.clone(), tenant: reuse.tenant }.begin().await?;
        let is_news = sqlx::query!(
            "UPDATE api_key_secrets
             SET reuse_noted_at = $3
             WHERE tenant_id = $1 AND lookup_digest = $2
               AND (reuse_noted_at IS NULL OR reuse_noted_at <= $3::timestamptz - interval '1 hour')",
            reuse.tenant.0,
            reuse.lookup_digest.as_bytes(),
            reuse.at,
        )
        .execute(&mut *transaction.transaction)
        .await?
        .rows_affected();
        if is_news > 0 {
            let event = NewEvent::anonymous(EventKind::SecretReused, reuse.key, reuse.at)
                .with_request(reuse.address, &reuse.request_id)
                .with_details(json!({"keyHint": reuse.hint.to_string()}));
            transaction.record(&event).await?;
        }
        transaction.commit().await
    }
}

impl TenantTransaction {
    /// Appends an event to the tenant's chain, whose end is this transaction's until it commits:
    /// so this comes last.
    pub async fn record(&mut self, new: &NewEvent) -> Result<(), Error> {
        let head = self.lock_chain().await?;
        let chained = ChainedEvent {
            tenant: self.tenant,
            seq: head.seq + 1,
            previous_hash: head.hash.try_into().map_err(|_| BAD_HEAD)?,
            event: Event {
                id: Uuid::now_v7(),
                key_id: new.key_id,
                kind: new.kind,
                occurred_at: new.occurred_at,
                actor: new.actor.clone(),
                address: new.address,
                request_id: new.request_id.clone(),
                details: new.details.clone(),
            },
        };
        let hash = chained.hash().map_err(|_| Error::BadRow { table: "api_key_events", column: "details" })?;
        sqlx::query!(
            "WITH head AS (UPDATE api_key_event_heads SET seq = $10, hash = $12 WHERE tenant_id = $1)
             INSERT INTO api_key_events
                 (tenant_id, id, key_id, kind, occurred_at, actor, address, request_id, details,
                  seq, previous_hash, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            self.tenant.0,
            chained.event.id,
            new.key_id.0,
            new.kind.as_str(),
            new.occurred_at,
            new.actor,
            new.address.map(IpNet::from) as Option<IpNet>,
            new.request_id,
            new.details,
            chained.seq,
            &chained.previous_hash[..],
            &hash[..],
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn lock_chain(&mut self) -> Result<ChainHead, Error> {
        Ok(sqlx::query_as!(
            ChainHead,
            "SELECT seq, hash FROM api_key_event_heads WHERE tenant_id = $1 FOR NO KEY UPDATE",
            self.tenant.0,
        )
        .fetch_one(&mut *self.transaction)
        .await?)
    }

    /// The end of the tenant's chain.
    pub async fn chain_head(&mut self) -> Result<ChainHead, Error> {
        Ok(sqlx::query_as!(ChainHead, "SELECT seq, hash FROM api_key_event_heads WHERE tenant_id = $1", self.tenant.0)
            .fetch_one(&mut *self.transaction)
            .await?)
    }

    /// The tenant's chain, the oldest first, from behind that number on.
    pub async fn chain(&mut self, after: i64, limit: i64) -> Result<Vec<Link>, Error> {
        let rows = sqlx::query_as!(
            LinkRow,
            r#"SELECT id, key_id, kind, occurred_at, actor, address AS "address: IpNet", request_id, details,
                      seq, previous_hash, hash
               FROM api_key_events
               WHERE tenant_id = $1 AND seq > $2
               ORDER BY seq
               LIMIT $3"#,
            self.tenant.0,
            after,
            limit,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        rows.into_iter().map(|row| row.into_link(self.tenant)).collect()
    }

    /// The tenant's events, newest first.
    pub async fn events(&mut self, filter: EventFilter, page: Page) -> Result<Vec<Event>, Error> {
        sqlx::query_as!(
            EventRow,
            r#"SELECT id, key_id, kind, occurred_at, actor, address AS "address: IpNet", request_id, details
               FROM api_key_events
               WHERE tenant_id = $1
                 AND ($2::uuid IS NULL OR key_id = $2)
                 AND ($3::text IS NULL OR kind = $3)
                 AND ($4::timestamptz IS NULL OR (occurred_at, id) < ($4, $5))
               ORDER BY occurred_at DESC, id DESC
               LIMIT $6"#,
            self.tenant.0,
            filter.key.map(|key| key.0),
            filter.kind.map(EventKind::as_str),
            page.after.map(|after| after.at),
            page.after.map(|after| after.id),
            page.limit,
        )
        .fetch_all(&mut *self.transaction)
        .await?
        .into_iter()
        .map(Event::try_from)
        .collect()
    }

    /// How many events the filter shows, over all pages.
    pub async fn count_events(&mut self, filter: EventFilter) -> Result<i64, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!"
               FROM api_key_events
               WHERE tenant_id = $1
                 AND ($2::uuid IS NULL OR key_id = $2)
                 AND ($3::text IS NULL OR kind = $3)"#,
            self.tenant.0,
            filter.key.map(|key| key.0),
            filter.kind.map(EventKind::as_str),
        )
        .fetch_one(&mut *self.transaction)
        .await?)
    }
}
