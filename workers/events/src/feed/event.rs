//! The text of one event, as an application would send it.
//!
//! The services do not agree on style, as in life: places and searches send snake case and RFC 3339,
//! itineraries fractional epoch seconds, the chat camel case, epoch milliseconds and ASCII only.
//!
//! Not here: whether the event is repeated or damaged on its way. Invariant: without a flaw, the text
//! is an event of its contract.

use std::ops::Range;

use chrono::{DateTime, Datelike, Timelike};

use super::draws::Draws;
use super::places::PLACES_A_CITY;
use crate::gazetteer::{City, Gazetteer};
use crate::signal::SignalContract;

/// What is wrong with an event by its author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    Timestamp,
    Type,
    NoPayload,
    City,
}

/// What an event is about.
pub(super) struct Scene<'g> {
    pub(super) contract: SignalContract,
    pub(super) time_ms: i64,
    pub(super) gazetteer: &'g Gazetteer,
    /// The city's place in the gazetteer.
    pub(super) number: usize,
    pub(super) city: City<'g>,
    pub(super) users: u32,
    pub(super) flaw: Flaw,
}

/// Things that people look for; the first ones most.
const SUBJECTS: [&str; 32] = [
    "restaurants",
    "coffee",
    "museums",
    "ramen",
    "rooftop bars",
    "street food",
    "parks",
    "live music",
    "art galleries",
    "vegan brunch",
    "beaches",
    "hiking trails",
    "bookshops",
    "night markets",
    "jazz",
    "viewpoints",
    "hostels",
    "boat trips",
    "bakeries",
    "wine tasting",
    "castles",
    "flea markets",
    "playgrounds",
    "thermal baths",
    "craft beer",
    "bike rental",
    "botanical gardens",
    "aquariums",
    "escape rooms",
    "ice skating",
    "submarine rides",
    "unicorn cafe",
];
/// How they ask for them.
const FORMS: [(&str, &str); 6] =
    [("best ", ""), ("", " near me"), ("", " open now"), ("cheap ", ""), ("", " with kids"), ("quiet ", "")];
/// Nobody has these.
const WITHOUT_RESULTS: usize = SUBJECTS.len() - 2;
/// Cities that are in no table.
const INVENTED: [&str; 4] = ["Atlantis", "Port Nowhere", "Neu-Entenhausen", "El Dorado"];

