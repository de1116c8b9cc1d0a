//! A question on its way to the instance that has the rows, and the answer on its way back.
//!
//! Not here: how it gets there ([`super::forward`]). Invariant: any bytes are a message or none, never a panic,
//! and what is read takes no more memory than its bytes.
//!
//! ```text
//! question  ┌───────┬─────────┬─────────────────────────────────────────────┬─ of each range ───────────────┐
//!           │ u8 = 1│ u32 len │ JSON: app, epoch, instance, store, tasks    │ u32 len, u32 len, start, end  │
//!           └───────┴─────────┴─────────────────────────────────────────────┴───────────────────────────────┘
//! answer    ┌───────┬──────────┬─ of each row ─────────────────┐
//!           │ u8 = 1│ time i64 │ u32 len, u32 len, key, value  │
//!           └───────┴──────────┴───────────────────────────────┘
//! ```
//!
//! Big-endian; a range without an end has the length `u32::MAX` there.

use serde::{Deserialize, Serialize};
use state::{OwnedRange, Row};

use crate::record::EventTime;

const VERSION: u8 = 1;
const NO_END: u32 = u32::MAX;

/// Rows that another instance is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) head: Head,
    pub(crate) ranges: Vec<OwnedRange>,
}

/// To whom a question goes and what it is about; whoever is not meant refuses it, since an address may belong
/// to somebody else by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The application.
    pub(crate) app: String,
    /// The state epoch.
    pub(crate) epoch: u32,
    /// The instance that is meant.
    pub(crate) instance: String,
    pub(crate) store: String,
    /// The partitions of the store's tasks.
    pub(crate) tasks: Vec<u32>,
}

/// Committed rows of all tasks asked, and the time that all of them have committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    /// As the tasks say it: minus infinity while windows that are due still come out.
    pub(crate) time: EventTime,
}

impl Question {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let head = serde_json::to_vec(&self.head).unwrap_or_default();
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&(head.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&head);
        for range in &self.ranges {
            bytes.extend_from_slice(&(range.start.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&range.end.as_ref().map_or(NO_END, |end| end.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&range.start);
            bytes.extend_from_slice(range.end.as_deref().unwrap_or_default());
        }
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest::of(bytes)?;
        let length = rest.number()?;
        let head = serde_json::from_slice(rest.bytes(length)?).ok()?;
        let mut ranges = Vec::new();
        while !rest.is_empty() {
            let (start, end) = (rest.number()?, rest.number()?);
            let start = rest.bytes(start)?.to_vec();
            let end = if end == NO_END { None } else { Some(rest.bytes(end)?.to_vec()) };
            ranges.push(OwnedRange { start, end });
        }
        Some(Self { head, ranges })
    }
}

impl Found {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let size: usize = self.rows.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
        let mut bytes = Vec::with_capacity(9 + size);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.time.0.to_be_bytes());
        for (key, value) in &self.rows {
            bytes.extend_from_slice(&(key.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest::of(bytes)?;
        let (time, behind) = rest.0.split_first_chunk::<8>()?;
        rest.0 = behind;
        let mut rows = Vec::new();
        while !rest.is_empty() {
            let (key, value) = (rest.number()?, rest.number()?);
            rows.push((rest.bytes(key)?.to_vec(), rest.bytes(value)?.to_vec()));
        }
        Some(Self { rows, time: EventTime(i64::from_be_bytes(*time)) })
    }
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Behind the version, if it is the known one.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        bytes.split_first().filter(|(version, _)| **version == VERSION).map(|(_, rest)| Self(rest))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..12)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_shorter_is_taken_for_it(
            ranges in vec((bytes(), proptest::option::of(bytes())), 0..4), tasks in vec(any::<u32>(), 0..4),
            epoch in any::<u32>(), rows in vec((bytes(), bytes()), 0..4), time in any::<i64>(),
        ) {
            let [app, instance, store] = ["app", "pod-1", "panes"].map(str::to_owned);
            let ranges = ranges.into_iter().map(|(start, end)| OwnedRange { start, end }).collect();
            let question = Question { head: Head { app, epoch, instance, store, tasks }, ranges };
            let sent = question.to_bytes();
            prop_assert_eq!(Question::read(&sent), Some(question));
            let found = Found { rows, time: EventTime(time) };
            let answered = found.to_bytes();
            prop_assert_eq!(Found::read(&answered), Some(found.clone()));
            for cut in 0..answered.len() {
                prop_assert_ne!(Found::read(&answered[..cut]), Some(found.clone()));
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_none(version in 0_u8..3, rest in vec(any::<u8>(), 0..64)) {
            let bytes = [&[version][..], &rest].concat();
            if version != VERSION {
                prop_assert!(Question::read(&bytes).is_none() && Found::read(&bytes).is_none());
            }
            drop((Question::read(&bytes), Found::read(&bytes)));
        }
    }

    #[test]
    fn the_layout_never_changes() {
        let found = Found { rows: vec![(b"k".to_vec(), b"vw".to_vec())], time: EventTime(258) };
        assert_eq!(found.to_bytes(), [1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 2, b'k', b'v', b'w']);
        let [app, instance, store] = ["a", "i", "s"].map(str::to_owned);
        let head = Head { app, epoch: 3, instance, store, tasks: vec![4] };
        let question = Question { head, ranges: vec![OwnedRange { start: vec![7], end: None }] };
        let json = br#"{"app":"a","epoch":3,"instance":"i","store":"s","tasks":[4]}"#;
        let wanted = [&[1, 0, 0, 0, json.len() as u8][..], json, &[0, 0, 0, 1, 255, 255, 255, 255, 7]].concat();
        assert_eq!(question.to_bytes(), wanted);
    }
}
