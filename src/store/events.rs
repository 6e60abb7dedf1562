//! The audit trail's rows, written in the transaction of what they tell.

use ipnet::IpNet;
use uuid::Uuid;

use super::{Error, TenantTransaction};
use crate::domain::NewEvent;

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
}
