//! Lists without a limit, as a bare JSON array, of which no more than a page is in memory.
//!
//! A page is read in a transaction of its own, when the connection has taken the page before. So a client that reads
//! slowly, or not at all, holds neither a connection to the database nor more than one buffer. The first page is read
//! before the status is sent. A list that fits into it has a `Content-Length`. If a later page cannot be read, the
//! response is cut off: its end, a chunk or a frame, is missing.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use form_urlencoded::Serializer;
use futures_util::{StreamExt as _, future::ready, stream};
use serde::Serialize;
use tracing::{Instrument as _, warn};

use super::{
    paging::{self, Paging},
    preconditions::{Preconditions, weak_tag},
};
use crate::{
    auth::error::Error,
    domain::TenantId,
    http::{
        names::X_TOTAL_COUNT,
        problem::{Code, Problem},
        response_buffers::{ResponseBuffer, ResponseBuffers},
    },
    store::{Listed, Page, Position},
};

/// Items of a page. A page ends earlier when it has `PAGE_BYTES`.
const PAGE_ITEMS: usize = 1_000;
const PAGE_BYTES: usize = 512 * 1024;
/// How long a list waits for its first buffer, and a list that has begun for its next.
const FIRST_BUFFER_TIMEOUT: Duration = Duration::from_secs(3);
const NEXT_BUFFER_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) type Items<T> = Listed<(Position, T)>;

/// What a list consists of.
pub(super) trait ListSource: Send + Sync + 'static {
    type Item: Serialize + Send;

    /// Reads a page in a transaction of its own. `None`: the key whose items they would be does not exist.
    fn read(&self, page: &Page) -> impl Future<Output = Result<Option<Items<Self::Item>>, Error>> + Send;
}

/// The response with the page that the client asked for, or with all items. `query`: the list's own filters. `conditions`: of a
/// list that has an entity tag, unless it is too long for one buffer.
pub(super) async fn respond(
    buffers: ResponseBuffers,
    tenant: TenantId,
    source: impl ListSource,
    Paging { page, order }: Paging,
    path: &str,
    query: String,
    conditions: Option<&Preconditions>,
) -> Result<Response, Problem> {
    let buffer = buffers.take(tenant, FIRST_BUFFER_TIMEOUT).await?;
    if page.limit.is_some() {
        let listed = source.read(&paging::with_lookahead(&page)).await?;
        let Listed { mut items, total } = listed.ok_or(Code::KeyNotFound)?;
        let next = paging::take_next(&page, &mut items);
        let headers = paging::headers(&page, order, next.as_ref(), total, path, Serializer::new(query));
        let whole = write_page(items, usize::MAX, usize::MAX, b"[").json;
        return respond_whole(conditions, headers, whole, |whole| buffer.fill(whole).into());
    }
    let list = Arc::new(StreamedList { buffers, tenant, source });
    let first = list.read(buffer, page.after).await?.ok_or(Code::KeyNotFound)?;
    match first.next {
        None => respond_whole(conditions, HeaderMap::new(), first.json, Body::from),
        Some(_) => Ok(json(HeaderMap::new(), list.into_body(first))),
    }
}

/// A response with all of its JSON. `conditions` of a list that has an entity tag: it is of all that the response shows.
fn respond_whole<T: AsRef<[u8]>>(
    conditions: Option<&Preconditions>,
    mut headers: HeaderMap,
    whole: T,
    body: impl FnOnce(T) -> Body,
) -> Result<Response, Problem> {
    if let Some(conditions) = conditions {
        let shown = [X_TOTAL_COUNT, header::LINK].map(|name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes));
        let tag = weak_tag([&shown[..], &[whole.as_ref()]].concat());
        let is_known = conditions.judge(&tag)?;
        headers.insert(header::ETAG, tag);
        if is_known {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
    }
    Ok(json(headers, body(whole)))
}

fn json(headers: HeaderMap, body: Body) -> Response {
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (headers, content_type, body).into_response()
}

struct StreamedList<S> {
    buffers: ResponseBuffers,
    tenant: TenantId,
    source: S,
}

/// A part of the JSON array, and where the next part begins. `next` is `None` for the last part.
struct Part<T> {
    json: T,
    next: Option<Position>,
}

