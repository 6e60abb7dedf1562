//! Access control: whether a caller may do what its request requires.
//!
//! Every rule about whether a caller is let in is here, and only here (`http::api_keys::grants` limits what a caller may grant).
//! [`decide`] is pure, and the rules do not depend on where the facts come from. They are filled in at two places, so a
//! new fact has to be: `CachedSecret::facts` for checks, and `Authorized::begin_change` for changes under a lock.

use super::{ApiKeyId, Scope, ScopeSet, Status, Timestamp};

/// What an endpoint requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAccess {
    /// A scope.
    Scope(Scope),
    /// A scope, or to be this very key.
    ScopeOrKey(Scope, ApiKeyId),
    /// To be an API key, with any scopes.
    AnyKey,
}

/// What a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What the credential grants.
    pub scopes: ScopeSet,
    /// `None`: the caller is a user. The times of a user's token are checked with its signature.
    pub key: Option<KeyFacts>,
    /// What the endpoint requires.
    pub required: RequiredAccess,
}

/// The state of an API key and of its presented secret.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts {
    /// When it is decided.
    pub now: Timestamp,
    /// The key.
    pub id: ApiKeyId,
    /// When the key expires; `None` = never.
    pub expires_at: Option<Timestamp>,
    /// When the key was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The presented secret.
    pub secret: SecretState,
}

/// The state of a key's secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretState {
    /// When it ends; `None` unless a rotation has replaced it.
    pub expires_at: Option<Timestamp>,
    /// A rotation has replaced it.
    pub is_retired: bool,
    /// It was ended for good. No clock is asked.
    pub is_ended: bool,
}

impl SecretState {
    /// A secret that no longer works.
    pub const ENDED: Self = Self { expires_at: None, is_retired: true, is_ended: true };
}

/// Why a caller is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// The key is revoked.
    KeyRevoked,
    /// The key has expired.
    KeyExpired,
    /// The secret ended before its key did, so it is no longer a secret of the key.
    SecretEnded,
    /// The scope that the caller lacks.
    InsufficientScope(Scope),
    /// The caller is a user, and the endpoint is for API keys.
    KeyRequired,
}

impl DenialReason {
    /// True if the credential identifies its caller and only does not permit what is required.
    #[must_use]
    pub const fn credential_is_valid(self) -> bool {
        matches!(self, Self::InsufficientScope(_) | Self::KeyRequired)
    }
}

/// Decides. A key that is no longer valid is denied before its scopes are looked at.
#[inline]
pub fn decide(facts: &Facts) -> Result<(), DenialReason> {
    if let Some(key) = &facts.key {
        key.check_valid()?;
    }
    match facts.required {
        RequiredAccess::AnyKey => facts.key.map(drop).ok_or(DenialReason::KeyRequired),
        RequiredAccess::ScopeOrKey(_, id) if facts.key.is_some_and(|key| key.id == id) => Ok(()),
        RequiredAccess::Scope(scope) | RequiredAccess::ScopeOrKey(scope, _) => {
            if facts.scopes.allows(scope) {
                Ok(())
            } else {
                Err(DenialReason::InsufficientScope(scope))
            }
        }
    }
}

impl KeyFacts {
    fn check_valid(&self) -> Result<(), DenialReason> {
        match Status::at(self.now, self.expires_at, self.revoked_at) {
            Status::Revoked => Err(DenialReason::KeyRevoked),
            Status::Active | Status::Expired if self.secret_has_ended() => Err(DenialReason::SecretEnded),
            Status::Expired => Err(DenialReason::KeyExpired),
            Status::Active => Ok(()),
        }
    }

