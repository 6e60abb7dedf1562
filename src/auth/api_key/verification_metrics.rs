//! Counters of verifications of API keys.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::auth::cache::cached_secret::Evidence;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
    source: &'static str,
}

pub(crate) struct VerificationMetrics {
    verifications: Family<Labels, Counter>,
    /// Kept apart, since it is by far the most frequent: the family has a lock.
    accepted_from_cache: Counter,
    pub(super) stamps_written: Counter,
    pub(super) stamp_mismatches: Counter,
    pub(super) unknown_peppers: Counter,
}

impl Default for VerificationMetrics {
    fn default() -> Self {
        let verifications = Family::<Labels, Counter>::default();
        let accepted = Labels { result: "accepted", source: Evidence::Cache.label() };
        let accepted_from_cache = verifications.get_or_create(&accepted).clone();
        Self {
            verifications,
            accepted_from_cache,
            stamps_written: Counter::default(),
            stamp_mismatches: Counter::default(),
            unknown_peppers: Counter::default(),
        }
    }
}

impl VerificationMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Verifications of API keys, by result and by what the secret was verified with (source): cache, \
                    stamp, argon2, none";
        registry.register("rally_key_verifications", help, self.verifications.clone());
        let help = "Stamps of API keys that were written because there was none under the current pepper. Expected only \
                    after a pepper was introduced or rotated";
        registry.register("rally_key_stamps_written", help, self.stamps_written.clone());
        let help = "API keys that were refused because their stamp does not match their row: the row was forged, copied \
                    or damaged";
        registry.register("rally_key_stamp_mismatches", help, self.stamp_mismatches.clone());
        let help = "Lookups of API keys whose stamp is of a pepper that this instance does not have. They were checked by \
                    argon2, or refused by KEY_FALLBACK=deny";
        registry.register("rally_key_unknown_peppers", help, self.unknown_peppers.clone());
    }

    pub(super) fn count(&self, result: &'static str, evidence: Evidence) {
        match (result, evidence) {
            ("accepted", Evidence::Cache) => self.accepted_from_cache.inc(),
            _ => self.verifications.get_or_create(&Labels { result, source: evidence.label() }).inc(),
        };
    }
}
