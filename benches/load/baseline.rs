//! Baselines for comparison: axum alone, and axum with one query.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
    serve::ListenerExt as _,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    Outcome,
    stand::{postgres::Database, server::Server},
};

/// The argument that makes this program serve, followed by the kind of baseline.
pub const ARGUMENT: &str = "serve-";

#[derive(Clone, Copy)]
pub enum Baseline {
    /// A route that returns `ok`, without middleware.
    Bare,
    /// A route that reads a row by its primary key.
    Select,
}

/// Starts this program as a baseline.
pub async fn start(database: &Database, kind: Baseline) -> Outcome<Server> {
    let name = match kind {
        Baseline::Bare => "bare",
        Baseline::Select => "select",
    };
    let argument = format!("{ARGUMENT}{name}");
    let url = database.url_text();
    let program = std::env::current_exe()?;
    Server::start(database.dir(), &argument, &program, Some(&argument), &[("DATABASE_URL", &url)]).await
}

/// Runs a baseline until the process is killed.
pub fn serve(kind: &str) -> Outcome<()> {
    // As in the service's `#[tokio::main]`.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = match kind {
            "bare" => Router::new().route("/healthz", get(async || "ok")),
            "select" => Router::new().route("/rows/{tenant}/{id}", get(select)).with_state(pool()?),
            kind => return Err(format!("there is no baseline {kind}").into()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        eprintln!("listening address={} ", listener.local_addr()?);
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        Ok(axum::serve(listener, router).await?)
    })
}

/// Like the service's pool for checks.
fn pool() -> Outcome<PgPool> {
    let url = std::env::var("DATABASE_URL")?;
    Ok(PgPoolOptions::new().max_connections(10).test_before_acquire(false).connect_lazy(&url)?)
}

async fn select(State(pool): State<PgPool>, Path(row): Path<(Uuid, Uuid)>) -> Result<String, StatusCode> {
    sqlx::query_scalar("SELECT name FROM api_keys WHERE tenant_id = $1 AND id = $2") // prepared once per connection
        .bind(row.0)
        .bind(row.1)
        .fetch_one(&pool)
        .await
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
