//! A secret that was checked, as the cache keeps it.

use super::epoch_cache::Entry;
use crate::{
    domain::{KeyHint, Principal, RotatedAway, ScopeSet, Status, Timestamp},
    usage::{HasUsageCounter, UsageCounter},
};

/// What is known of a secret that was checked: whose it is, and what bounds it. Expiry is held
/// against the clock at each use.
#[derive(Debug)]
pub struct CachedSecret {
    /// Counts its use; also holds its key's id.
    pub usage: UsageCounter,
    /// What the key allows.
    pub scopes: ScopeSet,
    /// When the key ends.
    pub key_expires_at: Option<Timestamp>,
    /// What else ends it.
    pub endings: Endings,
    /// What may be shown of the secret.
    pub hint: KeyHint,
    /// What it was believed on when it was checked.
    pub grounds: Evidence,
}

/// What a secret was believed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It had been checked before, and was remembered.
    Cache,
    /// The stamp under the pepper.
    Stamp,
    /// The argon2 hash, since there was no usable stamp.
    Argon2,
    /// It was not.
    None,
}

impl Evidence {
    /// The value of the metrics' label `source`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Stamp => "stamp",
            Self::Argon2 => "argon2",
            Self::None => "none",
        }
    }
}

/// What most secrets have nothing of, so it lies apart.
#[derive(Debug, Default)]
pub struct Endings(Option<Box<Ended>>);

/// How a secret ends before its key does, and how its key did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// When the secret ends, where it is before the key.
    pub secret_expires_at: Option<Timestamp>,
    /// When a newer secret took its place.
    pub secret_retired_at: Option<Timestamp>,
    /// When the key was taken away.
    pub revoked_at: Option<Timestamp>,
}

impl From<Ended> for Endings {
    fn from(ended: Ended) -> Self {
        Self((ended != Ended::default()).then(|| Box::new(ended)))
    }
}

impl Endings {
    fn get(&self) -> Ended {
        self.0.as_deref().copied().unwrap_or_default()
    }
}

impl HasUsageCounter for Entry<CachedSecret> {
    fn usage(&self) -> &UsageCounter {
        &self.usage
    }
}

impl CachedSecret {
    /// The key as a caller.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::ApiKey {
            secret: self.usage.lookup_digest(),
            id: self.usage.key(),
            scopes: self.scopes,
            expires_at: self.key_expires_at,
            hint: self.hint,
            rotated_away: self.rotated_away(),
        }
    }

    /// What its key is then.
    #[must_use]
    pub fn key_status_at(&self, now: Timestamp) -> Status {
        Status::at(now, self.key_expires_at, self.endings.get().revoked_at)
    }

    /// Whether the secret had ended then, before its key did.
    #[must_use]
    pub fn secret_ended_at(&self, now: Timestamp) -> bool {
        let before_key = |end: Timestamp| self.key_expires_at.is_none_or(|key_end| end < key_end);
        self.endings.get().secret_expires_at.is_some_and(|end| now >= end && before_key(end))
    }

    /// Where it is the previous one: since when, and until when it works.
    #[must_use]
    pub fn rotated_away(&self) -> Option<RotatedAway> {
        let ended = self.endings.get();
        let (since, end) = ended.secret_retired_at.zip(ended.secret_expires_at)?;
        let until = self.key_expires_at.map_or(end, |key_end| key_end.min(end));
        Some(RotatedAway { since, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_a_secret_fits_three_lines_of_the_processors_cache() {
        // In an `Arc`, which adds two counters.
        let size = 2 * size_of::<usize>() + size_of::<Entry<CachedSecret>>();
        assert!(size <= 3 * 64, "{size}");
    }
}
