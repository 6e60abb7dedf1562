//! The audit trail. An event is appended in the transaction of the change that it describes.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ChainHead, Error, LeakStore, Listed, MAX_COUNTED, Page, Position, ReadTx, TenantStore, UsageStore, WriteTx,
    transaction::TenantTransaction,
};
use crate::domain::{
    ApiKeyId, ChainedEvent, Event, EventKind, KeyHint, LookupDigest, NewEvent, Revision, TenantId, Timestamp,
};

/// An event about a secret: its use after its end, the use of a decoy, or its exposure over plain HTTP.
#[derive(Clone, Debug)]
pub struct SecretAlert {
    /// What happened.
    pub kind: SecretAlertKind,
    /// The secret.
    pub lookup_digest: LookupDigest,
    /// Shown to users.
    pub hint: KeyHint,
    /// When it was used.
    pub at: Timestamp,
    /// The client's address, as far as trusted proxies tell it.
    pub address: Option<IpAddr>,
    /// The id of the request.
    pub request_id: String,
}

/// What happened to a secret.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are what their types say")]
pub enum SecretAlertKind {
    /// It was used after its end, or after its key was revoked.
    Reused { tenant: TenantId, key: ApiKeyId },
    /// It was used, and its key is a decoy.
    DecoyUsed { tenant: TenantId, key: ApiKeyId, user_agent: Option<Box<str>> },
    /// It came over plain HTTP. It may be of any tenant, or of none.
    Exposed { user_agent: Option<Box<str>> },
}

/// A stored event of the chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// The event.
    pub event: ChainedEvent,
    /// The stored hash. It differs from the event's own if the event was tampered with.
    pub hash: Vec<u8>,
}

/// The events of a list.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Events of this key.
    pub key: Option<ApiKeyId>,
    /// Events of these kinds.
    pub kinds: Option<Vec<EventKind>>,
    /// Events of this actor.
    pub actor: Option<String>,
    /// Events at this time or later.
    pub since: Option<Timestamp>,
    /// Events before this time.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// No index serves these filters, so that a count reads every event.
    const fn is_searched(&self) -> bool {
        self.kinds.is_some() || self.actor.is_some() || self.since.is_some() || self.until.is_some()
    }
}

struct EventRow {
    id: Uuid,
    key_id: Option<Uuid>,
    kind: String,
    occurred_at: Timestamp,
    actor: Option<String>,
    address: Option<IpNet>,
    request_id: String,
    details: Value,
    /// Events of all pages, where they were counted.
    total: Option<i64>,
}

impl TryFrom<EventRow> for Event {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self, Error> {
        let bad_kind = Error::BadRow { table: "api_key_events", column: "kind" };
        Ok(Self {
            id: row.id,
            key_id: row.key_id.map(ApiKeyId),
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
    key_id: Option<Uuid>,
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
        let event =
            EventRow { id, key_id, kind, occurred_at, actor, address, request_id, details, total: None }.try_into()?;
        Ok(Link { event: ChainedEvent { tenant, seq: self.seq, previous_hash, event }, hash: self.hash })
    }
}

impl UsageStore {
    /// Appends an event. Of ended and exposed secrets: unless there was one within the last hour.
    pub async fn record_alert(&self, alert: &SecretAlert) -> Result<(), Error> {
        match &alert.kind {
            SecretAlertKind::Reused { tenant, key } => self.record_reuse(alert, *tenant, *key).await,
            SecretAlertKind::DecoyUsed { tenant, key, user_agent } => {
                let transaction = self.tenant_stores.tenant(*tenant).begin_write().await?;
                let details = json!({"keyHint": alert.hint.to_string(), "userAgent": user_agent});
                transaction.commit_with(&alert.event(EventKind::DecoyUsed, *key, details)).await.map(drop)
            }
            SecretAlertKind::Exposed { user_agent } => self.record_exposure(alert, user_agent.as_deref()).await,
        }
    }

