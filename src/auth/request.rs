//! A request as far as authentication reads it.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Uri};
use uuid::Uuid;

/// Where a request comes from, as the accept loop tells it.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The request's id. Kept as its answer will tell it.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// That text, where a header can tell it (RFC 9110, 5.5).
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        HeaderValue::try_from(text).ok().filter(|value| value.to_str().is_ok()).map(Self)
    }

    /// A new one (UUID, RFC 9562).
    #[must_use]
    pub fn random() -> Self {
        let id = Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned();
        Self(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static(""))) // hex digits and hyphens
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default() // it was text when it was made
    }

    /// The same for a header.
    #[must_use]
    pub fn into_header_value(self) -> HeaderValue {
        self.0
    }
}

/// A request, as far as it tells who is asking.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Its target.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Who sent it to us.
    pub peer: Peer,
    /// Its id.
    pub request_id: &'a RequestId,
}
