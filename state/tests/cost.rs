//! What a row costs on its way down the layers and in the ordered store. Figures, not assertions:
//! `cargo test -p state --test cost -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "it reads a clock to show it")]

mod support;

use std::ops::ControlFlow;
use std::time::Instant;

use state::{
    Base, ColumnId, KeyRange, MemoryBase, OrderedOptions, OrderedStore, Position, Receipt, Sync, TaskStore,
    TaskStoreLimits, WriteSet,
};
use support::COLUMNS;

struct Published;

impl Receipt for Published {
    fn position(&self, _column: ColumnId) -> Option<Position> {
        Some(Position(1))
    }
}

/// CPU time of the whole process, background threads included, in nanoseconds.
fn cpu_ns() -> u128 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u128 = fields[11].parse::<u128>().unwrap() + fields[12].parse::<u128>().unwrap();
    ticks * 10_000_000
}

fn measured<T>(what: &str, items: u64, work: impl FnOnce() -> T) -> T {
    let (cpu, wall) = (cpu_ns(), Instant::now());
    let done = work();
    let (cpu, wall) = (cpu_ns() - cpu, wall.elapsed().as_nanos());
    eprintln!("{what:<72} {:>7} ns CPU {:>7} ns wall", cpu / u128::from(items), wall / u128::from(items));
    done
}

/// One commit's rows: every key of the pane that is current, in key order.
fn stage<B: Base>(store: &mut TaskStore<B, Published>, commit: u64, commits_a_pane: u64, keys: u64) {
    let mut key = [0; 24];
    let pane = commit / commits_a_pane;
    for row in 0..keys {
        key[..8].copy_from_slice(&pane.to_be_bytes());
        key[8..16].copy_from_slice(&pane.to_be_bytes());
        key[16..].copy_from_slice(&row.to_be_bytes());
        store.put(COLUMNS[0], &key, &[commit as u8; 16]);
    }
}

fn run<B: Base>(what: &str, base: B, commits_a_pane: u64) {
    const KEYS: u64 = 5_000;
    const COMMITS: u64 = 400;
    let mut store = TaskStore::new(base, COLUMNS, TaskStoreLimits::default());
    let mut largest = 0;
    measured(&format!("{what}, {commits_a_pane} commits a pane: staged, applied, written"), KEYS * COMMITS, || {
        for commit in 0..COMMITS {
            stage(&mut store, commit, commits_a_pane, KEYS);
            largest = largest.max(store.staged_bytes());
            store.apply(&Published).unwrap();
        }
        store.flush().unwrap();
    });
    let mut rows = 0;
    measured("  scanned again, a row", KEYS * COMMITS / commits_a_pane, || {
        let count = |_: &[u8], _: &[u8]| {
            rows += 1;
            ControlFlow::Continue(())
        };
        store.scan(COLUMNS[0], KeyRange::ALL, count).unwrap();
    });
    assert_eq!(rows, KEYS * COMMITS / commits_a_pane);
    measured("  looked up, absent", 200_000, || {
        for row in 0..200_000u64 {
            let key = [[0; 8], [9; 8], row.to_be_bytes()].concat();
            assert!(store.with(COLUMNS[0], &key, |_| ()).unwrap().is_none());
        }
    });
}

struct Nowhere(MemoryBase);

impl Base for Nowhere {
    fn read(&self, c: ColumnId, k: &[u8], v: &mut dyn FnMut(&[u8])) -> Result<bool, state::StoreError> {
        self.0.read(c, k, v)
    }
    fn scan(&self, _: ColumnId, _: KeyRange<'_>, _: &mut state::Visit<'_>) -> Result<(), state::StoreError> {
        Ok(())
    }
    fn last(&self, c: ColumnId, r: KeyRange<'_>) -> Result<Option<state::Row>, state::StoreError> {
        self.0.last(c, r)
    }
    fn write(&mut self, _: &state::Batch<'_>) -> Result<(), state::StoreError> {
        Ok(())
    }
    fn flush(&mut self) -> Result<(), state::StoreError> {
        Ok(())
    }
    fn position(&self, c: ColumnId) -> Result<Option<Position>, state::StoreError> {
        self.0.position(c)
    }
    fn unflushed_bytes(&self) -> usize {
        0
    }
}

