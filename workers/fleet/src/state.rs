//! `streamfleet state`: the rows of a worker's store, as its changelog holds them, and its stores as files.
//!
//! The changelog and not the store's own folder: it is committed, and it can be read while the worker
//! runs. Values are the worker's own bytes and shown in base 16. Not here: files ([`crate::snapshots`]). Invariant: one line per live row, the
//! last committed one.

use std::collections::BTreeMap;
use std::io::Write as _;

use ::state::keys::pane::PaneKey;
use clap::Args;
use processing_core::batch::RecordBatch;
use processing_core::changelog::{self, Logged};
use processing_core::error::CoreError;
use processing_core::log::Read as Found;
use processing_core::record::TopicPartition;
use serde_json::json;

use crate::describe::WORKERS;
use crate::door;
use crate::folder::DataFolder;
use crate::record_line::base16;
use crate::snapshots::Snapshots;

/// Bytes of rows that are held at once; more are to be looked at key by key.
const ROWS_BYTES_MAX: usize = 512 << 20;

/// Print the rows of a store, one line of JSON each, also while a demo runs; or export and import a task's store
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct State {
    #[command(subcommand)]
    snapshots: Option<Snapshots>,
    /// The store; `streamfleet describe` names a worker's stores
    #[arg(required = true)]
    store: Option<String>,
    #[command(flatten)]
    data: DataFolder,
    /// Only rows whose key contains this text
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl State {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        if let Some(snapshots) = self.snapshots {
            return snapshots.run();
        }
        let store = self.store.unwrap_or_default();
        let log = door::beside(&door::existing(self.data.log()?)?)?;
        let (mut admin, mut reader) = (log.admin(), log.reader());
        let ending = format!("-{store}-changelog");
        let topics = admin.topics()?;
        let Some(topic) = topics.iter().find(|topic| topic.name.as_str().ends_with(&ending)) else {
            let stores = topics.iter().filter_map(|topic| topic.name.as_str().strip_suffix("-changelog"));
            // The store's name comes behind its application's, which may have hyphens of its own.
            let own = |name: &str| WORKERS.iter().find_map(|worker| name.strip_prefix(worker)).map(str::to_owned);
            let names = stores.map(|name| own(name).map_or_else(|| name.to_owned(), |name| after_version(&name)));
            let names: Vec<String> = names.filter(|name| !name.ends_with("-meta")).collect();
            return Err(CoreError::Usage(format!("there is no store {store}; the log has {}", names.join(", "))));
        };
        let wanted = |key: &[u8]| {
            let text = |text: &String| key.windows(text.len().max(1)).any(|part| part == text.as_bytes());
            self.key.as_ref().is_none_or(text)
        };
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut batch = RecordBatch::new();
        for partition in 0..topic.settings.partitions {
            let place = TopicPartition::new(topic.name.clone(), partition);
            let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let (mut next, mut held) = (reader.watermarks(&place)?.start, 0);
            loop {
                match reader.read(&place, next, &mut batch)? {
                    Found::Records(after) => next = after,
                    Found::End(_) => break,
                    Found::OutOfRange(marks) => {
                        next = marks.start;
                        continue;
                    }
                }
                for record in batch.iter() {
                    match changelog::read(0, record.key, record.value) {
                        Some(Logged::Row { key, value: Some(value) }) if wanted(key) => {
                            held += key.len() + value.len();
                            rows.insert(key.to_vec(), value.to_vec());
                        }
                        Some(Logged::Row { key, value: None }) => drop(rows.remove(key)),
                        Some(Logged::Expiry { before }) => rows = rows.split_off(before),
                        _ => {}
                    }
                }
                if held > ROWS_BYTES_MAX {
                    return Err(CoreError::Usage(format!(
                        "store {store} has more than {ROWS_BYTES_MAX} bytes of rows; name a key with --key"
                    )));
                }
            }
            for (key, value) in &rows {
                if writeln!(out, "{}", show(partition, key, value)).is_err() {
                    return Ok(());
                }
            }
        }
        drop(out.flush());
        Ok(())
    }
}

/// What stands behind `.v1-`.
fn after_version(name: &str) -> String {
    name.split_once('-').map_or(name, |(_, store)| store).to_owned()
}

fn show(partition: u32, key: &[u8], value: &[u8]) -> serde_json::Value {
    match PaneKey::decode(key) {
        Ok(PaneKey { pane, first_window, key }) => json!({
            "partition": partition,
            "pane_start_ms": pane,
            "first_window_ms": first_window,
            "key": String::from_utf8_lossy(key),
            "value": base16(value),
        }),
        Err(_) => json!({ "partition": partition, "key": base16(key), "value": base16(value) }),
    }
}
