//! A counter of verifications of credentials, by result and source.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The label `source` of a verification that the cache has answered.
pub(super) const CACHE: &str = "cache";
/// The label `result` of a success.
pub(super) const ACCEPTED: &str = "accepted";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
    source: &'static str,
}

pub(super) struct VerificationCounter {
    verifications: Family<Labels, Counter>,
    /// Kept apart, since it is by far the most frequent: the family has a lock.
    accepted_from_cache: Counter,
}

impl Default for VerificationCounter {
    fn default() -> Self {
        let verifications = Family::<Labels, Counter>::default();
        let accepted = Labels { result: ACCEPTED, source: CACHE };
        let accepted_from_cache = verifications.get_or_create(&accepted).clone();
        Self { verifications, accepted_from_cache }
    }
}

impl VerificationCounter {
    pub(super) fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.verifications.clone());
    }

    pub(super) fn count(&self, result: &'static str, source: &'static str) {
        match (result, source) {
            (ACCEPTED, CACHE) => self.accepted_from_cache.inc(),
            _ => self.verifications.get_or_create(&Labels { result, source }).inc(),
        };
    }
}
