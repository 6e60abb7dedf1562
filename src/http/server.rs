//! The accept loop: hyper with the limits that `axum::serve` does not set.
//!
//! - A connection has `FIRST_REQUEST` to bring its first request, so that a client that says
//!   nothing, or dribbles, is soon gone.
//! - After each answer it has `IDLE` to take that and to bring the next request's header, which is
//!   longer than the 60 s for which nginx keeps upstream connections: else a request could meet a
//!   connection that is just being closed. (Kept by `Activity` and not by hyper, which would set a
//!   timer anew for each request.)
//! - Headers: 100 (hyper's own bound), 32 KiB in all (431 beyond). Connections: a bound; further
//!   ones wait in the kernel's queue.
//!
//! HTTP/2 without TLS is spoken to clients that begin with its preface (RFC 9113, 3.3).

use std::{
    convert::Infallible,
    future::ready,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::{FutureExt as _, future::Either};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::{debug, warn};

use super::{dispatch::Dispatcher, drain::Drain, socket::Socket};
use crate::auth::request::Peer;

const FIRST_REQUEST: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(75);
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_STREAMS: u32 = 128;
/// RFC 9113, 3.4
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts and serves until `shutdown` is done. What is returned waits for the requests that
/// are in flight then.
pub async fn serve(
    listener: TcpListener,
    dispatch: Dispatcher,
    max_connections: usize,
    drain: &Drain,
    shutdown: impl Future<Output = ()>,
) -> GracefulShutdown {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(max_connections));
    let admit = |stream, peer: SocketAddr, place: Option<OwnedSemaphorePermit>| {
        let (dispatch, drain, watcher) = (dispatch.clone(), drain.clone(), graceful.watcher());
        tokio::spawn(async move {
            if let Err(error) = serve_connection(stream, peer, dispatch, drain, watcher).await {
                debug!(%peer, error, "a connection ended early");
            }
            drop(place);
        });
    };
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
            Ok((stream, peer)) => admit(stream, peer, place.ok()),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely: they come back as connections end.
                warn!(%error, "cannot accept connections");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // Those that the kernel has let in already, whom nobody else could answer.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        admit(stream, peer, None);
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

/// What a connection is at, so that it can be told when it dawdles.
struct Activity {
    opened: Instant,
    in_flight: AtomicUsize,
    /// When the last request was answered, in milliseconds since it was opened; 0: none was yet.
    answered: AtomicU64,
}

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self { opened: Instant::now(), in_flight: AtomicUsize::new(0), answered: AtomicU64::new(0) })
    }

    async fn during<T>(&self, answering: impl Future<Output = T>) -> T {
        struct End<'a>(&'a Activity);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.note_answer();
                self.0.in_flight.fetch_sub(1, Ordering::Release);
            }
        }
        self.in_flight.fetch_add(1, Ordering::Release);
        let _end = End(self);
        answering.await
    }

    fn note_answer(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered.store(millis.max(1), Ordering::Release);
    }

    /// When it has dawdled for too long, if nothing happens from now on.
    fn deadline(&self) -> Instant {
        if self.in_flight.load(Ordering::Acquire) > 0 {
            return Instant::now() + IDLE;
        }
        match self.answered.load(Ordering::Acquire) {
            0 => self.opened + FIRST_REQUEST,
            millis => self.opened + Duration::from_millis(millis) + IDLE,
        }
    }

    /// Until it has.
    async fn dawdles(&self) {
        loop {
            let deadline = self.deadline();
            if Instant::now() >= deadline {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    dispatch: Dispatcher,
    drain: Drain,
    watcher: Watcher,
) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let activity = Activity::new();
    stream.set_nodelay(true).map_err(|error| text(&error))?;
    let is_http2 = timeout_at(activity.deadline(), begins_http2(&stream))
        .await
        .map_err(|_| "sent nothing in time")?
        .map_err(|error| text(&error))?;

    let noted = activity.clone();
    let finish = move |mut response: Response, drain: &Drain| {
        if drain.has_begun() && !is_http2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response)
    };
    let service =
        service_fn(move |request: hyper::Request<Incoming>| match dispatch.respond(request, Peer(peer.ip())) {
            Either::Left(at_once) => {
                noted.note_answer();
                Either::Left(ready(finish(at_once.into_inner(), &drain)))
            }
            Either::Right(later) => {
                let (drain, activity) = (drain.clone(), noted.clone());
                Either::Right(async move { finish(activity.during(later).await, &drain) })
            }
        });
    let io = TokioIo::new(Socket(stream));
    if is_http2 {
        let connection = conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(IDLE)
            .serve_connection(io, service);
        tokio::select! {
            biased;
            outcome = watcher.watch(connection) => outcome.map_err(|error| text(&error)),
            () = activity.dawdles() => Err("dawdled".into()),
        }
    } else {
        let connection = conn::http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(MAX_HEADER_BYTES)
            .serve_connection(io, service);
        tokio::select! {
            biased;
            outcome = watcher.watch(connection) => outcome.map_err(|error| text(&error)),
            () = activity.dawdles() => Err("dawdled".into()),
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
