//! What was taken away for good, or suspended: as an export lists it, and as an instance remembers it.

use super::{ApiKeyId, LookupDigest, Suspension, Timestamp};

/// A key or a secret that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what their types say")]
pub enum RevocationRecord {
    /// The key is revoked.
    KeyRevoked { key: ApiKeyId, at: Timestamp },
    /// The key is suspended.
    KeySuspended { key: ApiKeyId, suspension: Suspension },
    /// A secret of the key was replaced, and has ended.
    SecretEnded { key: ApiKeyId, lookup_digest: LookupDigest, at: Timestamp },
}
