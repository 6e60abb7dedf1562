//! Shared by the benchmarks: a private PostgreSQL, the service as a child process, seeding of keys, a plain HTTP client,
//! loads, reports, pages of a list, tables.

pub mod client;
pub mod cpu;
pub mod keys;
pub mod load;
pub mod pages;
pub mod postgres;
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]
pub mod program;
#[allow(clippy::expect_used, reason = "shared with the tests")]
#[path = "../../tests/api/proxy.rs"]
pub mod proxy;
pub mod redis;
#[allow(clippy::print_stderr, reason = "progress of a benchmark")]
pub mod report;
pub mod scene;
pub mod server;
#[path = "../../tests/api/standby.rs"]
pub mod standby;
pub mod table;

/// An error ends the run with its message.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[allow(clippy::cast_precision_loss, reason = "some millions")]
pub fn exact(count: u64) -> f64 {
    count as f64
}
