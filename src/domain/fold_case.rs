//! Comparison of text without regard to case.

/// The text without the distinctions of case, in any script. Two texts that differ only in case become equal, and a part
/// of a text stays a part of it. Independent of any locale; not for display.
#[must_use]
pub fn fold_case(text: &str) -> String {
    // Each character for itself. Upper case unites what has several lower-case forms (σ and ς, ß and ss); lower-casing
    // before that is for ẞ, whose upper-case form is itself.
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_that_differ_only_in_case_become_equal() {
        for (one, other) in [
            ("ÄPFEL", "äpfel"),
            ("ОВОЩИ", "овощи"),
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ", "οδοσ"),
            ("STRASSE", "Straße"),
            ("STRAẞE", "strasse"),
            ("ŁÓDŹ", "łódź"),
            ("ՀԱՅ", "հայ"),
            ("\u{10400}", "\u{10428}"),
        ] {
            assert_eq!(fold_case(one), fold_case(other), "{one} {other}");
        }
        assert_ne!(fold_case("a"), fold_case("ä"));
    }

    #[test]
    fn folding_again_changes_nothing() {
        for c in '\0'..=char::MAX {
            let folded = fold_case(&c.to_string());
            assert_eq!(fold_case(&folded), folded, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn a_part_stays_a_part(before in any::<String>(), part in any::<String>(), after in any::<String>()) {
            let whole = format!("{before}{part}{after}");
            prop_assert!(fold_case(&whole).contains(&fold_case(&part)));
        }
    }
}
