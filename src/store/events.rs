//! The audit trail's rows, written in the transaction of what they tell.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use uuid::Uuid;

use super::{Error, Page, TenantTransaction};
use crate::domain::{ApiKeyId, EventKind, NewEvent, Timestamp};

/// An entry of the audit trail.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its own id.
    pub id: Uuid,
    /// Which key it is about.
    pub key_id: ApiKeyId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub occurred_at: Timestamp,
    /// Who did it.
    pub actor: Option<String>,
    /// From which address.
    pub address: Option<IpAddr>,
    /// In which request.
    pub request_id: String,
    /// What changed.
    pub details: Value,
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

impl TenantTransaction {
    /// Appends an event.
    pub async fn record(&mut self, event: &NewEvent) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO api_key_events
                 (tenant_id, id, key_id, kind, occurred_at, actor, address, request_id, details)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.tenant.0,
            Uuid::now_v7(),
            event.key_id.0,
            event.kind.as_str(),
            event.occurred_at,
            event.actor,
            event.address.map(IpNet::from) as Option<IpNet>,
            event.request_id,
            event.details,
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
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
