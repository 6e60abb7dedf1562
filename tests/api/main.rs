//! Tests of the service over real HTTP on real PostgreSQL: one file per endpoint or guarantee.
//!
//! [`harness`] starts a private PostgreSQL for the whole run and creates a database for each test, cloned from a migrated
//! template. [`client`] is the HTTP client, [`raw`] writes malformed or incomplete requests, [`http2`] speaks HTTP/2, [`proxy`] makes the
//! connection to the database fail, and [`binary`] runs the real program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these rules apply to the service, not to its tests"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "measurements (--nocapture) and notes on skipped tests")]
#![allow(
    clippy::too_many_lines,
    clippy::similar_names,
    clippy::format_collect,
    clippy::format_push_string,
    reason = "a test is read from top to bottom"
)]

mod addresses;
mod asvs_page;
mod binary;
mod bodies;
mod cache_equivalence;
mod cache_states;
mod callers;
mod chain;
mod client;
mod clients_page;
mod clocks;
mod command_line;
mod conditional;
mod console;
mod create;
mod credentials;
mod database_away;
mod decoys;
mod demo;
mod deployment_page;
mod disconnects;
mod docs_links;
mod doctor;
mod drills;
mod events;
mod every_call;
mod fair_shares;
mod forward_auth;
mod frozen;
mod fuzz;
mod gateways;
mod get;
mod github_leaks;
mod harness;
mod hosts;
mod http2;
mod idempotency;
mod idle;
mod incident_page;
mod instances;
mod issuer;
mod issuers_page;
mod json_suites;
mod jwt;
mod key_limits;
mod landing;
mod last_used;
mod late_bodies;
mod leaks;
mod limits;
mod list;
mod list_filters;
mod list_orders;
mod list_usage;
mod logs;
mod lookups;
mod me;
mod methods;
mod metrics;
#[cfg(target_os = "linux")]
mod names;
mod no_log;
mod oidc;
mod one_server;
mod one_tenant;
mod openapi;
mod operator;
mod overload;
mod plain_http;
mod planted;
mod policy;
mod pooler;
mod programs;
mod proxy;
mod queries;
mod query_plans;
mod quotas;
mod rate_limits;
mod raw;
mod receipts;
mod redis_server;
mod reference_implementations;
mod reference_page;
mod refusal_log;
mod retired_secrets;
mod reuse;
mod revocations;
mod revoke;
mod rotate;
mod round_trips;
mod row_level_security;
mod schema;
mod scopes;
mod shared_limits;
mod shutdown;
mod stamps;
mod standby;
mod start;
mod suspend;
mod systemd;
mod tenants;
#[cfg(target_os = "linux")]
mod tls;
mod tls_listener;
mod token_explain;
mod traces;
mod unread_bodies;
mod update;
mod usage;
mod usage_locks;
