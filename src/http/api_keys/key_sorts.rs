//! The orders of a list by their names in `sort`.

use crate::store::{KeyOrder, SortBy};

/// Every order by its name.
pub(super) const SORTS: [(&str, KeyOrder); 8] = {
    const fn by(by: SortBy, descending: bool) -> KeyOrder {
        KeyOrder { by, descending }
    }
    [
        ("createdAt", by(SortBy::CreatedAt, false)),
        ("-createdAt", by(SortBy::CreatedAt, true)),
        ("name", by(SortBy::Name, false)),
        ("-name", by(SortBy::Name, true)),
        ("lastUsedAt", by(SortBy::LastUsedAt, false)),
        ("-lastUsedAt", by(SortBy::LastUsedAt, true)),
        ("expiresAt", by(SortBy::ExpiresAt, false)),
        ("-expiresAt", by(SortBy::ExpiresAt, true)),
    ]
};

pub(super) fn sort_name(order: KeyOrder) -> &'static str {
    SORTS.iter().find(|(_, other)| *other == order).map_or("", |(name, _)| name)
}

pub(super) fn parse_sort(text: &str) -> Result<KeyOrder, String> {
    SORTS.iter().find(|(name, _)| *name == text).map(|(_, order)| *order).ok_or_else(|| {
        let names: Vec<&str> = SORTS.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}
