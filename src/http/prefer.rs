//! `Prefer: wait=N` (RFC 7240): how long a client waits for a receipt. All other preferences are ignored, and so is, by
//! section 2, whatever is not well-formed.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};

use super::names::PREFER;

/// The longest wait that is granted.
#[derive(Clone, Copy, Debug, Default)]
pub struct MaxWait(pub Duration);

/// The wait that is granted: a whole number of seconds. `None`: no wait is preferred.
pub(crate) fn wait(headers: &HeaderMap, MaxWait(max): MaxWait) -> Option<Duration> {
    let lines = headers.get_all(PREFER).iter().map(HeaderValue::as_bytes);
    let preferences = lines.flat_map(|line| split(line, b','));
    // Of several, the first one counts.
    let value =
        preferences.filter_map(named).find_map(|(name, value)| name.eq_ignore_ascii_case(b"wait").then_some(value))?;
    let digits = unquoted(value?)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // A larger number than any is granted as the longest wait.
    let seconds =
        digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add((digit - b'0').into()));
    (seconds > 0).then(|| Duration::from_secs(seconds).min(max))
}

/// Name and value of a preference, without its parameters.
fn named(preference: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let preference = split(preference, b';').next()?;
    Some(match preference.iter().position(|byte| *byte == b'=') {
        Some(equals) => (preference[..equals].trim_ascii(), Some(preference[equals + 1..].trim_ascii())),
        None => (preference.trim_ascii(), None),
    })
}

/// The content of a token or a quoted string.
fn unquoted(word: &[u8]) -> Option<Vec<u8>> {
    let Some(quoted) = word.strip_prefix(b"\"") else { return Some(word.to_vec()) };
    let (mut content, mut bytes) = (Vec::new(), quoted.iter());
    loop {
        match bytes.next()? {
            b'"' => return bytes.next().is_none().then_some(content),
            b'\\' => content.push(*bytes.next()?),
            byte => content.push(*byte),
        }
    }
}

/// The parts between separators that are not in a quoted string.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |byte| {
        let is_separator = *byte == separator && !is_quoted;
        is_quoted ^= *byte == b'"' && !is_escaped;
        is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
        is_separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(lines: &[&[u8]]) -> Option<u64> {
        let headers = lines.iter().map(|line| (PREFER, HeaderValue::from_bytes(line).unwrap())).collect();
        wait(&headers, MaxWait(Duration::from_secs(55))).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_first_wait_of_all_lines_is_granted_up_to_the_longest() {
        for (lines, expected) in [
            (&["wait=10"][..], Some(10)),
            (&["Wait = 10"], Some(10)),
            (&["wait=\"10\""], Some(10)),
            (&["wait=\"1\\0\""], Some(10)),
            (&["wait=10; foo=bar; x"], Some(10)),
            (&["respond-async, wait=10"], Some(10)),
            (&["foo=\"a, wait=3; \\\" \", wait=10"], Some(10)),
            (&["foo; wait=3, wait=10"], Some(10)),
            (&["return=minimal", "wait=10, wait=20"], Some(10)),
            (&["wait=056"], Some(55)),
            (&["wait=99999999999999999999999"], Some(55)),
            (&[], None),
            (&[""], None),
            (&["return=minimal"], None),
            (&["awaits=10"], None),
            (&["wait"], None),
            (&["wait=0"], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["wait=ten, wait=10"], None),
            (&["wait=\"10"], None),
            (&["wait=\"10\"0"], None),
            (&["wait=10 20"], None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(seconds(&lines), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn any_preference_is_read_without_panic(line in prop::collection::vec(0x20_u8..=0xff, 0..40)) {
            prop_assume!(!line.contains(&0x7f));
            if let Some(seconds) = seconds(&[&line]) {
                prop_assert!((1..=55).contains(&seconds));
            }
        }
    }
}
