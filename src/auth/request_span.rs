//! The fields of a request's span that authentication knows, for the log.
//!
//! The span of a request that is decided from the cache is usually disabled. To look for its fields would be measurable.

use tracing::{Span, field::display};

use crate::domain::{Principal, Tenant};

pub(super) fn record_tenant(span: &Span, tenant: &Tenant) {
    if !span.is_disabled() {
        span.record("tenant", tenant.slug.as_str());
    }
}

/// Records the tenant and the principal, who may have been refused: of a revoked key too, so that it can be found.
#[inline]
pub(super) fn record_caller(span: &Span, tenant: &Tenant, principal: &Principal) {
    if !span.is_disabled() {
        record_fields(span, tenant, principal);
    }
}

#[cold]
fn record_fields(span: &Span, tenant: &Tenant, principal: &Principal) {
    record_tenant(span, tenant);
    span.record("principal", display(principal));
}
