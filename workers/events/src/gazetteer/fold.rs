//! The form of a name in which its spellings coincide.
//!
//! Compatibility decomposition (NFKD), lower case, no accents, no apostrophes, and one space for any
//! run of other characters: `São  Paulo`, `SAO PAULO` and `sao-paulo` are `sao paulo`. Letters that
//! Unicode does not decompose are spelt out (`ß` ss, `ø` o, `ł` l, `æ` ae).
//!
//! Not here: other names of a city (its aliases). Invariant: idempotent, and at most
//! [`FOLDED_BYTES_MAX`] bytes, cut at a character.
//!
//! Only marks that are accents are dropped: those of the Latin, Greek and Cyrillic blocks, Hebrew
//! points and Arabic vowel signs. In Indic scripts and in kana a mark is half of a letter: without it
//! Paris (`パリ`) and a needle (`ハリ`) would be one name.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest folded name, in bytes.
pub(crate) const FOLDED_BYTES_MAX: usize = 128;

/// A folded name, on the stack.
pub(crate) struct Folded {
    bytes: [u8; FOLDED_BYTES_MAX],
    len: usize,
    /// A run of separators came after the last letter.
    space: bool,
    /// No more is taken, so that what is cut off is cut at the end.
    full: bool,
}

impl Folded {
    /// The folded form of `name`; empty where `name` holds no letter and no digit.
    pub(crate) fn of(name: &str) -> Self {
        let mut folded = Self { bytes: [0; FOLDED_BYTES_MAX], len: 0, space: false, full: false };
        if name.is_ascii() {
            for byte in name.bytes() {
                match byte {
                    b'\'' | b'`' => {}
                    _ if byte.is_ascii_alphanumeric() => {
                        folded.push(&[byte.to_ascii_lowercase()]);
                    }
                    _ => folded.space = true,
                }
            }
        } else {
            // Decomposed again behind what is left out: the marks on both sides of an apostrophe meet, and stand in
            // canonical order only then. Without it a folded name would fold to another one.
            for c in name.nfkd().filter(|c| !is_silent(*c)).nfkd().flat_map(char::to_lowercase) {
                folded.push_char(c);
                if folded.full {
                    break;
                }
            }
        }
        folded
    }

    /// The folded name.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The folded name's bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push_char(&mut self, c: char) {
        match c {
            _ if is_silent(c) => {}
            'ß' => self.push(b"ss"),
            'æ' => self.push(b"ae"),
            'œ' => self.push(b"oe"),
            'ø' => self.push(b"o"),
            'ł' => self.push(b"l"),
            'đ' | 'ð' => self.push(b"d"),
            'þ' => self.push(b"th"),
            'ħ' => self.push(b"h"),
            'ı' => self.push(b"i"),
            'ς' => self.push("σ".as_bytes()),
            _ if is_accent(c) => {}
            _ if c.is_alphanumeric() || is_combining_mark(c) => {
                self.push(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => self.space = true,
        }
    }

    fn push(&mut self, letter: &[u8]) {
        let space = usize::from(self.space && self.len > 0);
        let end = self.len + space + letter.len();
        if self.full || end > FOLDED_BYTES_MAX {
            self.full = true;
            return;
        }
        if space == 1 {
            self.bytes[self.len] = b' ';
        }
        self.bytes[self.len + space..end].copy_from_slice(letter);
        self.len = end;
        self.space = false;
    }
}

/// Whether `c` is an apostrophe or looks like one, a soft hyphen, or a character without a width.
fn is_silent(c: char) -> bool {
    matches!(c,
        '\'' | '`' | '\u{b4}' | '\u{2b9}'..='\u{2bf}' | '\u{2018}' | '\u{2019}' | '\u{2032}' | '\u{ad}'
        | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Whether `c` only marks another letter, which is the same letter without it.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fold(name: &str) -> String {
        Folded::of(name).as_str().to_owned()
    }

    #[test]
    fn spellings_of_one_name_coincide() {
        for (spellings, folded) in [
            (&["São Paulo", "SAO PAULO", "sao-paulo", " Sa\u{303}o\u{a0}\tPaulo. "][..], "sao paulo"),
            (&["Xi'an", "Xi’an", "XIAN", "xiʼan"], "xian"),
            (&["Gießen", "GIESSEN", "Giessen"], "giessen"),
            (&["Łódź", "Lodz", "ŁÓDŹ"], "lodz"),
            (&["Tromsø", "TROMSØ"], "tromso"),
            (&["İstanbul", "Istanbul", "ISTANBUL"], "istanbul"),
            (&["Αθήνα", "ΑΘΗΝΑ"], "αθηνα"),
            (&["Йошкар-Ола", "йошкар ола"], "иошкар ола"),
            (&["ﬁrenze", "ＦＩＲＥＮＺＥ"], "firenze"),
            (&["", "!?", " - ", "\u{200b}"], ""),
        ] {
            for spelling in spellings {
                assert_eq!(fold(spelling), folded, "{spelling:?}");
            }
        }
    }

    #[test]
    fn marks_that_are_half_a_letter_stay() {
        assert_ne!(fold("パリ"), fold("ハリ"));
        assert_ne!(fold("दिल्ली"), fold("दल्ला"));
    }

    /// An apostrophe between two marks kept them out of canonical order, and the folded name folded to another one.
    #[test]
    fn marks_that_meet_stand_in_order() {
        assert_eq!(fold("\u{11366}'\u{cbc}"), "\u{cbc}\u{11366}");
    }

    proptest! {
        #[test]
        fn idempotent_and_bounded(name in "\\PC{0,200}") {
            let once = fold(&name);
            prop_assert!(once.len() <= FOLDED_BYTES_MAX);
            prop_assert_eq!(fold(&once), once);
        }

        /// Marks are put in order across all that is left out between them.
        #[test]
        fn marks_and_apostrophes_are_idempotent(name in "[\\p{M}'ʼ\u{ad}aß ]{0,40}") {
            let once = fold(&name);
            prop_assert_eq!(fold(&once), once);
        }

        /// The short way for ASCII answers as the long way does.
        #[test]
        fn ascii_folds_as_unicode_does(name in "[ -~]{0,60}") {
            let mut long = Folded::of("");
            name.chars().flat_map(char::to_lowercase).for_each(|c| long.push_char(c));
            prop_assert_eq!(fold(&name), long.as_str());
        }
    }
}