    /// A secret whose time ends together with its key's ends by the key's expiry.
    fn secret_has_ended(&self) -> bool {
        let before_key = |end: Timestamp| self.expires_at.is_none_or(|key_end| end < key_end);
        self.secret.is_ended || self.secret.expires_at.is_some_and(|end| self.now >= end && before_key(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DenialReason::{InsufficientScope, KeyExpired, KeyRequired, KeyRevoked, SecretEnded};
    use RequiredAccess::{AnyKey, ScopeOrKey};
    use Scope::{Admin, Read, Write};
    use chrono::DateTime;
    use uuid::Uuid;

    const OWN: ApiKeyId = ApiKeyId(Uuid::from_u128(1));
    const OTHER: ApiKeyId = ApiKeyId(Uuid::from_u128(2));
    const NOW: i64 = 100;

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    /// (the key's end, the secret's own end, the decision about an unrevoked key), in seconds around [`NOW`].
    type Validity = (Option<i64>, Option<i64>, Result<(), DenialReason>);
    const VALIDITY: [Validity; 16] = [
        (None, None, Ok(())),
        (None, Some(NOW + 1), Ok(())),
        (None, Some(NOW), Err(SecretEnded)),
        (None, Some(NOW - 1), Err(SecretEnded)),
        (Some(NOW + 1), None, Ok(())),
        (Some(NOW + 1), Some(NOW + 2), Ok(())),
        (Some(NOW + 2), Some(NOW + 1), Ok(())),
        (Some(NOW + 1), Some(NOW), Err(SecretEnded)),
        (Some(NOW), None, Err(KeyExpired)),
        (Some(NOW), Some(NOW + 1), Err(KeyExpired)),
        (Some(NOW), Some(NOW), Err(KeyExpired)),
        (Some(NOW), Some(NOW - 1), Err(SecretEnded)),
        (Some(NOW - 1), None, Err(KeyExpired)),
        (Some(NOW - 1), Some(NOW), Err(KeyExpired)),
        (Some(NOW - 1), Some(NOW - 1), Err(KeyExpired)),
        (Some(NOW - 1), Some(NOW - 2), Err(SecretEnded)),
    ];

    /// (required, the decision about a user of each of [`SCOPES`], and about a valid key of each).
    type Access = (RequiredAccess, [Result<(), DenialReason>; 4], [Result<(), DenialReason>; 4]);
    const SCOPES: [&[Scope]; 4] = [&[], &[Read], &[Write], &[Admin]];
    const NEEDS_READ: [Result<(), DenialReason>; 4] = [Err(InsufficientScope(Read)), Ok(()), Ok(()), Ok(())];
    const NEEDS_WRITE: [Result<(), DenialReason>; 4] =
        [Err(InsufficientScope(Write)), Err(InsufficientScope(Write)), Ok(()), Ok(())];
    const NEEDS_ADMIN: [Result<(), DenialReason>; 4] =
        [Err(InsufficientScope(Admin)), Err(InsufficientScope(Admin)), Err(InsufficientScope(Admin)), Ok(())];
    const ACCESS: [Access; 8] = [
        (RequiredAccess::Scope(Read), NEEDS_READ, NEEDS_READ),
        (RequiredAccess::Scope(Write), NEEDS_WRITE, NEEDS_WRITE),
        (RequiredAccess::Scope(Admin), NEEDS_ADMIN, NEEDS_ADMIN),
        (ScopeOrKey(Read, OWN), NEEDS_READ, [Ok(()); 4]),
        (ScopeOrKey(Read, OTHER), NEEDS_READ, NEEDS_READ),
        (ScopeOrKey(Admin, OWN), NEEDS_ADMIN, [Ok(()); 4]),
        (ScopeOrKey(Admin, OTHER), NEEDS_ADMIN, NEEDS_ADMIN),
        (AnyKey, [Err(KeyRequired); 4], [Ok(()); 4]),
    ];

    #[test]
    fn every_combination_of_facts_has_the_decision_of_the_table() {
        for (required, of_user, of_key) in ACCESS {
            for ((scopes, of_user), of_key) in SCOPES.into_iter().zip(of_user).zip(of_key) {
                let scopes: ScopeSet = scopes.iter().copied().collect();
                let decided = |key| decide(&Facts { scopes, key, required });
                assert_eq!(decided(None), of_user, "a user with {scopes:?}, {required:?}");
                for (key_end, secret_end, validity) in VALIDITY {
                    let key = KeyFacts {
                        now: at(NOW),
                        id: OWN,
                        expires_at: key_end.map(at),
                        revoked_at: None,
                        secret: SecretState { expires_at: secret_end.map(at), ..SecretState::default() },
                    };
                    assert_eq!(decided(Some(key)), validity.and(of_key), "{key:?} with {scopes:?}, {required:?}");
                    let ended = KeyFacts { secret: SecretState { is_ended: true, ..key.secret }, ..key };
                    assert_eq!(decided(Some(ended)), Err(SecretEnded), "{ended:?} with {scopes:?}, {required:?}");
                    let revoked = KeyFacts { revoked_at: Some(at(NOW - 9)), ..key };
                    let both = KeyFacts { secret: SecretState::ENDED, ..revoked };
                    for dead in [revoked, both] {
                        assert_eq!(decided(Some(dead)), Err(KeyRevoked), "{dead:?} with {scopes:?}, {required:?}");
                    }
                }
            }
        }
    }
}
