//! What sessions have to be: all records of a key that were taken in, in the order of time, divided where two lie
//! more than a gap apart or a cut lies between them.
//!
//! Not here: other windows ([`super::expected`]). Invariant: the only thing that it knows of the library's panes is
//! that a session may come out as late as when the pane of its last record could have no other; see
//! [`Sessions::is_over`].

use std::collections::BTreeMap;

use processing_core::testing::Story;

use super::{Expected, Late, Read, Reading, Results, Windows, sum};

/// Sessions as they are defined.
#[derive(Debug, Clone, Copy)]
struct Sessions {
    gap: i64,
    grace: i64,
    /// How far apart cuts are, and where the first one is.
    cut: Option<(i64, i64)>,
}

impl Sessions {
    /// The first cut behind `time`.
    fn next_cut(self, time: i64) -> i64 {
        self.cut.map_or(i64::MAX, |(length, offset)| time - (time - offset).rem_euclid(length) + length)
    }

    /// Sessions come out at the end of a pane: at each eighth of the gap since 1970, and at cuts.
    fn next_pane(self, time: i64) -> i64 {
        let pane = self.gap / 8;
        (time - time.rem_euclid(pane) + pane).min(self.next_cut(time))
    }

    /// Nothing can come any more that would belong to the pane of the last record, or continue it: every record
    /// in it is followed by nothing within the gap, by the slowest input and the grace.
    fn is_over(self, last: i64, time: i64) -> bool {
        time != i64::MIN && self.next_pane(last) + self.gap + self.grace <= time
    }

    /// How far what comes out has come: no session that ends earlier is still to come.
    fn reached(self, time: i64) -> i64 {
        if time == i64::MIN {
            return time;
        }
        // The last end of a pane by which sessions are over.
        let latest = time - self.gap - self.grace;
        let pane = self.gap / 8;
        let start = latest - latest.rem_euclid(pane);
        match self.cut {
            Some((length, offset)) => start.max(latest - (latest - offset).rem_euclid(length)),
            None => start,
        }
    }

    fn divide<R: Clone>(self, mut records: Vec<R>, time: impl Fn(&R) -> i64) -> Vec<Vec<R>> {
        records.sort_by_key(|record| time(record));
        let together = |a: &R, b: &R| {
            let (a, b) = (time(a), time(b));
            b - a <= self.gap && b < self.next_cut(a)
        };
        records.chunk_by(together).map(<[_]>::to_vec).collect()
    }

    /// The sessions of each key, in the order of time; and the records that are late.
    fn of(self, reading: &Reading) -> (BTreeMap<u16, Vec<Vec<&Read>>>, Late) {
        let late = |record: &Read| record.event.time.0 + self.grace < record.stream_time;
        let mut by_key = BTreeMap::<u16, Vec<&Read>>::new();
        for record in reading.records.iter().filter(|record| !late(record)) {
            by_key.entry(record.event.key).or_default().push(record);
        }
        let sessions = by_key
            .into_iter()
            .map(|(key, records)| (key, self.divide(records, |record| record.event.time.0)))
            .collect();
        let late = reading.records.iter().filter(|record| late(record)).map(|record| ("late", record.value.clone()));
        (sessions, late.collect())
    }
}

fn first(session: &[&Read]) -> i64 {
    session[0].event.time.0
}

fn last(session: &[&Read]) -> i64 {
    session[session.len() - 1].event.time.0
}

/// One line per session that is over: its bounds, its records and their sum.
fn plain(story: &Story, sessions: Sessions, time: impl Fn(&Reading, &Read) -> i64) -> Expected {
    let reading = Reading::of(story);
    let (by_key, late) = sessions.of(&reading);
    let mut out = Results::new();
    for (key, all) in &by_key {
        for session in all.iter().filter(|session| sessions.is_over(last(session), time(&reading, session[0]))) {
            let line = format!("{} {} {} {}", first(session), last(session) + 1, session.len(), sum(session));
            out.entry(*key).or_default().push(line);
        }
    }
    let set_aside = reading.dead.into_iter().chain(late).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

pub(crate) fn sessions(story: &Story) -> Expected {
    plain(story, Sessions { gap: 1_000, grace: 500, cut: None }, |reading, _| reading.slowest())
}

pub(crate) fn sessions_cut(story: &Story) -> Expected {
    let sessions = Sessions { gap: 800, grace: 300, cut: Some((2_500, 130)) };
    plain(story, sessions, |reading, _| reading.slowest())
}

pub(crate) fn local_sessions(story: &Story) -> Expected {
    let sessions = Sessions { gap: 1_500, grace: 0, cut: Some((7_000, 0)) };
    plain(story, sessions, |reading, record| reading.reached[&record.place])
}

pub(crate) fn sessions_of_windows(story: &Story) -> Expected {
    let (windows, sessions) = (Windows::tumbling(300, 200), Sessions { gap: 1_000, grace: 0, cut: None });
    let reading = Reading::of(story);
    let (closed, late) = reading.closed(windows);
    let mut out = Results::new();
    for (key, closed) in closed {
        for session in sessions.divide(closed, |(time, ..)| *time) {
            let ((first, ..), (last, reached, _)) = (session[0], session[session.len() - 1]);
            if sessions.is_over(last, reached - windows.grace) {
                let total: i64 = session.iter().map(|(.., sum)| sum).sum();
                out.entry(key).or_default().push(format!("{first} {} {} {total}", last + 1, session.len()));
            }
        }
    }
    let set_aside = reading.dead.into_iter().chain(late).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}

pub(crate) fn session_totals(story: &Story) -> Expected {
    let (sessions, windows) = (Sessions { gap: 600, grace: 900, cut: None }, Windows::tumbling(2_000, 300));
    let reading = Reading::of(story);
    let (by_key, late) = sessions.of(&reading);
    let mut by_window = BTreeMap::<(i64, u16), Vec<i64>>::new();
    for (key, all) in &by_key {
        for session in all.iter().filter(|session| sessions.is_over(last(session), reading.slowest())) {
            for start in windows.holding(last(session)) {
                by_window.entry((start, key % 3)).or_default().push(sum(session));
            }
        }
    }
    let mut out = Results::new();
    for ((start, key), sums) in by_window {
        if windows.is_closed(start, sessions.reached(reading.slowest())) {
            let total: i64 = sums.iter().sum();
            out.entry(key).or_default().push(format!("{start} {} {} {total}", start + windows.size, sums.len()));
        }
    }
    let set_aside = reading.dead.into_iter().chain(late).collect();
    Expected { results: BTreeMap::from([("out", out)]), set_aside }
}
