//! The fields of a request's span that authentication knows, for the log.

use tracing::{Span, field::display};

use super::error::Refusal;
use crate::domain::{Principal, Tenant};

/// Records the tenant, and the principal if the credential is valid.
pub(super) fn record_outcome(span: &Span, tenant: &Tenant, decision: &Result<Principal, Refusal>) {
    // Usually disabled for requests that are decided from the cache; to look for its fields would be measurable there.
    if span.is_disabled() {
        return;
    }
    span.record("tenant", tenant.slug.as_str());
    let principal = match decision {
        Ok(principal) => Some(principal),
        Err(refusal) => refusal.principal.as_deref(),
    };
    if let Some(principal) = principal {
        span.record("principal", display(principal));
    }
}
