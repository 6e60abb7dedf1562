//! Secrets of API keys: hash, stamp, verification.

pub(crate) mod argon2_pool;
mod derivation;
pub mod hasher;
pub mod pepper;
pub(crate) mod verification_metrics;
pub mod verifier;
