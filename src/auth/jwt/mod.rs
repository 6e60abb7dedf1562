//! JSON Web Tokens (RFC 7519): verification keys, issuers' key sets, verification, signing.

pub mod jwks;
pub mod signer;
pub mod verification_key;
pub mod verifier;