impl Scene<'_> {
    /// Writes the event into `out`, and after it the record's key; tells where the key stands.
    pub(super) fn write(&self, draws: &mut Draws, out: &mut Vec<u8>) -> Range<usize> {
        let camel = self.contract == SignalContract::ChatItinerarySaved;
        let name = |snake: &'static str, camel_name: &'static str| if camel { camel_name } else { snake };
        let (id_high, id_low) = (draws.bits(), draws.bits());

        out.push(b'{');
        push_key(out, name("event_id", "eventId"));
        push_uuid(out, id_high, id_low);
        push_key(out, name(",event_type", ",eventType"));
        out.push(b'"');
        out.extend_from_slice(self.contract.event_type().as_bytes());
        if self.flaw == Flaw::Type {
            out.extend_from_slice(b".draft");
        }
        out.push(b'"');
        push_key(out, ",timestamp");
        self.push_time(out);
        if draws.chance(2_000) {
            push_key(out, name(",trace_id", ",traceId"));
            out.push(b'"');
            push_hex(out, draws.bits(), 16);
            out.push(b'"');
        }
        let (user, anonymous) = (draws.skewed_below(u64::from(self.users)), draws.chance(500));
        if self.flaw == Flaw::NoPayload {
            out.push(b'}');
        } else {
            push_key(out, ",payload");
            self.push_payload(draws, out, user, anonymous);
            out.push(b'}');
        }

        let start = out.len();
        if anonymous {
            push_session(out, user, self.time_ms)
        } else {
            push_user(out, user)
        }
        start..out.len()
    }

    fn push_time(&self, out: &mut Vec<u8>) {
        if self.flaw == Flaw::Timestamp {
            out.extend_from_slice(b"\"half past ten\"");
            return;
        }
        let (seconds, ms) = (self.time_ms.div_euclid(1_000) as u64, self.time_ms.rem_euclid(1_000));
        match self.contract {
            SignalContract::ChatItinerarySaved => push_number(out, self.time_ms as u64, 1),
            SignalContract::ItinerarySaved | SignalContract::ItineraryUpdated => {
                push_number(out, seconds, 1);
                out.push(b'.');
                push_number(out, ms as u64, 3);
            }
            _ => push_rfc3339(out, self.time_ms),
        }
    }

    fn push_payload(&self, draws: &mut Draws, out: &mut Vec<u8>, user: u64, anonymous: bool) {
        let camel = self.contract == SignalContract::ChatItinerarySaved;
        let name = |snake: &'static str, camel_name: &'static str| if camel { camel_name } else { snake };
        out.push(b'{');
        if !anonymous {
            push_key(out, name("user_id", "userId"));
            out.push(b'"');
            push_user(out, user);
            out.push(b'"');
        }
        if anonymous || draws.chance(3_500) {
            if !anonymous {
                out.push(b',');
            }
            push_key(out, name("session_id", "sessionId"));
            out.push(b'"');
            push_session(out, user, self.time_ms);
            out.push(b'"');
        }
        match self.contract {
            SignalContract::SearchExecuted => push_search(draws, out),
            SignalContract::PoiFavorited | SignalContract::PoiUnfavorited => {
                push_key(out, ",poi_id");
                out.push(b'"');
                push_poi(out, self.number as u64 * PLACES_A_CITY + draws.skewed_below(PLACES_A_CITY));
                out.push(b'"');
            }
            _ => {
                push_key(out, name(",itinerary_id", ",itineraryId"));
                out.extend_from_slice(b"\"it-");
                push_hex(out, draws.bits(), 8);
                out.push(b'"');
                push_key(out, ",days");
                push_number(out, 1 + draws.skewed_below(14), 1);
            }
        }
        self.push_city(draws, out, name(",city", ",cityName"), camel);
        out.push(b'}');
    }

    fn push_city(&self, draws: &mut Draws, out: &mut Vec<u8>, key: &str, ascii: bool) {
        let style = draws.below(1_000);
        if self.flaw == Flaw::City {
            push_key(out, key);
            out.extend_from_slice(b"[\"");
            push_text(out, self.city.name, ascii);
            out.extend_from_slice(b"\"]");
            return;
        }
        let choice = draws.bits();
        if style < 10 {
            return;
        }
        push_key(out, key);
        out.push(b'"');
        match style {
            10..15 => push_text(out, INVENTED[choice as usize % INVENTED.len()], ascii),
            15..90 => self.city.name.chars().flat_map(char::to_lowercase).for_each(|c| push_char(out, c, ascii)),
            90..120 => self.city.name.chars().flat_map(char::to_uppercase).for_each(|c| push_char(out, c, ascii)),
            120..140 => {
                out.push(b' ');
                push_text(out, self.city.name, ascii);
                out.push(b' ');
            }
            140..180 => {
                let alias = self.gazetteer.aliases(self.number).nth(choice as usize % 16);
                push_text(out, alias.unwrap_or(self.city.name), ascii);
            }
            _ => push_text(out, self.city.name, ascii),
        }
        out.push(b'"');
        if style >= 15 && draws.chance(7_000) {
            push_key(out, ",country");
            out.push(b'"');
            out.extend_from_slice(self.city.country.as_str().as_bytes());
            out.push(b'"');
        }
        if style >= 15 && draws.chance(2_000) {
            push_key(out, ",lat");
            push_degrees(out, self.city.latitude_hundredths, draws.below(1_000));
            push_key(out, ",lon");
            push_degrees(out, self.city.longitude_hundredths, draws.below(1_000));
        }
    }
}

