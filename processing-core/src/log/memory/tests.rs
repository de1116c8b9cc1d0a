//! The honest log passes the contract of every log; the files beside this one test what only a log
//! with markers, timeouts and faults has.

use std::sync::Arc;

use super::*;

mod contract {
    use super::*;
    crate::log::contract::for_every_case!(|| -> Arc<dyn Log> {
        MemoryLog::new(MemoryOptions::default())
    });
}

/// Freedom of order is not a fault: the contract holds whatever the batches and turns are.
mod contract_in_disorder {
    use super::*;
    crate::log::contract::for_every_case!(|| -> Arc<dyn Log> {
        MemoryLog::new(MemoryOptions { seed: 7, faults: FaultPlan::SHUFFLED, ..MemoryOptions::default() })
    });
}
