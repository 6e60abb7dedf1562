//! Revocations that this process has made or seen. A failover or a restore of the database may lose them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domain::{ApiKeyId, LookupDigest, RevocationRecord, TenantId, Timestamp};

/// Of some 150 bytes. The oldest make room.
const MAX: usize = 65_536;

/// Neither a revocation of a key nor the end of a secret is ever undone, so what is known of them overrides what the database
/// says. A suspension may have been lifted by another instance, so none is kept. Clones share everything.
#[derive(Clone, Default)]
pub struct KnownRevocations(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    revoked_at: HashMap<(TenantId, ApiKeyId), Timestamp>,
    ended_at: HashMap<(TenantId, LookupDigest), (ApiKeyId, Timestamp)>,
    oldest_first: VecDeque<(TenantId, Subject)>,
}

#[derive(Clone, Copy)]
enum Subject {
    Key(ApiKeyId),
    Secret(LookupDigest),
}

impl KnownRevocations {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds revocations that were committed.
    pub(super) fn add(&self, tenant: TenantId, records: &[RevocationRecord]) {
        let mut inner = self.inner();
        for record in records {
            inner.add(tenant, record);
        }
    }

    /// Returns when the key was revoked, also if the database has lost that. Adds what the database says.
    pub(super) fn revoked_at(&self, tenant: TenantId, key: ApiKeyId, stored: Option<Timestamp>) -> Option<Timestamp> {
        let mut inner = self.inner();
        match stored {
            Some(at) => inner.add(tenant, &RevocationRecord::KeyRevoked { key, at }),
            None => return inner.revoked_at.get(&(tenant, key)).copied(),
        }
        stored
    }

    /// As [`Self::revoked_at`], when a secret of the key was ended.
    pub(super) fn ended_at(
        &self,
        tenant: TenantId,
        key: ApiKeyId,
        lookup_digest: LookupDigest,
        stored: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let mut inner = self.inner();
        match stored {
            Some(at) => inner.add(tenant, &RevocationRecord::SecretEnded { key, lookup_digest, at }),
            None => return inner.ended_at.get(&(tenant, lookup_digest)).map(|(_, at)| *at),
        }
        stored
    }

    /// All, of each tenant.
    #[must_use]
    pub fn by_tenant(&self) -> BTreeMap<TenantId, Vec<RevocationRecord>> {
        let (inner, mut all) = (self.inner(), BTreeMap::<_, Vec<_>>::new());
        for ((tenant, key), at) in &inner.revoked_at {
            all.entry(*tenant).or_default().push(RevocationRecord::KeyRevoked { key: *key, at: *at });
        }
        for ((tenant, lookup_digest), (key, at)) in &inner.ended_at {
            let record = RevocationRecord::SecretEnded { key: *key, lookup_digest: *lookup_digest, at: *at };
            all.entry(*tenant).or_default().push(record);
        }
        all
    }
}

impl Inner {
    fn add(&mut self, tenant: TenantId, record: &RevocationRecord) {
        let (is_new, subject) = match *record {
            RevocationRecord::KeyRevoked { key, at } => {
                (self.revoked_at.insert((tenant, key), at).is_none(), Subject::Key(key))
            }
            RevocationRecord::SecretEnded { key, lookup_digest, at } => {
                let is_new = self.ended_at.insert((tenant, lookup_digest), (key, at)).is_none();
                (is_new, Subject::Secret(lookup_digest))
            }
            RevocationRecord::KeySuspended { .. } => return,
        };
        if !is_new {
            return;
        }
        self.oldest_first.push_back((tenant, subject));
        if self.oldest_first.len() > MAX
            && let Some((tenant, oldest)) = self.oldest_first.pop_front()
        {
            match oldest {
                Subject::Key(key) => drop(self.revoked_at.remove(&(tenant, key))),
                Subject::Secret(digest) => drop(self.ended_at.remove(&(tenant, digest))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_oldest_make_room_and_a_repeated_one_takes_none() {
        let (known, tenant) = (KnownRevocations::default(), TenantId(Uuid::nil()));
        let at = Timestamp::UNIX_EPOCH;
        let record = |n: usize| {
            let number = n as u128;
            let key = ApiKeyId(Uuid::from_u128(number));
            let lookup_digest = LookupDigest::from_bytes(number.to_be_bytes());
            if n.is_multiple_of(2) {
                RevocationRecord::KeyRevoked { key, at }
            } else {
                RevocationRecord::SecretEnded { key, lookup_digest, at }
            }
        };
        for n in 0..MAX + 10 {
            known.add(tenant, &[record(n), record(n)]);
        }
        let all = known.by_tenant().remove(&tenant).unwrap();
        assert_eq!(all.len(), MAX);
        assert!((0..10).all(|n| !all.contains(&record(n))) && all.contains(&record(10)));
    }
}
