//! Counters of verifications of users' tokens.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::auth::error::Error;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
    source: &'static str,
}

/// By what a token was decided; the label `source` of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It had been verified before and was cached, or its form alone is wrong.
    Cache,
    /// Its signature and claims.
    Signature,
}

pub(super) struct VerificationMetrics {
    verifications: Family<Labels, Counter>,
    /// Kept apart, since it is by far the most frequent: the family has a lock.
    accepted_from_cache: Counter,
}

impl Default for VerificationMetrics {
    fn default() -> Self {
        let verifications = Family::<Labels, Counter>::default();
        let accepted = Labels { result: "accepted", source: "cache" };
        let accepted_from_cache = verifications.get_or_create(&accepted).clone();
        Self { verifications, accepted_from_cache }
    }
}

impl VerificationMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Verifications of users' tokens, by result and by source: cache, or signature for those that were not \
                    cached";
        registry.register("rally_jwt_verifications", help, self.verifications.clone());
    }

    pub(super) fn count<T>(&self, outcome: &Result<T, Error>, source: Source) {
        let result = match outcome {
            Ok(_) if source == Source::Cache => {
                self.accepted_from_cache.inc();
                return;
            }
            Ok(_) => "accepted",
            Err(Error::InvalidToken(_)) => "invalid",
            Err(Error::TokenExpired) => "expired",
            Err(Error::WrongTenant(_)) => "wrong_tenant",
            Err(Error::IssuerUnavailable) => "issuer_unavailable",
            Err(_) => "error",
        };
        let source = match source {
            Source::Cache => "cache",
            Source::Signature => "signature",
        };
        self.verifications.get_or_create(&Labels { result, source }).inc();
    }
}
