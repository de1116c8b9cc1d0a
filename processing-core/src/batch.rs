//! Records side by side in one buffer: what a log hands out and takes in.
//!
//! Not here: where the records belong (the caller knows the topic and partition) and what they mean.
//! Invariant: a batch owns its bytes and is reused; reading a record from it copies and allocates
//! nothing.

use std::ops::Range;

use crate::record::{LogTime, Offset};

/// An ordered run of records of one topic-partition.
#[derive(Debug, Default, Clone)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

/// Where one record's parts stand in the buffer: key, then value, then headers.
#[derive(Debug, Clone, Copy)]
struct Slot {
    offset: Offset,
    timestamp: LogTime,
    start: usize,
    key: Option<u32>,
    value: Option<u32>,
    headers: u32,
}

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its place in its partition; [`Offset::ZERO`] and meaningless in a batch that is to be sent.
    pub offset: Offset,
    /// The log's timestamp of it.
    pub timestamp: LogTime,
    /// The key; `None` is Kafka's null, which differs from an empty key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in their order.
    pub headers: Headers<'a>,
}

/// Headers as encoded bytes: per header a u16 name length, the name (UTF-8), a u32 value length
/// (`u32::MAX` for a null value), the value; all big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a>(pub &'a [u8]);

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers(&[]);

    /// Each header's name and value in order; stops at bytes that are not in the encoding above.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name_len, tail) = rest.split_first_chunk::<2>()?;
            let (name, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*name_len)))?;
            let (value_len, tail) = tail.split_first_chunk::<4>()?;
            let (value, tail) = match u32::from_be_bytes(*value_len) {
                u32::MAX => (None, tail),
                len => {
                    let (value, tail) = tail.split_at_checked(len as usize)?;
                    (Some(value), tail)
                }
            };
            rest = tail;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }

    /// The value of the last header called `name`; `None` where there is none or its value is null.
    pub fn last(self, name: &str) -> Option<&'a [u8]> {
        self.iter().filter(|(n, _)| *n == name).last().and_then(|(_, value)| value)
    }
}

/// Headers under construction.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct HeaderBuffer(Vec<u8>);

impl HeaderBuffer {
    /// Starts from headers that a record already has.
    pub fn from_headers(headers: Headers<'_>) -> Self {
        Self(headers.0.to_vec())
    }

    /// Takes over the headers of a record instead of those that are there.
    pub fn set(&mut self, headers: Headers<'_>) {
        self.0.clear();
        self.0.extend_from_slice(headers.0);
    }

