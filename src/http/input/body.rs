//! Bodies: one JSON object, usually of at most 16 KiB, without a content coding.

use std::time::Duration;

use axum::{
    body::{Bytes, HttpBody as _},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{InputFields, json};
use crate::http::problem::{Code, Problem};

const MAX_BYTES: usize = 16 * 1024;
/// The longest time in which a body must arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

const JSON: &[&str] = &["application/json"];
const JSON_OR_MERGE_PATCH: &[&str] = &["application/json", "application/merge-patch+json"];

/// A body of one JSON object.
pub(crate) struct JsonBody(pub(crate) InputFields);

/// Like [`JsonBody`]; `application/merge-patch+json` (RFC 7396) is accepted too.
pub(crate) struct MergePatchBody(pub(crate) InputFields);

/// Like [`JsonBody`]; a body without a byte is `{}`, whatever its framing and media type.
pub(crate) struct OptionalJsonBody(pub(crate) InputFields);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read_json_body(request, MAX_BYTES).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for MergePatchBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_headers(&request, JSON_OR_MERGE_PATCH)?;
        parse(&read(request, MAX_BYTES).await?).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let headers = check_headers(&request, JSON);
        if request.body().size_hint().lower() > 0 {
            headers.clone()?;
        }
        // Only reading tells whether a chunked body, or one of HTTP/2, is empty.
        let bytes = read(request, MAX_BYTES).await?;
        if bytes.is_empty() {
            return Ok(Self(InputFields::new(Vec::new())));
        }
        headers?;
        parse(&bytes).map(Self)
    }
}

/// The bytes of a body that is to be JSON, at most so many.
pub(crate) async fn read_raw_json_body(request: Request, max_bytes: usize) -> Result<Bytes, Problem> {
    check_headers(&request, JSON)?;
    read(request, max_bytes).await
}

/// The members of a body of one JSON object, of at most so many bytes.
pub(crate) async fn read_json_body(request: Request, max_bytes: usize) -> Result<InputFields, Problem> {
    parse(&read_raw_json_body(request, max_bytes).await?)
}

fn parse(bytes: &[u8]) -> Result<InputFields, Problem> {
    let mut fields = json::parse_object(bytes).map(InputFields::new).map_err(Problem::invalid_json)?;
    for path in json::nested_repeats(bytes) {
        fields.refuse_repeated(path);
    }
    Ok(fields)
}

/// Refuses a body that is not worth reading: a client with `Expect: 100-continue` need not send it.
fn check_headers(request: &Request, media_types: &[&str]) -> Result<(), Problem> {
    if has_coding(request.headers()) {
        return Err(Problem::unsupported_coding());
    }
    if !is_one_of(request.headers(), media_types) {
        return Err(Problem::unsupported_media_type(media_types, request.method()));
    }
    Ok(())
}

async fn read(request: Request, max_bytes: usize) -> Result<Bytes, Problem> {
    if request.body().size_hint().lower() > max_bytes as u64 {
        return Err(Problem::body_too_large(max_bytes));
    }
    let body = Limited::new(request.into_body(), max_bytes).collect();
    match tokio::time::timeout(TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(max_bytes)),
        Ok(Err(_)) => Err(Problem::invalid_json("was cut short".into())),
        Err(_) => Err(Code::RequestTimeout.into()),
    }
}

/// Of the content (RFC 9110, section 8.4; `identity` is no coding) or of its transfer (RFC 9112, section 6.1), apart from the
/// chunks, which are joined by now.
fn has_coding(headers: &HeaderMap) -> bool {
    let codings = |name| {
        let values = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        values.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty())
    };
    codings(header::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
        || codings(header::TRANSFER_ENCODING)
            .enumerate()
            .any(|(n, coding)| n > 0 || !coding.eq_ignore_ascii_case(b"chunked"))
}

/// Parameters such as `charset` are ignored, since JSON is always UTF-8 (RFC 8259, section 8.1).
fn is_one_of(headers: &HeaderMap, media_types: &[&str]) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    media_types.iter().any(|media_type| essence.eq_ignore_ascii_case(media_type))
}
