//! Flipped and missing bytes in every file of a store: each must be told as an error, or the rows must
//! be exactly right. Never a wrong row, never a panic.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use state::{Base, Batch, ColumnId, KeyRange, Position, RocksBase, Row, StoreError, StoreRemedy};
use support::{COLUMNS, copy_folder, open, options};

type Moment = BTreeMap<ColumnId, (Option<Position>, Vec<Row>)>;

fn moment(base: &RocksBase) -> Result<Moment, StoreError> {
    let mut moment = Moment::new();
    for column in COLUMNS {
        let mut rows = Vec::new();
        base.scan(column, KeyRange::ALL, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        for (key, value) in &rows {
            assert_eq!(base.get(column, key)?.as_ref(), Some(value), "scan and get differ");
        }
        moment.insert(column, (base.position(column)?, rows));
    }
    base.verify()?;
    Ok(moment)
}

/// A store of several files; answers what it holds after each flush.
fn build(path: &Path) -> Vec<Moment> {
    let mut base = open(path);
    let mut moments = vec![moment(&base).unwrap()];
    for round in 0..3u64 {
        let mut batch = Batch::new();
        for column in COLUMNS {
            for row in 0..400u64 {
                let value = [round.to_be_bytes(), row.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()].concat();
                batch.put(column, &(round * 250 + row).to_be_bytes(), &value);
            }
            batch.delete_range(column, KeyRange::before(&(round * 100).to_be_bytes()));
            batch.set_position(column, Position(round + 1));
        }
        base.write(&batch).unwrap();
        base.flush().unwrap();
        moments.push(moment(&base).unwrap());
    }
    moments
}

#[derive(Default, Debug)]
struct Outcomes {
    told: usize,
    right: usize,
    earlier: usize,
}

fn check(damaged: &Path, moments: &[Moment], what: &str, outcomes: &mut Outcomes) {
    match RocksBase::open(damaged, &options()).and_then(|base| moment(&base)) {
        Err(error) => {
            assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error:?}");
            assert_eq!(error.remedy(), StoreRemedy::Rebuild);
            outcomes.told += 1;
        }
        Ok(found) if Some(&found) == moments.last() => outcomes.right += 1,
        // A cut manifest is one that a crash left behind: rows and positions of an earlier flush,
        // from which the changelog's tail leads on.
        Ok(found) => {
            assert!(what.contains("MANIFEST"), "{what}: an earlier or a wrong moment");
            assert!(moments.contains(&found), "{what}: rows that never were");
            outcomes.earlier += 1;
        }
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn flipped_and_missing_bytes_in_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let moments = build(&whole);
    let mut outcomes: BTreeMap<String, Outcomes> = BTreeMap::new();
    for file in files(&whole) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let kind = name.trim_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '.').to_owned();
        let bytes = std::fs::read(&file).unwrap();
        let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
        let places = 24.min(bytes.len());
        for place in 0..places {
            // Spread over the file, and never at the same place of its blocks.
            let at = (place * bytes.len() / places + place * 7 % 13).min(bytes.len() - 1);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (place % 8);
            damages.push((format!("{name} flipped at {at} of {}", bytes.len()), flipped));
        }
        for cut in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            damages.push((format!("{name} cut to {cut} of {}", bytes.len()), bytes[..cut.min(bytes.len())].to_vec()));
        }
        let damaged = folder.path().join("damaged");
        for (what, contents) in damages {
            copy_folder(&whole, &damaged);
            std::fs::write(damaged.join(&name), contents).unwrap();
            check(&damaged, &moments, &what, outcomes.entry(kind.clone()).or_default());
            std::fs::remove_dir_all(&damaged).unwrap();
        }
        copy_folder(&whole, &damaged);
        std::fs::remove_file(damaged.join(&name)).unwrap();
        check(&damaged, &moments, &format!("{name} missing"), outcomes.entry(kind).or_default());
        std::fs::remove_dir_all(&damaged).unwrap();
    }
    // The files that hold rows, and the one that lists them, must have told most damages.
    for kind in ["sst", "MANIFEST", "CURRENT"] {
        assert!(outcomes[kind].told > outcomes[kind].right, "{outcomes:#?}");
    }
}
