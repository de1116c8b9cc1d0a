//! How a topology is tested, from the first line to the last doubt. Its tests are to be read one after the other.
//!
//! `cargo run --example testing_a_topology` shows the topology; `cargo test --example testing_a_topology` runs its
//! tests.

use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

/// Somebody searched.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Search {
    at_ms: i64,
    user: String,
    city: String,
}

/// A city's minute.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Trend {
    start_ms: i64,
    searches: u64,
    users: u64,
}

/// Searches and their users per city and minute; what comes more than half a minute late is left out.
fn topology() -> Plan {
    let app = Topology::named("trends");
    app.stream(Topic::<Json<Search>>::json("searches"))
        .event_time(|search| EventTime(search.at_ms))
        .key_by(|search| search.city.clone())
        .window(Tumbling::minutes(1).grace(DurationMs::seconds(30)))
        .fold("per-minute", (count(), distinct(|search: &Search| search.user.as_str())))
        .on_close()
        .map(|closed| {
            let (searches, users) = closed.value;
            Trend { start_ms: closed.window.start.0, searches: searches.get(), users: users.count() }
        })
        .to(Topic::json("trends"));
    match app.build() {
        Ok(plan) => plan,
        Err(error) => panic!("the topology is wrong: {error}"),
    }
}

fn main() {
    println!("{}", topology().describe());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use processing_core::testing::strategy::{disordered, events};
    use processing_core::testing::{Event, Workload, script, simulate, try_simulate};
    use proptest::prelude::*;

    use super::*;

    /// First, a script says what comes in and what comes out. It is run as it stands, and then again and again: with a
    /// crash before each line, with one in each stage of the commit after it, with a rebalance, with a pause. Nothing
    /// of what has been committed may differ.
    #[test]
    fn a_minute_is_told_when_its_grace_is_over() {
        script::check(
            topology,
            r#"
            in   searches  10:00:05  u1  {"at_ms": $ms, "user": "u1", "city": "porto"}
            in   searches  10:00:59  u1  {"at_ms": $ms, "user": "u1", "city": "porto"}
            # Out of order, and within the grace.
            in   searches  10:01:20  u2  {"at_ms": $ms(10:00:50), "user": "u2", "city": "porto"}
            in   searches  10:01:30  u3  {"at_ms": $ms, "user": "u3", "city": "faro"}
            out  trends    porto  {"start_ms": $ms(10:00), "searches": 3, "users": 2}
            # Late: the minute has been told.
            in   searches  10:01:31  u2  {"at_ms": $ms(10:00:51), "user": "u2", "city": "porto"}
            late {"at_ms": $ms(10:00:51), "user": "u2", "city": "porto"}
            in   searches  10:01:32  u2  {"at_ms": "noon"}
            dead json
            "#,
        );
    }

    /// Second: what comes out of a script of inputs can be asked for, read by a person, and kept.
    #[test]
    fn a_script_can_be_completed() {
        let whole = script::complete(
            topology,
            "topic searches 2\n\
             in searches/0 10:00:05 u1 {\"at_ms\": $ms, \"user\": \"u1\", \"city\": \"porto\"}\n\
             in searches/0 10:02:00 u1 {\"at_ms\": $ms, \"user\": \"u1\", \"city\": \"porto\"}\n\
             in searches/1 10:01:30 u2 {\"at_ms\": $ms, \"user\": \"u2\", \"city\": \"faro\"}\n",
        );
        let whole = whole.unwrap();
        // The other partition has to have come as far.
        assert!(
            whole.ends_with("\nout trends porto {\"start_ms\":$ms(10:00:00),\"searches\":1,\"users\":1}\n"),
            "{whole}"
        );
        script::check(topology, &whole);
    }

    /// Third: the simulator draws what a person would not think of: several processes that crash, stand still and take
    /// over from each other, on a log that answers late, wrongly or not at all. What has been committed must be what
    /// one worker says that never failed. A seed that fails is printed as a script.
    #[test]
    fn no_fault_changes_a_result() {
        let searches = Workload::new().topic("searches", 3).every(DurationMs::seconds(5)).events(100, |dice, now| {
            let (user, city) = (dice.pick(["u1", "u2", "u3", "u4"]), dice.pick(["porto", "faro"]));
            let at_ms = dice.disordered(now, DurationMs::minutes(1)).0;
            let search = Search { at_ms, user: user.to_owned(), city: city.to_owned() };
            Event::new("searches").key(user).json(&search)
        });
        let simulated = simulate(topology, &searches, 0..20);
        // A simulation without results would hold of everything.
        assert!(simulated.results > 100, "{simulated}");
        assert!(simulated.crashes > 10, "{simulated}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

        /// Fourth: a property of the topology itself: of events that are no more out of order than the grace allows, none
        /// is lost. The strategies bring bursts, silences and repeats, and shrink.
        #[test]
        fn what_is_within_the_grace_is_never_late(times in disordered(DurationMs::seconds(30)), seed: u64) {
            let list = times.iter().map(|time| {
                let search = Search { at_ms: time.0, user: "u".to_owned(), city: "porto".to_owned() };
                Event::new("searches").logged_at(*time).key("u").json(&search)
            });
            let simulated = try_simulate(topology, &Workload::new().listed(list), [seed]);
            prop_assert_eq!(simulated.map(|simulated| simulated.set_aside), Ok(0));
        }

        /// Fifth, an oracle: the results are what their definition says, written in another way.
        #[test]
        fn every_closed_minute_counts_its_searches(
            searches in events(DurationMs::seconds(30), prop_oneof![Just("porto"), Just("faro")]),
        ) {
            let mut lines = String::new();
            let mut minutes = BTreeMap::<(&str, i64), u64>::new();
            let end = searches.iter().map(|(time, _)| time.0).max().unwrap_or_default();
            for (time, city) in &searches {
                lines += &format!("in searches {} k {{\"at_ms\": $ms, \"user\": \"u\", \"city\": \"{city}\"}}\n", time.0);
                let start = time.0 - time.0.rem_euclid(60_000);
                // The last minute is open as long as its grace.
                if start + 90_000 <= end {
                    *minutes.entry((city, start)).or_default() += 1;
                }
            }
            let whole = script::complete(topology, &lines).unwrap();
            for city in ["porto", "faro"] {
                let told = whole.lines().filter_map(|line| line.strip_prefix(&format!("out trends {city} ")));
                let told = told.filter_map(|trend| trend.split("\"searches\":").nth(1)?.split(',').next());
                let expected = minutes.iter().filter(|((of, _), _)| *of == city).map(|(_, searches)| searches.to_string());
                prop_assert_eq!(told.map(str::to_owned).collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{}", whole);
            }
        }
    }
}
