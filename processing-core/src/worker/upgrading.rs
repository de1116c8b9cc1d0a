//! A worker takes over what an earlier topology has left.
//!
//! Not here: state that an earlier version of the program has left ([`super::earlier`]). Invariant: whatever is
//! interrupted, the results are those of a worker that ran the later topology from the beginning.

use std::collections::BTreeSet;

use super::earlier::before::Tally;
use super::rules::{Seen, Stage};
use crate::aggregate::count;
use crate::dsl::{Topic, Topology, TopologyError};
use crate::error::Remedy;
use crate::log::Log as _;
use crate::log::memory::FaultPlan;
use crate::migration::Migration;
use crate::plan::Plan;
use crate::record::{DurationMs, EventTime, TopicName};
use crate::window::Tumbling;

/// An aggregate that has grown since it was a [`Tally`].
pub(super) mod after {
    use serde::{Deserialize, Serialize};

    use super::Seen;
    use crate::aggregate::{Aggregate, Exactness, Mergeable};

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct Counted {
        /// In front, so that an old value is never taken for a new one.
        pub(crate) kind: String,
        pub(crate) count: u64,
    }

    impl Default for Counted {
        fn default() -> Self {
            Self { kind: "counted".to_owned(), count: 0 }
        }
    }

    impl Mergeable for Counted {
        const EXACTNESS: Exactness = Exactness::Exact;
        fn merge(&mut self, other: &Self) {
            assert_eq!((self.kind.as_str(), other.kind.as_str()), ("counted", "counted"));
            self.count += other.count;
        }
    }

    impl Aggregate<Seen> for Counted {
        fn add(&mut self, _: &Seen) {
            self.count += 1;
        }
    }
}
use after::Counted;

pub(super) fn counted(old: Tally) -> Counted {
    Counted { count: old.count, ..Counted::default() }
}

/// The fingerprint of the only store.
fn only(plan: &Plan) -> String {
    plan.sub_topologies().iter().flat_map(|part| &part.stores).map(|store| store.fingerprint()).next().unwrap()
}

fn local_of(complete: impl FnOnce(&Topology)) -> Result<Plan, TopologyError> {
    let app = Topology::named("rules");
    complete(&app);
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(10))
        .aggregate::<Counted>("counts")
        .on_close()
        .map(|closed| closed.value.count)
        .to(Topic::json("out"));
    app.build()
}

fn before() -> Plan {
    let app = Topology::named("rules");
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(10))
        .aggregate::<Tally>("counts")
        .on_close()
        .map(|closed| closed.value.count)
        .to(Topic::json("out"));
    app.build().unwrap()
}

fn unmigrated() -> Plan {
    local_of(|_| {}).unwrap()
}

fn migrated() -> Plan {
    let (from, to) = (only(&before()), only(&unmigrated()));
    local_of(|app| app.migrate(Migration::of("counts").from(from).to(to).values(counted))).unwrap()
}

fn shuffled_of<A: crate::aggregate::Aggregate<Seen>>(complete: impl FnOnce(&Topology), count: fn(&A) -> u64) -> Plan {
    shuffled_under("counts", complete, count)
}

fn shuffled_under<A: crate::aggregate::Aggregate<Seen>>(
    store: &'static str,
    complete: impl FnOnce(&Topology),
    count: fn(&A) -> u64,
) -> Plan {
    let app = Topology::named("rules");
    complete(&app);
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .key_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(10))
        .aggregate::<A>(store)
        .on_close()
        .map(move |closed| count(&closed.value))
        .to(Topic::json("out"));
    app.build().unwrap()
}

fn shuffled_before() -> Plan {
    shuffled_of::<Tally>(|_| {}, |tally| tally.count)
}

fn shuffled_migrated() -> Plan {
    let to = only(&shuffled_of::<Counted>(|_| {}, |counted| counted.count));
    let migration = Migration::of("counts").from(only(&shuffled_before())).to(to).values(counted);
    shuffled_of::<Counted>(|app| app.migrate(migration), |counted| counted.count)
}

