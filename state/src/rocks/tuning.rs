//! How RocksDB is set up for each use, and why.
//!
//! Not here: sizes that a caller chooses. Invariant: every set-up here checks what it reads, and none
//! takes memory outside the budget it is given.

use rocksdb::{
    BlockBasedOptions, BlockBasedTablePinningTier, DBCompactionStyle, DBCompressionType, DBRecoveryMode, LogLevel,
    Options,
};

use super::budget::MemoryBudget;
use super::ordered::OrderedOptions;

/// So many files of a task's store are merged at once with what was merged before: RocksDB's own choice.
pub(super) const FILES_UNMERGED: i32 = 4;

/// A task's store.
pub(super) fn task(budget: &MemoryBudget) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(budget.cache());
    blocks.set_format_version(6);
    blocks.set_block_size(8 << 10);
    // A windowed store is mostly asked for keys that are not there yet.
    blocks.set_bloom_filter(10.0, false);
    blocks.set_optimize_filters_for_memory(true);
    // Otherwise indexes and filters grow with the state, outside the budget.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = database(Some(budget));
    options.create_if_missing(true);
    // The files of a task are few and small. With the default, opening a store starts 15 threads however few there are.
    options.set_max_file_opening_threads(1);
    // All files stay open and are found without this cache; its usual 64 parts would be memory for nothing.
    options.set_table_cache_num_shard_bits(0);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    // Rows do not come by way of memtables, and dozens of stores are open at once: room for a format record is enough, and
    // for what a store of an earlier version is migrated by. An arena is an eighth of the buffer by default.
    options.set_write_buffer_size(8 << 20);
    options.set_arena_block_size(4 << 10);
    // Each store has a manifest and a log open, whose buffers are 64 KiB by default.
    options.set_writable_file_max_buffer_size(16 << 10);
    options.set_level_zero_file_num_compaction_trigger(FILES_UNMERGED);
    options.set_target_file_size_base(16 << 20);
    options.set_max_bytes_for_level_base(64 << 20);
    options
}

/// The map of large rows under a log.
pub(super) fn ordered(given: &OrderedOptions) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_format_version(6);
    // Large rows get a block of their own. Small ones share one with rows of the next partition, and such a block is read
    // in each file by whoever seeks the end of the first: it must not be large.
    blocks.set_block_size(4 << 10);
    if let Some(budget) = &given.budget {
        blocks.set_block_cache(budget.cache());
        blocks.set_cache_index_and_filter_blocks(true);
        // A scan that leaves the cache alone leaves out indexes too, and would read that of each merged file again
        // and again. All of them are a thousandth of the log.
        blocks.set_unpartitioned_pinning_tier(BlockBasedTablePinningTier::All);
    }
    // Not under the budget's write buffers, though its size counts in the budget: all stores write there, the log most
    // often, and who writes while they are full must flush. Each flush of the log would be a file of a megabyte.
    let mut options = database(None);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(given.write_buffer_bytes);
    options.set_arena_block_size(1 << 20);
    // What arrives compressed costs as much to compress again as to write.
    options.set_compression_type(DBCompressionType::None);
    // Rows lie in files of their own kind, and what is merged are their keys: a row is written twice, in the write-ahead
    // log and where it stays. Files of rows that are all deleted go by themselves. Where much is deleted ([`COLLECTS`]), a
    // merge that comes upon keys of the oldest quarter of them moves the rows that still live on, so that one old row
    // does not keep its file for ever.
    options.set_enable_blob_files(true);
    options.set_min_blob_size(given.large_row_bytes as u64);
    options.set_blob_file_size(64 << 20);
    options.set_blob_gc_age_cutoff(0.25);
    // A file holds a bit of every partition, so a merge by levels would go over the keys of the whole log with every few
    // files, old ones that nobody has touched included. Merging runs of like size writes a key again as often as
    // the log doubles, and leaves fewer than 8 runs, of which [`FIRST_KEYS`] lets a read open one.
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_level_zero_file_num_compaction_trigger(8);
    options.set_level_zero_slowdown_writes_trigger(48);
    options.set_level_zero_stop_writes_trigger(64);
    // A torn tail is a write that was never answered for; a flipped byte before it is damage and is
    // told, where RocksDB's default would silently drop everything behind it.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

/// Lets an index hold the first key of each block, and its last one as it is, so that a scan reads a block only when it
/// comes to its rows. Without the first, a scan begins with a block of every file; with a last key that is cut short,
/// as is usual, it reads the last block of its partition in every older file, to find nothing. The crate has no names
/// for them, but an open database takes them for the files it writes from then on; a RocksDB that does not know them is
/// only slower.
pub(super) const FIRST_KEYS: (&str, &str) =
    ("block_based_table_factory", "{index_type=kBinarySearchWithFirstKey;index_shortening=kNoShortening;}");

/// Whether merges move rows of the ordered map that lie apart; an open database takes it.
pub(super) const COLLECTS: &str = "enable_blob_garbage_collection";
/// The room that rows of the ordered map take which lie apart…
pub(super) const ROWS_APART_BYTES: &str = "rocksdb.live-blob-file-size";
/// …and how much of it those that have been deleted.
pub(super) const ROWS_APART_DELETED_BYTES: &str = "rocksdb.live-blob-file-garbage-size";

fn database(budget: Option<&MemoryBudget>) -> Options {
    let mut options = Options::default();
    if let Some(budget) = budget {
        options.set_write_buffer_manager(budget.write_buffers());
    }
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(2);
    // All files are opened with the store, so that a missing or cut one is found then.
    options.set_max_open_files(-1);
    options.set_skip_stats_update_on_db_open(true);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}
