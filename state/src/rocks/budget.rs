//! One memory budget for all stores of a process: the block cache, and the memtables charged to it.
//!
//! Not here: the decoded values that the core caches, and the client's queues; whoever sets the
//! budget subtracts them first.
//! Invariant: memtables and cached blocks together stay near the budget, however many stores share it.

use rocksdb::{Cache, LruCacheOptions, WriteBufferManager};

/// Memory shared by every store of the process; cheap to clone.
#[derive(Clone)]
pub struct MemoryBudget {
    cache: Cache,
    write_buffers: WriteBufferManager,
    bytes: usize,
}

impl MemoryBudget {
    /// A budget of `bytes`, of which at most half is memtables: stores fill them only while they are migrated from an
    /// earlier version. Below 8 MiB it is raised to that.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.max(8 << 20);
        let mut options = LruCacheOptions::default();
        options.set_capacity(bytes);
        // Few shards: a shard of a small cache must still hold a large block.
        options.set_num_shard_bits(2);
        let cache = Cache::new_lru_cache_opts(&options);
        // No stall: the one who writes is the record path, and RocksDB flushes early enough.
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(bytes / 2, false, cache.clone());
        Self { cache, write_buffers, bytes }
    }

    /// The budget, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What blocks and memtables use now, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    /// What memtables use now, in bytes.
    pub fn memtable_bytes(&self) -> usize {
        self.write_buffers.get_usage()
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(super) fn write_buffers(&self) -> &WriteBufferManager {
        &self.write_buffers
    }
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::new(8 << 20)
    }
}

impl std::fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBudget").field("bytes", &self.bytes).field("used_bytes", &self.used_bytes()).finish()
    }
}