fn push_search(draws: &mut Draws, out: &mut Vec<u8>) {
    let subject = draws.skewed_below(SUBJECTS.len() as u64) as usize;
    let (before, after) = FORMS[draws.skewed_below(FORMS.len() as u64) as usize];
    push_key(out, ",query");
    out.push(b'"');
    for part in [before, SUBJECTS[subject], after] {
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
    push_key(out, ",source");
    out.extend_from_slice(match draws.below(100) {
        0..38 => b"\"chat\"",
        38..97 => b"\"manual\"",
        _ => b"\"voice\"",
    });
    push_key(out, ",result_count");
    let none = subject >= WITHOUT_RESULTS || draws.chance(200);
    push_number(out, if none { 0 } else { 1 + draws.skewed_below(80) }, 1);
}

/// A key with its quotes and colon; a comma in front of it stays in front.
pub(crate) fn push_key(out: &mut Vec<u8>, key: &str) {
    let key = match key.strip_prefix(',') {
        Some(key) => {
            out.push(b',');
            key
        }
        None => key,
    };
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Milliseconds since 1970 as a quoted RFC 3339 time of UTC.
pub(crate) fn push_rfc3339(out: &mut Vec<u8>, time_ms: i64) {
    let time = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
    out.push(b'"');
    push_number(out, time.year().unsigned_abs().into(), 4);
    for (mark, part) in
        [(b'-', time.month()), (b'-', time.day()), (b'T', time.hour()), (b':', time.minute()), (b':', time.second())]
    {
        out.push(mark);
        push_number(out, part.into(), 2);
    }
    out.push(b'.');
    push_number(out, time_ms.rem_euclid(1_000) as u64, 3);
    out.extend_from_slice(b"Z\"");
}

pub(crate) fn push_user(out: &mut Vec<u8>, user: u64) {
    out.extend_from_slice(b"u-");
    push_number(out, user, 6);
}

pub(crate) fn push_poi(out: &mut Vec<u8>, poi: u64) {
    out.extend_from_slice(b"poi-");
    push_number(out, poi, 6);
}

/// A user has a new session each half hour.
pub(crate) fn push_session(out: &mut Vec<u8>, user: u64, time_ms: i64) {
    let half_hour = time_ms.div_euclid(1_800_000) as u64;
    let mixed = (user << 32 ^ half_hour).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    out.extend_from_slice(b"s-");
    push_hex(out, mixed ^ mixed >> 29, 10);
}

pub(crate) fn push_uuid(out: &mut Vec<u8>, high: u64, low: u64) {
    out.push(b'"');
    push_hex(out, high >> 32, 8);
    out.push(b'-');
    push_hex(out, high >> 16, 4);
    out.extend_from_slice(b"-4");
    push_hex(out, high, 3);
    out.extend_from_slice(b"-a");
    push_hex(out, low >> 48, 3);
    out.push(b'-');
    push_hex(out, low, 12);
    out.push(b'"');
}

/// The last `digits` hexadecimal digits of `number`.
pub(crate) fn push_hex(out: &mut Vec<u8>, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(number >> (place * 4) & 15) as usize]);
    }
}

/// `number` in decimal, with zeros in front up to `digits`.
pub(crate) fn push_number(out: &mut Vec<u8>, mut number: u64, digits: usize) {
    let mut text = [b'0'; 20];
    let mut start = text.len();
    while number > 0 {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text[start.min(text.len() - digits)..]);
}

/// Hundredths of a degree, and `thousandths` of one of them.
fn push_degrees(out: &mut Vec<u8>, hundredths: i16, thousandths: u64) {
    if hundredths < 0 {
        out.push(b'-');
    }
    let hundredths = u64::from(hundredths.unsigned_abs());
    push_number(out, hundredths / 100, 1);
    out.push(b'.');
    push_number(out, hundredths % 100, 2);
    push_number(out, thousandths, 3);
}

pub(crate) fn push_text(out: &mut Vec<u8>, text: &str, ascii: bool) {
    text.chars().for_each(|c| push_char(out, c, ascii));
}

/// One character of a JSON string, as `\u` escapes where only ASCII may be sent.
fn push_char(out: &mut Vec<u8>, c: char, ascii: bool) {
    match c {
        '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
        _ if c.is_ascii() && !c.is_ascii_control() => out.push(c as u8),
        _ if ascii || c.is_ascii_control() => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                push_hex(out, u64::from(*unit), 4);
            }
        }
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