    async fn record_reuse(&self, alert: &SecretAlert, tenant: TenantId, key: ApiKeyId) -> Result<(), Error> {
        let mut transaction = self.tenant_stores.tenant(tenant).begin_write().await?;
        // Before the secret, as a rotation does, which ends the previous secret after it has locked the end of the trail.
        transaction.lock_trail().await?;
        // By the database's clock: other instances, with clocks of their own, record uses of this secret too.
        let is_first = sqlx::query!(
            "UPDATE public.api_key_secrets
             SET reuse_recorded_at = now()
             WHERE tenant_id = $1 AND lookup_digest = $2
               AND (reuse_recorded_at IS NULL OR reuse_recorded_at <= now() - interval '1 hour')",
            tenant.0,
            alert.lookup_digest.as_bytes(),
        )
        .execute(transaction.transaction.session())
        .await?
        .rows_affected()
            > 0;
        if !is_first {
            return Ok(());
        }
        let details = json!({"keyHint": alert.hint.to_string()});
        transaction.commit_with(&alert.event(EventKind::SecretReused, key, details)).await.map(drop)
    }

    /// Does nothing if the secret is not one of a key.
    async fn record_exposure(&self, alert: &SecretAlert, user_agent: Option<&str>) -> Result<(), Error> {
        let leaks = LeakStore { tenant_stores: self.tenant_stores.clone() };
        for found in leaks.find(&[alert.lookup_digest]).await? {
            let mut transaction = leaks.tenant(found.tenant).begin_write().await?;
            // As in `record_reuse`.
            transaction.lock_trail().await?;
            let is_first = sqlx::query!(
                "UPDATE public.api_key_secrets
                 SET exposure_recorded_at = now()
                 WHERE tenant_id = $1 AND lookup_digest = $2
                   AND (exposure_recorded_at IS NULL OR exposure_recorded_at <= now() - interval '1 hour')",
                found.tenant.0,
                alert.lookup_digest.as_bytes(),
            )
            .execute(transaction.transaction.session())
            .await?
            .rows_affected()
                > 0;
            if is_first {
                let details = json!({"keyHint": alert.hint.to_string(), "userAgent": user_agent});
                transaction.commit_with(&alert.event(EventKind::Exposed, found.key, details)).await?;
            }
        }
        Ok(())
    }
}

impl SecretAlert {
    fn event(&self, kind: EventKind, key: ApiKeyId, details: Value) -> NewEvent {
        NewEvent::anonymous(kind, key, self.at).with_request(self.address, &self.request_id).with_details(details)
    }
}

/// The events as the next ones of the chain.
fn link(tenant: TenantId, head: &ChainHead, events: &[NewEvent]) -> Result<Vec<Link>, Error> {
    let (mut seq, mut previous_hash) = (head.seq, <[u8; 32]>::try_from(&*head.hash).map_err(|_| BAD_HEAD)?);
    let links = events.iter().map(|new| {
        seq += 1;
        let event = Event {
            id: Uuid::now_v7(),
            key_id: new.key_id,
            kind: new.kind,
            occurred_at: new.occurred_at,
            actor: new.actor.clone(),
            address: new.address,
            request_id: new.request_id.clone(),
            details: new.details.clone(),
        };
        let event = ChainedEvent { tenant, seq, previous_hash, event };
        previous_hash = event.hash().map_err(|_| Error::BadRow { table: "api_key_events", column: "details" })?;
        Ok(Link { event, hash: previous_hash.to_vec() })
    });
    links.collect()
}

impl WriteTx {
    /// Appends events to the tenant's chain, whose end stays locked until the commit. One statement. Returns the last
    /// one's revision, if there is any.
    pub(super) async fn append(&mut self, events: &[NewEvent]) -> Result<Option<Revision>, Error> {
        let head = match self.chain_head.take() {
            Some(head) => head,
            None => self.lock_chain_head().await?,
        };
        let links = link(self.tenant, &head, events)?;
        let Some(last) = links.last() else { return Ok(None) };
        let rows = || links.iter().map(|link| &link.event);
        let events = || rows().map(|chained| &chained.event);
        let ids: Vec<_> = events().map(|event| event.id).collect();
        let keys: Vec<_> = events().map(|event| event.key_id.map(|key| key.0)).collect();
        let kinds: Vec<_> = events().map(|event| event.kind.as_str()).collect();
        let times: Vec<_> = events().map(|event| event.occurred_at).collect();
        let actors: Vec<_> = events().map(|event| event.actor.as_deref()).collect();
        let addresses: Vec<_> = events().map(|event| event.address.map(IpNet::from)).collect();
        let request_ids: Vec<_> = events().map(|event| event.request_id.as_str()).collect();
        let details: Vec<_> = events().map(|event| event.details.clone()).collect();
        let numbers: Vec<_> = rows().map(|chained| chained.seq).collect();
        let previous_hashes: Vec<_> = rows().map(|chained| chained.previous_hash.as_slice()).collect();
        let hashes: Vec<_> = links.iter().map(|link| link.hash.as_slice()).collect();
        sqlx::query!(
            "WITH head AS (UPDATE public.api_key_event_heads SET seq = $2, hash = $3 WHERE tenant_id = $1)
             INSERT INTO public.api_key_events
                 (tenant_id, id, key_id, kind, occurred_at, actor, address, request_id, details,
                  seq, previous_hash, hash)
             SELECT $1, e.*
             FROM unnest($4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[], $8::text[], $9::inet[], $10::text[],
                         $11::jsonb[], $12::bigint[], $13::bytea[], $14::bytea[]) e",
            self.tenant.0,
            last.event.seq,
            &last.hash[..],
            &ids,
            &keys as &[Option<Uuid>],
            &kinds as &[&str],
            &times,
            &actors as &[Option<&str>],
            &addresses as &[Option<IpNet>],
            &request_ids as &[&str],
            &details,
            &numbers,
            &previous_hashes as &[&[u8]],
            &hashes as &[&[u8]],
        )
        .execute(self.transaction.session())
        .await?;
        Ok(Some(Revision(last.event.event.id)))
    }

