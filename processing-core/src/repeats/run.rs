//! Ids that passed together, as one row.
//!
//! ```text
//! value  ┌────────┬────────────────────────────────────────┐
//!        │ u8 = 1 │ (length, id, milliseconds since the    │   length and milliseconds are varints
//!        │        │  beginning of the pane) once for each  │
//!        └────────┴────────────────────────────────────────┘
//! ```
//! Not here: which row an id is in ([`super::index`]). Invariant: what was pushed is found.

use crate::varint::{push_varint, take_varint};

/// So many ids a row holds at most: who looks for one goes through half of them.
pub(super) const IDS_MAX: usize = 256;

const FORM: u8 = 1;

/// Ids on their way into a row.
#[derive(Debug)]
pub(super) struct Run(Vec<u8>);

impl Run {
    pub(super) fn new() -> Self {
        Self(vec![FORM])
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.0.truncate(1);
    }

    pub(super) fn push(&mut self, id: &[u8], passed: u64) {
        push_varint(&mut self.0, id.len() as u64);
        self.0.extend_from_slice(id);
        push_varint(&mut self.0, passed);
    }

    /// The row's value.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The ids of a row, each with when it passed; `None` in the place of what cannot be read, and nothing behind it.
pub(super) fn entries(row: &[u8]) -> impl Iterator<Item = Option<(&[u8], u64)>> {
    let mut rest = match row.split_first() {
        Some((&FORM, rest)) => Some(rest),
        _ => None,
    };
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over || rest.is_some_and(<[u8]>::is_empty) {
            return None;
        }
        let entry = rest.as_mut().and_then(|bytes| {
            let length = usize::try_from(take_varint(bytes)?).ok()?;
            let (id, behind) = bytes.split_at_checked(length)?;
            *bytes = behind;
            Some((id, take_varint(bytes)?))
        });
        is_over = entry.is_none();
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_never_changes_and_damage_is_told() {
        let mut run = Run::new();
        run.push(b"gone", 7);
        run.clear();
        run.push(b"id", 300);
        run.push(b"", 0);
        assert_eq!(run.bytes(), [1, 2, b'i', b'd', 0xAC, 2, 0, 0]);
        let found: Vec<_> = entries(run.bytes()).collect();
        assert_eq!(found, [Some((&b"id"[..], 300)), Some((&b""[..], 0))]);
        assert_eq!(entries(&[1]).count(), 0);
        for damaged in [&[][..], &[2], &[1, 5, b'i'], &[1, 0], &[1, 0, 0x80]] {
            assert_eq!(entries(damaged).collect::<Vec<_>>(), [None], "{damaged:?}");
        }
    }
}
