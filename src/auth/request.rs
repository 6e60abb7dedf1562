//! The parts of a request that authentication reads.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Uri};
use tracing::Span;
use uuid::Uuid;

use crate::domain::access::RequiredAccess;

/// The address of the connection's other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The request's id, kept as a header's value: visible ASCII.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// `None`: the text cannot be a header's value (RFC 9110, 5.5).
    pub(crate) fn new(text: String) -> Option<Self> {
        HeaderValue::try_from(text).ok().filter(|value| value.to_str().is_ok()).map(Self)
    }

    /// A random UUID (RFC 9562).
    pub(crate) fn random() -> Self {
        let id = Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned();
        Self(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static(""))) // hex digits and hyphens
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default() // checked by both constructors
    }

    pub(crate) fn into_header_value(self) -> HeaderValue {
        self.0
    }
}

/// A request as far as authentication reads it.
#[derive(Clone, Copy)]
pub(crate) struct AuthRequest<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) peer: Peer,
    pub(crate) request_id: &'a RequestId,
    pub(crate) required: RequiredAccess,
    /// The request's span. Tenant and principal are recorded in it once they are known.
    pub(crate) span: &'a Span,
}
