//! Secrets of API keys: how they are hashed, stamped and verified.

pub mod argon2_pool;
pub mod hasher;
pub mod pepper;
pub mod verifier;
