//! Logs, to standard error. Nothing secret passes: credentials are marked sensitive before
//! anything sees them, secrets redact their own `Debug`, and a test reads every level.

pub mod traces;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Log;

/// Starts logging, for the whole process. Called twice, the first stays.
pub fn start(log: &Log) {
    let filter = EnvFilter::new(&log.filter);
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // They would be told to standard error, by a macro that panics where that is what fails (its disk
        // is full, its reader is gone): no request is to fail for its log line.
        .log_internal_errors(false);
    let outcome = if log.json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.try_init()
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "logging had started already");
    }
}
