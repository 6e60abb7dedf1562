//! The accept loop: hyper with the limits that `axum::serve` does not set.
//!
//! - A connection has [`FIRST_REQUEST`] to bring its first request, so that a client that says
//!   nothing, or dribbles, is soon gone.
//! - Between requests, and for each further request's header, it has [`IDLE`], which is longer
//!   than the 60 s for which nginx keeps upstream connections: else a request could meet a
//!   connection that is just being closed.
//! - Headers: 100, 32 KiB in all (431 beyond). Connections: a bound; further ones wait in the
//!   kernel's queue.
//!
//! HTTP/2 without TLS is spoken to clients that begin with its preface (RFC 9113, 3.3).

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use tower::ServiceExt as _;
use tracing::{debug, warn};

use crate::auth::Peer;

const FIRST_REQUEST: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(75);
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_STREAMS: u32 = 128;
/// RFC 9113, 3.4
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts and serves until `shutdown` is done. What is returned waits for the requests that
/// are in flight then.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    shutdown: impl Future<Output = ()>,
) -> GracefulShutdown {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(max_connections));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, watcher) = (router.clone(), graceful.watcher());
                tokio::spawn(async move {
                    if let Err(error) = serve_connection(stream, peer, router, watcher).await {
                        debug!(%peer, error, "a connection ended early");
                    }
                    drop(place);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely: they come back as connections end.
                warn!(%error, "cannot accept connections");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    graceful
}

/// accept(2) also returns errors that are pending on the new connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, router: Router, watcher: Watcher) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let deadline = Instant::now() + FIRST_REQUEST;
    stream.set_nodelay(true).map_err(|error| text(&error))?;
    let is_http2 = timeout_at(deadline, begins_http2(&stream))
        .await
        .map_err(|_| "sent nothing in time")?
        .map_err(|error| text(&error))?;

    let had_request = Arc::new(AtomicBool::new(false));
    let noted = had_request.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        noted.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Peer(peer.ip()));
        let request: Request = request.map(Body::new);
        router.clone().oneshot(request)
    });
    let io = TokioIo::new(stream);
    let first_request_is_late = async {
        tokio::time::sleep_until(deadline).await;
        if had_request.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    if is_http2 {
        let connection = conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(IDLE)
            .serve_connection(io, service);
        tokio::select! {
            outcome = watcher.watch(connection) => outcome.map_err(|error| text(&error)),
            () = first_request_is_late => Err("brought no request in time".into()),
        }
    } else {
        let connection = conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEADER_BYTES)
            .serve_connection(io, service);
        tokio::select! {
            outcome = watcher.watch(connection) => outcome.map_err(|error| text(&error)),
            () = first_request_is_late => Err("brought no request in time".into()),
        }
    }
}

/// Looks at the first bytes without taking them.
async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut bytes = [0; HTTP2_PREFACE.len()];
    loop {
        let length = stream.peek(&mut bytes).await?;
        if length == 0 || bytes[..length] != HTTP2_PREFACE[..length] {
            return Ok(false);
        }
        if length == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        sleep(Duration::from_millis(5)).await; // the rest is on its way; peek would not wait for it
    }
}
