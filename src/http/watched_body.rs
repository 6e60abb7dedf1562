//! Bodies that end their connection if the client does not read them.
//!
//! hyper takes a part of a body when it has sent the part before. With HTTP/1 it stops when the socket takes no more
//! bytes, with HTTP/2 also when the client leaves the stream's window closed, where nothing else would ever notice.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// How long a connection may take no byte of a response.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(10);
/// What hyper is given at once. A body of this size or less is not watched: hyper holds it anyway.
const PART: usize = 16 * 1024;

/// Watches a large body. `in_flight` is dropped when the body is; after a stall, `on_stall` gets it before.
pub(super) fn watch<T: Send + 'static>(response: Response, in_flight: T, on_stall: fn(T)) -> Response {
    let size = response.body().size_hint().upper();
    if size.is_some_and(|size| size <= PART as u64) {
        return response;
    }
    response.map(|body| {
        let progress = Arc::new(Progress { began: Instant::now(), last: AtomicU64::new(0) });
        let of_watcher = progress.clone();
        let watcher = tokio::spawn(async move {
            of_watcher.stalls().await;
            on_stall(in_flight);
        });
        Body::new(WatchedBody { body, rest: Bytes::new(), progress, _watcher: AbortOnDropHandle::new(watcher) })
    })
}

struct WatchedBody {
    body: Body,
    /// The unsent rest of the last frame.
    rest: Bytes,
    progress: Arc<Progress>,
    _watcher: AbortOnDropHandle<()>,
}

struct Progress {
    began: Instant,
    /// When hyper last took a part, in milliseconds since `began`, or `WAITING`.
    last: AtomicU64,
}

impl Progress {
    /// hyper waits for the next part, and not for the client.
    const WAITING: u64 = u64::MAX;

    fn record_part(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(0);
        self.last.store(millis, Ordering::Relaxed);
    }

    fn record_waiting(&self) {
        self.last.store(Self::WAITING, Ordering::Relaxed);
    }

    async fn stalls(&self) {
        loop {
            let deadline = match self.last.load(Ordering::Relaxed) {
                Self::WAITING => Instant::now() + STALL_LIMIT,
                millis => self.began + Duration::from_millis(millis) + STALL_LIMIT,
            };
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            self.progress.record_waiting();
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            self.progress.record_part();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        self.progress.record_part();
        let length = self.rest.len().min(PART);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
