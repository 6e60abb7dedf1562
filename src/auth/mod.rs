//! Credential → principal.
//!
//! Refuses: to guess. Two credentials, two hosts, a forwarded host that differs: all are 400.

pub mod api_key;
pub mod authenticator;
pub mod cache;
pub mod credential;
pub mod error;
pub mod jwt;
pub mod metrics;
pub mod request;
pub mod tenant_host;
