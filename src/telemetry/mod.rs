//! Logs, to standard error, and the export of traces.
//!
//! Logs contain no secret: credentials are marked sensitive before a request is traced, secrets redact their `Debug`,
//! and a test searches the output of every level.

mod text_fields;
pub(crate) mod trace_export;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt::{self, FormatFields, SubscriberBuilder, format},
};

use crate::config::Log;

/// Installs the process's logger. A second call has no effect.
pub(crate) fn start(log: &Log) {
    let builder = text()
        .with_env_filter(filter(&log.filter))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // The subscriber reports its own write errors by `eprintln!`, which panics if standard error cannot be
        // written (a full disk, a closed pipe). A request must not fail because of its log line.
        .log_internal_errors(false);
    let outcome = if log.json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.try_init()
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "logging is already started");
    }
}

/// The configured filter. Unless that names sqlx, its warnings about each connection that breaks, or that PostgreSQL ends, are
/// left out: the change feed reports an outage of PostgreSQL, once.
fn filter(configured: &str) -> EnvFilter {
    let without_sqlx =
        if configured.contains("sqlx") { "" } else { "sqlx_core::pool=off,sqlx::postgres::notice=error," };
    EnvFilter::new(format!("{without_sqlx}{configured}"))
}

/// The text format.
fn text() -> SubscriberBuilder<impl for<'writer> FormatFields<'writer> + 'static> {
    fmt::fmt().fmt_fields(format::debug_fn(text_fields::write).delimited(" "))
}
