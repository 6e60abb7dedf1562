//! Secrets of API keys: hash, stamp, verification.

pub(crate) mod argon2_pool;
pub mod hasher;
pub mod pepper;
pub(crate) mod verification_metrics;
pub mod verifier;
