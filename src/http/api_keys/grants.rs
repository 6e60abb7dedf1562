//! What a caller may grant: no scope that it lacks; and a calling key nothing that lasts longer than itself, or that works
//! from addresses from which it does not.

use crate::{
    domain::{AllowedAddresses, ApiKey, ApiKeyPatch, KeyLimits, Principal, Scope, ScopeSet, Timestamp},
    http::problem::Problem,
};

/// Refuses scopes that the caller lacks, and an expiry after its own.
pub(super) fn refuse_more_than_own(
    principal: &Principal,
    scopes: ScopeSet,
    end: Option<Timestamp>,
) -> Result<(), Problem> {
    refuse_wider_scopes(principal, scopes)?;
    refuse_later_end(principal, end)
}

fn refuse_wider_scopes(principal: &Principal, wanted: ScopeSet) -> Result<(), Problem> {
    match principal.scopes().first_lacking(wanted) {
        None => Ok(()),
        Some(scope) => Err(Problem::insufficient_scope(
            scope,
            format!("You cannot grant the scope `{scope}`, because your credential does not have it."),
        )),
    }
}

/// Refuses an expiry after the calling key's own.
fn refuse_later_end(principal: &Principal, wanted: Option<Timestamp>) -> Result<(), Problem> {
    if !ends_after(principal, wanted) {
        return Ok(());
    }
    Err(Problem::insufficient_scope(
        Scope::Admin,
        "An API key cannot create or extend a key beyond its own expiry. Set expiresAt to that time or earlier, or ask a user with the scope `admin`.",
    ))
}

/// Refuses a new secret of a key that ends after the calling key.
pub(super) fn refuse_secret_of_later_end(principal: &Principal, key: &ApiKey) -> Result<(), Problem> {
    if !ends_after(principal, key.expires_at) {
        return Ok(());
    }
    Err(Problem::insufficient_scope(
        Scope::Admin,
        "An API key cannot rotate a key that ends later than itself, since it would be shown the new secret. Rotate the key with its own secret, or ask a user with the scope `admin`.",
    ))
}

/// Refuses addresses that are not among the calling key's own: otherwise a bound key could create one that works from any
/// address. `own`: the calling key's limits.
pub(super) fn refuse_more_addresses(own: Option<&KeyLimits>, wanted: &AllowedAddresses) -> Result<(), Problem> {
    if own.is_none_or(|own| own.allowed_addresses.is_superset_of(wanted)) {
        return Ok(());
    }
    Err(Problem::insufficient_scope(
        Scope::Admin,
        "An API key that is bound to addresses cannot create, widen or rotate a key that works from others. Send allowedAddresses within its own, or ask a user with the scope `admin`.",
    ))
}

/// Refuses that a key gives itself more requests.
fn refuse_more_requests(key: &ApiKey, patch: &ApiKeyPatch) -> Result<(), Problem> {
    let (own, wanted) = (&key.limits, &patch.limits);
    let is_looser_rate = own
        .rate_limit
        .zip(wanted.rate_limit)
        .is_some_and(|(own, wanted)| wanted.is_none_or(|wanted| !wanted.is_within(own)));
    let is_looser_quota =
        own.quota.zip(wanted.quota).is_some_and(|(own, wanted)| wanted.is_none_or(|wanted| !wanted.is_within(own)));
    if !is_looser_rate && !is_looser_quota {
        return Ok(());
    }
    Err(Problem::insufficient_scope(
        Scope::Admin,
        "An API key cannot raise its own rateLimit or quota. Ask a user with the scope `admin`.",
    ))
}

/// Whether something with that end would outlast the calling key. Users do not end.
fn ends_after(principal: &Principal, end: Option<Timestamp>) -> bool {
    is_later(end, principal.key_expires_at())
}

/// Refuses scopes that the caller lacks, an expiry after the calling key's own (otherwise it could create a key and then
/// extend that), an extension of the calling key itself or of its limits, addresses beyond its own, and more scopes for a key that ends after the calling key.
pub(super) fn refuse_widening(
    principal: &Principal,
    own: Option<&KeyLimits>,
    key: &ApiKey,
    patch: &ApiKeyPatch,
) -> Result<(), Problem> {
    if let Some(addresses) = patch.limits.allowed_addresses.as_ref().filter(|new| **new != key.limits.allowed_addresses)
    {
        refuse_more_addresses(own, addresses)?;
    }
    if principal.key_id() == Some(key.id) {
        refuse_more_requests(key, patch)?;
    }
    if let Some(scopes) = patch.scopes {
        refuse_wider_scopes(principal, scopes)?;
        let end = patch.expires_at.unwrap_or(key.expires_at);
        if key.scopes.first_lacking(scopes).is_some() && ends_after(principal, end) {
            return Err(Problem::insufficient_scope(
                Scope::Admin,
                "An API key cannot give more scopes to a key that ends later than itself. Set expiresAt to its own expiry or earlier too, or ask a user with the scope `admin`.",
            ));
        }
    }
    let Some(end) = patch.expires_at.filter(|end| is_later(*end, key.expires_at)) else {
        return Ok(());
    };
    if principal.key_id() == Some(key.id) {
        return Err(Problem::insufficient_scope(
            Scope::Admin,
            "An API key cannot extend itself. Ask a user with the scope `admin`.",
        ));
    }
    refuse_later_end(principal, end)
}

/// None means never.
fn is_later(end: Option<Timestamp>, than: Option<Timestamp>) -> bool {
    match (end, than) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(end), Some(than)) => end > than,
    }
}
