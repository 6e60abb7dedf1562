//! The service over real HTTP on real PostgreSQL: one file per endpoint or promise.
//!
//! [`harness`] starts a private PostgreSQL for the whole run and gives each test a database of
//! its own, cloned from a migrated template; [`client`] is what tests speak HTTP through.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its expectations do")]

mod client;
mod credentials;
mod events;
mod forward_auth;
mod frozen;
mod harness;
mod hosts;
mod instances;
mod jwt;
mod last_used;
mod process;
mod proxy;
mod reference_page;
mod rotate;
mod row_level_security;
mod scopes;
mod stamps;
mod tenants;
