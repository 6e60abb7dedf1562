//! Bodies of requests, and what becomes of the part that no handler reads.
//!
//! It is read and discarded after the response, within bounds. If the connection were closed instead, a client that is
//! still sending would see a reset, and many clients then report a broken pipe and lose the response.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Request, Version, header},
    response::Response,
};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::timeout;

/// A client that sends more than that after a response is disconnected.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;
/// So is one that takes longer.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// A request's body. If it is dropped before its end, the rest is in its [`Unread`].
pub(super) struct RequestBody {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    unread: Option<Slot>,
}

type Slot = Arc<Mutex<Option<Incoming>>>;

/// The part of a request's body that nobody has read.
pub(super) struct Unread {
    /// `None`: the request has no body.
    slot: Option<Slot>,
    /// Whether the client may wait for a 100 before it sends the body (RFC 9110, section 10.1.1), on a connection that
    /// can be closed (HTTP/1).
    may_wait: bool,
}

pub(super) fn track(request: Request<Incoming>) -> (Request<RequestBody>, Unread) {
    let slot = (!request.body().is_end_stream()).then(Slot::default);
    let may_wait =
        slot.is_some() && request.version() < Version::HTTP_2 && request.headers().contains_key(header::EXPECT);
    let unread = Unread { slot: slot.clone(), may_wait };
    (request.map(|incoming| RequestBody { incoming: Some(incoming), unread: slot }), unread)
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(incoming), Some(slot)) = (self.incoming.take(), &self.unread)
            && !incoming.is_end_stream()
        {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}

impl Unread {
    /// Lets the rest of the body be discarded once the response is written. Not before: reading it would make hyper send
    /// a 100 to a client that waits for one.
    pub(super) fn discard_after(self, mut response: Response) -> Response {
        let Some(unread) = self.slot.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take()) else {
            return response;
        };
        if self.may_wait {
            // The client may leave the body out, so what it sends next could be the body or another request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Body::new(ThenDiscard { body, unread: Some(unread) }))
    }
}

/// A response's body. hyper drops it when it is written.
struct ThenDiscard {
    body: Body,
    /// `None` only while it is dropped.
    unread: Option<Incoming>,
}

impl HttpBody for ThenDiscard {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ThenDiscard {
    fn drop(&mut self) {
        if let (Some(unread), Ok(runtime)) = (self.unread.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(timeout(DISCARD_TIMEOUT, discard(unread)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await
        && bytes <= MAX_DISCARDED_BYTES
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}
