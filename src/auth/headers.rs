//! Reading of headers that must not come twice.

use axum::http::{HeaderMap, header::AsHeaderName};

/// Stands for a value that is not visible ASCII: it equals no valid value, and is not empty.
const UNREADABLE: &str = "\u{fffd}";

/// The only value of a header, U+FFFD if it is not visible ASCII. `Err`: there are several.
pub(super) fn single_value(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, ()> {
    // The usual case, without a walk over the values: no header comes twice.
    let value = if headers.len() == headers.keys_len() {
        headers.get(name)
    } else {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(());
        }
        first
    };
    Ok(value.map(|value| value.to_str().unwrap_or(UNREADABLE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_with_two_values_is_refused_whether_or_not_another_has_two(
            values in prop::collection::vec("[a-z]{0,3}", 0..3),
            others in prop::collection::vec("[a-z]{0,3}", 0..3),
        ) {
            let mut headers = HeaderMap::new();
            for (name, values) in [("x-one", &values), ("x-other", &others)] {
                for value in values {
                    headers.append(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let expected = if values.len() > 1 { Err(()) } else { Ok(values.first().map(String::as_str)) };
            prop_assert_eq!(single_value(&headers, "x-one"), expected);
        }
    }
}
