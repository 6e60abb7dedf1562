//! Counters of verifications of users' tokens.

use prometheus_client::registry::Registry;

use crate::auth::{
    error::Error,
    verification_counter::{ACCEPTED, CACHE, VerificationCounter},
};

/// By what a token was decided; the label `source` of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It had been verified before and was cached, or its form alone is wrong.
    Cache,
    /// Its signature and claims.
    Signature,
}

#[derive(Default)]
pub(super) struct VerificationMetrics(VerificationCounter);

impl VerificationMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Verifications of users' tokens, by result and by source: cache, or signature for those that were not \
                    cached";
        self.0.register(registry, "rally_jwt_verifications", help);
    }

    pub(super) fn count<T>(&self, outcome: &Result<T, Error>, source: Source) {
        let result = match outcome {
            Ok(_) => ACCEPTED,
            Err(Error::InvalidToken(_)) => "invalid",
            Err(Error::TokenExpired) => "expired",
            Err(Error::WrongTenant(_)) => "wrong_tenant",
            Err(Error::IssuerUnavailable) => "issuer_unavailable",
            Err(_) => "error",
        };
        let source = match source {
            Source::Cache => CACHE,
            Source::Signature => "signature",
        };
        self.0.count(result, source);
    }
}
