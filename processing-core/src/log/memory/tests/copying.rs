//! Whether the log is as bad as Kafka and no worse: a small worker that copies topic `t` to `out` by
//! the rules of exactly-once comes through every fault, and each broken rule is found.
//!
//! The oracle is the input itself: partition by partition, `out` must hold it once and in order.

use std::collections::BTreeMap;

use super::*;
use crate::log::FetchEpoch;

/// A rule that the worker breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breach {
    None,
    /// Goes on with the same producer after an ambiguous answer.
    KeepProducer,
    /// Takes an ambiguous answer for a success.
    TrustAmbiguous,
    /// Publishes its records without its positions, and those afterwards.
    PositionsApart,
    /// Takes batches of any epoch.
    IgnoreEpoch,
    /// Keeps what it sent when a partition was lost.
    KeepWhenLost,
    /// Commits nothing on a revoke, and releases.
    ReleaseUncommitted,
    /// Starts at a committed position without waiting for the transaction that decides over it.
    UnstableOffsets,
}

struct Worker {
    breach: Breach,
    name: String,
    source: Option<Box<dyn GroupSource>>,
    transaction: Option<Box<dyn Transaction>>,
    /// What is held, under which fetch and up to where it is read; `None` until the committed position
    /// is known.
    held: BTreeMap<TopicPartition, Option<(FetchEpoch, Offset)>>,
    fetches: u64,
    sent: usize,
}

impl Worker {
    fn new(name: &str, breach: Breach) -> Self {
        Self {
            breach,
            name: name.to_owned(),
            source: None,
            transaction: None,
            held: BTreeMap::new(),
            fetches: 0,
            sent: 0,
        }
    }

    /// Everything is read again from what is committed.
    fn rewind(&mut self) {
        self.held.values_mut().for_each(|position| *position = None);
        self.sent = 0;
    }

    fn rebuild(&mut self) {
        self.transaction = None;
        self.rewind();
    }

    /// One step; whatever asks for patience is tried again by the next one.
    fn step(&mut self, log: &MemoryLog) {
        if let Err(error) = self.try_step(log) {
            match error {
                LogError::Retry(_) => {}
                LogError::Fenced(_) => {
                    self.source = None;
                    self.held.clear();
                    self.rebuild();
                }
                other => panic!("{other}"),
            }
        }
    }

    fn try_step(&mut self, log: &MemoryLog) -> Result<(), LogError> {
        if self.source.is_none() {
            let membership =
                Membership { group: "g".to_owned(), instance: self.name.clone(), anchors: vec!["t".into()] };
            self.source = Some(log.group_source(membership)?);
        }
        if self.transaction.is_none() {
            self.transaction = Some(log.transaction(&TransactionalId(self.name.clone()))?);
        }
        let Some(source) = &mut self.source else {
            return Ok(());
        };
        for (at, position) in &mut self.held {
            if position.is_none() {
                let from = match source.committed(at) {
                    Err(LogError::Retry(_)) if self.breach == Breach::UnstableOffsets => {
                        log.group_offsets("g").iter().find(|(known, _)| known == at).map(|(_, offset)| *offset)
                    }
                    other => other?,
                };
                let from = from.unwrap_or(Offset::ZERO);
                self.fetches += 1;
                source.fetch(at, from, FetchEpoch(self.fetches))?;
                *position = Some((FetchEpoch(self.fetches), from));
            }
        }
        let mut batch = RecordBatch::new();
        match source.poll(&mut batch)? {
            Polled::Nothing => self.publish(),
            Polled::Records { partition, next, epoch } => self.copy(&partition, next, epoch, &batch),
            Polled::Assigned(partitions) => {
                for at in partitions {
                    self.held.entry(at).or_insert(None);
                }
            }
            Polled::Revoked(partitions) => {
                if self.breach != Breach::ReleaseUncommitted {
                    self.publish();
                }
                for at in partitions {
                    self.held.remove(&at);
                    self.patiently(|worker| match &mut worker.source {
                        Some(source) => source.release(&at),
                        None => Ok(()),
                    });
                }
            }
            Polled::Lost(partitions) => {
                self.held.retain(|at, _| !partitions.contains(at));
                if self.breach != Breach::KeepWhenLost {
                    self.abort();
                }
            }
        }
        if self.sent > 5 {
            self.publish();
        }
        Ok(())
    }

    fn patiently(&mut self, mut call: impl FnMut(&mut Self) -> Result<(), LogError>) {
        loop {
            match call(self) {
                Err(LogError::Retry(_)) => {}
                Ok(()) => return,
                Err(_) => return self.rebuild(),
            }
        }
    }

    fn copy(&mut self, from: &TopicPartition, next: Offset, epoch: FetchEpoch, batch: &RecordBatch) {
        let Some(Some((current, position))) = self.held.get_mut(from) else {
            return;
        };
        if epoch != *current && self.breach != Breach::IgnoreEpoch {
            return;
        }
        *position = next;
        self.sent += batch.len();
        let to = TopicPartition::new("out", from.partition.0);
        self.patiently(|worker| match &mut worker.transaction {
            Some(transaction) => transaction.send(&to, batch),
            None => Ok(()),
        });
    }

