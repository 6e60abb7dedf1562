//! Turns between tenants for the connections on which keys are managed.
//!
//! A share of the connections is kept for revocations, so that these never wait for lists or creates, whoever asks for
//! those. A tenant has at most half of each share at once.

use std::time::Duration;

use tokio::time::timeout;

use super::Error;
use crate::{
    domain::TenantId,
    turns::{Limits, Load, Overloaded, Turn, Turns},
};

/// Calls that wait for a connection, in each share.
const QUEUED: usize = 1_000;

#[derive(Clone)]
pub(super) struct ConnectionTurns {
    ordinary: Turns,
    revocations: Turns,
    limit: Duration,
}

impl ConnectionTurns {
    /// Turns for so many connections. A call waits for `limit`.
    pub(super) fn new(connections: u32, limit: Duration) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let kept = (connections / 5).max(1);
        let share =
            |at_once: usize| Turns::new(Limits { at_once, at_once_per_tenant: at_once.div_ceil(2), queued: QUEUED });
        Self { ordinary: share(connections.saturating_sub(kept).max(1)), revocations: share(kept), limit }
    }

    pub(super) async fn take(&self, tenant: TenantId) -> Result<Turn, Error> {
        self.within_limit(self.ordinary.take(tenant)).await
    }

    /// A turn of either share, whichever is free.
    pub(super) async fn take_for_revocation(&self, tenant: TenantId) -> Result<Turn, Error> {
        match self.ordinary.try_take(tenant) {
            Some(turn) => Ok(turn),
            None => self.within_limit(self.revocations.take(tenant)).await,
        }
    }

    async fn within_limit(&self, turn: impl Future<Output = Result<Turn, Overloaded>>) -> Result<Turn, Error> {
        Ok(timeout(self.limit, turn).await.unwrap_or(Err(Overloaded))?)
    }

    /// By the calls that take them.
    pub(super) fn loads(&self) -> [(&'static str, Load); 2] {
        [("ordinary", self.ordinary.load()), ("revocations", self.revocations.load())]
    }
}
