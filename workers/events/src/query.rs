//! What a user searched for, as it is counted.
//!
//! Invariant: equal for queries that differ only in case and space, at most [`QUERY_CHARS_MAX`]
//! characters, without control characters.

use compact_str::CompactString;

/// The longest query kept, in characters; what is longer is cut.
pub const QUERY_CHARS_MAX: usize = 256;

/// The query in lower case with single spaces; `None` where nothing remains.
pub fn normalised(query: &str) -> Option<CompactString> {
    if is_normalised(query) {
        return Some(CompactString::new(query));
    }
    let mut kept = CompactString::with_capacity(query.len().min(QUERY_CHARS_MAX));
    let mut chars = 0;
    let mut space = false;
    for c in query.chars() {
        if c.is_whitespace() || c.is_control() {
            space = chars > 0;
            continue;
        }
        // Room for the space before it and for the three characters that one can become in lower case.
        if chars + 4 > QUERY_CHARS_MAX {
            break;
        }
        if space {
            kept.push(' ');
            chars += 1;
            space = false;
        }
        if c.is_ascii() {
            kept.push(c.to_ascii_lowercase());
            chars += 1;
        } else {
            for lower in c.to_lowercase() {
                kept.push(lower);
                chars += 1;
            }
        }
    }
    (!kept.is_empty()).then_some(kept)
}

/// Whether a query is plainly normalised already, as most are; some that are not plainly so are, too.
fn is_normalised(query: &str) -> bool {
    let mut before = b' ';
    let plain = query.bytes().all(|byte| {
        let keeps = matches!(byte, b'!'..=b'@' | b'['..=b'~') || (byte == b' ' && before != b' ');
        before = byte;
        keeps
    });
    plain && before != b' ' && query.len() <= QUERY_CHARS_MAX - 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_space_do_not_tell_queries_apart() {
        assert_eq!(normalised("  Best\tRAMEN \n in  Kyōto\0").as_deref(), Some("best ramen in kyōto"));
        assert_eq!(normalised(" \t\n"), None);
        assert_eq!(normalised(""), None);
    }

    proptest! {
        #[test]
        fn the_short_way_answers_as_the_long_way_does(query in "[ a-cA-B!~]{0,12}") {
            // A character that is trimmed away forces the long way.
            prop_assert_eq!(normalised(&query), normalised(&format!("\u{2003}{query}")));
        }

        #[test]
        fn bounded_and_stable(query in "\\PC{0,300}|[ \\t\u{130}ẞA]{0,400}") {
            let once = normalised(&query);
            if let Some(once) = &once {
                prop_assert!(once.chars().count() <= QUERY_CHARS_MAX);
                prop_assert_eq!(once.trim(), once.as_str());
                prop_assert!(!once.contains("  "));
            }
        }
    }
}
