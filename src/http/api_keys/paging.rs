//! Pages of an ordered list: `limit=` and `cursor=` in the query, `Link: …; rel="next"` (RFC 8288) and `X-Total-Count` in the
//! response.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike as _};
use form_urlencoded::Serializer;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    http::{input::InputFields, names::X_TOTAL_COUNT},
    store::{KeyOrder, Page, Position, SortBy, SortValue},
};

const MAX_LIMIT: i64 = 1000;
/// Longer than any folded name.
const MAX_TEXT_BYTES: usize = 2000;
const ID_BYTES: usize = 16;

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
pub(super) struct PageParams {
    /// The maximum number of items (default: all)
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000, nullable = false, example = 100)]
    limit: Option<i64>,
    /// The start of the page: the cursor of a `Link` header, unchanged. Needs `limit`.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{23,2800}$", nullable = false, example = "AQAGYO483xYAobLD1OX2eJCrze8SNFZ4kA")]
    cursor: Option<String>,
}

/// A page and the order of its list.
pub(super) struct Paging {
    pub(super) page: Page,
    pub(super) order: KeyOrder,
}

pub(super) fn read(fields: &mut InputFields, order: KeyOrder) -> Page {
    let limit = fields.parse("limit", parse_limit);
    let after = fields.parse("cursor", |text| parse_cursor(text, order));
    if after.is_some() && limit.is_none() && fields.is_good("limit") {
        fields.refuse("cursor", "needs `limit` too");
    }
    Page { limit, after, counted: limit.is_some() }
}

/// The page with one item more, which shows whether there is a next page.
pub(super) fn with_lookahead(page: &Page) -> Page {
    Page { limit: page.limit.map(|limit| limit + 1), ..page.clone() }
}

/// Removes the additional item, if there is one, and returns the position of the last item that is left.
pub(super) fn take_next<T>(page: &Page, items: &mut Vec<(Position, T)>) -> Option<Position> {
    let wanted = usize::try_from(page.limit?).unwrap_or(usize::MAX);
    if items.len() <= wanted {
        return None;
    }
    items.truncate(wanted);
    items.last().map(|(position, _)| position.clone())
}

/// `Link` and `X-Total-Count`. `next`: after which position the next page starts. `url`: the list's, without a query. `query`:
/// its own parameters.
pub(super) fn headers(
    page: &Page,
    order: KeyOrder,
    next: Option<&Position>,
    total: Option<i64>,
    url: &str,
    mut query: Serializer<'_, String>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(total) = total {
        headers.insert(X_TOTAL_COUNT, HeaderValue::from(total));
    }
    if let (Some(limit), Some(next)) = (page.limit, next) {
        query.append_pair("limit", &limit.to_string()).append_pair("cursor", &format_cursor(order, next));
        // Absolute, since many clients do not resolve a relative reference.
        if let Ok(link) = HeaderValue::try_from(format!("<{url}?{}>; rel=\"next\"", query.finish())) {
            headers.insert(header::LINK, link);
        }
    }
    headers
}

fn parse_limit(text: &str) -> Result<i64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit)).ok_or("must be a number from 1 to 1000")
}

/// The order's byte, so that a cursor is of one order alone.
const fn code(order: KeyOrder) -> u8 {
    let by = match order.by {
        SortBy::CreatedAt => 0,
        SortBy::Name => 2,
        SortBy::LastUsedAt => 4,
        SortBy::ExpiresAt => 6,
    };
    by + order.descending as u8
}

