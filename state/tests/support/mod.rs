//! What several tests of the stores on disk need.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::ops::ControlFlow;
use std::path::Path;

use state::format::COLUMN_MAX;
use state::{
    Base, ColumnContents, ColumnId, Contents, KeyFamily, KeyRange, MemoryBudget, RocksBase, RocksOptions, Row,
};

/// Two whose rows lie side by side, and the last one that there can be.
pub(crate) const COLUMNS: [ColumnId; 3] = [ColumnId(0), ColumnId(1), ColumnId(COLUMN_MAX)];

/// Options for a store of [`COLUMNS`].
pub(crate) fn options() -> RocksOptions {
    let column = |id: ColumnId| ColumnContents {
        id,
        name: format!("store-{id}"),
        keys: KeyFamily::Pane,
        fingerprint: "count per city".into(),
    };
    let contents = Contents::new(COLUMNS.map(column)).unwrap();
    RocksOptions::new(contents, MemoryBudget::new(16 << 20))
}

/// All rows of `range`, at most `most`.
pub(crate) fn rows(base: &impl Base, column: ColumnId, range: KeyRange<'_>, most: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    base.scan(column, range, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        if rows.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap();
    rows
}

/// Opens the store of [`COLUMNS`] in `path`.
pub(crate) fn open(path: &Path) -> RocksBase {
    RocksBase::open(path, &options()).unwrap()
}

/// Copies the files of a folder, as they are on disk now.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
