//! What the worker's results have to be: definitions, computed straight from what stands in the input topic and in the
//! time log.
//!
//! Not here: anything of the library. Invariant: every record is looked at for every window that could hold it, and
//! nothing is kept from one window to the next.

use std::collections::{BTreeMap, BTreeSet};

use tests::kafka::dump::Dumped;

/// How far ahead of its log timestamp a record's time is believed: the default of `future.bound.ms`.
const FUTURE_BOUND: i64 = 3_600_000;

/// A closed window: its end and key, which are its order, and the line that is written of it.
pub(crate) type Closed = (i64, u16, String);

/// Everything that has to be said about an input.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// In ascending order.
    pub(crate) tumbling: BTreeSet<Closed>,
    /// In ascending order.
    pub(crate) hopping: BTreeSet<Closed>,
    /// Partition and offset of each late record, and the stores that it is late for.
    pub(crate) late: BTreeMap<(u32, u64), BTreeSet<String>>,
    /// Partition and offset of each dead record, and the reason.
    pub(crate) dead: BTreeMap<(u32, u64), &'static str>,
}

/// A raise of an idle partition, as the time log holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raise {
    partition: u32,
    offset: u64,
    time: i64,
}

/// The raises of `topic` in the records of a time log.
pub(crate) fn raises(topic: &str, log: &[Vec<Dumped>]) -> Vec<Raise> {
    let mut raises = Vec::new();
    for record in log.iter().flatten() {
        let (key, value) = (record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or_default());
        assert_eq!(value.len(), 21, "a time record has another form: {record:?}");
        if &key[4..] == topic.as_bytes() && value[4] == 2 {
            raises.push(Raise {
                partition: u32::from_be_bytes(key[..4].try_into().expect("four bytes")),
                offset: u64::from_be_bytes(value[5..13].try_into().expect("eight bytes")),
                time: i64::from_be_bytes(value[13..].try_into().expect("eight bytes")),
            });
        }
    }
    raises
}

/// Windows as they are defined: `[k * advance, k * advance + size)`.
struct Windows {
    store: &'static str,
    size: i64,
    advance: i64,
    grace: i64,
}

const TUMBLING: Windows = Windows { store: "counts", size: 1_000, advance: 1_000, grace: 500 };
const HOPPING: Windows = Windows { store: "panes", size: 1_000, advance: 300, grace: 400 };

impl Windows {
    fn holding(&self, time: i64) -> impl Iterator<Item = i64> {
        let (size, advance) = (self.size, self.advance);
        let last = time - time.rem_euclid(advance);
        (0..).map(move |n| last - n * advance).take_while(move |start| start + size > time)
    }

    fn is_closed(&self, start: i64, time: i64) -> bool {
        start + self.size + self.grace <= time
    }
}

/// A record that can be used, and how far its partition's time had come before it.
struct Read {
    place: (u32, u64),
    key: u16,
    time: i64,
    amount: i64,
    stream_time: i64,
}

/// What has to be said about these records, read from the first to the last.
pub(crate) fn expected(input: &[Vec<Dumped>], raises: &[Raise]) -> Expected {
    let mut expected = Expected::default();
    let mut records = Vec::new();
    let mut slowest = i64::MAX;
    for (partition, dumped) in (0..).zip(input) {
        let raises = || raises.iter().filter(move |raise| raise.partition == partition);
        let mut stream_time = i64::MIN;
        for record in dumped {
            let before = raises().filter(|raise| raise.offset <= record.offset);
            stream_time = before.map(|raise| raise.time).fold(stream_time, i64::max);
            let place = (partition, record.offset);
            match parse(record) {
                Ok((key, time, amount)) => {
                    records.push(Read { place, key, time, amount, stream_time });
                    stream_time = stream_time.max(time);
                }
                Err(reason) => drop(expected.dead.insert(place, reason)),
            }
        }
        slowest = slowest.min(raises().map(|raise| raise.time).fold(stream_time, i64::max));
    }
    expected.tumbling = windows(&TUMBLING, &records, slowest, &mut expected.late, |amounts| {
        format!("{} {}", amounts.len(), amounts.iter().sum::<i64>())
    });
    expected.hopping = windows(&HOPPING, &records, slowest, &mut expected.late, |amounts| {
        let largest = amounts.iter().max().expect("a window that is written holds something");
        format!("{} {} {largest}", amounts.len(), amounts.iter().sum::<i64>())
    });
    expected
}

fn parse(record: &Dumped) -> Result<(u16, i64, i64), &'static str> {
    let Some(value) = &record.value else { return Err("tombstone") };
    let numbers: Option<Vec<i64>> =
        std::str::from_utf8(value).ok().and_then(|text| text.split(' ').map(|part| part.parse().ok()).collect());
    let Some([key, time, amount]) = numbers.as_deref() else { return Err("plain") };
    if *time > record.timestamp + FUTURE_BOUND {
        return Err("future");
    }
    Ok((u16::try_from(*key).map_err(|_| "plain")?, *time, *amount))
}

fn windows(
    windows: &Windows,
    records: &[Read],
    slowest: i64,
    late: &mut BTreeMap<(u32, u64), BTreeSet<String>>,
    say: impl Fn(&[i64]) -> String,
) -> BTreeSet<Closed> {
    let mut held = BTreeMap::<(i64, u16), Vec<i64>>::new();
    for record in records {
        let open: Vec<i64> =
            windows.holding(record.time).filter(|start| !windows.is_closed(*start, record.stream_time)).collect();
        if open.is_empty() {
            late.entry(record.place).or_default().insert(windows.store.to_owned());
        }
        for start in open {
            held.entry((start, record.key)).or_default().push(record.amount);
        }
    }
    let closed = held.into_iter().filter(|((start, _), _)| windows.is_closed(*start, slowest));
    let lines = closed.map(|((start, key), amounts)| {
        let end = start + windows.size;
        (end, key, format!("{start} {end} {}", say(&amounts)))
    });
    lines.collect()
}