const KEYS: i64 = 10;

/// What comes before a change, and after it; all of it is in one window, and one record closes that.
fn early(stage: &Stage) {
    (0..2 * KEYS).for_each(|n| stage.append(0, &format!("k{}", n % KEYS), n));
}

fn late(stage: &Stage) {
    (0..KEYS / 2).for_each(|n| stage.append(0, &format!("k{n}"), 100 + n));
    stage.append(0, "end", 60_000);
}

fn sorted(mut results: Vec<String>) -> Vec<String> {
    results.sort();
    results
}

/// The results of a worker that ran one topology from the beginning.
fn undisturbed(plan: fn() -> Plan) -> Vec<String> {
    let mut stage = Stage::new(plan, 1);
    early(&stage);
    late(&stage);
    stage.rest().unwrap();
    let results = sorted(stage.results());
    assert_eq!(results.len(), KEYS as usize, "{results:?}");
    results
}

/// A worker has run this topology and left; the next one takes few rows at a time.
fn left_by(plan: fn() -> Plan) -> Stage {
    let mut stage = Stage::new(plan, 1);
    early(&stage);
    stage.rest().unwrap();
    assert_eq!(stage.rows(), KEYS as usize);
    stage.leave();
    stage.bounds.close_slice_records = 3;
    stage
}

#[test]
fn another_aggregate_is_refused_with_both_remedies_on_an_empty_volume_too() {
    for wiped in [false, true] {
        let mut stage = left_by(before);
        if wiped {
            stage.home.wipe();
        }
        stage.plan = unmigrated;
        stage.start();
        let error = stage.rest().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Stop);
        let told = error.to_string();
        for part in ["task 0_0", "`counts`", &only(&before()), &only(&unmigrated()), "topology.migrate(", "reprocess"] {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
    }
}

#[test]
fn a_migration_goes_on_wherever_it_was_interrupted() {
    let expected = undisturbed(migrated);
    let mut half = BTreeSet::new();
    for steps in 0..20 {
        for (crashes, wiped) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut stage = left_by(before);
            stage.plan = migrated;
            stage.start();
            for _ in 0..steps {
                stage.log.advance(10);
                stage.step().unwrap();
            }
            half.insert(stage.rows());
            if crashes {
                stage.crash()
            } else {
                stage.leave()
            }
            if wiped {
                stage.home.wipe();
            }
            stage.start();
            stage.rest().unwrap();
            assert_eq!(stage.rows(), KEYS as usize);
            late(&stage);
            stage.rest().unwrap();
            assert_eq!(sorted(stage.results()), expected, "{steps} steps, crashed: {crashes}, wiped: {wiped}");
        }
    }
    assert_eq!(
        half,
        BTreeSet::from([0, KEYS as usize]),
        "rows are shown when all of them are migrated, and not before"
    );
}

#[test]
fn an_aborted_part_of_a_migration_is_done_again() {
    let expected = undisturbed(migrated);
    for steps in 0..12 {
        let mut stage = left_by(before);
        stage.plan = migrated;
        stage.start();
        (0..steps).for_each(|_| stage.step().unwrap());
        let (publish_aborted, ambiguous_committed, ambiguous_aborted) = (0.3, 0.15, 0.15);
        let faults =
            FaultPlan { retry: 0.2, publish_aborted, ambiguous_committed, ambiguous_aborted, ..FaultPlan::NONE };
        stage.log.set_faults(faults);
        stage.rest().unwrap();
        stage.log.set_faults(FaultPlan::NONE);
        stage.rest().unwrap();
        late(&stage);
        stage.rest().unwrap();
        assert_eq!(sorted(stage.results()), expected, "faults after {steps} steps");
    }
}