    /// The tenant's newest revision, which contains every change that this transaction sees. Ends the transaction, which
    /// has changed nothing. `None`: the audit trail is empty.
    pub async fn newest_revision(mut self) -> Result<Option<Revision>, Error> {
        newest_revision(&mut self.transaction, self.tenant).await
    }

    /// Locks the end of the chain, to which the transaction then appends.
    pub(super) async fn lock_trail(&mut self) -> Result<(), Error> {
        if self.chain_head.is_none() {
            self.chain_head = Some(self.lock_chain_head().await?);
        }
        Ok(())
    }

    async fn lock_chain_head(&mut self) -> Result<ChainHead, Error> {
        Ok(sqlx::query_as!(
            ChainHead,
            "SELECT seq, hash FROM public.api_key_event_heads WHERE tenant_id = $1 FOR NO KEY UPDATE",
            self.tenant.0,
        )
        .fetch_one(self.transaction.session())
        .await?)
    }
}

async fn newest_revision(transaction: &mut TenantTransaction, tenant: TenantId) -> Result<Option<Revision>, Error> {
    let revision = sqlx::query_scalar!(
        "SELECT id FROM public.api_key_events WHERE tenant_id = $1 AND kind <> 'receipt' ORDER BY seq DESC LIMIT 1",
        tenant.0,
    );
    Ok(revision.fetch_optional(transaction.session()).await?.map(Revision))
}

async fn receipt_details(
    transaction: &mut TenantTransaction,
    tenant: TenantId,
    revision: Revision,
) -> Result<Option<Value>, Error> {
    Ok(sqlx::query_scalar!(
        "SELECT details
         FROM public.api_key_events
         WHERE tenant_id = $1 AND kind = 'receipt' AND details ->> 'revision' = $2
         LIMIT 1",
        tenant.0,
        revision.to_string(),
    )
    .fetch_optional(transaction.session())
    .await?)
}

impl TenantStore {
    /// Appends the event of a receipt, unless the revision has one.
    pub async fn append_receipt(&self, revision: Revision, receipt: &NewEvent) -> Result<(), Error> {
        let mut transaction = self.begin_write().await?;
        transaction.lock_trail().await?;
        let tenant = transaction.tenant;
        if receipt_details(&mut transaction.transaction, tenant, revision).await?.is_some() {
            return transaction.rollback().await;
        }
        transaction.commit_with(receipt).await.map(drop)
    }
}

impl ReadTx {
    /// The tenant's newest revision, which contains every change that this transaction sees. Receipts, which change nothing,
    /// do not count. `None`: the audit trail is empty.
    pub async fn newest_revision(&mut self) -> Result<Option<Revision>, Error> {
        newest_revision(&mut self.transaction, self.tenant).await
    }