#[test]
#[ignore = "figures"]
fn layers() {
    measured("staged and forgotten", 2_000_000, || {
        let mut store: TaskStore<_, Published> = TaskStore::new(MemoryBase::new(), COLUMNS, TaskStoreLimits::default());
        for commit in 0..400 {
            stage(&mut store, commit, 1, 5_000);
            store.discard();
        }
    });
    for commits_a_pane in [1, 20] {
        let mut store: TaskStore<_, Published> =
            TaskStore::new(Nowhere(MemoryBase::new()), COLUMNS, TaskStoreLimits::default());
        measured(&format!("no base, {commits_a_pane} commits a pane"), 2_000_000, || {
            for commit in 0..400 {
                stage(&mut store, commit, commits_a_pane, 5_000);
                store.apply(&Published).unwrap();
            }
        });
        run("memory", MemoryBase::new(), commits_a_pane);
        let folder = tempfile::tempdir().unwrap();
        run("rocks", support::open(folder.path()), commits_a_pane);
    }
}

/// Memory of the whole process that is in RAM, in KiB.
fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    4 * statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
}

/// What a store takes while it is open: of as many tasks as a worker has, with rows in each column.
#[test]
#[ignore = "figures"]
fn open_stores() {
    const TASKS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let options = support::options();
    let open = |task: u64| state::RocksBase::open(&folder.path().join(task.to_string()), &options).unwrap();
    let shown = |what: &str, since: u64| {
        eprintln!("{what:<40} {:>7} KiB a store", (resident_kib().saturating_sub(since)) / TASKS);
    };
    let before = resident_kib();
    let mut stores: Vec<_> = (0..TASKS).map(open).collect();
    shown("begun", before);
    for round in 0..6u64 {
        for store in &mut stores {
            let mut batch = state::Batch::new();
            for (column, row) in COLUMNS.into_iter().flat_map(|column| (0..500u64).map(move |row| (column, row))) {
                batch.put(column, &(row * 6 + round).to_be_bytes(), &row.wrapping_mul(0x9E37_79B9).to_be_bytes());
                batch.set_position(column, Position(round));
            }
            store.write(&batch).unwrap();
            store.flush().unwrap();
        }
    }
    stores.iter().for_each(|store| store.settle().unwrap());
    shown("with rows in files", before);
    drop(stores);
    let before = resident_kib();
    let _stores: Vec<_> = measured("opened again, a store", TASKS, || (0..TASKS).map(open).collect());
    shown("opened again", before);
}

#[test]
#[ignore = "figures"]
fn ordered() {
    const PARTITIONS: u8 = 8;
    const ROW_BYTES: usize = 64 << 10;
    let json: Vec<u8> = (0..u64::MAX)
        .flat_map(|n| {
            let id = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!(r#"{{"event_id":"{id:016x}{:016x}","event_type":"search.executed","timestamp":{},"payload":{{"user_id":"u{}","city":"c{}","query":"hotels near {}","source":"chat","results":{}}}}}"#,
                id.rotate_left(23).wrapping_mul(31), 1_700_000_000 + n, id % 100_000, id % 5000, id % 777, id % 50).into_bytes()
        })
        .take(64 << 20)
        .collect();
    for rows in [1_500u64, 6_000] {
        let folder = tempfile::tempdir().unwrap();
        let store = OrderedStore::open(folder.path(), OrderedOptions::default()).unwrap();
        let events = rows * (ROW_BYTES as u64 / 250);
        measured(
            &format!("ordered: {} MB appended, an event of 250", (rows as usize * ROW_BYTES) >> 20),
            events,
            || {
                for row in 0..rows {
                    let mut set = WriteSet::new();
                    let key = [&[(row % u64::from(PARTITIONS)) as u8][..], &row.to_be_bytes()].concat();
                    let at = (row as usize * 4099 * 16) % (json.len() - ROW_BYTES);
                    set.put(&key, &json[at..at + ROW_BYTES]);
                    store.write(&set, if row % 16 == 0 { Sync::Disk } else { Sync::Os }).unwrap();
                }
                store.flush().unwrap();
                store.settle().unwrap();
            },
        );
        let mut bytes = 0;
        measured("  read back, an event", events, || {
            for partition in 0..PARTITIONS {
                let mut from = [&[partition][..], &[0; 8]].concat();
                // A consumer fetches a few rows at a time.
                loop {
                    let mut left = 4;
                    let mut last = None;
                    store
                        .scan(KeyRange::new(&from, &[partition + 1]), |key, value| {
                            bytes += value.len();
                            last = Some(key.to_vec());
                            left -= 1;
                            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                        })
                        .unwrap();
                    let Some(key) = last else { break };
                    from = [&key[..], &[0]].concat();
                }
            }
        });
        assert_eq!(bytes, rows as usize * ROW_BYTES);
        let on_disk: u64 =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        eprintln!("  {} MB on disk", on_disk >> 20);
    }
}
