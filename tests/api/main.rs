//! The service over real HTTP on real PostgreSQL: one file per endpoint or promise.
//!
//! [`harness`] starts a private PostgreSQL for the whole run and gives each test a database of
//! its own, cloned from a migrated template; [`client`] is what tests speak HTTP through.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its expectations do")]

mod client;
mod create;
mod get;
mod harness;
mod list;
mod methods;
mod reference_page;
mod revoke;
mod update;
