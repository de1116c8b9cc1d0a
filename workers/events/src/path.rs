//! Names side by side in one readable text, as the keys of output records have them.
//!
//! Not here: which names a path has. Invariant: a part of a path has no `/`, and leads back to its text.
//!
//! ```text
//! ┌──────┬─────┬──────┬─────┬─────┐
//! │ part │ '/' │ part │ '/' │ ... │   in each part '%' is written %25 and '/' is written %2F
//! └──────┴─────┴──────┴─────┴─────┘
//! ```

use compact_str::CompactString;

/// Appends a part; the `/` before it is the caller's.
pub fn push_part(path: &mut CompactString, text: &str) {
    if text.bytes().all(|byte| !matches!(byte, b'%' | b'/')) {
        return path.push_str(text);
    }
    for letter in text.chars() {
        match letter {
            '%' => path.push_str("%25"),
            '/' => path.push_str("%2F"),
            other => path.push(other),
        }
    }
}

/// The text of a part.
pub fn text_of(part: &str) -> CompactString {
    if part.contains('%') { part.replace("%2F", "/").replace("%25", "%").into() } else { part.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_has_no_slash_and_leads_back(text in "[a%/25F]{0,12}|.{0,8}") {
            let mut path = CompactString::from("before/");
            push_part(&mut path, &text);
            let part = path.strip_prefix("before/").unwrap_or_default();
            prop_assert!(!part.contains('/'));
            prop_assert_eq!(text_of(part), text);
        }
    }
}
