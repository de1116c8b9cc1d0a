//! How often the rows of a table are written anew because others are gone.
//!
//! Not here: what is found meanwhile ([`crate::processor`]'s tests). Invariant: a row that does not change is written once for
//! each row that is deleted, at most.

use super::rules::{Seen, Stage};
use crate::decode::Poison;
use crate::dsl::{Topic, Topology};
use crate::plan::Plan;
use crate::processor::{Context, KeyValueStore, Processor};
use crate::record::{EventTime, TopicName};

/// Keeps a row for each key whose time is even, and drops it at an odd time.
#[derive(Clone)]
struct Keeping(KeyValueStore<String, i64>);

impl Processor for Keeping {
    type Key = String;
    type In = Seen;
    type Out = i64;

    fn process(&self, ctx: &mut Context<Self>, key: &String, seen: Seen) -> Result<(), Poison> {
        match seen.at % 2 {
            0 => ctx.store(&self.0).put(key, seen.at),
            _ => ctx.store(&self.0).delete(key),
        }
        Ok(())
    }
}

fn keeping() -> Plan {
    let app = Topology::named("rules");
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .process("keeping", |setup| Keeping(setup.key_value_store("kept")))
        .to(Topic::json("out"));
    app.build().unwrap()
}

/// How many rows the table's changelog has after so many keys have come and so many have gone again.
fn written(come: usize, gone: usize) -> usize {
    let mut stage = Stage::new(keeping, 1);
    for (keys, at) in [(come, 0), (gone, 1)] {
        for key in 0..keys {
            stage.append(0, &format!("k{key:03}"), at);
            stage.log.advance(10);
            stage.step().unwrap();
        }
        for _ in 0..20 {
            stage.log.advance(100);
            stage.step().unwrap();
        }
    }
    let records = stage.log.committed_records(&TopicName::new("rules-kept-changelog")).concat();
    records.iter().filter(|record| record.value.is_some()).count()
}

#[test]
fn rows_that_live_are_not_moved_for_a_few_that_are_gone() {
    assert_eq!(written(100, 40), 140, "each row once, and once that it is gone");
    let moved = written(100, 60);
    // When 50 of 100 are gone, 50 move; of these, those that go later are written once more.
    assert!((160 + 40..=160 + 50).contains(&moved), "{moved} rows");
}
