//! The fields of a request's span that authentication knows, for the log.
//!
//! The span of a request that is decided from the cache is usually disabled. To look for its fields would be measurable.

use tracing::{Span, field::display};

use crate::domain::{Principal, Tenant, access::DenialReason};

pub(super) fn record_tenant(span: &Span, tenant: &Tenant) {
    if !span.is_disabled() {
        span.record("tenant", tenant.slug.as_str());
    }
}

/// Records the tenant, and the principal if the credential is valid.
#[inline]
pub(super) fn record_caller(span: &Span, tenant: &Tenant, principal: &Principal, decision: Result<(), DenialReason>) {
    if !span.is_disabled() {
        record_fields(span, tenant, principal, decision);
    }
}

#[cold]
fn record_fields(span: &Span, tenant: &Tenant, principal: &Principal, decision: Result<(), DenialReason>) {
    record_tenant(span, tenant);
    if decision.is_ok() || decision.is_err_and(DenialReason::credential_is_valid) {
        span.record("principal", display(principal));
    }
}
