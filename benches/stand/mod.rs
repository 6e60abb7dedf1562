//! What `load` and `faults` share: a PostgreSQL of the run's own, the service as a process, keys in the
//! database, a plain HTTP client, tables. Each uses its part of it.

pub mod client;
pub mod keys;
pub mod postgres;
pub mod server;
pub mod table;

/// What fails here ends the run, with a message for whoever started it.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[allow(clippy::cast_precision_loss, reason = "some millions")]
pub fn exact(count: u64) -> f64 {
    count as f64
}
