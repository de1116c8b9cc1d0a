//! When each record is sent: more by day than by night, first the history, then the present.
//!
//! Let A(t) be the crowd's weight added up over time. The records of a phase are evenly spaced in A,
//! so record n is sent at the t where A(t) = A(begin) + n x (a day's A) / (a day's records).
//!
//! Not here: when its event happened. Invariant: times never fall, and the time of a record is a
//! function of its number.

use processing_core::record::EventTime;

use super::crowd::{Crowd, SLOT_MS, SLOTS};

const MINUTES_PER_DAY: u128 = 1_440;
const DAY_MS: i64 = SLOT_MS * SLOTS as i64;

pub(crate) struct Schedule {
    /// A at the beginning of each half hour of a day, then a whole day's.
    sums: [u128; SLOTS + 1],
    history: Phase,
    live: Phase,
    history_records: u64,
}

#[derive(Clone, Copy)]
struct Phase {
    /// A where it begins.
    begin: u128,
    /// Records of a day.
    per_day: u128,
}

impl Schedule {
    /// `history_per_minute` records a minute (in the mean over a day) from `begin`, `live_per_minute`
    /// from `live` on.
    pub(crate) fn new(
        crowd: &Crowd,
        begin: EventTime,
        live: EventTime,
        history_per_minute: u32,
        live_per_minute: u32,
    ) -> Self {
        let per_day = |per_minute: u32| u128::from(per_minute.max(1)) * MINUTES_PER_DAY;
        Self::by_day(crowd, begin, live, per_day(history_per_minute), per_day(live_per_minute))
    }

    /// As [`Self::new`], by records of a day, at least 1.
    pub(crate) fn by_day(
        crowd: &Crowd,
        begin: EventTime,
        live: EventTime,
        history_per_day: u128,
        live_per_day: u128,
    ) -> Self {
        let mut sums = [0; SLOTS + 1];
        for slot in 0..SLOTS {
            sums[slot + 1] = sums[slot] + u128::from(crowd.total(slot)) * SLOT_MS as u128;
        }
        let mut schedule = Self {
            sums,
            history: Phase { begin: 0, per_day: history_per_day.max(1) },
            live: Phase { begin: 0, per_day: live_per_day.max(1) },
            history_records: 0,
        };
        schedule.history.begin = schedule.weight_until(begin.0.min(live.0));
        schedule.live.begin = schedule.weight_until(live.0);
        let span = schedule.live.begin - schedule.history.begin;
        let records = (span * schedule.history.per_day).div_ceil(schedule.day());
        schedule.history_records = u64::try_from(records).unwrap_or(u64::MAX);
        schedule
    }

    /// How many records the history has.
    pub(crate) fn history_records(&self) -> u64 {
        self.history_records
    }

    /// When the record `number` is sent, in milliseconds since 1970.
    pub(crate) fn sent_at(&self, number: u64) -> i64 {
        let (phase, number) = match number.checked_sub(self.history_records) {
            Some(number) => (self.live, number),
            None => (self.history, number),
        };
        let weight = phase.begin + u128::from(number) * self.day() / phase.per_day;
        let (day, within) = (weight / self.day(), weight % self.day());
        let slot = self.sums.partition_point(|&sum| sum <= within).clamp(1, SLOTS) - 1;
        let per_ms = (self.sums[slot + 1] - self.sums[slot]) / SLOT_MS as u128;
        let into = (within - self.sums[slot]) / per_ms.max(1);
        i64::try_from(day).unwrap_or(i64::MAX).saturating_mul(DAY_MS) + slot as i64 * SLOT_MS + into as i64
    }

    /// A from 1970 until `ms`; times before count as 1970.
    fn weight_until(&self, ms: i64) -> u128 {
        let ms = ms.max(0);
        let (day, within) = ((ms / DAY_MS) as u128, ms % DAY_MS);
        let slot = (within / SLOT_MS) as usize;
        let per_ms = (self.sums[slot + 1] - self.sums[slot]) / SLOT_MS as u128;
        day * self.day() + self.sums[slot] + per_ms * (within % SLOT_MS) as u128
    }

    fn day(&self) -> u128 {
        self.sums[SLOTS]
    }
}
