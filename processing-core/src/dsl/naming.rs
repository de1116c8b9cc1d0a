//! Types by names of their own, and migrations that lead from name to name.
//!
//! Not here: fingerprints ([`crate::plan::StorePlan::fingerprint`]) and functions ([`crate::migration`]). Invariant: every
//! migration of a plan is one step of a way to the fingerprint that a store of the plan has.

use super::topology::TopologyError;
use crate::plan::Plan;
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

/// Whether each migration belongs to a store, and leads to what its rows are by this plan.
pub(super) fn check_migrations(plan: &Plan) -> Result<(), TopologyError> {
    for migration in plan.migrations() {
        let wrong = |why: String| Err(TopologyError::Migration { store: migration.store.clone(), why });
        let found = plan.sub_topologies().iter().find_map(|part| {
            let store = part.stores.iter().find(|store| store.name == migration.store)?;
            Some((part, store))
        });
        let Some((part, store)) = found else {
            return wrong("is of no store of the topology: take it out, or give the store its name back".to_owned());
        };
        let present = store.fingerprint();
        if plan.path(store.name, &migration.from, &present).is_none() {
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
        let windows = format!("{}: {} of ", store.name, store.kind);
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
    use crate::aggregate::count;
    use crate::dsl::{Topic, Topology};
    use crate::migration::Migration;
    use crate::record::EventTime;
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