    /// Whether the tenant has that revision.
    pub async fn revision_exists(&mut self, revision: Revision) -> Result<bool, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM public.api_key_events WHERE tenant_id = $1 AND id = $2) AS "exists!""#,
            self.tenant.0,
            revision.0,
        )
        .fetch_one(self.transaction.session())
        .await?)
    }

    /// The details of the event that keeps the receipt of a revision.
    pub async fn receipt_details(&mut self, revision: Revision) -> Result<Option<Value>, Error> {
        receipt_details(&mut self.transaction, self.tenant, revision).await
    }

    /// The end of the tenant's chain.
    pub async fn chain_head(&mut self) -> Result<ChainHead, Error> {
        Ok(sqlx::query_as!(
            ChainHead,
            "SELECT seq, hash FROM public.api_key_event_heads WHERE tenant_id = $1",
            self.tenant.0
        )
        .fetch_one(self.transaction.session())
        .await?)
    }

    /// The tenant's chain after the event of number `after`, the oldest event first.
    pub async fn chain(&mut self, after: i64, limit: i64) -> Result<Vec<Link>, Error> {
        let rows = sqlx::query_as!(
            LinkRow,
            r#"SELECT id, key_id, kind, occurred_at, actor, address AS "address: IpNet", request_id, details,
                      seq, previous_hash, hash
               FROM public.api_key_events
               WHERE tenant_id = $1 AND seq > $2
               ORDER BY seq
               LIMIT $3"#,
            self.tenant.0,
            after,
            limit,
        )
        .fetch_all(self.transaction.session())
        .await?;
        rows.into_iter().map(|row| row.into_link(self.tenant)).collect()
    }

    /// The tenant's events, newest first. The total is `None` if more than [`MAX_COUNTED`] match a filter other than the key.
    pub async fn events(&mut self, filter: &EventFilter, page: &Page) -> Result<Listed<Event>, Error> {
        let rows = self.event_rows(filter, page).await?;
        let counted = match rows.first() {
            Some(row) => row.total,
            // A page after the last one: the first page has the total.
            None if page.counted && page.after.is_some() => self
                .event_rows(filter, &Page { limit: Some(1), after: None, counted: true })
                .await?
                .first()
                .and_then(|row| row.total),
            None => None,
        };
        let items = rows.into_iter().map(Event::try_from).collect::<Result<_, _>>()?;
        let total = Some(counted.unwrap_or(0)).filter(|total| !filter.is_searched() || *total <= MAX_COUNTED);
        Ok(Listed { items, total })
    }

    async fn event_rows(&mut self, filter: &EventFilter, page: &Page) -> Result<Vec<EventRow>, Error> {
        let kinds: Option<Vec<String>> =
            filter.kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.as_str().to_owned()).collect());
        Ok(sqlx::query_as!(
            EventRow,
            r#"WITH matching AS NOT MATERIALIZED (
                   SELECT *
                   FROM public.api_key_events
                   WHERE tenant_id = $1
                     AND ($2::uuid IS NULL OR key_id = $2)
                     AND ($3::text[] IS NULL OR kind = ANY ($3))
                     AND ($8::text IS NULL OR actor = $8)
                     AND ($9::timestamptz IS NULL OR occurred_at >= $9)
                     AND ($10::timestamptz IS NULL OR occurred_at < $10)
               )
               SELECT id, key_id, kind, occurred_at, actor, address AS "address: IpNet", request_id, details,
                      CASE WHEN $7::bool THEN (SELECT count(*) FROM (SELECT FROM matching LIMIT $11) counted) END AS total
               FROM matching
               WHERE $4::timestamptz IS NULL OR (occurred_at, id) < ($4, $5)
               ORDER BY occurred_at DESC, id DESC
               LIMIT $6"#,
            self.tenant.0,
            filter.key.map(|key| key.0),
            kinds.as_deref(),
            page.after.as_ref().and_then(Position::time),
            page.after.as_ref().map(|after| after.id),
            page.limit,
            page.counted,
            filter.actor.as_deref(),
            filter.since,
            filter.until,
            filter.is_searched().then_some(MAX_COUNTED + 1),
        )
        .fetch_all(self.transaction.session())
        .await?)
    }
}
