//! A seeded, endless feed of realistic events for demos, tests and benches.
//!
//! Real cities weighted by population and time of day, a crowd of users of whom some are busy,
//! events that arrive out of order, twice, or broken, and now and then a city that everybody asks for.
//! First comes a thin history, on which baselines can stand, then the present.
//!
//! Beside it, [`Feed::place_beside`] writes the table of places in which events without a city find theirs.
//!
//! Not here: sending. The feed reads no clock; whoever sends paces by [`FeedRecord::sent`], and takes
//! it as the record's log timestamp. Invariant: the record with a given number is a function of the
//! options and that number alone, to the byte, so a feed resumes anywhere by its position.
//!
//! ```
//! use std::sync::Arc;
//! use events::feed::{Feed, FeedOptions};
//! use events::Gazetteer;
//! use processing_core::record::EventTime;
//!
//! let options = FeedOptions::new(7, EventTime(1_760_000_000_000));
//! let mut feed = Feed::new(options, Arc::new(Gazetteer::shipped()));
//! let mut bytes = Vec::new();
//! let record = feed.next_into(&mut bytes);
//! println!("{} {:?}", record.contract.event_type(), &bytes[record.value.clone()]);
//! ```

mod burst;
pub(crate) mod crowd;
pub(crate) mod draws;
pub(crate) mod event;
mod places;
pub(crate) mod schedule;

use std::ops::Range;
use std::sync::Arc;

use processing_core::record::{DurationMs, EventTime, LogTime};

use self::burst::{Bursts, PlannedBurst};
use self::crowd::{Crowd, slot};
use self::draws::{Draws, Stream};
use self::event::{Flaw, Scene};
pub use self::places::PlaceRecord;
use self::schedule::Schedule;
use crate::gazetteer::{City, CityRef, Country, Gazetteer};
use crate::signal::SignalContract;

/// What feed to make. The same options make the same feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    /// Chooses among feeds.
    pub seed: u64,
    /// When the present begins, in the feed's time; from 1970 on.
    pub start: EventTime,
    /// Records per minute of the present, in the mean over a day; at least 1.
    pub events_per_minute: u32,
    /// How long before `start` the history begins; 0 for none.
    pub history: DurationMs,
    /// Records per minute of the history, likewise. Where it differs from `events_per_minute`, every
    /// baseline is off by the same factor until the present fills its 24 hours.
    pub history_events_per_minute: u32,
    /// How many cities, the largest first.
    pub cities: usize,
    /// How many users.
    pub users: u32,
    /// How often a burst begins; at least ten minutes.
    pub burst_every: DurationMs,
    /// How many times as often a city is asked for in a burst; 1 for no bursts.
    pub burst_factor: u32,
    /// Records of 10 000 that repeat an earlier one, byte for byte.
    pub repeats_per_10_000: u32,
    /// Records of 10 000 that cannot be decoded.
    pub bad_per_10_000: u32,
}

impl FeedOptions {
    /// A lively feed: 200 records a minute after two days of as much history, 5 000 cities, 100 000
    /// users, every half hour a city five times as popular, 0.5 % repeats and 0.3 % bad records.
    pub fn new(seed: u64, start: EventTime) -> Self {
        Self {
            seed,
            start,
            events_per_minute: 200,
            history: DurationMs::hours(48),
            history_events_per_minute: 200,
            cities: 5_000,
            users: 100_000,
            burst_every: DurationMs::minutes(30),
            burst_factor: 5,
            repeats_per_10_000: 50,
            bad_per_10_000: 30,
        }
    }
}

/// A record of the feed; its bytes are in the buffer that it was written into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRecord {
    /// Its number, from 0.
    pub number: u64,
    /// The topic it belongs to.
    pub contract: SignalContract,
    /// Whether it can be decoded, and whether it was there before.
    pub kind: FeedRecordKind,
    /// When it is sent, by the feed's clock: its log timestamp. Never falls from record to record.
    pub sent: LogTime,
    /// When its event happened: mostly seconds, sometimes minutes before it is sent.
    pub event_time: EventTime,
    /// Where its value stands in the buffer; may be empty.
    pub value: Range<usize>,
    /// Where its key stands in the buffer: the user, or the session of one who is not known.
    pub key: Range<usize>,
}

/// What became of an event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedRecordKind {
    /// It is there for the first time.
    Event,
    /// It is the same as the record with this number.
    RepeatOf(u64),
    /// It is damaged beyond decoding.
    Bad,
}

