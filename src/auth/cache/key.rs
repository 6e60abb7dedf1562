//! Keys of cache entries.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use sha2::{Digest as _, Sha256};

use crate::domain::Slug;

/// A digest under a key of this process: a client cannot choose the place of an entry, and the cache holds no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 16]);

impl CacheKey {
    /// The digest.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The hash in a shard's table. The other half of the digest chooses the shard.
    pub(super) fn hash(self) -> u64 {
        halves(self.0)[1]
    }

    /// The `n`th random number out of the digest.
    #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
    pub(super) fn random(self, n: u32) -> usize {
        halves(self.0)[0].rotate_right(12 * n) as usize
    }
}

impl From<u128> for CacheKey {
    fn from(digest: u128) -> Self {
        Self(digest.to_le_bytes())
    }
}

/// A cache miss, with the key for the lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Miss(pub(crate) CacheKey);

/// The low half and the high half.
#[allow(clippy::cast_possible_truncation, reason = "each half is wanted")]
pub(super) const fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(bytes);
    [both as u64, (both >> 64) as u64]
}

/// Makes cache keys of secrets and tokens: SHA-256 under a random seed.
pub(crate) struct CacheKeys {
    /// The state after the seed, which fills one block.
    seeded: Sha256,
}

impl CacheKeys {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seeded: Sha256::new_with_prefix(seed).chain_update([0; 32]) }
    }

    /// The key of a credential in a group. The parts are concatenated, so their boundaries must follow from their form.
    pub(crate) fn key(&self, group: &[u8; 16], parts: &[&[u8]]) -> CacheKey {
        let mut hash = self.seeded.clone();
        hash.update(group);
        for part in parts {
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        CacheKey(key)
    }
}

/// Makes cache keys of slugs. Slugs are not secret, so SipHash under a random key is enough; it costs a third of SHA-256.
#[derive(Default)]
pub(super) struct SlugKeys(RandomState);

impl SlugKeys {
    pub(super) fn key(&self, slug: &Slug) -> CacheKey {
        let mut hash = self.0.build_hasher();
        hash.write(slug.as_bytes());
        let first = hash.finish();
        // The other half is the hash of the slug and a byte that no slug has.
        hash.write_u8(0xff);
        CacheKey::from(u128::from(hash.finish()) << 64 | u128::from(first))
    }
}
