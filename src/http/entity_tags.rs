//! Entity tags in `If-Match` and `If-None-Match` (RFC 9110, section 8.8.3).

use axum::http::{HeaderMap, HeaderName, HeaderValue};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// `*`
    Exists,
    Tags(Vec<EntityTag>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntityTag {
    pub(super) is_weak: bool,
    /// Quotes included.
    pub(super) quoted: Vec<u8>,
}

impl Condition {
    /// All lines of the header. Whatever is no entity tag matches nothing. `None`: the header is absent.
    pub(super) fn read(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if lines.is_empty() {
            return None;
        }
        if lines.iter().any(|line| line.trim_ascii() == b"*") {
            return Some(Self::Exists);
        }
        Some(Self::Tags(lines.into_iter().flat_map(entity_tags).collect()))
    }

    pub(super) fn holds(&self, matches: impl FnMut(&EntityTag) -> bool) -> bool {
        match self {
            Self::Exists => true,
            Self::Tags(tags) => tags.iter().any(matches),
        }
    }
}

/// The entity tags of a list. A tag may contain commas.
fn entity_tags(line: &[u8]) -> Vec<EntityTag> {
    let mut tags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let is_weak = rest.starts_with(b"W/\"");
        let start = if is_weak { &rest[2..] } else { rest };
        let closing = start.iter().skip(1).position(|byte| *byte == b'"').filter(|_| start.starts_with(b"\""));
        let after = match closing {
            Some(length) => {
                let (quoted, after) = start.split_at(length + 2);
                tags.push(EntityTag { is_weak, quoted: quoted.to_vec() });
                after
            }
            None => rest,
        };
        let Some(comma) = after.iter().position(|byte| *byte == b',') else { return tags };
        rest = &after[comma + 1..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use axum::http::header::IF_MATCH;

    use super::*;

    fn condition(lines: &[&str]) -> Option<Condition> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_str(line).unwrap());
        }
        Condition::read(&headers, IF_MATCH)
    }

    fn tags(tags: &[(bool, &str)]) -> Condition {
        let tag = |&(is_weak, quoted): &(bool, &str)| EntityTag { is_weak, quoted: quoted.into() };
        Condition::Tags(tags.iter().map(tag).collect())
    }

    #[test]
    fn conditions_are_read_from_all_lines_and_lists() {
        assert_eq!(condition(&[]), None);
        assert_eq!(condition(&[" * "]), Some(Condition::Exists));
        assert_eq!(condition(&[r#""a""#, "*"]), Some(Condition::Exists));
        assert_eq!(condition(&[""]), Some(tags(&[])));
        assert_eq!(
            condition(&[r#""a""#, r#""b",W/"c""#]),
            Some(tags(&[(false, r#""a""#), (false, r#""b""#), (true, r#""c""#)]))
        );
        assert_eq!(
            condition(&[r#", "a,b" ,, "" , "*""#]),
            Some(tags(&[(false, r#""a,b""#), (false, r#""""#), (false, r#""*""#)]))
        );
        assert_eq!(condition(&[r#"a, w/"b", W/ "c", "d"#]), Some(tags(&[])));
        assert_eq!(condition(&[r#"a, "b""#]), Some(tags(&[(false, r#""b""#)])));
    }

    proptest! {
        #[test]
        fn a_list_of_tags_is_read_to_the_byte(list in prop::collection::vec((any::<bool>(), "\"[!#-~]{0,8}\""), 0..5)) {
            let line: Vec<_> = list.iter().map(|(weak, tag)| format!("{}{tag}", if *weak { "W/" } else { "" })).collect();
            let expected: Vec<_> = list.iter().map(|(weak, tag)| (*weak, tag.as_str())).collect();
            prop_assert_eq!(condition(&[&line.join(" ,\t")]), Some(tags(&expected)));
        }
    }
}
