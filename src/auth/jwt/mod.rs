//! JSON Web Tokens (RFC 7519): verification keys, issuers' key sets, verification, signing.

pub mod claim_path;
pub mod claims;
pub mod explain;
pub mod jwks;
pub mod scope_claims;
pub(crate) mod shared_issuers;
pub mod signer;
mod token;
pub mod verification_key;
mod verification_metrics;
pub mod verifier;
#[cfg(test)]
mod wycheproof;