/// A city that everybody asks for, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The city.
    pub city: CityRef,
    /// When it begins, in the feed's time.
    pub from: EventTime,
    /// When it is over.
    pub until: EventTime,
}

/// The feed, at some position.
pub struct Feed {
    options: FeedOptions,
    gazetteer: Arc<Gazetteer>,
    crowd: Crowd,
    schedule: Schedule,
    bursts: Bursts,
    draws: Draws,
    next: u64,
    /// The bursts of the minute that was asked for last; derived, kept because minutes are long.
    minute_bursts: (i64, Vec<PlannedBurst>),
}

impl Feed {
    /// The feed from its beginning.
    pub fn new(options: FeedOptions, gazetteer: Arc<Gazetteer>) -> Self {
        Self::at(options, gazetteer, 0)
    }

    /// The feed from the record number `position` on, whatever was made before.
    pub fn at(options: FeedOptions, gazetteer: Arc<Gazetteer>, position: u64) -> Self {
        let crowd = Crowd::new(&gazetteer, options.cities.max(1));
        let begin = options.start.minus(DurationMs(options.history.0.max(0)));
        let schedule =
            Schedule::new(&crowd, begin, options.start, options.history_events_per_minute, options.events_per_minute);
        Self {
            crowd,
            schedule,
            bursts: Bursts::new(options.seed, options.start, options.burst_every),
            draws: Draws::new(options.seed, Stream::Records),
            next: position,
            minute_bursts: (i64::MIN, Vec::new()),
            options,
            gazetteer,
        }
    }

    /// The number of the next record: where [`Self::at`] goes on.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// How many records the history has, which is also the number of the first of the present.
    pub fn history_records(&self) -> u64 {
        self.schedule.history_records()
    }

    /// When the next record is sent, by the feed's clock.
    pub fn next_sent(&self) -> LogTime {
        LogTime(self.schedule.sent_at(self.next))
    }

    /// The bursts that overlap the time from `from` up to, not including, `until`, in their order.
    pub fn bursts(&self, from: EventTime, until: EventTime) -> Vec<Burst> {
        if self.options.burst_factor <= 1 {
            return Vec::new();
        }
        self.bursts
            .between(&self.crowd, from, until)
            .map(|burst| {
                let city = city(&self.gazetteer, burst.city);
                let city = CityRef { name: city.name.into(), country: city.country };
                Burst { city, from: burst.from, until: burst.until }
            })
            .collect()
    }

