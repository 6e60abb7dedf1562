//! Makes revocations again that the database has lost, in a failover to a standby that did not have them or in a restore.

use std::time::Duration;

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use tokio::{sync::watch, time::sleep};
use tracing::warn;

use crate::{
    domain::{
        ApiKey, ApiKeyId, Clock, EventKind, LookupDigest, NewEvent, Reason, RevocationRecord, Status, Suspension,
        TenantId, Timestamp, access::SecretState, format_timestamp,
    },
    http::{ended_secret_details, grant_details, suspension_details},
    store::{self, Database, KnownRevocations, Locked, Revocation, ServerIdentity, TenantStore, TenantStores, WriteTx},
};

const RETRY: Duration = Duration::from_secs(1);
/// In the place of a request's id.
const REQUEST_ID: &str = "lost-revocations";

/// Each instance repeats what it has made or seen itself.
pub(super) struct LostRevocationJob {
    stores: TenantStores,
    known: KnownRevocations,
    servers: watch::Receiver<Option<ServerIdentity>>,
    clock: Clock,
    repeated: Counter,
}

impl LostRevocationJob {
    pub(super) fn new(database: &Database, clock: Clock, registry: &mut Registry) -> Self {
        let repeated = Counter::default();
        let help =
            "Revocations of keys and ends of secrets that the database had lost, and that this instance made again";
        registry.register("rally_revocations_repeated", help, repeated.clone());
        let (known, servers) = (database.known_revocations(), database.feed_server().servers());
        Self { stores: database.tenant_stores(), known, servers, clock, repeated }
    }

    /// Works each time that the change feed connects to another server. May be dropped at any time.
    pub(super) async fn run(mut self) {
        while self.servers.changed().await.is_ok() {
            let mut is_logged = false;
            while let Err(error) = self.repeat_all().await {
                if !std::mem::replace(&mut is_logged, true) && !error.is_outage() {
                    warn!(%error, "could not look for revocations that the database has lost; trying again");
                }
                sleep(RETRY).await;
            }
        }
    }

    async fn repeat_all(&self) -> Result<(), store::Error> {
        for (tenant_id, records) in self.known.by_tenant() {
            let keys = self.stores.tenant(tenant_id);
            let lost = keys.begin_read().await?.lost(&records).await?;
            if !lost.is_empty() {
                self.repeat(tenant_id, &keys, &lost).await?;
            }
        }
        Ok(())
    }

    async fn repeat(
        &self,
        tenant_id: TenantId,
        keys: &TenantStore,
        lost: &[RevocationRecord],
    ) -> Result<(), store::Error> {
        let event = |kind, key, at| NewEvent::anonymous(kind, key, at).with_request(None, REQUEST_ID);
        let mut changed = 0;
        for record in lost {
            let outcome = repeat_revocation(keys, record, Cause::Lost, event, self.clock.now()).await?;
            if !matches!(outcome, Repeated::Unchanged | Repeated::Unknown) {
                self.repeated.inc();
                changed += 1;
            }
        }
        warn!(%tenant_id, lost = lost.len(), changed, "PostgreSQL had lost revocations of API keys; they were made again");
        Ok(())
    }
}

/// Why a revocation is made again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// An operator applies an export.
    Restore,
    /// The database had lost it.
    Lost,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "after a restore",
            Self::Lost => "since PostgreSQL had lost that",
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    Revoked,
    Suspended,
    Ended,
    Unchanged,
    /// There is no such key or secret.
    Unknown,
}

