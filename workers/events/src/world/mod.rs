//! A seeded, endless world: what the same people do in all five systems, as the events that tell of it.
//!
//! It publishes every contract but those that the [`feed`](crate::feed) makes, of the same users: they talk with the chat,
//! upload documents, are recommended films under an A/B test whose true effect is known ([`VARIANTS`]), play at hunting
//! for a job, and write to businesses as leads. It is told in stories: each begins by the feed's daily rhythm and goes on
//! for seconds or for days. As in the feed, some records come late, twice, or broken; some answers never come. First comes
//! a thin history, then the present.
//!
//! Not here: sending, and searches, favourites and itineraries. The world reads no clock; whoever sends paces by
//! [`WorldRecord::sent`], and takes it as the record's log timestamp. Invariant: the record with a given number is a
//! function of the options and that number alone, to the byte. To resume, [`World::at`] goes through the stories before
//! without writing them, which takes less than a microsecond a record.
//!
//! ```
//! use std::sync::Arc;
//! use events::Gazetteer;
//! use events::world::{World, WorldOptions};
//! use processing_core::record::EventTime;
//!
//! let mut world = World::new(WorldOptions::new(7, EventTime(1_760_000_000_000)), Arc::new(Gazetteer::shipped()));
//! let mut bytes = Vec::new();
//! let record = world.next_into(&mut bytes);
//! println!("{} {:?}", record.topic, &bytes[record.value.clone()]);
//! ```

mod act;
mod call;
mod documents;
mod films;
mod jobs;
mod leads;
mod page;
mod queue;
mod story;
mod travel;
mod trial;

use std::ops::Range;
use std::sync::Arc;

use processing_core::record::{DurationMs, EventTime, LogTime};

use self::page::{Flaw, Page};
use self::queue::{Due, Fate, Origin, Queue};
use self::story::{Beat, DAY, HOUR, Story};
use self::trial::Trial;
pub use self::trial::{EXPERIMENT, VARIANTS, Variant};
use crate::event::ContractName;
use crate::feed::crowd::{Crowd, slot};
use crate::feed::draws::{Draws, Stream};
use crate::feed::schedule::Schedule;
use crate::gazetteer::Gazetteer;

/// What world to make. The same options make the same world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldOptions {
    /// Chooses among worlds.
    pub seed: u64,
    /// When the present begins, in the world's time; from 1970 on.
    pub start: EventTime,
    /// Records per minute of the present, about, in the mean over a day; at least 1.
    pub events_per_minute: u32,
    /// How many users.
    pub users: u32,
    /// How long before `start` the history begins; 0 for none.
    pub history: DurationMs,
    /// Records per minute of the history, likewise.
    pub history_events_per_minute: u32,
    /// Records of 10 000 that come a second time, byte for byte.
    pub repeats_per_10_000: u32,
    /// Records of 10 000 that cannot be decoded.
    pub bad_per_10_000: u32,
}

impl WorldOptions {
    /// 100 records a minute of 100 000 users, as the feed has them, after 35 days of a tenth as many; 0.5 % repeats and
    /// 0.3 % bad records.
    pub fn new(seed: u64, start: EventTime) -> Self {
        Self {
            seed,
            start,
            events_per_minute: 100,
            users: 100_000,
            history: DurationMs::hours(35 * 24),
            history_events_per_minute: 10,
            repeats_per_10_000: 50,
            bad_per_10_000: 30,
        }
    }
}

/// A record of the world; its bytes are in the buffer that it was written into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldRecord {
    /// Its number, from 0.
    pub number: u64,
    /// The topic it belongs to.
    pub topic: &'static str,
    /// What it is an event of, unless it is damaged.
    pub contract: ContractName,
    /// Whether it can be decoded, and whether it was there before.
    pub kind: WorldRecordKind,
    /// When it is sent, by the world's clock: its log timestamp. Never falls from record to record.
    pub sent: LogTime,
    /// When its event happened: mostly seconds, sometimes minutes before it is sent.
    pub event_time: EventTime,
    /// Where its value stands in the buffer; may be empty.
    pub value: Range<usize>,
    /// Where its key stands in the buffer.
    pub key: Range<usize>,
}

/// What became of an event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldRecordKind {
    /// It is there for the first time.
    Event,
    /// It is the same as the record with this number.
    RepeatOf(u64),
    /// It is damaged beyond decoding, or of a type that nobody knows.
    Bad,
}

/// Records of a story, in the mean; a test holds the rate to it.
const RECORDS_A_STORY: u128 = 4;
/// The test begins so long before the present, or where the history does.
const TEST_BEFORE: i64 = 27 * DAY;
/// Draws of a story, in records of the feed: the first ones for its plan, then one for each of its events.
const RUNS_A_STORY: u64 = 64;
const RUNS_OF_A_PLAN: u64 = 16;
/// One story in so many is that of somebody who registers; none of those that bring somebody into the test.
const STORIES_A_REGISTRATION: u64 = 66;
/// Cities that are talked about, the largest first.
const CITIES: usize = 1_000;