/// The order and the position of the last item, in base64url; opaque to clients.
fn format_cursor(order: KeyOrder, position: &Position) -> String {
    let mut bytes = vec![code(order)];
    match &position.value {
        SortValue::Time(time) => bytes.extend(time.timestamp_micros().to_be_bytes()),
        SortValue::Text(text) => bytes.extend(text.as_bytes()),
        SortValue::Absent => {}
    }
    bytes.extend(position.id.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn parse_cursor(text: &str, order: KeyOrder) -> Result<Position, &'static str> {
    const ERROR: &str = "must be the cursor of a `Link` header, unchanged";
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| ERROR)?;
    let (of, bytes) = bytes.split_first().filter(|(of, _)| **of < 8).ok_or(ERROR)?;
    let (value, id) = bytes.split_at_checked(bytes.len().wrapping_sub(ID_BYTES)).ok_or(ERROR)?;
    if *of != code(order) {
        return Err("is of a list with another `sort`; use each cursor with the `sort` that its list has");
    }
    let value = match order.by {
        SortBy::Name => parse_text(value),
        SortBy::LastUsedAt | SortBy::ExpiresAt if value.is_empty() => Some(SortValue::Absent),
        SortBy::CreatedAt | SortBy::LastUsedAt | SortBy::ExpiresAt => parse_time(value),
    };
    Ok(Position { value: value.ok_or(ERROR)?, id: Uuid::from_slice(id).map_err(|_| ERROR)? })
}

fn parse_text(bytes: &[u8]) -> Option<SortValue> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| (1..=MAX_TEXT_BYTES).contains(&text.len()))?;
    (!text.chars().any(char::is_control)).then(|| SortValue::Text(text.to_owned()))
}

/// PostgreSQL knows no year 0.
fn parse_time(bytes: &[u8]) -> Option<SortValue> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    DateTime::from_timestamp_micros(micros).filter(|time| (1..=9999).contains(&time.year())).map(SortValue::Time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_order() -> impl Strategy<Value = KeyOrder> {
        let by =
            prop_oneof![Just(SortBy::CreatedAt), Just(SortBy::Name), Just(SortBy::LastUsedAt), Just(SortBy::ExpiresAt)];
        (by, any::<bool>()).prop_map(|(by, descending)| KeyOrder { by, descending })
    }

    proptest! {
        #[test]
        fn a_formatted_cursor_parses_to_its_position_in_its_order_alone(
            order in any_order(),
            other in any_order(),
            micros in prop::option::of(0_i64..253_402_300_800_000_000),
            name in "[^\\p{Cc}]{1,100}",
            id in any::<u128>(),
        ) {
            let value = match (order.by, micros.and_then(DateTime::from_timestamp_micros)) {
                (SortBy::Name, _) => SortValue::Text(name),
                (SortBy::CreatedAt, None) => SortValue::Time(DateTime::UNIX_EPOCH),
                (_, None) => SortValue::Absent,
                (_, Some(time)) => SortValue::Time(time),
            };
            let position = Position { value, id: Uuid::from_u128(id) };
            let cursor = format_cursor(order, &position);
            prop_assert_eq!(parse_cursor(&cursor, order), Ok(position));
            prop_assert_eq!(parse_cursor(&cursor, other).is_ok(), order == other);
            let shape = regex::Regex::new("^[A-Za-z0-9_-]{23,2800}$").unwrap();
            prop_assert!(shape.is_match(&cursor));
        }

        #[test]
        fn a_random_cursor_does_not_panic(text in any::<String>(), order in any_order()) {
            let _ = parse_cursor(&text, order);
        }

        #[test]
        fn a_cursor_of_random_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..50), order in any_order()) {
            let _ = parse_cursor(&BASE64_URL_SAFE_NO_PAD.encode(bytes), order);
        }

        /// No two cursors mean the same position.
        #[test]
        fn a_changed_cursor_is_refused_or_another_position(bytes in any::<[u8; 24]>(), order in any_order(), at in 0_usize..33, byte in "[-A-Za-z0-9_=+/ ]") {
            let cursor = BASE64_URL_SAFE_NO_PAD.encode([&[code(order)][..], &bytes].concat());
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &byte);
            for text in [&cursor, &changed] {
                if let Ok(position) = parse_cursor(text, order) {
                    prop_assert_eq!(&format_cursor(order, &position), text);
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