#[test]
fn a_store_half_way_is_left_to_the_topology_that_has_begun() {
    let mut stage = left_by(before);
    stage.plan = migrated;
    stage.start();
    stage.until_commit();
    stage.crash();
    for other in [before as fn() -> Plan, unmigrated] {
        stage.plan = other;
        stage.start();
        let told = stage.rest().unwrap_err().to_string();
        assert!(told.contains("half-way") && told.contains("reprocess"), "{told}");
        stage.crash();
    }
    stage.plan = migrated;
    stage.start();
    stage.rest().unwrap();
    // From now on it needs no function.
    stage.leave();
    stage.plan = unmigrated;
    stage.start();
    late(&stage);
    stage.rest().unwrap();
    assert_eq!(sorted(stage.results()), undisturbed(unmigrated));
    stage.leave();
    stage.plan = before;
    stage.start();
    assert!(stage.rest().unwrap_err().to_string().contains("topology.migrate("), "there is no way back");
}

/// Partial aggregates that `shuffled_before` has sent are read by another topology, and all results are as `alike` has
/// them undisturbed.
fn what_is_on_its_way_is_read_by(plan: fn() -> Plan, alike: fn() -> Plan) {
    let expected = undisturbed(alike);
    let shuffle = TopicName::new("rules-counts-repartition");
    let mut stage = Stage::new(shuffled_before, 1);
    early(&stage);
    stage.until_commit();
    while stage.log.committed_records(&shuffle).iter().all(Vec::is_empty) {
        stage.until_commit();
    }
    assert_eq!(stage.rows(), 0, "nothing of it has arrived");
    stage.crash();
    stage.plan = plan;
    stage.start();
    late(&stage);
    stage.rest().unwrap();
    assert_eq!(sorted(stage.results()), expected);
}

#[test]
fn partial_aggregates_that_were_on_their_way_are_migrated_too() {
    what_is_on_its_way_is_read_by(shuffled_migrated, shuffled_migrated);
}

fn renamed() -> Plan {
    renamed_of(|_| {})
}

fn renamed_of(complete: impl FnOnce(&Topology)) -> Plan {
    let app = Topology::named("rules");
    complete(&app);
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(10))
        .aggregate::<Tally>("counted")
        .on_close()
        .map(|closed| closed.value.count)
        .to(Topic::json("out"));
    app.build().unwrap()
}

fn kept_under_its_old_name() -> Plan {
    renamed_of(|app| app.stored_as("counted", "counts"))
}

#[test]
fn a_store_that_was_renamed_keeps_its_rows_under_its_old_name() {
    let expected = undisturbed(before);
    for steps in 0..12 {
        for (crashes, wiped) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut stage = left_by(before);
            // There and back, wherever it is interrupted.
            for plan in [kept_under_its_old_name as fn() -> Plan, before, kept_under_its_old_name] {
                if wiped {
                    stage.home.wipe();
                }
                stage.plan = plan;
                stage.start();
                for _ in 0..steps {
                    stage.log.advance(10);
                    stage.step().unwrap();
                }
                if crashes { stage.crash() } else { stage.leave() }
            }
            stage.start();
            late(&stage);
            stage.rest().unwrap();
            assert_eq!(sorted(stage.results()), expected, "{steps} steps, crashed: {crashes}, wiped: {wiped}");
            let made = stage.log.admin().unwrap().topic(&TopicName::new("rules-counted-changelog")).unwrap();
            assert!(made.is_none(), "nothing stands under the new name");
        }
    }
}

#[test]
fn a_repartition_of_a_renamed_store_is_read_on() {
    fn renamed() -> Plan {
        shuffled_under::<Tally>("counted", |app| app.stored_as("counted", "counts"), |tally| tally.count)
    }
    what_is_on_its_way_is_read_by(renamed, shuffled_before);
}

