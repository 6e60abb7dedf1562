//! What a caller may grant: no scope that it lacks, and a calling key no expiry after its own.

use crate::{
    domain::{ApiKey, ApiKeyPatch, Principal, Scope, ScopeSet, Timestamp},
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
    let Some(own_end) = principal.key_expires_at() else {
        return Ok(());
    };
    if wanted.is_some_and(|end| end <= own_end) {
        return Ok(());
    }
    Err(Problem::insufficient_scope(
        Scope::Admin,
        "An API key cannot create or extend a key beyond its own expiry. Set expiresAt to that time or earlier, or ask a user with the scope `admin`.",
    ))
}

/// Refuses scopes that the caller lacks, an expiry after the calling key's own (otherwise it could create a key and then
/// extend that), and an extension of the calling key itself.
pub(super) fn refuse_widening(principal: &Principal, key: &ApiKey, patch: &ApiKeyPatch) -> Result<(), Problem> {
    if let Some(scopes) = patch.scopes {
        refuse_wider_scopes(principal, scopes)?;
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
