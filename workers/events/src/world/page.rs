//! A record while it is written: JSON as an application would send it, whole numbers only.
//!
//! Not here: what an event says. Invariant: without a flaw, what is between the first brace and the last one closed is
//! one JSON object.

use crate::feed::draws::Draws;
use crate::feed::event::{
    push_hex, push_key, push_number, push_poi, push_rfc3339, push_session, push_text, push_user, push_uuid,
};
use crate::gazetteer::Gazetteer;

/// What is wrong with an event by its author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    Timestamp,
    Type,
}

/// A record while it is written.
pub(super) struct Page<'w> {
    pub(super) out: &'w mut Vec<u8>,
    /// The record's own draws.
    pub(super) draws: &'w mut Draws,
    /// When the event happened.
    pub(super) time_ms: i64,
    /// Names the cities.
    pub(super) cities: &'w Gazetteer,
    pub(super) flaw: Flaw,
}

impl Page<'_> {
    fn name(&mut self, name: &str) {
        if !matches!(self.out.last(), Some(b'{' | b'[') | None) {
            self.out.push(b',');
        }
        push_key(self.out, name);
    }

    /// Begins the event.
    pub(super) fn begin(&mut self) {
        self.out.push(b'{');
    }

    /// Begins an object.
    pub(super) fn open(&mut self, name: &str) {
        self.name(name);
        self.out.push(b'{');
    }

    /// Ends an object, or the event.
    pub(super) fn close(&mut self) {
        self.out.push(b'}');
    }

    /// A name that no other event has.
    pub(super) fn unique(&mut self, name: &str) {
        self.name(name);
        let (high, low) = (self.draws.bits(), self.draws.bits());
        push_uuid(self.out, high, low);
    }

    /// The event's type.
    pub(super) fn event_type(&mut self, name: &str, event_type: &str) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(event_type.as_bytes());
        if self.flaw == Flaw::Type {
            self.out.extend_from_slice(b".draft");
        }
        self.out.push(b'"');
    }

    /// When it happened, as RFC 3339.
    pub(super) fn at(&mut self) {
        self.name("timestamp");
        match self.flaw {
            Flaw::Timestamp => self.out.extend_from_slice(b"\"half past ten\""),
            _ => push_rfc3339(self.out, self.time_ms),
        }
    }

    /// When it happened, in seconds since 1970.
    pub(super) fn at_seconds(&mut self) {
        self.name("timestamp");
        match self.flaw {
            Flaw::Timestamp => self.out.extend_from_slice(b"\"half past ten\""),
            _ => self.decimal(self.time_ms, 3),
        }
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.out.push(b'"');
        push_text(self.out, text, false);
        self.out.push(b'"');
    }

    /// A name that is a word and a number.
    pub(super) fn numbered(&mut self, name: &str, word: &str, number: u64) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(word.as_bytes());
        push_number(self.out, number, 1);
        self.out.push(b'"');
    }

    /// A name that is a word and sixteen hexadecimal digits.
    pub(super) fn hashed(&mut self, name: &str, word: &str, bits: u64) {
        self.name(name);
        self.out.push(b'"');
        push_hashed(self.out, word, bits);
        self.out.push(b'"');
    }

    pub(super) fn poi(&mut self, name: &str, poi: u64) {
        self.name(name);
        self.out.push(b'"');
        push_poi(self.out, poi);
        self.out.push(b'"');
    }

    pub(super) fn user(&mut self, name: &str, user: u32) {
        self.name(name);
        self.out.push(b'"');
        push_user(self.out, user.into());
        self.out.push(b'"');
    }

    /// The same session that the user's searches of this half hour have.
    pub(super) fn session(&mut self, name: &str, user: u32, began_ms: i64) {
        self.name(name);
        self.out.push(b'"');
        push_session(self.out, user.into(), began_ms);
        self.out.push(b'"');
    }

    pub(super) fn whole(&mut self, name: &str, number: u64) {
        self.name(name);
        push_number(self.out, number, 1);
    }

    pub(super) fn flag(&mut self, name: &str, flag: bool) {
        self.name(name);
        self.out.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// `number` / 10^`places`.
    pub(super) fn fixed(&mut self, name: &str, number: i64, places: u32) {
        self.name(name);
        self.decimal(number, places);
    }

    /// An amount of money as text, from pico-units of its currency.
    pub(super) fn money(&mut self, name: &str, pico: u64) {
        self.name(name);
        self.out.push(b'"');
        self.decimal(i64::try_from(pico).unwrap_or(i64::MAX), 12);
        while self.out.last() == Some(&b'0') {
            self.out.pop();
        }
        if self.out.last() == Some(&b'.') {
            self.out.pop();
        }
        self.out.push(b'"');
    }

    /// A list, each item written by `item`.
    pub(super) fn list(&mut self, name: &str, items: usize, mut item: impl FnMut(&mut Vec<u8>, usize)) {
        self.name(name);
        self.out.push(b'[');
        for at in 0..items {
            if at > 0 {
                self.out.push(b',');
            }
            item(self.out, at);
        }
        self.out.push(b']');
    }

    fn decimal(&mut self, number: i64, places: u32) {
        if number < 0 {
            self.out.push(b'-');
        }
        let unit = 10_u64.pow(places);
        push_number(self.out, number.unsigned_abs() / unit, 1);
        self.out.push(b'.');
        push_number(self.out, number.unsigned_abs() % unit, places as usize);
    }
}

/// A word and sixteen hexadecimal digits.
pub(super) fn push_hashed(out: &mut Vec<u8>, word: &str, bits: u64) {
    out.extend_from_slice(word.as_bytes());
    push_hex(out, bits, 16);
}