/// The world, at some position.
pub struct World {
    options: WorldOptions,
    cities: Arc<Gazetteer>,
    crowd: Crowd,
    schedule: Schedule,
    trial: Trial,
    /// Of stories and of hours.
    draws: [Draws; 2],
    next_story: u64,
    next_hour: u64,
    queue: Queue,
    beats: Vec<Beat>,
    next: u64,
}

impl World {
    /// The world from its beginning.
    pub fn new(options: WorldOptions, cities: Arc<Gazetteer>) -> Self {
        let crowd = Crowd::new(&cities, CITIES);
        let begin = options.start.minus(DurationMs(options.history.0.max(0)));
        let per_day = |per_minute: u32| u128::from(per_minute.max(1)) * 1_440 / RECORDS_A_STORY;
        let (thin, thick) = (per_day(options.history_events_per_minute), per_day(options.events_per_minute));
        let schedule = Schedule::by_day(&crowd, begin, options.start, thin, thick);
        let test = options.start.0.saturating_sub(TEST_BEFORE).max(schedule.sent_at(0));
        let next_hour = schedule.sent_at(0).max(0).unsigned_abs().div_ceil(HOUR.unsigned_abs());
        let mut world = Self {
            trial: Trial::new(options.seed, options.users.max(1), &schedule, test),
            draws: [Stream::Stories, Stream::Hours].map(|stream| Draws::new(options.seed, stream)),
            options,
            cities,
            crowd,
            schedule,
            next_story: 0,
            next_hour,
            queue: Queue::default(),
            beats: Vec::new(),
            next: 0,
        };
        world.look_ahead();
        world
    }

    /// The world from the record number `position` on, whatever was made before.
    pub fn at(options: WorldOptions, cities: Arc<Gazetteer>, position: u64) -> Self {
        let mut world = Self::new(options, cities);
        while world.next < position {
            world.advance();
        }
        world
    }

    /// The number of the next record: where [`Self::at`] goes on.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// When the next record is sent, by the world's clock.
    pub fn next_sent(&self) -> LogTime {
        self.queue.first().map_or(LogTime(i64::MAX), |due| LogTime(due.sent))
    }

    /// When the present begins.
    pub fn start(&self) -> EventTime {
        self.options.start
    }

