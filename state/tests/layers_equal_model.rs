//! The three layers of a task store against one plain map per moment that matters: the open
//! transaction, the last commit, the last flush.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;
use state::{
    Base, Batch, Change, ColumnId, KeyRange, MemoryBase, Position, Receipt, Row, StoreError, TaskStore,
    TaskStoreLimits, Visit,
};

const COLUMNS: [ColumnId; 2] = [ColumnId(0), ColumnId(3)];

/// A receipt as the core would make it: what the publish told, column by column.
struct Published(BTreeMap<ColumnId, Position>);

impl Receipt for Published {
    fn position(&self, column: ColumnId) -> Option<Position> {
        self.0.get(&column).copied()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(ColumnId, Vec<u8>, Vec<u8>),
    Delete(ColumnId, Vec<u8>),
    DeleteRange(ColumnId, Vec<u8>, Option<Vec<u8>>),
    /// Commit; the log tells the positions or not.
    Apply(bool),
    Discard,
    /// What a changelog would bring: a put, a delete, a range.
    Replay(ColumnId, Vec<u8>, Vec<u8>),
    Flush,
    Crash,
}

fn column() -> impl Strategy<Value = ColumnId> {
    prop::sample::select(COLUMNS.to_vec())
}

/// Few short keys, so that steps meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(vec![0u8, 1, 7, 255]), 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (column(), key(), vec(any::<u8>(), 0..4)).prop_map(|(c, k, v)| Step::Put(c, k, v)),
        3 => (column(), key()).prop_map(|(c, k)| Step::Delete(c, k)),
        2 => (column(), key(), prop::option::weighted(0.8, key())).prop_map(|(c, s, e)| Step::DeleteRange(c, s, e)),
        3 => any::<bool>().prop_map(Step::Apply),
        1 => Just(Step::Discard),
        1 => (column(), key(), key()).prop_map(|(c, a, b)| Step::Replay(c, a, b)),
        1 => Just(Step::Flush),
        1 => Just(Step::Crash),
    ]
}

#[derive(Default, Clone, PartialEq, Debug)]
struct Model {
    rows: BTreeMap<ColumnId, BTreeMap<Vec<u8>, Vec<u8>>>,
    positions: BTreeMap<ColumnId, Position>,
}

impl Model {
    fn rows(&mut self, column: ColumnId) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        self.rows.entry(column).or_default()
    }

    fn change(&mut self, column: ColumnId, change: &Change<'_>) {
        let rows = self.rows(column);
        match change {
            Change::Put { key, value } => {
                rows.insert(key.to_vec(), value.to_vec());
            }
            Change::Delete { key } => {
                rows.remove(*key);
            }
            Change::DeleteRange { range } => {
                rows.retain(|key, _| {
                    key.as_slice() < range.start || range.end.is_some_and(|end| key.as_slice() >= end)
                });
            }
        }
    }
}

/// Counts what reaches the base, so that the middle layer's promise can be checked.
#[derive(Default)]
struct Counting {
    base: MemoryBase,
    batches: usize,
    rows: usize,
}

impl Base for Counting {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.base.read(column, key, visit)
    }
    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.base.scan(column, range, visit)
    }
    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        self.base.last(column, range)
    }
    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.batches += 1;
        let changes = batch.columns().flat_map(|column| batch.changes(column));
        self.rows += changes.filter(|change| !matches!(change, Change::DeleteRange { .. })).count();
        self.base.write(batch)
    }
    fn flush(&mut self) -> Result<(), StoreError> {
        self.base.flush()
    }
    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        self.base.position(column)
    }
    fn unflushed_bytes(&self) -> usize {
        self.base.unflushed_bytes()
    }
}

type Store = TaskStore<MemoryBase, Published>;

fn collect(store: &Store, column: ColumnId, range: KeyRange<'_>, most: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    if most == 0 {
        return rows;
    }
    store
        .scan(column, range, |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            if rows.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    rows
}

/// A range to scan and the most rows to take of it.
type Probe = (Vec<u8>, Option<Vec<u8>>, usize);

