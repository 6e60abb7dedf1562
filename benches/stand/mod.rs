//! Shared by the benchmarks: a private PostgreSQL, the service as a child process, seeding of keys, a plain HTTP client,
//! tables.

pub mod client;
pub mod cpu;
pub mod keys;
pub mod postgres;
pub mod redis;
pub mod server;
pub mod table;

/// An error ends the run with its message.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[allow(clippy::cast_precision_loss, reason = "some millions")]
pub fn exact(count: u64) -> f64 {
    count as f64
}
