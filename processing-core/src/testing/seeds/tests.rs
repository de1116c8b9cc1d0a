//! Topologies that hold, topologies that must not, and what is said of those.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::*;
use crate::prelude::*;
use crate::testing::counterexample::Verdict;
use crate::testing::{Dice, Event, script};

#[derive(Clone, Serialize, Deserialize)]
struct Search {
    at: i64,
    city: String,
    n: u64,
}

fn searched(dice: &mut Dice, now: EventTime) -> Event {
    let city = dice.pick(["porto", "faro", "braga"]);
    let search =
        Search { at: dice.disordered(now, DurationMs::seconds(20)).0, city: city.to_owned(), n: dice.below(9) };
    Event::new("searches").key(city).json(&search)
}

fn searches() -> Workload {
    Workload::new().topic("searches", 3).every(DurationMs::seconds(4)).events(60, searched)
}

fn read(
    app: &Topology,
) -> crate::dsl::Stream<impl crate::process::Pipe<Value = Search, Head = crate::process::Sources>, ()> {
    app.stream(Topic::<Json<Search>>::json("searches")).event_time(|search| EventTime(search.at))
}

fn sound() -> Plan {
    let app = Topology::named("sound");
    read(&app)
        .key_by(|search| search.city.clone())
        .window(Tumbling::seconds(30).grace(DurationMs::seconds(5)))
        .fold("per-city", (count(), sum(|search: &Search| search.n as i64)))
        .on_close()
        .map(|closed| (closed.window.start.0, closed.value.0.get(), closed.value.1.get() as i64))
        .to(Topic::json("cities"));
    app.build().unwrap()
}

/// Numbers events by a counter that no commit knows of.
fn numbering() -> Plan {
    let seen = Arc::new(AtomicU64::new(0));
    let app = Topology::named("numbering");
    read(&app)
        .already_keyed_by(|search| search.city.clone())
        .map(move |search| (search.n, seen.fetch_add(1, Ordering::Relaxed)))
        .to(Topic::json("numbered"));
    app.build().unwrap()
}

/// Says that order does not matter to it, and it does.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Digest(u64);

impl Mergeable for Digest {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.0 = self.0.wrapping_mul(31).wrapping_add(other.0);
    }
}

impl Aggregate<Search> for Digest {
    fn add(&mut self, search: &Search) {
        self.0 = self.0.wrapping_mul(31).wrapping_add(search.n + 1);
    }
}

fn digesting() -> Plan {
    let app = Topology::named("digesting");
    read(&app)
        .key_by(|search| search.n % 2)
        .window(Tumbling::seconds(30).grace(DurationMs::seconds(20)))
        .aggregate::<Digest>("digests")
        .on_close()
        .map(|closed| closed.value.0)
        .to(Topic::json("digests"));
    app.build().unwrap()
}

/// The script as it stands in the printed text, between its quotes.
fn pasted(printed: &str) -> &str {
    printed.split_once("r#\"\n").and_then(|(_, rest)| rest.split_once("\"#")).unwrap().0
}

#[test]
fn a_sound_topology_holds_under_every_seed() {
    let simulated = simulate(sound, &searches(), 0..60);
    assert_eq!(simulated.runs, 60);
    assert!(simulated.results > 500 && simulated.crashes > 30 && simulated.raises > 30, "{simulated}");
    assert!(simulated.set_aside > 0, "{simulated}");
}

#[test]
fn state_outside_of_the_stores_is_found_and_told_as_a_script_that_fails() {
    let failure = try_simulate(numbering, &searches(), 0..60).unwrap_err();
    assert!(failure.what.contains("numbered"), "{failure}");
    assert_eq!(failure.records.1, 60);
    assert!(failure.records.0 <= 3, "{failure}");
    assert!(matches!(failure.verdict, Verdict::Fails(_)), "{failure}");
    let printed = failure.to_string();
    let fails = script::try_check(numbering, pasted(&printed)).unwrap_err();
    assert_ne!(fails.run, script::Run::AsWritten, "{fails}\n{printed}");
    assert_eq!(Verdict::Fails(script::try_check(numbering, &failure.script).unwrap_err()), failure.verdict);
    let again = try_simulate(numbering, &searches(), [failure.seed]).unwrap_err();
    assert_eq!(again, failure, "one seed gives one failure");
}

