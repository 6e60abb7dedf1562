//! Pages of a list that is ordered by a time and an id, newest first: `limit=` and `cursor=` in the query,
//! `Link: …; rel="next"` (RFC 8288) and `X-Total-Count` in the response.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike as _};
use form_urlencoded::Serializer;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    http::{input::InputFields, names::X_TOTAL_COUNT},
    store::{Page, Position},
};

const MAX_LIMIT: i64 = 1000;

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
pub(super) struct PageParams {
    /// The maximum number of items (default: all)
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000, nullable = false, example = 100)]
    limit: Option<i64>,
    /// The start of the page: the cursor of a `Link` header, unchanged. Needs `limit`.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{32}$", nullable = false, example = "AA52eFDv4AABoreKwzxHZqnPo5G9Lk1u")]
    cursor: Option<String>,
}

pub(super) fn read(fields: &mut InputFields) -> Page {
    let limit = fields.parse("limit", parse_limit);
    let after = fields.parse("cursor", parse_cursor);
    if after.is_some() && limit.is_none() && fields.is_good("limit") {
        fields.refuse("cursor", "needs `limit` too");
    }
    Page { limit, after, counted: limit.is_some() }
}

/// The page with one item more, which shows whether there is a next page.
pub(super) fn with_lookahead(page: Page) -> Page {
    Page { limit: page.limit.map(|limit| limit + 1), ..page }
}

/// Removes the additional item, and makes the headers `Link` and `X-Total-Count`. `url`: the list's, without a query.
/// `query`: its own filters.
pub(super) fn finish<T>(
    page: Page,
    items: &mut Vec<T>,
    total: i64,
    url: &str,
    mut query: Serializer<'_, String>,
    position: impl Fn(&T) -> Position,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(limit) = page.limit else { return headers };
    headers.insert(X_TOTAL_COUNT, HeaderValue::from(total));
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    if items.len() > wanted {
        items.truncate(wanted);
        if let Some(last) = items.last() {
            query.append_pair("limit", &limit.to_string()).append_pair("cursor", &format_cursor(position(last)));
            // Absolute, since many clients do not resolve a relative reference.
            if let Ok(link) = HeaderValue::try_from(format!("<{url}?{}>; rel=\"next\"", query.finish())) {
                headers.insert(header::LINK, link);
            }
        }
    }
    headers
}

fn parse_limit(text: &str) -> Result<i64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit)).ok_or("must be a number from 1 to 1000")
}

/// The position of the last item, in base64url; opaque to clients.
fn format_cursor(position: Position) -> String {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&position.at.timestamp_micros().to_be_bytes());
    bytes[8..].copy_from_slice(position.id.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn parse_cursor(text: &str) -> Result<Position, &'static str> {
    const ERROR: &str = "must be the cursor of a `Link` header, unchanged";
    let bytes: [u8; 24] = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or(ERROR)?;
    let (micros, id) = bytes.split_at(8);
    let micros = i64::from_be_bytes(micros.try_into().map_err(|_| ERROR)?);
    let at = DateTime::from_timestamp_micros(micros).filter(|time| (0..=9999).contains(&time.year())).ok_or(ERROR)?;
    Ok(Position { at, id: Uuid::from_slice(id).map_err(|_| ERROR)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_formatted_cursor_parses_to_its_position(micros in 0_i64..253_402_300_800_000_000, id in any::<u128>()) {
            let position = Position { at: DateTime::from_timestamp_micros(micros).unwrap(), id: Uuid::from_u128(id) };
            prop_assert_eq!(parse_cursor(&format_cursor(position)), Ok(position));
        }

        #[test]
        fn a_random_cursor_does_not_panic(text in any::<String>()) {
            let _ = parse_cursor(&text);
        }

        #[test]
        fn a_cursor_of_random_bytes_does_not_panic(bytes in any::<[u8; 24]>()) {
            let _ = parse_cursor(&BASE64_URL_SAFE_NO_PAD.encode(bytes));
        }

        /// No two cursors mean the same position.
        #[test]
        fn a_changed_cursor_is_refused_or_another_position(bytes in any::<[u8; 24]>(), at in 0_usize..32, byte in "[-A-Za-z0-9_=+/ ]") {
            let cursor = BASE64_URL_SAFE_NO_PAD.encode(bytes);
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &byte);
            for text in [&cursor, &changed] {
                if let Ok(position) = parse_cursor(text) {
                    prop_assert_eq!(&format_cursor(position), text);
                }
            }
        }

        #[test]
        fn a_limit_that_is_no_plain_number_within_bounds_is_refused(text in "[-+ 0-9.e]{0,6}") {
            let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
            prop_assert_eq!(parse_limit(&text).ok(), number.filter(|number| (1..=1000).contains(number)));
        }
    }

    #[test]
    fn a_limit_is_a_plain_number() {
        assert_eq!(parse_limit("1"), Ok(1));
        assert_eq!(parse_limit("1000"), Ok(1000));
        for bad in ["", "0", "1001", "-1", "+1", "1.0", "ten", "99999999999999999999", " 1"] {
            assert!(parse_limit(bad).is_err(), "{bad:?}");
        }
    }
}