    /// Makes the next record: its value and its key replace what `out` holds.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> FeedRecord {
        let number = self.next;
        self.next += 1;
        out.clear();
        self.draws.turn_to(number);
        let mut record = match self.fate() {
            Fate::Event => self.write(number, None, out),
            Fate::Bad => self.write_bad(number, out),
            Fate::Repeat { back } => match self.repeated(number, back) {
                Some(earlier) => {
                    self.draws.turn_to(earlier);
                    self.fate();
                    let record = self.write(earlier, None, out);
                    FeedRecord { kind: FeedRecordKind::RepeatOf(earlier), ..record }
                }
                None => self.write(number, None, out),
            },
        };
        record.number = number;
        record.sent = LogTime(self.schedule.sent_at(number));
        record
    }

    /// What becomes of the record whose draws are turned to. Its first two draws, always.
    fn fate(&mut self) -> Fate {
        let (luck, back) = (self.draws.below(10_000), self.draws.skewed_below(600));
        let bad = u64::from(self.options.bad_per_10_000);
        let repeats = u64::from(self.options.repeats_per_10_000);
        if luck < bad {
            Fate::Bad
        } else if luck < bad + repeats {
            Fate::Repeat { back: back + 1 }
        } else {
            Fate::Event
        }
    }

    /// The number of the event, `back` records before `number` or a little more, that it repeats;
    /// leaves the draws turned to `number` again where there is none.
    fn repeated(&mut self, number: u64, back: u64) -> Option<u64> {
        let from = number.checked_sub(back)?;
        let earlier = (from.saturating_sub(8)..=from).rev().find(|&earlier| {
            self.draws.turn_to(earlier);
            matches!(self.fate(), Fate::Event)
        });
        if earlier.is_none() {
            self.draws.turn_to(number);
            self.fate();
        }
        earlier
    }

    /// Writes the event `number`, whose draws are turned to, past its fate.
    fn write(&mut self, number: u64, flaw: Option<Flaw>, out: &mut Vec<u8>) -> FeedRecord {
        let sent = self.schedule.sent_at(number);
        let contract = match self.draws.below(100) {
            0..76 => SignalContract::SearchExecuted,
            76..86 => SignalContract::PoiFavorited,
            86..88 => SignalContract::PoiUnfavorited,
            88..93 => SignalContract::ItinerarySaved,
            93..97 => SignalContract::ItineraryUpdated,
            _ => SignalContract::ChatItinerarySaved,
        };
        let time_ms = (sent - self.delay()).max(0);
        let place = self.place(sent);
        let scene = Scene {
            contract,
            time_ms,
            gazetteer: &self.gazetteer,
            number: place,
            city: city(&self.gazetteer, place),
            users: self.options.users.max(1),
            flaw: flaw.unwrap_or(Flaw::None),
        };
        let key = scene.write(&mut self.draws, out);
        FeedRecord {
            number,
            contract,
            kind: FeedRecordKind::Event,
            sent: LogTime(sent),
            event_time: EventTime(time_ms),
            value: 0..key.start,
            key,
        }
    }

    /// Writes the event `number` so that nobody can decode it.
    fn write_bad(&mut self, number: u64, out: &mut Vec<u8>) -> FeedRecord {
        let (damage, place) = (self.draws.below(8), self.draws.bits());
        let flaw = match damage {
            0 => Some(Flaw::Timestamp),
            1 => Some(Flaw::Type),
            2 => Some(Flaw::NoPayload),
            3 => Some(Flaw::City),
            _ => None,
        };
        let mut record = self.write(number, flaw, out);
        record.kind = FeedRecordKind::Bad;
        let end = record.value.end;
        match damage {
            0..4 => {}
            // Cut short on the way.
            4 | 5 => record.value.end = place as usize % end.max(1),
            // Sent in another encoding: the event's id is not UTF-8.
            6 => out[16] = 0xff,
            // Not JSON at all.
            _ => out[0] = b'<',
        }
        record
    }

    /// How long an event is on its way, in milliseconds: mostly a moment, at times minutes.
    fn delay(&mut self) -> i64 {
        let (luck, part) = (self.draws.below(10_000), self.draws.bits());
        let (from, to): (u64, u64) = match luck {
            0..7_000 => (0, 1_500),
            7_000..9_500 => (1_500, 10_000),
            9_500..9_900 => (10_000, 60_000),
            9_900..9_990 => (60_000, 300_000),
            _ => (300_000, 1_200_000),
        };
        (from + part % (to - from)) as i64
    }

    /// The city of an event that is sent at `sent`, as its place in the gazetteer.
    fn place(&mut self, sent: i64) -> usize {
        let slot = slot(sent);
        let minute = sent.div_euclid(60_000);
        if self.options.burst_factor > 1 && self.minute_bursts.0 != minute {
            let from = EventTime(minute * 60_000);
            let bursts = self.bursts.between(&self.crowd, from, from.plus(DurationMs::minutes(1)));
            self.minute_bursts.1.clear();
            self.minute_bursts.1.extend(bursts);
            self.minute_bursts.0 = minute;
        }
        let usual = self.crowd.total(slot);
        let crowd = &self.crowd;
        let more = u64::from(self.options.burst_factor.saturating_sub(1));
        let now = |burst: &PlannedBurst| (burst.from.0..burst.until.0).contains(&sent);
        let active = self.minute_bursts.1.iter().filter(|burst| now(burst));
        let extra = |burst: &PlannedBurst| crowd.weight(slot, burst.city) * more;
        let total = usual + active.clone().map(extra).sum::<u64>();
        let mut point = self.draws.below(total);
        if point < usual {
            return crowd.city(slot, point);
        }
        point -= usual;
        for burst in active {
            match point.checked_sub(extra(burst)) {
                Some(rest) => point = rest,
                None => return burst.city,
            }
        }
        0
    }
}

/// What becomes of a record, before it is known what it holds.
enum Fate {
    Event,
    Repeat { back: u64 },
    Bad,
}

fn city(gazetteer: &Gazetteer, place: usize) -> City<'_> {
    gazetteer.city(place).unwrap_or(City {
        name: "Nowhere",
        country: Country::UNKNOWN,
        population: 0,
        latitude_hundredths: 0,
        longitude_hundredths: 0,
    })
}