#[test]
fn an_aggregate_that_hangs_on_order_is_found_and_its_records_are_told() {
    let failure = try_simulate(digesting, &searches(), 0..60).unwrap_err();
    let (left, came) = failure.records;
    assert!(left <= 10 && left < came, "{failure}");
    let printed = failure.to_string();
    let text = pasted(&printed);
    assert_eq!(text.lines().filter(|line| line.trim().starts_with("in searches/")).count(), left, "{printed}");
    assert!(text.contains("topic searches 3") && text.contains("out digests"), "{printed}");
    // It runs, and what it expects is what comes out.
    match script::try_check(digesting, text) {
        Ok(()) => assert_eq!(failure.verdict, Verdict::Holds),
        Err(fails) => assert_ne!(fails.run, script::Run::AsWritten, "{fails}\n{printed}"),
    }
}

#[test]
fn a_topology_that_panics_is_told_with_its_records() {
    let topology = || {
        let app = Topology::named("fragile");
        read(&app)
            .already_keyed_by(|search| search.city.clone())
            .map(|search| 10 / (search.n - 3))
            .to(Topic::json("out"));
        app.build().unwrap()
    };
    let list = [5, 3, 4].map(|n| {
        let at = EventTime(1_767_261_600_000);
        Event::new("searches").logged_at(at).key("porto").json(&Search { at: at.0, city: "porto".to_owned(), n })
    });
    let failure = try_simulate(topology, &Workload::new().listed(list), [7]).unwrap_err();
    assert!(failure.what.contains("divide by zero"), "{failure}");
    let line = "in searches 10:00:00 porto {\"at\":$ms,\"city\":\"porto\",\"n\":3}\n";
    assert!(failure.script.contains(line), "{failure}");
    assert_eq!((failure.records, failure.verdict), ((3, 3), Verdict::Unknown));
}

#[test]
fn a_script_is_quoted_by_as_many_marks_as_it_needs() {
    let script = "in colours 10:00 k {\"a\":\"#fff\",\"b\":\"##\"}\n".to_owned();
    let whole = Counterexample { script, ..Counterexample::senseless(1, String::new()) }.to_string();
    assert!(whole.contains("r###\"\n") && whole.contains("\"###);"), "{whole}");
}

#[test]
fn a_workload_that_does_not_fit_says_why() {
    for (workload, why) in [
        (Workload::new().topic("planes", 2), "planes is no input of this topology: there are searches"),
        (Workload::new().listed([Event::new("planes")]), "an event of planes"),
        (Workload::new().topic("searches", 0), "searches has no partitions"),
        (Workload::new().listed([Event::new("searches").partition(1)]), "searches/1, which has 1 partitions"),
    ] {
        let failure = try_simulate(sound, &workload, [1]).unwrap_err();
        assert!(failure.what.contains(why), "{failure}");
        assert_eq!(failure.script, "");
    }
}

#[test]
fn one_seed_gives_one_workload_and_two_give_two() {
    let feed = |seed| searches().feed(&sound(), seed).unwrap().arrivals;
    let said = |seed| feed(seed).into_iter().map(|a| (a.at_ms, a.timestamp, a.place, a.value)).collect::<Vec<_>>();
    assert_eq!(said(1), said(1));
    assert_ne!(said(1), said(2));
    let steps = |seed: u64| -> Vec<i64> {
        let times: Vec<_> = feed(seed).iter().map(|arrival| arrival.timestamp.unwrap().0).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    let steps: Vec<_> = (0..40).flat_map(steps).collect();
    assert!(steps.iter().all(|step| (0..=80_000).contains(step)));
    assert!(steps.iter().any(|step| *step > 60_000), "there are silences");
    assert!(steps.windows(8).any(|steps| steps.iter().all(|step| *step == 0)), "there are bursts");
}