/// Why a response was cut off.
#[derive(Debug, thiserror::Error)]
#[error("a page of the list could not be read")]
struct CutOff;

impl<S: ListSource> StreamedList<S> {
    async fn read(&self, buffer: ResponseBuffer, after: Option<Position>) -> Result<Option<Part<Bytes>>, Error> {
        let limit = i64::try_from(PAGE_ITEMS + 1).ok(); // one more shows whether there is a next page
        let start = if after.is_none() { b"[" } else { b"," };
        let Some(listed) = self.source.read(&Page { limit, after, counted: false }).await? else { return Ok(None) };
        let Part { json, next } = write_page(listed.items, PAGE_ITEMS, PAGE_BYTES, start);
        Ok(Some(Part { json: buffer.fill(json), next }))
    }

    async fn read_next(self: Arc<Self>, after: Position) -> Result<Part<Bytes>, CutOff> {
        let tasks = self.buffers.tasks.clone();
        let reading = async move {
            let buffer = self.buffers.take(self.tenant, NEXT_BUFFER_TIMEOUT).await?;
            self.read(buffer, Some(after)).await
        };
        match tasks.spawn(reading.in_current_span()).await {
            Ok(Ok(Some(part))) => return Ok(part),
            Ok(Ok(None)) | Err(_) => {} // keys are not deleted; a panic was logged by its hook
            Ok(Err(error)) => {
                warn!(%error, "a list was cut off in the middle, because its next page could not be read");
            }
        }
        Err(CutOff)
    }

    fn into_body(self: Arc<Self>, first: Part<Bytes>) -> Body {
        let rest = stream::try_unfold(first.next, move |next| {
            let list = self.clone();
            async move {
                let Some(after) = next else { return Ok(None) };
                let part = list.read_next(after).await?;
                Ok(Some((part.json, part.next)))
            }
        });
        Body::from_stream(stream::once(ready(Ok::<_, CutOff>(first.json))).chain(rest))
    }
}

/// Writes up to so many items and about so many bytes.
fn write_page<T: Serialize>(
    items: Vec<(Position, T)>,
    max_items: usize,
    max_bytes: usize,
    start: &[u8],
) -> Part<Vec<u8>> {
    let count = items.len();
    let mut json = Vec::with_capacity((count.saturating_mul(512)).min(PAGE_BYTES));
    if start == b"[" || count > 0 {
        json.extend_from_slice(start);
    }
    for (index, (position, item)) in items.into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        let _ = serde_json::to_writer(&mut json, &item); // fails for no response, since all have text as keys
        let is_full = index + 1 >= max_items || json.len() >= max_bytes;
        if is_full && index + 1 < count {
            return Part { json, next: Some(position) };
        }
    }
    json.push(b']');
    Part { json, next: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Timestamp;

    fn items(from: u8, to: u8) -> Vec<(Position, u8)> {
        let position = |n| Position::at(Timestamp::UNIX_EPOCH, Uuid::from_u128(n));
        (from..to).map(|n| (position(u128::from(n)), n)).collect()
    }

    proptest! {
        /// Wherever pages end, by items or by bytes, the parts together are the array.
        #[test]
        fn the_parts_of_a_list_are_its_array(count in 0_u8..60, max_items in 1_usize..10, max_bytes in 1_usize..40) {
            let (mut whole, mut from, mut start) = (Vec::new(), 0_u8, &b"["[..]);
            loop {
                let lookahead = count.min(from.saturating_add(u8::try_from(max_items).unwrap() + 1));
                let part = write_page(items(from, lookahead), max_items, max_bytes, start);
                whole.extend(part.json);
                let Some(next) = part.next else { break };
                (from, start) = (u8::try_from(next.id.as_u128()).unwrap() + 1, b",");
            }
            prop_assert_eq!(String::from_utf8(whole).unwrap(), serde_json::to_string(&(0..count).collect::<Vec<_>>()).unwrap());
        }
    }

    #[test]
    fn a_page_that_has_become_empty_ends_the_array() {
        let part = write_page(items(0, 0), 10, 10, b",");
        assert_eq!((part.json.as_slice(), part.next), (&b"]"[..], None));
    }
}
