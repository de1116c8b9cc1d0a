//! Types and stores by names of their own, and migrations that lead from name to name.
//!
//! Not here: fingerprints ([`crate::plan::StorePlan::fingerprint`]) and functions ([`crate::migration`]). Invariant: every
//! migration of a plan is one step of a way to the fingerprint that a store of the plan has.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::stream::internal;
use super::topology::TopologyError;
use crate::migration::Migration;
use crate::plan::{OutputKind, Plan, PlanStep, Source, StepKind};
use crate::record::TopicName;
use crate::upgrade::Form;

/// The words on what a store holds, with types called by their own names. A type that is a part of another one's name
/// is replaced there too.
pub(super) fn renamed(holds: String, names: &[(&'static str, String)]) -> String {
    names.iter().fold(holds, |holds, (in_rust, name)| replaced(&holds, in_rust, name))
}

/// `text` with `word` replaced where it stands as a whole path.
fn replaced(text: &str, word: &str, by: &str) -> String {
    let of_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, found) = rest.split_at(at);
        let behind = &found[word.len()..];
        out.push_str(before);
        let stands_alone = !out.ends_with(of_path) && !behind.starts_with(of_path);
        out.push_str(if stands_alone { by } else { word });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The names that stores and repartition topics are kept under.
pub(super) struct StoredNames {
    /// By the name in the topology; what is not here is kept under its own.
    names: BTreeMap<&'static str, &'static str>,
    /// The topics of repartitions, by those that they would be otherwise.
    topics: BTreeMap<TopicName, TopicName>,
}

impl StoredNames {
    /// What has been said, and what follows from it for names that are made of others.
    pub(super) fn new(draft: &Draft) -> Result<Self, TopologyError> {
        let topic = |name: &str| internal(&draft.name, name, "repartition");
        let is_known = |name: &str| {
            draft.stores.iter().any(|(_, store)| store.name == name)
                || draft
                    .outputs
                    .iter()
                    .any(|(_, output)| output.kind == OutputKind::Repartition && output.topic == topic(name))
                || draft.made_names.iter().any(|(_, of, _)| *of == name)
        };
        let mut names = BTreeMap::new();
        for (name, stored_as) in &draft.stored_names {
            if !is_known(name) {
                return Err(TopologyError::StoredAs((*name).to_owned(), "is no store's and no repartition's"));
            }
            if names.insert(*name, *stored_as).is_some() {
                return Err(TopologyError::StoredAs((*name).to_owned(), "is given two names to be kept under"));
            }
        }
        for (name, of, suffix) in &draft.made_names {
            if let (false, Some(stored_as)) = (names.contains_key(name), names.get(of)) {
                // A plan lives as long as its process.
                let stored_as: &'static str = format!("{stored_as}-{suffix}").leak();
                names.insert(*name, stored_as);
            }
        }
        let topics = names.iter().map(|(name, stored_as)| (topic(name), topic(stored_as))).collect();
        Ok(Self { names, topics })
    }

    /// What the store of this name is kept under.
    pub(super) fn of(&self, name: &'static str) -> &'static str {
        self.names.get(name).copied().unwrap_or(name)
    }

    /// A migration of the store under the name that it is kept under.
    pub(super) fn migration(&self, mut migration: Migration) -> Migration {
        if let Some(stored_as) = self.names.get(migration.store.as_str()) {
            migration.store = (*stored_as).to_owned();
        }
        migration
    }

    /// A step that may read a repartition topic.
    pub(super) fn step(&self, step: PlanStep) -> PlanStep {
        match step.kind {
            StepKind::Source(topic) => PlanStep { kind: StepKind::Source(self.topic(topic)), ..step },
            kind => PlanStep { kind, ..step },
        }
    }

    /// What a sub-topology reads.
    pub(super) fn sources(&self, sources: &mut [Source]) {
        for source in sources {
            if let Source::Repartition { topic, .. } = source {
                *topic = self.topic(topic.clone());
            }
        }
    }

    /// The topic that stands in the place of this repartition topic.
    pub(super) fn topic(&self, topic: TopicName) -> TopicName {
        self.topics.get(&topic).cloned().unwrap_or(topic)
    }
}

/// Whether each migration belongs to a store, and leads to what its rows are by this plan.
pub(super) fn check_migrations(plan: &Plan) -> Result<(), TopologyError> {
    for migration in plan.migrations() {
        let wrong = |why: String| Err(TopologyError::Migration { store: migration.store.clone(), why });
        let found = plan.sub_topologies().iter().find_map(|part| {
            let store = part.stores.iter().find(|store| store.stored_as == migration.store)?;
            Some((part, store))
        });
        let Some((part, store)) = found else {
            return wrong("is of no store of the topology: take it out, or give the store its name back".to_owned());
        };
        let present = store.fingerprint();
        if plan.path(store.stored_as, &migration.from, &present).is_none() {
            return wrong(format!(
                "from {:?} leads to {:?}, and from there none leads to what the store holds now, {present:?}",
                migration.from, migration.to
            ));
        }
        if migration.is_by_name() {
            continue;
        }
        if Form::of(part, store).is_none() {
            return wrong(format!(
                "has a function, and a {} has more in its rows than values: only names can change, by `unchanged`",
                store.kind
            ));
        }
        let windows = format!("{}: {} of ", store.stored_as, store.kind);
        if let Some(other) = [&migration.from, &migration.to].into_iter().find(|text| !text.starts_with(&windows)) {
            return wrong(format!(
                "has a function, and {other:?} has other windows than the topology (`{windows}...`): values cannot be \
                 moved between windows, compute the state anew with `streamfleet reprocess`"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::{count, sum};
    use crate::decode::{Json, Poison};
    use crate::dsl::{Grouped, Stream, Topic, Topology};
    use crate::process::{Pipe, Sources};
    use crate::processor::{Context, Processor};
    use crate::record::{DurationMs, EventTime};
    use crate::window::Tumbling;

    #[test]
    fn a_type_is_renamed_as_a_whole_path_only() {
        let names = [("a::B", "b".to_owned()), ("(a::B, u8)", "pair".to_owned())];
        for (text, expected) in [
            ("a::B by a::B", "b by b"),
            ("a::Bc by x::a::B", "a::Bc by x::a::B"),
            ("a::B::C of Run<a::B>", "a::B::C of Run<b>"),
            ("alloc::vec::Vec<a::B> by u8", "alloc::vec::Vec<b> by u8"),
        ] {
            assert_eq!(renamed(text.to_owned(), &names), expected);
        }
        let pair_first = [names[1].clone(), names[0].clone()];
        assert_eq!(renamed("(a::B, u8) by a::B".to_owned(), &pair_first), "pair by b");
    }

    /// Keeps nothing but timers.
    #[derive(Clone)]
    struct Idle;

    impl Processor for Idle {
        type Key = i64;
        type In = i64;
        type Out = i64;
        fn process(&self, _: &mut Context<Self>, _: &i64, _: i64) -> Result<(), Poison> {
            Ok(())
        }
    }

    /// A topology with everything that has a name, and names that are made of others; `names` are those in the topology.
    fn everything(names: [&'static str; 8], complete: impl FnOnce(&Topology)) -> Result<Plan, TopologyError> {
        fn grouped<P: Pipe<Head = Sources, Value = i64>>(
            stream: Stream<P, ()>,
        ) -> Grouped<impl Pipe<Head = Sources, Key = i64, Value = i64>, ()> {
            stream.key_by(|at| *at)
        }
        let [folded, shown, joined, merged, sent, processed, kept, broadcast] = names;
        let app = Topology::named("app");
        complete(&app);
        let stream = |topic: &str| app.stream(Topic::<Json<i64>>::json(topic)).event_time(|at| EventTime(*at));
        stream("a")
            .already_keyed_by(|at| *at)
            .fold_table(folded, count())
            .time_to_live(DurationMs::seconds(1))
            .on_update(|rows| rows.rate_limit(shown, DurationMs::seconds(1)).end());
        let table = |topic: &str| app.table::<i64, _>(Topic::<Json<i64>>::json(topic));
        stream("b").already_keyed_by(|at| *at).join_table(table("c"), joined, |_, at, _| at).end();
        grouped(stream("d"))
            .window(Tumbling::seconds(1))
            .merge(grouped(stream("e")).window(Tumbling::seconds(1)))
            .fold(merged, sum(|at: &i64| *at))
            .on_close()
            .end();
        grouped(stream("f"))
            .repartition(sent)
            .process(processed, |setup| {
                setup.key_value_store::<i64, i64>(kept);
                setup.timer("never");
                Idle
            })
            .end();
        stream("g").join_broadcast(table("h"), broadcast, |at| *at, |_, at, _| at).end();
        app.build()
    }

    const BEFORE: [&str; 8] = ["folded", "shown", "joined", "merged", "sent", "processed", "kept", "everywhere"];
    const AFTER: [&str; 8] = ["f2", "s2", "j2", "m2", "r2", "p2", "k2", "e2"];

    /// What is found again by name: columns with their fingerprints, and topics between sub-topologies.
    fn stands(plan: &Plan) -> (Vec<state::ColumnContents>, Vec<TopicName>) {
        let columns = plan.sub_topologies().iter().flat_map(|part| part.contents()).collect();
        let sources = plan.sub_topologies().iter().flat_map(|part| &part.sources).map(|source| source.topic().clone());
        let outputs = plan.outputs().iter().map(|output| output.topic.clone());
        (columns, sources.chain(outputs).collect())
    }

    #[test]
    fn what_is_stored_as_something_else_stands_where_it_stood() {
        let before = everything(BEFORE, |_| {}).unwrap();
        let both = || AFTER.into_iter().zip(BEFORE);
        let after = everything(AFTER, |app| both().for_each(|(name, old)| app.stored_as(name, old))).unwrap();
        assert_eq!(stands(&after), stands(&before));
        let changelogs = |plan: &Plan| {
            let text = plan.describe();
            text.lines().filter(|line| line.contains("changelog")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(changelogs(&after), changelogs(&before));
        // In the program and for a person each has its present name.
        let stores = after.sub_topologies().iter().flat_map(|part| &part.stores);
        let names: Vec<_> = stores.map(|store| (store.name, store.stored_as)).collect();
        for pair in [("f2", "folded"), ("f2-deadlines", "folded-deadlines"), ("s2-waiting", "shown-waiting")] {
            assert!(names.contains(&pair), "{pair:?} is not in {names:?}");
        }
        assert!(names.contains(&("p2-timers", "processed-timers")) && after.describe().contains("Store: f2\n"));
        assert_ne!(stands(&everything(AFTER, |_| {}).unwrap()), stands(&before), "it is the names that do it");
    }

    #[test]
    fn a_name_that_is_made_of_another_can_be_kept_under_one_of_its_own() {
        let plan = everything(AFTER, |app| {
            app.stored_as("f2", "folded");
            app.stored_as("f2-deadlines", "ends");
        });
        let plan = plan.unwrap();
        let stores: Vec<_> = plan.sub_topologies()[0].stores.iter().map(|store| store.stored_as).collect();
        assert_eq!(stores, ["folded", "ends", "s2", "s2-waiting"]);
    }

    #[test]
    fn names_that_cannot_be_kept_under_others_are_told() {
        for (said, part) in [
            (&[("nobody", "x")][..], "\"nobody\" is no store's and no repartition's"),
            (&[("folded", "x"), ("folded", "y")][..], "\"folded\" is given two names"),
            (&[("folded", "kept")][..], "two stores are named \"kept\""),
            (&[("folded", "no good")][..], "no valid name"),
            (&[("sent", "merged")][..], "app-merged-repartition"),
        ] {
            let built = everything(BEFORE, |app| said.iter().for_each(|(name, other)| app.stored_as(name, other)));
            let told = built.err().unwrap().to_string();
            assert!(told.contains(part), "{told}");
        }
    }

    fn built(migrations: impl IntoIterator<Item = Migration>) -> Result<Plan, TopologyError> {
        let app = Topology::named("app");
        app.stable_name::<crate::aggregate::Count>("count");
        app.stable_name::<i64>("number");
        app.stream(Topic::json("in"))
            .event_time(|at: &i64| EventTime(*at))
            .already_keyed_by(|at| *at)
            .window(Tumbling::seconds(1))
            .fold("counts", count())
            .on_close()
            .end();
        migrations.into_iter().for_each(|migration| app.migrate(migration));
        app.build()
    }

    #[test]
    fn only_migrations_that_lead_to_the_topology_are_taken() {
        let plan = built([]).unwrap();
        let present = plan.sub_topologies()[0].stores[0].fingerprint();
        assert!(present.ends_with(" of count by number"), "{present}");
        let earlier = |name: &str| present.replace("of count", &format!("of {name}"));
        let counts = || Migration::of("counts");
        let good = [
            counts().from(earlier("a")).to(earlier("b")).values(|n: u32| n),
            counts().from(earlier("b")).to(&present).values(|n: u32| u64::from(n)),
            counts().from("anything at all").to(&present).unchanged(),
        ];
        built(good).unwrap();
        // A store that is kept under another name is migrated by either.
        for name in ["counts", "counted"] {
            let app = Topology::named("app");
            app.stable_name::<crate::aggregate::Count>("count");
            app.stable_name::<i64>("number");
            app.stored_as("counted", "counts");
            app.migrate(Migration::of(name).from(earlier("a")).to(&present).values(|n: u32| u64::from(n)));
            app.stream(Topic::json("in"))
                .event_time(|at: &i64| EventTime(*at))
                .already_keyed_by(|at| *at)
                .window(Tumbling::seconds(1))
                .fold("counted", count())
                .on_close()
                .end();
            let plan = app.build().unwrap();
            assert_eq!(plan.sub_topologies()[0].stores[0].fingerprint(), present);
        }
        for (bad, part) in [
            (Migration::of("count").from("a").to(&present).unchanged(), "no store of the topology"),
            (counts().from(earlier("a")).to(earlier("b")).unchanged(), "none leads to what the store holds now"),
            (counts().from("counts: other windows of x").to(&present).values(|n: u32| n), "other windows"),
        ] {
            let told = built([bad]).err().unwrap().to_string();
            assert!(told.contains(part) && told.contains("migration of store"), "{told}");
        }
    }
}