    fn abort(&mut self) {
        self.patiently(|worker| match &mut worker.transaction {
            Some(transaction) => transaction.abort(),
            None => Ok(()),
        });
        self.rewind();
    }

    fn publish(&mut self) {
        let (Some(source), Some(transaction)) = (&self.source, &mut self.transaction) else {
            return;
        };
        let positions: Vec<_> =
            self.held.iter().filter_map(|(at, position)| Some((at.clone(), (*position)?.1))).collect();
        let metadata = source.group_metadata();
        let mut answer = match self.breach {
            Breach::PositionsApart => transaction.publish(&[], &metadata),
            _ => transaction.publish(&positions, &metadata),
        };
        if let (Breach::PositionsApart, Publish::Published(_)) = (self.breach, &answer) {
            answer = transaction.publish(&positions, &metadata);
        }
        self.sent = 0;
        match (answer, self.breach) {
            (Publish::Published(_), _) | (Publish::Ambiguous(_), Breach::TrustAmbiguous) => {}
            (Publish::Refused(error), _) => panic!("{error}"),
            (Publish::Aborted(_), _) | (Publish::Ambiguous(_), Breach::KeepProducer) => self.rewind(),
            (Publish::Fenced(_) | Publish::Ambiguous(_), _) => self.rebuild(),
        }
    }
}

/// What a run left: the trace, and what is wrong with the output, if anything.
fn run(seed: u64, breach: Breach, trace_lines: usize) -> (Trace, Option<String>) {
    let log = MemoryLog::new(MemoryOptions {
        seed,
        transaction_timeout_ms: 15_000,
        session_timeout_ms: 20_000,
        rebalance_timeout_ms: 20_000,
        trace_lines,
        ..MemoryOptions::default()
    });
    topic(&log, "t", Cleanup::Delete, None);
    topic(&log, "out", Cleanup::Delete, None);
    log.set_faults(FaultPlan::HOSTILE);
    let mut dice = super::super::faults::Dice::new(!seed);
    let names = ["a", "b", "c"];
    let mut workers = names.map(|name| Worker::new(name, breach));
    let mut fed = 0;
    for _ in 0..600 {
        let turn = dice.below(names.len());
        workers[turn].step(&log);
        if dice.chance(0.4) {
            let value = fed.to_string();
            log.append(&at(fed % 2), &one(&value)).unwrap();
            fed += 1;
        }
        if dice.chance(0.3) {
            log.advance(dice.delay(500) as u64);
        }
        if dice.chance(0.01) {
            log.advance(10_000);
        }
        if dice.chance(0.01) {
            log.crash_member(names[turn]);
            workers[turn] = Worker::new(names[turn], breach);
        }
    }
    log.set_faults(FaultPlan::NONE);
    let ends = |partition| ends(&log, partition).2;
    let committed = |partition: u32| log.group_offsets("g").iter().find(|(p, _)| *p == at(partition)).map(|(_, o)| o.0);
    let mut rounds = 0;
    while (0..2).any(|partition| committed(partition) != Some(ends(partition))) && rounds < 300 {
        workers.iter_mut().for_each(|worker| worker.step(&log));
        log.advance(1_000);
        rounds += 1;
    }
    workers.iter_mut().for_each(Worker::abort);
    log.settle();
    let values = |topic: &str| -> Vec<Vec<Option<Vec<u8>>>> {
        let partitions = log.committed_records(&topic.into());
        partitions.into_iter().map(|records| records.into_iter().map(|record| record.value).collect()).collect()
    };
    let (wanted, found) = (values("t"), values("out"));
    let wrong = if rounds == 300 {
        Some("the positions never reached the ends".to_owned())
    } else if wanted != found {
        let lengths = |all: &[Vec<_>]| all.iter().map(Vec::len).collect::<Vec<_>>();
        Some(format!("copied {:?} of {:?}", lengths(&found), lengths(&wanted)))
    } else {
        None
    };
    (log.trace(), wrong)
}

#[test]
fn a_worker_that_keeps_the_rules_copies_each_record_once() {
    for seed in 0..500 {
        let (_, wrong) = run(seed, Breach::None, 0);
        assert_eq!(wrong, None, "seed {seed}: {:#?}", run(seed, Breach::None, 60).0.lines);
    }
}

#[test]
fn each_broken_rule_is_found() {
    for breach in [
        Breach::KeepProducer,
        Breach::TrustAmbiguous,
        Breach::PositionsApart,
        Breach::IgnoreEpoch,
        Breach::KeepWhenLost,
        Breach::ReleaseUncommitted,
        Breach::UnstableOffsets,
    ] {
        let found = (0..300).find(|seed| run(*seed, breach, 0).1.is_some());
        assert!(found.is_some(), "{breach:?} is never noticed");
    }
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let (first, second) = (run(seed, Breach::None, 100_000).0, run(seed, Breach::None, 100_000).0);
        assert!(first.steps > 600 && first.lines.len() as u64 == first.steps);
        assert_eq!(first, second, "seed {seed}");
        hashes.insert(first.hash);
    }
    assert_eq!(hashes.len(), 20, "another seed, another run");
}