fn check_equal(store: &Store, staged: &mut Model, committed: &Model, probes: &[Probe]) {
    for column in COLUMNS {
        let rows = staged.rows(column).clone();
        assert_eq!(store.position(column).unwrap(), committed.positions.get(&column).copied());
        for (start, end, most) in probes {
            let range = KeyRange { start, end: end.as_deref() };
            let inside = rows.iter().filter(|(key, _)| range.contains(key)).map(|(k, v)| (k.clone(), v.clone()));
            let inside: Vec<Row> = inside.collect();
            assert_eq!(collect(store, column, range, *most), inside[..inside.len().min(*most)], "{range:?}");
            assert_eq!(store.last(column, range).unwrap(), inside.last().cloned(), "last of {range:?}");
            assert_eq!(store.get(column, start).unwrap(), rows.get(start).cloned());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_read_equals_the_model(
        steps in vec(step(), 1..60),
        probes in vec((key(), prop::option::weighted(0.7, key()), prop_oneof![Just(usize::MAX), 1usize..4]), 4),
        applied_bytes_max in prop_oneof![Just(0usize), Just(400), Just(usize::MAX)],
        flush_after in prop_oneof![Just(usize::MAX), 1usize..40],
    ) {
        let limits = TaskStoreLimits { applied_bytes_max, ..TaskStoreLimits::default() };
        let mut store = Store::new(MemoryBase::flushing_after(flush_after), COLUMNS, limits);
        let (mut staged, mut committed, mut history) = (Model::default(), Model::default(), vec![Model::default()]);
        let mut flushed_from = 0;
        let mut next = 1;
        for step in &steps {
            match step {
                Step::Put(column, key, value) => {
                    store.put(*column, key, value);
                    staged.change(*column, &Change::Put { key, value });
                }
                Step::Delete(column, key) => {
                    store.delete(*column, key);
                    staged.change(*column, &Change::Delete { key });
                }
                Step::DeleteRange(column, start, end) => {
                    let range = KeyRange { start, end: end.as_deref() };
                    store.delete_range(*column, range);
                    staged.change(*column, &Change::DeleteRange { range });
                }
                Step::Apply(told) => {
                    let positions = COLUMNS.map(|column| (column, Position(next)));
                    next += 1;
                    let receipt = Published(if *told { positions.into() } else { BTreeMap::new() });
                    store.apply(&receipt).unwrap();
                    staged.positions.extend(receipt.0);
                    committed = staged.clone();
                    history.push(committed.clone());
                }
                Step::Discard => {
                    store.discard();
                    staged = committed.clone();
                }
                Step::Replay(column, a, b) => {
                    store.discard();
                    let (start, end) = (a.min(b), a.max(b));
                    let changes = [
                        Change::Put { key: end, value: b"replayed" },
                        Change::DeleteRange { range: KeyRange::new(start, end) },
                        Change::Delete { key: b"\x07" },
                    ];
                    store.replay(*column, changes, Position(next)).unwrap();
                    for change in &changes {
                        committed.change(*column, change);
                    }
                    committed.positions.insert(*column, Position(next));
                    next += 1;
                    staged = committed.clone();
                    history.push(committed.clone());
                }
                Step::Flush => {
                    store.flush().unwrap();
                    flushed_from = history.len() - 1;
                }
                Step::Crash => {
                    let mut base = store.into_base();
                    base.forget_unflushed();
                    store = Store::new(base, COLUMNS, limits);
                    // What is left is one committed moment, not older than the last flush.
                    let mut left = Model::default();
                    for column in COLUMNS {
                        *left.rows(column) = collect(&store, column, KeyRange::ALL, usize::MAX).into_iter().collect();
                        if let Some(position) = store.position(column).unwrap() {
                            left.positions.insert(column, position);
                        }
                    }
                    let whole = |model: &Model| {
                        let mut model = model.clone();
                        COLUMNS.iter().for_each(|column| { model.rows(*column); });
                        model == left
                    };
                    let at = history[flushed_from..].iter().rposition(whole);
                    prop_assert!(at.is_some(), "no moment since the last flush has {left:?}");
                    history.truncate(flushed_from + at.unwrap() + 1);
                    flushed_from = history.len() - 1;
                    committed = history[flushed_from].clone();
                    staged = committed.clone();
                }
            }
            check_equal(&store, &mut staged, &committed, &probes);
        }
    }
}

#[test]
fn rows_overwritten_or_expired_before_the_bound_never_reach_the_base() {
    let mut store: TaskStore<Counting, Published> =
        TaskStore::new(Counting::default(), COLUMNS, TaskStoreLimits::default());
    let column = ColumnId(0);
    for commit in 0..100u64 {
        for key in 0..10u8 {
            store.put(column, &[key], &commit.to_be_bytes());
        }
        store.put(column, &[200, commit as u8], b"short-lived");
        store.apply(&Published(BTreeMap::from([(column, Position(commit))]))).unwrap();
    }
    store.delete_range(column, KeyRange::from(&[200]));
    store.apply(&Published(BTreeMap::from([(column, Position(100))]))).unwrap();
    assert_eq!(store.base().batches, 0);
    store.flush().unwrap();
    assert_eq!((store.base().batches, store.base().rows), (1, 10));
    assert_eq!(store.base().position(column).unwrap(), Some(Position(100)));
}

#[test]
fn rows_that_are_overwritten_for_ever_reach_the_base_now_and_then() {
    let limits = TaskStoreLimits { applied_bytes_max: 1_000, ..TaskStoreLimits::default() };
    let mut store: TaskStore<Counting, Published> = TaskStore::new(Counting::default(), COLUMNS, limits);
    let column = ColumnId(0);
    for commit in 0..1_000u64 {
        store.put(column, b"the one key", &commit.to_be_bytes());
        store.apply(&Published(BTreeMap::from([(column, Position(commit))]))).unwrap();
    }
    let position = store.base().position(column).unwrap().unwrap();
    assert!(position > Position(700), "{position:?}: all behind it would have to be read again");
    assert!(store.base().batches < 20, "{} batches for one row", store.base().batches);
}

#[test]
fn a_full_transaction_says_so_and_empties_on_commit_and_on_abort() {
    let limits = TaskStoreLimits { staged_bytes_max: 1000, ..TaskStoreLimits::default() };
    let mut store: TaskStore<MemoryBase, Published> = TaskStore::new(MemoryBase::new(), COLUMNS, limits);
    for end in [TaskStore::discard as fn(&mut Store), |store| store.apply(&Published(BTreeMap::new())).unwrap()] {
        let mut key = 0u16;
        while store.put(ColumnId(1), &key.to_be_bytes(), &[0; 40]) == state::Room::Left {
            key += 1;
        }
        assert!(store.is_full());
        assert!(store.staged_bytes() >= 1000 && key < 25);
        end(&mut store);
        assert_eq!((store.staged_bytes(), store.is_full()), (0, false));
    }
}
