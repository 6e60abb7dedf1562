//! Where in a cache something is remembered.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use sha2::{Digest as _, Sha256};

use crate::domain::Slug;

/// A key of the cache: a keyed digest, so that nobody outside can aim at a slot, and what is
/// cached holds nothing that would let somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 16]);

impl CacheKey {
    /// The digest.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// It is a digest already. Its other half chooses the shard.
    pub(super) fn hash(self) -> u64 {
        halves(self.0)[1]
    }

    /// Parts of it serve as random numbers: it is a digest under a secret key.
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

/// The low half and the high one.
#[allow(clippy::cast_possible_truncation, reason = "each half is wanted")]
pub(super) const fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(bytes);
    [both as u64, (both >> 64) as u64]
}

/// Makes cache keys, under a key drawn at start.
pub struct CacheKeys {
    /// Has taken the seed in, as one block.
    seeded: Sha256,
}

impl CacheKeys {
    /// Under a seed that never leaves the process.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seeded: Sha256::new_with_prefix(seed).chain_update([0; 32]) }
    }

    /// The key of what was presented in that group. The parts must be told apart by their form:
    /// they are put behind one another.
    #[must_use]
    pub fn key(&self, group: &[u8; 16], presented: &[&[u8]]) -> CacheKey {
        let mut hash = self.seeded.clone();
        hash.update(group);
        for part in presented {
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        CacheKey(key)
    }
}

/// Makes cache keys of slugs, which are no secrets: a hash (SipHash) under a key drawn at start costs a third
/// of a digest, and nobody can make two slugs meet.
#[derive(Default)]
pub struct SlugKeys(RandomState);

impl SlugKeys {
    /// The key of a slug.
    #[must_use]
    pub fn key(&self, slug: &Slug) -> CacheKey {
        let mut hash = self.0.build_hasher();
        hash.write(slug.as_bytes());
        let first = hash.finish();
        // The hasher goes on: the other half is the hash of the slug and a byte that no slug has.
        hash.write_u8(0xff);
        CacheKey::from(u128::from(hash.finish()) << 64 | u128::from(first))
    }
}
