//! Which characters a name may have, so that two names that look alike are alike, and a name shows in the order in
//! which it is stored. Names of keys and of users follow this one rule.
//!
//! It is about characters that cannot be seen, not about letters that resemble one another.

use unicode_properties::{GeneralCategoryGroup, UnicodeEmoji as _, UnicodeGeneralCategory as _};

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// A ring around the character before it, as in the emoji of digits.
const KEYCAP: char = '\u{20e3}';
const BLACK_FLAG: char = '\u{1f3f4}';
/// Tags are ASCII plus this.
const TAGS: u32 = 0xe0000;
const TAG_END: char = '\u{e007f}';
/// England, Scotland and Wales: those that Unicode recommends, so that fonts have them. Others would hide their tags.
const REGIONS_WITH_FLAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];

/// True for characters that show nothing, or that change how others are shown: control characters, separators of lines,
/// Unicode's Default_Ignorable_Code_Point, which has the marks of direction, blanks that are no white space, and
/// noncharacters.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{13441}'..='\u{13442}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// The first invisible character of a text, apart from those that its script or an emoji needs.
#[must_use]
pub fn find_invisible(text: &str) -> Option<char> {
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        let (before, after) = chars.split_at(at);
        let (previous, next) = (before.last().copied(), after.get(1).copied());
        if *c == BLACK_FLAG {
            at += 1 + flag_tags(&after[1..]);
        } else if is_invisible(*c) && !is_needed(previous, *c, next) {
            return Some(*c);
        } else {
            at += 1;
        }
    }
    None
}

/// The length of the tags that make a region's flag of the black flag before them, if there are any.
fn flag_tags(after: &[char]) -> usize {
    let region: String = after
        .iter()
        .map_while(|c| char::from_u32(u32::from(*c).checked_sub(TAGS)?).filter(char::is_ascii_lowercase))
        .collect();
    let is_flag = REGIONS_WITH_FLAGS.contains(&region.as_str()) && after.get(region.len()) == Some(&TAG_END);
    if is_flag { region.len() + 1 } else { 0 }
}

/// Whether an invisible character makes a visible difference between its neighbours.
fn is_needed(previous: Option<char>, c: char, next: Option<char>) -> bool {
    let Some(previous) = previous else { return false };
    match c {
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER if uses_joiners(previous) && next.is_some_and(uses_joiners) => true,
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER if is_virama(previous) => true,
        ZERO_WIDTH_JOINER => (joins_emoji(previous) || previous == '\u{fe0f}') && next.is_some_and(joins_emoji),
        '\u{fe0f}' if previous.is_ascii() => is_in_keycap(previous) && next == Some(KEYCAP),
        '\u{fe0e}' | '\u{fe0f}' if is_emoji(previous) => true,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => is_ideograph(previous),
        '\u{180b}'..='\u{180d}' | '\u{180f}' => matches!(previous, '\u{1820}'..='\u{18aa}'),
        _ => false,
    }
}

/// Letters and marks of scripts in which a joiner chooses a shape: Arabic and its relatives, the scripts of India and
/// South-East Asia, Mongolian, Adlam.
fn uses_joiners(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{1900}'..='\u{1cff}'
        | '\u{a800}'..='\u{a9ff}' | '\u{aa00}'..='\u{aaff}' | '\u{10a00}'..='\u{11fff}' | '\u{1e900}'..='\u{1e95f}')
        && matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark)
        && !is_invisible(c)
}

/// The sign, in the scripts of India, that a consonant has no vowel. A joiner after it chooses the consonant's shape, also at
/// the end of a word.
const fn is_virama(c: char) -> bool {
    matches!(
        c,
        '\u{94d}'
            | '\u{9cd}'
            | '\u{a4d}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
            | '\u{dca}'
    )
}

/// Not the digits, `#` and `*`, which Unicode counts as emoji too.
fn is_emoji(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char()
}

/// Not signs such as ©, which no font joins to another.
fn joins_emoji(c: char) -> bool {
    c >= '↔' && is_emoji(c)
}

const fn is_in_keycap(c: char) -> bool {
    matches!(c, '0'..='9' | '#' | '*')
}

const fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_of_all_scripts_and_emoji_have_no_invisible_character() {
        for text in [
            "Zapier Sync",
            "Café – “naïve” №5 ½ ∑ €",
            "日本語　キー",
            "葛\u{e0100}飾区",
            "한국어 키",
            "עברית ABC",
            "العربية",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ශ්\u{200d}රී ලංකා",
            "ന്\u{200d}",
            "ᠰᠠᠢᠨ\u{180b}",
            "ไทย",
            "👩\u{200d}💻",
            "👨🏽\u{200d}🦱",
            "🙂\u{200d}↔\u{fe0f} 🏃\u{200d}♀\u{fe0f}\u{200d}➡\u{fe0f} 🐈\u{200d}⬛",
            "🏳\u{fe0f}\u{200d}🌈",
            "❤\u{fe0f}\u{200d}🔥 ☎\u{fe0e} ©\u{fe0f}",
            "1\u{fe0f}\u{20e3} #\u{fe0f}\u{20e3}",
            "🇺🇦",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} 🏴",
            "Z\u{351}\u{36b}a\u{343}lgo",
        ] {
            assert_eq!(find_invisible(text), None, "{text}");
        }
    }

    #[test]
    fn invisible_characters_are_found() {
        for (text, found) in [
            ("a\0b", '\0'),
            ("gnp\u{202e}exe", '\u{202e}'),
            ("a\u{2066}b\u{2069}", '\u{2066}'),
            ("\u{200e}a", '\u{200e}'),
            ("a\u{200b}b", '\u{200b}'),
            ("a\u{200c}b", '\u{200c}'),
            ("a\u{200d}b", '\u{200d}'),
            ("1\u{200d}2", '\u{200d}'),
            ("می\u{200c}", '\u{200c}'),
            ("ന്\u{200d}\u{200d}", '\u{200d}'),
            ("می\u{200c}\u{200c}خ", '\u{200c}'),
            ("👩\u{200d}", '\u{200d}'),
            ("👩\u{200d}\u{200d}💻", '\u{200d}'),
            ("a\u{fe0f}", '\u{fe0f}'),
            ("1\u{fe0f}", '\u{fe0f}'),
            ("❤\u{fe0f}\u{fe0f}", '\u{fe0f}'),
            ("a\u{e0100}", '\u{e0100}'),
            ("葛\u{e0100}\u{e0101}", '\u{e0101}'),
            ("🏴\u{e0067}", '\u{e0067}'),
            ("🏴\u{e007f}", '\u{e007f}'),
            ("a\u{e0067}\u{e007f}", '\u{e0067}'),
            ("a\u{ad}b", '\u{ad}'),
            ("\u{3164}", '\u{3164}'),
            ("\u{115f}\u{1160}", '\u{115f}'),
            ("\u{2800}\u{2800}", '\u{2800}'),
            ("a\u{2028}b", '\u{2028}'),
            ("\u{feff}a", '\u{feff}'),
            ("\u{13441}", '\u{13441}'),
            ("a\u{16fe4}", '\u{16fe4}'),
            ("\u{1d159}", '\u{1d159}'),
            ("a\u{fdd0}", '\u{fdd0}'),
            ("a\u{1ffff}", '\u{1ffff}'),
            ("🏴\u{e0068}\u{e0069}\u{e007f}", '\u{e0068}'),
            ("🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e0061}\u{e007f}", '\u{e0067}'),
            ("🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}\u{e007f}", '\u{e007f}'),
            ("©\u{200d}®", '\u{200d}'),
        ] {
            assert_eq!(find_invisible(text), Some(found), "{text:?}");
        }
    }

    proptest! {
        /// What is left has something to see beside each invisible character.
        #[test]
        fn a_text_of_invisible_characters_alone_is_never_accepted(
            text in "[\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2060}-\u{206f}\u{2800}\u{3164}\u{fe00}-\u{fe0f}\u{e0020}-\u{e007f}\u{e0100}-\u{e01ef}]{1,6}"
        ) {
            prop_assert!(find_invisible(&text).is_some());
        }
    }
}