    /// Appends a header. A name longer than 65 535 bytes is cut there, at a character's border.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) {
        let mut cut = name.len().min(usize::from(u16::MAX));
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        self.0.extend_from_slice(&(cut as u16).to_be_bytes());
        self.0.extend_from_slice(&name.as_bytes()[..cut]);
        match value {
            None => self.0.extend_from_slice(&u32::MAX.to_be_bytes()),
            Some(value) => {
                self.0.extend_from_slice(&(value.len() as u32).to_be_bytes());
                self.0.extend_from_slice(value);
            }
        }
    }

    /// The headers as a record carries them.
    pub fn as_headers(&self) -> Headers<'_> {
        Headers(&self.0)
    }

    /// Forgets all headers and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl RecordBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a copy of a record.
    pub fn push(&mut self, record: RecordRef<'_>) {
        let start = self.bytes.len();
        let part = |bytes: &mut Vec<u8>, part: Option<&[u8]>| {
            part.map(|part| {
                bytes.extend_from_slice(part);
                part.len() as u32
            })
        };
        let key = part(&mut self.bytes, record.key);
        let value = part(&mut self.bytes, record.value);
        self.bytes.extend_from_slice(record.headers.0);
        self.slots.push(Slot {
            offset: record.offset,
            timestamp: record.timestamp,
            start,
            key,
            value,
            headers: record.headers.0.len() as u32,
        });
    }

    /// Appends a record whose key and value are written straight into the buffer, without a copy of
    /// their own. `write` gets the buffer at its end and appends first the key, then the value; it
    /// returns the length of the key.
    pub fn push_with(&mut self, timestamp: LogTime, write: impl FnOnce(&mut Vec<u8>) -> usize) {
        let start = self.bytes.len();
        let key = write(&mut self.bytes);
        let value = self.bytes.len() - start - key;
        self.slots.push(Slot {
            offset: Offset::ZERO,
            timestamp,
            start,
            key: Some(key as u32),
            value: Some(value as u32),
            headers: 0,
        });
    }

    /// Gives the last record headers; it has none yet.
    pub(crate) fn add_headers(&mut self, headers: Headers<'_>) {
        if let Some(last) = self.slots.last_mut() {
            self.bytes.extend_from_slice(headers.0);
            last.headers = headers.0.len() as u32;
        }
    }

    /// The keys, values and headers of the records in `range`, one behind the other; empty where the
    /// range is.
    pub(crate) fn run(&self, range: Range<usize>) -> &[u8] {
        let border = |index: usize| self.slots.get(index).map_or(self.bytes.len(), |slot| slot.start);
        &self.bytes[border(range.start)..border(range.end).max(border(range.start))]
    }

    /// Takes over bytes that hold the keys, values and headers of many records, in one copy; the
    /// loader then tells where each of the records stands in them.
    pub(crate) fn load(&mut self, run: &[u8]) -> Loader<'_> {
        let next = self.bytes.len();
        self.bytes.extend_from_slice(run);
        Loader { batch: self, next }
    }

    /// The record at `index`, counted from 0 within the batch.
    pub fn get(&self, index: usize) -> Option<RecordRef<'_>> {
        let slot = self.slots.get(index)?;
        let key_end = slot.start + slot.key.unwrap_or(0) as usize;
        let value_end = key_end + slot.value.unwrap_or(0) as usize;
        Some(RecordRef {
            offset: slot.offset,
            timestamp: slot.timestamp,
            key: slot.key.map(|_| &self.bytes[slot.start..key_end]),
            value: slot.value.map(|_| &self.bytes[key_end..value_end]),
            headers: Headers(&self.bytes[value_end..value_end + slot.headers as usize]),
        })
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> {
        (0..self.slots.len()).filter_map(|index| self.get(index))
    }

    /// How many records the batch holds.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the batch holds no record.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The bytes of all keys, values and headers.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back the records from index `len` on.
    pub fn truncate(&mut self, len: usize) {
        if let Some(slot) = self.slots.get(len) {
            self.bytes.truncate(slot.start);
            self.slots.truncate(len);
        }
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
    }

    /// Forgets all records, and keeps about so many bytes for the next ones.
    pub(crate) fn clear_down_to(&mut self, kept: usize) {
        self.clear();
        self.bytes.shrink_to(kept);
        self.slots.shrink_to(kept / size_of::<Slot>());
    }
}

/// Adds the records of a run of bytes to a batch, in their order.
pub(crate) struct Loader<'a> {
    batch: &'a mut RecordBatch,
    next: usize,
}

impl Loader<'_> {
    /// Adds the next record, given the lengths of its parts; `false`, and nothing is added, if the
    /// run is shorter than that.
    #[inline]
    pub(crate) fn record(
        &mut self,
        offset: Offset,
        timestamp: LogTime,
        key: Option<u32>,
        value: Option<u32>,
        headers: u32,
    ) -> bool {
        let length = key.unwrap_or(0) as usize + value.unwrap_or(0) as usize + headers as usize;
        let end = self.next + length;
        if end > self.batch.bytes.len() {
            return false;
        }
        self.batch.slots.push(Slot { offset, timestamp, start: self.next, key, value, headers });
        self.next = end;
        true
    }
}