#[test]
fn a_store_that_was_renamed_is_not_taken_for_a_new_one() {
    let mut stage = left_by(before);
    stage.plan = renamed;
    stage.start();
    let told = stage.rest().unwrap_err().to_string();
    assert!(told.contains("`counts` is gone") && told.contains("`counted`") && told.contains("old name"), "{told}");
    assert!(told.contains(r#"`topology.stored_as("counted", "counts")`"#), "{told}");
    stage.crash();
    stage.plan = before;
    stage.start();
    late(&stage);
    stage.rest().unwrap();
    assert_eq!(sorted(stage.results()), undisturbed(before));
}

/// Counts by key of `in`, beside what `visits` is followed by.
fn without() -> Plan {
    let app = Topology::named("rules");
    let seen = app
        .stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone());
    seen.window(Tumbling::seconds(10))
        .fold("other", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("out"));
    app.build().unwrap()
}

#[test]
fn a_store_that_comes_back_begins_empty() {
    let mut stage = left_by(before);
    stage.plan = without;
    stage.start();
    stage.rest().unwrap();
    stage.leave();
    stage.plan = before;
    stage.start();
    stage.rest().unwrap();
    assert_eq!(stage.rows(), 0, "its rows are of a time when it was there");
    late(&stage);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["1", "1", "1", "1", "1"]);
    // And stays so on an empty volume.
    stage.leave();
    stage.home.wipe();
    stage.start();
    stage.rest().unwrap();
    assert_eq!(stage.results().len(), 5);
}

/// Counts of `in` in the second sub-topology; the first one has the store `visits`, and perhaps others behind it.
fn numbered(others: bool, behind: bool) -> Plan {
    let app = Topology::named("rules");
    let visits = app
        .stream(Topic::json("visits"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(10))
        .fold("visits", count())
        .on_close();
    if others {
        visits.with_previous("visits-before", DurationMs(0)).map(|both| both.value.get()).to(Topic::json("visits.out"));
    } else {
        visits.map(|closed| closed.value.get()).to(Topic::json("visits.out"));
    }
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(10))
        .keep(DurationMs::hours(1))
        .aggregate::<Tally>("counts")
        .on_close()
        .map(|closed| closed.value.count)
        .to(Topic::json("out"));
    if behind {
        app.stream(Topic::json("new"))
            .event_time(|seen: &Seen| EventTime(seen.at))
            .already_keyed_by(|seen| seen.key.clone())
            .window(Tumbling::seconds(10))
            .fold("new", count())
            .on_close()
            .end();
    }
    app.build().unwrap()
}

fn few() -> Plan {
    numbered(false, false)
}

fn with_another_before() -> Plan {
    numbered(true, false)
}

fn with_another_behind() -> Plan {
    numbered(true, true)
}

#[test]
fn stores_that_are_not_touched_keep_their_rows_when_others_come_and_go() {
    let column = |plan: &Plan| plan.sub_topologies()[1].stores[0].column.0;
    assert_eq!([few(), with_another_before(), with_another_behind()].each_ref().map(column), [2, 3, 3]);
    let ways: [&[fn() -> Plan]; 5] = [
        &[with_another_before, few, with_another_before],
        &[few, few, few],
        &[few, with_another_before, few],
        &[few, with_another_before, with_another_behind],
        &[with_another_behind, few, with_another_before],
    ];
    let mut told = BTreeSet::new();
    for way in ways {
        for (crashes, wiped) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut stage = Stage::new_of(way[0], &["in", "visits", "new"]);
            for (round, plan) in (0_i64..).zip(way) {
                if round > 0 {
                    if crashes {
                        stage.crash()
                    } else {
                        stage.leave()
                    }
                    if wiped {
                        stage.home.wipe();
                    }
                    stage.plan = *plan;
                    stage.start();
                }
                // Windows stay open over each change, and each closes in the round after its own.
                for n in 0..30 {
                    let at = round * 10_000 + n * 300;
                    stage.append(0, &format!("k{}", n % 7), at);
                    stage.append_to("visits", 0, &format!("k{}", n % 3), at);
                }
                stage.rest().unwrap();
            }
            assert_eq!(stage.rows(), 7 * way.len(), "closed windows stay readable for an hour");
            stage.append(0, "end", 60_000);
            stage.append_to("visits", 0, "end", 60_000);
            stage.rest().unwrap();
            told.insert(stage.results());
        }
    }
    assert_eq!(told.len(), 1, "whatever stood beside it: {told:?}");
    assert_eq!(told.first().map(Vec::len), Some(21));
}