    /// Makes the next record: its value and its key replace what `out` holds.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> WorldRecord {
        let (number, due) = self.advance();
        out.clear();
        let Beat { time_ms, user, act } = due.beat;
        let (stream, run) = match due.origin {
            Origin::Story(story) => (0, story),
            Origin::Hour(hour) => (1, hour),
        };
        let draws = &mut self.draws[stream];
        draws.turn_to(run * RUNS_A_STORY + RUNS_OF_A_PLAN + u64::from(due.step));
        let (damage, place) = (draws.below(6), draws.bits());
        let is_bad = due.fate == Fate::Bad;
        let flaw = match damage {
            _ if !is_bad => Flaw::None,
            0 => Flaw::Timestamp,
            1 if act.says_type() => Flaw::Type,
            1 => Flaw::Timestamp,
            _ => Flaw::None,
        };
        act.write(user, &mut Page { out, draws, time_ms, cities: &self.cities, flaw });
        let end = out.len();
        act.push_key(user, out);
        let mut value = 0..end;
        if is_bad {
            match damage {
                0 | 1 => {}
                // Cut short on the way.
                2 | 3 => value.end = place as usize % end.max(1),
                // Sent in another encoding: the event's name is not UTF-8.
                4 => {
                    let at = within_name(out);
                    out[at] = 0xff;
                }
                // Not JSON at all.
                _ => out[0] = b'<',
            }
        }
        let kind = match due.fate {
            Fate::Bad => WorldRecordKind::Bad,
            Fate::RepeatOf(earlier) => WorldRecordKind::RepeatOf(earlier),
            Fate::Event { .. } => WorldRecordKind::Event,
        };
        WorldRecord {
            number,
            topic: act.topic(),
            contract: act.contract(),
            kind,
            sent: LogTime(due.sent),
            event_time: EventTime(time_ms),
            value,
            key: end..out.len(),
        }
    }

    /// Takes the next record from the queue.
    fn advance(&mut self) -> (u64, Due) {
        let number = self.next;
        self.next += 1;
        let due = loop {
            match self.queue.pop(number) {
                Some(due) => break due,
                // Stories never end: the first look finds one.
                None => self.look_ahead(),
            }
        };
        self.look_ahead();
        (number, due)
    }

    /// Makes up stories until none that is not made up can have the next record.
    fn look_ahead(&mut self) {
        loop {
            let (story, hour) = (self.schedule.sent_at(self.next_story), self.next_hour as i64 * HOUR);
            if self.queue.first().is_some_and(|due| due.sent < story.min(hour)) {
                return;
            }
            if hour < story {
                self.make_hour(hour);
            } else {
                self.make_story(story);
            }
        }
    }

    fn make_story(&mut self, begins: i64) {
        let number = self.next_story;
        self.next_story += 1;
        let draws = &mut self.draws[0];
        draws.turn_to_run(number * RUNS_A_STORY, RUNS_OF_A_PLAN as usize);
        let users = self.options.users.max(1);
        let user = draws.skewed_below(users.into()) as u32;
        let slot = slot(begins);
        let city = self.crowd.city(slot, draws.below(self.crowd.total(slot))) as u32;
        let what = draws.below(1_000);
        let comes_in = self.trial.comes_in(number);
        let trial = &self.trial;
        let beats = &mut self.beats;
        let mut story = Story { draws, trial, begins, user, city, beats };
        match (comes_in, what) {
            (Some(user), _) => {
                story.user = user;
                films::come_in(&mut story);
            }
            _ if let Some(user) = registers(number, users) => {
                story.user = user;
                jobs::register(&mut story);
            }
            (None, 0..250) => travel::talk(&mut story),
            (None, 250..300) => travel::embed(&mut story),
            (None, 300..320) => travel::seek_doubles(&mut story),
            (None, 320..390) => documents::upload(&mut story),
            (None, 390..440) => documents::notify(&mut story),
            (None, 440..465) => documents::report(&mut story),
            (None, 465..510) => documents::audit(&mut story),
            (None, 510..690) => {
                let variant = story.trial.variant(user, number);
                films::look_around(&mut story, variant);
            }
            (None, 690..820) => jobs::play(&mut story),
            (None, 820..845) => jobs::remind(&mut story),
            (None, 845..880) => jobs::apply(&mut story),
            (None, 880..910) => jobs::learn(&mut story),
            (None, 910..930) => jobs::break_down(&mut story),
            (None, _) => leads::lead(&mut story),
        }
        self.send(Origin::Story(number));
    }

    fn make_hour(&mut self, begins: i64) {
        let number = self.next_hour;
        self.next_hour += 1;
        let draws = &mut self.draws[1];
        draws.turn_to_run(number * RUNS_A_STORY, RUNS_OF_A_PLAN as usize);
        // The older model has been getting worse since five days before the present.
        let days = (begins - self.options.start.0) / DAY + 5;
        let (trial, beats) = (&self.trial, &mut self.beats);
        let mut story = Story { draws, trial, begins, user: 0, city: 0, beats };
        films::measure(&mut story, u16::try_from(days).unwrap_or(0).min(10));
        self.send(Origin::Hour(number));
    }

    /// Puts what a story tells into the queue, each with its way.
    fn send(&mut self, origin: Origin) {
        let draws = match origin {
            Origin::Story(_) => &mut self.draws[0],
            Origin::Hour(_) => &mut self.draws[1],
        };
        let bad = u64::from(self.options.bad_per_10_000);
        let repeats = u64::from(self.options.repeats_per_10_000);
        for (step, beat) in self.beats.drain(..).enumerate() {
            let sent = beat.time_ms + delay(draws);
            let luck = draws.below(10_000);
            let fate = if luck < bad {
                Fate::Bad
            } else {
                let again = sent + 500 + draws.skewed_below(600_000) as i64;
                Fate::Event { again: (luck < bad + repeats).then_some(again) }
            };
            self.queue.push(Due { sent, origin, step: step as u16, fate, beat });
        }
    }
}

/// Who registers by this story: each once, the rarest first, whom nobody has seen yet.
fn registers(story: u64, users: u32) -> Option<u32> {
    let turn = story.is_multiple_of(STORIES_A_REGISTRATION).then_some(story / STORIES_A_REGISTRATION)?;
    (users - 1).checked_sub(u32::try_from(turn).ok()?)
}

/// How long an event is on its way, in milliseconds: mostly a moment, at times minutes.
fn delay(draws: &mut Draws) -> i64 {
    let (luck, part) = (draws.below(10_000), draws.bits());
    let (from, to): (u64, u64) = match luck {
        0..7_000 => (0, 900),
        7_000..9_600 => (900, 8_000),
        9_600..9_960 => (8_000, 45_000),
        9_960..9_995 => (45_000, 240_000),
        _ => (240_000, 1_200_000),
    };
    (from + part % (to - from)) as i64
}

/// A byte within the event's name, which stands first.
fn within_name(out: &[u8]) -> usize {
    out.windows(3).position(|part| part == b"\":\"").map_or(0, |at| at + 4)
}
