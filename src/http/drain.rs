//! The drain, with which a stop begins where others have to find out about it: a load balancer, or
//! Kubernetes' endpoints, send requests on for a moment after SIGTERM.
//!
//! During it everything is served as ever, new connections too; but `/readyz` says 503, and each
//! answer of HTTP/1.1 ends its connection (`Connection: close`), so that by the end clients have
//! moved elsewhere and no request meets a connection that is just being closed. Connections of
//! HTTP/2 need no such care: they are told to go away by GOAWAY, which loses no request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether the drain has begun. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<AtomicBool>);

impl Drain {
    /// From now on, and until the end.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
