//! Counters of verifications of API keys.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::auth::{cache::cached_secret::Evidence, verification_counter::VerificationCounter};

#[derive(Default)]
pub(crate) struct VerificationMetrics {
    verifications: VerificationCounter,
    pub(super) stamps_written: Counter,
    pub(super) stamp_mismatches: Counter,
    pub(super) unknown_peppers: Counter,
}

impl VerificationMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Verifications of API keys, by result and by what the secret was verified with (source): cache, \
                    stamp, argon2, none";
        self.verifications.register(registry, "rally_key_verifications", help);
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
        self.verifications.count(result, evidence.label());
    }
}
