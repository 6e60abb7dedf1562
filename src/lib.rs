//! x
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod quickstart;
pub mod store;
pub mod telemetry;