/// Does again what the record says, unless it is so already.
pub(crate) async fn repeat_revocation(
    keys: &TenantStore,
    record: &RevocationRecord,
    cause: Cause,
    event: impl Fn(EventKind, ApiKeyId, Timestamp) -> NewEvent,
    now: Timestamp,
) -> Result<Repeated, store::Error> {
    let again =
        |done: &str, at| Reason::stored(format!("{done} on {}, and again {}", format_timestamp(at), cause.as_str()));
    match *record {
        RevocationRecord::KeyRevoked { key, at } => {
            let mut transaction = keys.begin_revocation().await?;
            match transaction.revoke_key(key, now).await? {
                Revocation::Done(grant) => {
                    let details = grant_details(&grant, Some(&again("revoked", at)));
                    transaction.commit_with(&event(EventKind::Revoked, key, now).with_details(details)).await?;
                    Ok(Repeated::Revoked)
                }
                Revocation::Repeated => Ok(Repeated::Unchanged),
                Revocation::NotFound => Ok(Repeated::Unknown),
            }
        }
        RevocationRecord::KeySuspended { suspension: Suspension { until: Some(until), .. }, .. } if until <= now => {
            Ok(Repeated::Unchanged)
        }
        RevocationRecord::KeySuspended { key, suspension: Suspension { since, until } } => {
            let mut transaction = keys.begin_revocation().await?;
            let Some(key) = transaction.lock_key(key).await? else { return Ok(Repeated::Unknown) };
            suspend(transaction, &key, until, again("suspended", since), event, now).await
        }
        RevocationRecord::SecretEnded { key, lookup_digest, at } => {
            end_secret(keys, key, lookup_digest, at, event, now).await
        }
    }
}

/// Does nothing to a key that is suspended for as long, or revoked.
async fn suspend(
    mut transaction: WriteTx,
    key: &Locked<ApiKey>,
    until: Option<Timestamp>,
    reason: Reason,
    event: impl Fn(EventKind, ApiKeyId, Timestamp) -> NewEvent,
    now: Timestamp,
) -> Result<Repeated, store::Error> {
    let lasts_as_long = |suspension: Suspension| match (suspension.until, until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(end), Some(until)) => end >= until,
    };
    let is_done = match key.status(now) {
        Status::Revoked => true,
        Status::Suspended => key.suspension.is_some_and(lasts_as_long),
        _ => false,
    };
    let changed = if is_done { None } else { key.suspend(now, until, Some(reason.clone())) };
    let Some(mut changed) = changed else { return Ok(Repeated::Unchanged) };
    transaction.update_suspension(key, &mut changed, now).await?;
    let details = suspension_details(&changed, Some(&reason));
    transaction.commit_with(&event(EventKind::Suspended, key.id, now).with_details(details)).await?;
    Ok(Repeated::Suspended)
}

/// A previous secret is ended. A current one was replaced by a secret that was lost: its key is suspended, until it is rotated
/// and resumed.
async fn end_secret(
    keys: &TenantStore,
    id: ApiKeyId,
    lookup_digest: LookupDigest,
    at: Timestamp,
    event: impl Fn(EventKind, ApiKeyId, Timestamp) -> NewEvent,
    now: Timestamp,
) -> Result<Repeated, store::Error> {
    let mut transaction = keys.begin_revocation().await?;
    let Some(key) = transaction.lock_key(id).await? else { return Ok(Repeated::Unknown) };
    match transaction.secret_state(&key, lookup_digest).await? {
        None => Ok(Repeated::Unknown),
        Some(SecretState { is_retired: false, .. }) => {
            let at = format_timestamp(at);
            let why = format!("its secret was replaced before {at}, and the new one was lost: rotate it");
            suspend(transaction, &key, None, Reason::stored(why), event, now).await
        }
        Some(state) if state.is_ended || state.expires_at.is_some_and(|end| end <= now) => Ok(Repeated::Unchanged),
        Some(_) => match transaction.end_previous_secret(&key, now).await? {
            Some(previous) => {
                let details = ended_secret_details(previous);
                transaction.commit_with(&event(EventKind::PreviousSecretEnded, id, now).with_details(details)).await?;
                Ok(Repeated::Ended)
            }
            None => Ok(Repeated::Unchanged),
        },
    }
}
