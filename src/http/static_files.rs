//! Files that are part of the program: sent from memory, compressed, with a validator.

use std::{borrow::Cow, io::Write as _, sync::OnceLock};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

use super::{entity_tags::Condition, names::CROSS_ORIGIN_OPENER_POLICY};

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const STYLES: &str = "text/css; charset=utf-8";

/// Cached, but revalidated at each use, so that a new version shows at once.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
/// For a name that is another one where the content is. RFC 8246
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub(super) struct File {
    pub(super) name: Cow<'static, str>,
    content_type: &'static str,
    plain: Representation,
    /// Made at the first request that accepts it.
    gzip: OnceLock<Representation>,
    brotli: Option<Representation>,
    cache_control: HeaderValue,
    content_policy: Option<HeaderValue>,
    is_shared: bool,
}

/// A file's bytes in one content coding.
struct Representation {
    body: Bytes,
    /// RFC 9110, section 8.8.3
    etag: HeaderValue,
}

impl Representation {
    fn new(body: Bytes) -> Self {
        let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..12]));
        // base64 in quotes is always a valid value.
        Self { body, etag: HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    fn gzip(plain: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to a Vec does not fail.
        let compressed = encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default();
        Self::new(compressed.into())
    }
}

impl File {
    pub(super) fn new(name: impl Into<Cow<'static, str>>, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            content_type,
            plain: Representation::new(body.into()),
            gzip: OnceLock::new(),
            brotli: None,
            cache_control: REVALIDATED,
            content_policy: None,
            is_shared: false,
        }
    }

    /// With the same content, compressed by Brotli (RFC 7932).
    pub(super) fn with_brotli(self, body: Option<Bytes>) -> Self {
        Self { brotli: body.map(Representation::new), ..self }
    }

    /// With a Content Security Policy (Level 3).
    pub(super) fn with_policy(self, policy: HeaderValue) -> Self {
        Self { content_policy: Some(policy), ..self }
    }

    /// The name contains a hash of the content.
    pub(super) fn immutable(self) -> Self {
        Self { cache_control: IMMUTABLE, ..self }
    }

    /// Pages of any origin may load it.
    pub(super) fn shared(self) -> Self {
        Self { is_shared: true, ..self }
    }

    pub(super) fn respond(&self, request: &HeaderMap) -> Response {
        let (coding, representation) = match &self.brotli {
            Some(brotli) if accepts(request, "br") => (Some("br"), brotli),
            _ if accepts(request, "gzip") => {
                (Some("gzip"), self.gzip.get_or_init(|| Representation::gzip(&self.plain.body)))
            }
            _ => (None, &self.plain),
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (header::CACHE_CONTROL, self.cache_control.clone()),
            (header::ETAG, representation.etag.clone()),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
        ];
        let policy = self.content_policy.clone().map(|policy| [(header::CONTENT_SECURITY_POLICY, policy)]);
        let shared = self.is_shared.then_some([(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]);
        let known = Condition::read(request, header::IF_NONE_MATCH);
        if known.is_some_and(|known| known.holds(|tag| tag.quoted == representation.etag.as_bytes())) {
            return (StatusCode::NOT_MODIFIED, headers, policy, shared, ()).into_response();
        }
        let coding = coding.map(|coding| [(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
        (headers, policy, shared, coding, representation.body.clone()).into_response()
    }
}

/// RFC 9110, section 12.5.3. `*` is not taken to mean the coding.
fn accepts(request: &HeaderMap, coding: &str) -> bool {
    let lines = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| {
        let (name, weight) = member.split_once(';').unwrap_or((member, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case(coding) && weight.is_ok_and(|weight| weight > 0.0)
    })
}
