//! The drain: the first part of a stop. Load balancers and Kubernetes' endpoints send requests for a moment after
//! SIGTERM, until they learn of it.
//!
//! During the drain every request is served, on new connections too. But `/readyz` responds with 503, and each HTTP/1
//! response has `Connection: close`, so that clients have moved to other instances when the connections close, and no
//! request arrives on a connection that is being closed. HTTP/2 needs no such header: GOAWAY loses no request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A flag that is set when the drain begins. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<AtomicBool>);

impl Drain {
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
