//! The accept loop: hyper with the limits that `axum::serve` does not set.
//!
//! - A new connection has `FIRST_REQUEST` to send its first request, so that silent and slow clients free their
//!   connection soon.
//! - After each response it has `IDLE` to read that and to send the next request's header. That is longer than the
//!   60 s for which nginx keeps idle upstream connections: otherwise nginx could send a request on a connection that
//!   is being closed. (`Activity` enforces both, since hyper would set a timer for each request.)
//! - A connection that takes no byte of a response for [`watched_body::STALL_LIMIT`] is closed: by `Socket` if the client does not read
//!   from it, by `watched_body` if an HTTP/2 client leaves a stream's window closed. That stream's connection takes no
//!   more requests, and is closed when its other responses are sent.
//! - Headers: 100 fields (hyper's own limit) and 32 KiB in all; more is a 431.
//! - Connections are limited; more of them wait in the kernel's queue.
//!
//! With TLS, its handshake is a part of `FIRST_REQUEST`. HTTP/2 without TLS is for clients that start with its preface (RFC 9113, section 3.3).

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
    BoxError,
    http::{HeaderValue, Version, header},
    response::Response,
};
use futures_util::{FutureExt as _, future::Either};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    dispatch::Dispatcher,
    drain::Drain,
    request_body::{self, Unread},
    socket::Socket,
    tls::{self, ReloadableAcceptor},
    watched_body,
};
use crate::auth::request::Peer;

const FIRST_REQUEST: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(75);
/// How often a connection with a response that is not read is looked at, until its other responses are sent.
const CLOSING: Duration = Duration::from_secs(1);
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_STREAMS: u32 = 128;
/// What hyper takes of an HTTP/2 response before it is sent. (With HTTP/1 that is `MAX_HEADER_BYTES`.)
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// The connections that are open when the accept loop has ended.
pub struct OpenConnections(watch::Sender<()>);

impl OpenConnections {
    /// Ends idle connections, and the others after the requests that are in flight. Returns when all are closed.
    pub async fn shutdown(self) {
        let _ = self.0.send(());
        self.0.closed().await;
    }
}

/// Accepts and serves connections until `shutdown` completes.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ReloadableAcceptor>,
    dispatch: Dispatcher,
    max_connections: usize,
    counted: &Gauge,
    drain: &Drain,
    shutdown: impl Future<Output = ()>,
) -> OpenConnections {
    let open = OpenConnections(watch::Sender::new(()));
    let permits = Arc::new(Semaphore::new(max_connections));
    let admit = |stream, peer: SocketAddr, permit: Option<OwnedSemaphorePermit>| {
        let connection = Connection {
            peer: Peer(peer.ip()),
            dispatch: dispatch.clone(),
            drain: drain.clone(),
            stop: open.0.subscribe(),
            activity: Activity::new(),
        };
        let (tls, counted) = (tls.clone(), CountedConnection::new(counted));
        tokio::spawn(async move {
            if let Err(error) = connection.serve(stream, tls).await {
                debug!(%peer, error, "a connection was closed before its client closed it");
            }
            drop((permit, counted));
        });
    };
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer, permit.ok()),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Usually there are no file descriptors left; some become free as connections end.
                warn!(%error, "cannot accept a connection; trying again in 100 ms");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // The kernel has accepted these already, so no other instance can serve them.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        admit(stream, peer, None);
    }
    open
}

/// Counts a connection while it is open.
struct CountedConnection(Gauge);

impl CountedConnection {
    fn new(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// accept(2) also returns errors that are pending on the new connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// When a connection was last active.
struct Activity {
    opened: Instant,
    in_flight: AtomicUsize,
    /// The time of the last response, in milliseconds since `opened`; 0: none yet.
    last_response: AtomicU64,
    /// A response was not read for too long.
    stalled: CancellationToken,
}

/// A request whose response is not sent yet.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.in_flight.fetch_add(1, Ordering::Release);
        Self(activity.clone())
    }

