//! The places that an ingestion job writes beside the feed's events, as the table `poi.ingested` has them.
//!
//! Not here: the events that name them ([`super::event`]). Invariant: which place is written beside a record, and what is
//! said of it, hangs on the options and the record's number alone, and changes no byte of the record.

use std::ops::Range;

use processing_core::record::LogTime;

use super::draws::{Draws, Stream};
use super::event::{push_key, push_number, push_poi, push_text, push_uuid};
use super::{Feed, city};

/// Beside one of so many records, a place is written.
const RECORDS_A_PLACE: u64 = 10;

/// Places of a city.
pub(super) const PLACES_A_CITY: u64 = 50;

/// A record of the table; its bytes are in the buffer that it was written into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceRecord {
    /// Its log timestamp, which is its event's time as well.
    pub sent: LogTime,
    /// Where its value stands in the buffer.
    pub value: Range<usize>,
    /// Where its key stands in the buffer: the place's identifier.
    pub key: Range<usize>,
}

impl Feed {
    /// The place that is written beside record `number`, if one is; its value and its key replace what `out` holds. Places
    /// that are much asked for are written soon and often.
    pub fn place_beside(&self, number: u64, out: &mut Vec<u8>) -> Option<PlaceRecord> {
        let mut draws = Draws::new(self.options.seed, Stream::Places);
        draws.turn_to(number);
        if draws.below(RECORDS_A_PLACE) != 0 {
            return None;
        }
        let sent = self.schedule.sent_at(number);
        let slot = super::slot(sent);
        let place = self.crowd.city(slot, draws.below(self.crowd.total(slot)));
        let poi = place as u64 * PLACES_A_CITY + draws.skewed_below(PLACES_A_CITY);
        let city = city(&self.gazetteer, place);
        out.clear();
        out.push(b'{');
        push_key(out, "event_id");
        push_uuid(out, draws.bits(), draws.bits());
        push_key(out, ",event_type");
        out.extend_from_slice(b"\"poi.ingested\"");
        push_key(out, ",timestamp");
        push_number(out, sent.unsigned_abs(), 1);
        push_key(out, ",payload");
        out.push(b'{');
        push_key(out, "poi_id");
        out.push(b'"');
        push_poi(out, poi);
        out.push(b'"');
        push_key(out, ",city");
        out.push(b'"');
        push_text(out, city.name, false);
        out.push(b'"');
        push_key(out, ",country");
        out.push(b'"');
        out.extend_from_slice(city.country.as_str().as_bytes());
        out.extend_from_slice(b"\"}}");
        let value = 0..out.len();
        push_poi(out, poi);
        Some(PlaceRecord { sent: LogTime(sent), key: value.end..out.len(), value })
    }
}
