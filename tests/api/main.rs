//! The service over real HTTP on real PostgreSQL: one file per endpoint or promise.
//!
//! [`harness`] starts a private PostgreSQL for the whole run and gives each test a database of
//! its own, cloned from a migrated template; [`client`] is what tests speak HTTP through, [`raw`] where they
//! have to misbehave, and [`binary`] runs the real program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its expectations do")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "rules for the service, not for its tests")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures with --nocapture, and what was skipped")]
#![allow(
    clippy::too_many_lines,
    clippy::similar_names,
    clippy::format_collect,
    clippy::format_push_string,
    reason = "a test reads from top to bottom"
)]

mod binary;
mod cache_equivalence;
mod cache_states;
mod chain;
mod client;
mod create;
mod credentials;
mod database_away;
mod demo;
mod disconnects;
mod doctor;
mod events;
mod forward_auth;
mod frozen;
mod fuzz;
mod gateways;
mod get;
mod harness;
mod hosts;
mod instances;
mod issuer;
mod jwt;
mod last_used;
mod late_bodies;
mod limits;
mod list;
mod logs;
mod look_ups;
mod methods;
mod metrics;
#[cfg(target_os = "linux")]
mod no_log;
mod oidc;
mod openapi;
mod overload;
mod proxy;
mod raw;
mod reference_page;
mod reuse;
mod revoke;
mod rotate;
mod round_trips;
mod row_level_security;
mod schema;
mod scopes;
mod shutdown;
mod stamps;
mod tenants;
#[cfg(target_os = "linux")]
mod tls;
mod traces;
mod update;
mod usage;
mod usage_locks;
