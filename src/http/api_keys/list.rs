//! `GET /api/v1/api-keys`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::IntoResponse,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::DateTime;
use uuid::Uuid;

use super::{PATH, view::ApiKeyResponse};
use crate::{
    auth::{Authorized, Read},
    domain::{ApiKeyId, Clock, Status, Timestamp},
    http::{
        extract::{Fields, QueryParams},
        problem::Problem,
    },
    store::{KeyFilter, KeyPage, Position},
};

const MAX_LIMIT: i64 = 1000;
const MAX_SEARCH_CHARS: usize = 100;

/// The query, with what is needed to ask for the next page.
struct ListQuery {
    filter: KeyFilter,
    page: KeyPage,
}

impl ListQuery {
    fn read(mut fields: Fields, now: Timestamp) -> Result<Self, Problem> {
        let statuses = fields.parse("status", parse_statuses).unwrap_or_else(|| Status::ALL.to_vec());
        let search = fields.parse("search", parse_search).flatten();
        let limit = fields.parse("limit", parse_limit);
        let after = fields.parse("cursor", parse_cursor);
        if after.is_some() && limit.is_none() && fields.is_good("limit") {
            fields.refuse("cursor", "needs `limit` beside it");
        }
        fields.finish(&[])?;
        Ok(Self { filter: KeyFilter { statuses, search, now }, page: KeyPage { limit, after } })
    }

    /// A relative reference (RFC 8288 resolves it against the request's own URL).
    fn next_page(&self, limit: i64, after: Position) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        if self.filter.statuses.len() < Status::ALL.len() {
            let names: Vec<&str> = self.filter.statuses.iter().map(|status| status.as_str()).collect();
            query.append_pair("status", &names.join(","));
        }
        if let Some(search) = &self.filter.search {
            query.append_pair("search", search);
        }
        query.append_pair("cursor", &format_cursor(after));
        format!("{PATH}?{}", query.finish())
    }
}

fn parse_statuses(text: &str) -> Result<Vec<Status>, &'static str> {
    let statuses: Option<Vec<_>> = text.split(',').map(|name| Status::from_name(name.trim())).collect();
    let mut statuses = statuses.ok_or("must be a comma-separated list of active, expired, revoked")?;
    statuses.sort_by_key(|status| *status as u8);
    statuses.dedup();
    Ok(statuses)
}

fn parse_search(text: &str) -> Result<Option<String>, &'static str> {
    if text.chars().count() > MAX_SEARCH_CHARS {
        return Err("must have at most 100 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn parse_limit(text: &str) -> Result<i64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit)).ok_or("must be a number from 1 to 1000")
}

/// Opaque to clients: the last key's place in the order, in base64url.
fn format_cursor(position: Position) -> String {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&position.created_at.timestamp_micros().to_be_bytes());
    bytes[8..].copy_from_slice(position.id.0.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn parse_cursor(text: &str) -> Result<Position, &'static str> {
    const ERROR: &str = "must be the cursor of a `Link` header, unchanged";
    let bytes: [u8; 24] = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or(ERROR)?;
    let (micros, id) = bytes.split_at(8);
    let micros = i64::from_be_bytes(micros.try_into().map_err(|_| ERROR)?);
    let created_at = DateTime::from_timestamp_micros(micros)
        .filter(|time| (0..=9999).contains(&chrono::Datelike::year(time)))
        .ok_or(ERROR)?;
    Ok(Position { created_at, id: ApiKeyId(Uuid::from_slice(id).map_err(|_| ERROR)?) })
}

/// Lists the tenant's keys, newest first, inactive ones too; page by page with `limit`.
pub async fn list(
    caller: Authorized<Read>,
    State(clock): State<Clock>,
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    let now = clock.now();
    let query = ListQuery::read(fields, now)?;
    let mut transaction = caller.keys.begin().await?;
    let mut headers = HeaderMap::new();
    // One key more than asked for tells whether there is another page.
    let page = KeyPage { limit: query.page.limit.map(|limit| limit + 1), ..query.page };
    let mut keys = transaction.keys(&query.filter, page).await?;
    if let Some(limit) = query.page.limit {
        headers.insert("x-total-count", HeaderValue::from(transaction.count_keys(&query.filter).await?));
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        if keys.len() > wanted {
            keys.truncate(wanted);
            if let Some(last) = keys.last() {
                let next = query.next_page(limit, Position { created_at: last.created_at, id: last.id });
                if let Ok(link) = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")) {
                    headers.insert(header::LINK, link);
                }
            }
        }
    }
    transaction.commit().await?;
    let keys: Vec<_> = keys.into_iter().map(|key| ApiKeyResponse::new(key, now)).collect();
    Ok((headers, Json(keys)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_round_trip(micros in 0_i64..253_402_300_800_000_000, id in any::<u128>()) {
            let position = Position {
                created_at: DateTime::from_timestamp_micros(micros).unwrap(),
                id: ApiKeyId(Uuid::from_u128(id)),
            };
            prop_assert_eq!(parse_cursor(&format_cursor(position)), Ok(position));
        }

        #[test]
        fn no_cursor_panics(text in any::<String>()) {
            let _ = parse_cursor(&text);
        }

        #[test]
        fn no_cursor_of_random_bytes_panics(bytes in any::<[u8; 24]>()) {
            let _ = parse_cursor(&BASE64_URL_SAFE_NO_PAD.encode(bytes));
        }
    }

    #[test]
    fn limits_are_plain_numbers() {
        assert_eq!(parse_limit("1"), Ok(1));
        assert_eq!(parse_limit("1000"), Ok(1000));
        for bad in ["", "0", "1001", "-1", "+1", "1.0", "ten", "99999999999999999999", " 1"] {
            assert!(parse_limit(bad).is_err(), "{bad:?}");
        }
    }
}