    fn stall(self) {
        self.0.stalled.cancel();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.record_response();
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            last_response: AtomicU64::new(0),
            stalled: CancellationToken::new(),
        })
    }

    fn record_response(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_response.store(millis.max(1), Ordering::Release);
    }

    /// When the connection is to be closed, unless it is active before.
    fn deadline(&self) -> Instant {
        let is_stalled = self.stalled.is_cancelled();
        if self.in_flight.load(Ordering::Acquire) > 0 {
            return Instant::now() + if is_stalled { CLOSING } else { IDLE };
        }
        if is_stalled {
            return Instant::now();
        }
        match self.last_response.load(Ordering::Acquire) {
            0 => self.opened + FIRST_REQUEST,
            millis => self.opened + Duration::from_millis(millis) + IDLE,
        }
    }

    /// Waits until the deadline has passed.
    async fn times_out(&self) {
        loop {
            let deadline = self.deadline();
            if Instant::now() >= deadline {
                return;
            }
            tokio::select! {
                () = sleep_until(deadline) => {}
                () = self.stalled.cancelled(), if !self.stalled.is_cancelled() => {}
            }
        }
    }
}

/// An accepted connection.
struct Connection {
    peer: Peer,
    dispatch: Dispatcher,
    drain: Drain,
    stop: watch::Receiver<()>,
    activity: Arc<Activity>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<ReloadableAcceptor>) -> Result<(), BoxError> {
        let activity = self.activity.clone();
        let served = async {
            match tls {
                None => self.serve_plain(stream).await,
                Some(tls) => self.serve_tls(stream, tls).await,
            }
        };
        tokio::select! {
            biased;
            outcome = served => outcome,
            () = activity.times_out() => Err("no request in time, or a response was not read in time".into()),
        }
    }

    // At a stop, `auto` closes a connection of which it has read nothing, even if a request has just arrived. So it gets
    // the connection once there is something to read.
    async fn serve_plain(mut self, stream: TcpStream) -> Result<(), BoxError> {
        let mut first_byte = [0];
        match self.unless_stopped(stream.peek(&mut first_byte)).await {
            Some(readable) => readable.map(drop)?,
            None => return Ok(()),
        }
        self.handle_requests(Socket::new(stream)?).await
    }

    async fn serve_tls(mut self, stream: TcpStream, tls: ReloadableAcceptor) -> Result<(), BoxError> {
        let mut first_byte = [0];
        match self.unless_stopped(stream.peek(&mut first_byte)).await.transpose()? {
            None | Some(0) => return Ok(()),
            Some(_) if first_byte != [tls::HANDSHAKE] => return Ok(tls.refuse_plain_http(stream).await?),
            Some(_) => {}
        }
        let mut stream = match self.unless_stopped(tls.accept(Socket::new(stream)?, self.peer.0)).await {
            Some(accepted) => accepted?,
            None => return Ok(()),
        };
        match self.unless_stopped(stream.fill_buf()).await {
            Some(readable) => drop(readable?),
            None => return Ok(()),
        }
        self.handle_requests(stream).await
    }

    /// `None`: the service stops. What has arrived is read before that.
    async fn unless_stopped<T>(&mut self, arrival: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            arrived = arrival => Some(arrived),
            _ = self.stop.changed() => None,
        }
    }

    async fn handle_requests(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), BoxError> {
        let Self { peer, dispatch, drain, mut stop, activity } = self;
        let finish = move |response: Response, unread: Unread, version: Version, drain: &Drain| {
            let mut response = unread.discard_after(response);
            if drain.has_begun() && version < Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        };
        let of_service = activity.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let activity = &of_service;
            let version = request.version();
            let (request, unread) = request_body::track(request);
            match dispatch.respond(request, peer) {
                Either::Left(at_once) => {
                    activity.record_response();
                    Either::Left(ready(finish(at_once.into_inner(), unread, version, &drain)))
                }
                Either::Right(later) => {
                    let (drain, in_flight) = (drain.clone(), InFlight::new(activity));
                    Either::Right(async move {
                        let response = watched_body::watch(later.await, in_flight, InFlight::stall);
                        finish(response, unread, version, &drain)
                    })
                }
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().header_read_timeout(None).max_buf_size(MAX_HEADER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(MAX_SEND_BUFFER)
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(IDLE);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            biased; // as above
            outcome = &mut connection => return outcome,
            _ = stop.changed() => {}
            () = activity.stalled.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }
}
