//! Steps that need no window of their own, and rollups, case by case as they are documented.

use processing_core::prelude::*;
use processing_core::testing::script::check;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Event {
    at: i64,
    id: String,
    #[serde(default)]
    n: i64,
}

fn timed(event: &Event) -> EventTime {
    EventTime(event.at)
}

fn id(event: &Event) -> String {
    event.id.clone()
}

fn events() -> Topic<Json<Event>> {
    Topic::json("events")
}

/// A shorter name for what passes.
fn numbers(name: &str) -> Topic<Json<i64>> {
    Topic::json(name)
}

#[test]
fn an_id_passes_once_within_the_horizon() {
    let plan = || {
        let app = Topology::named("once");
        app.stream(events())
            .event_time(timed)
            .already_keyed_by(id)
            .distinct_by("seen", id, DurationMs::minutes(10))
            .map(|event| event.n)
            .to(numbers("passed"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   events  10:00:00  a  {"at": $ms, "id": "a", "n": 1}
        out  passed  a  1
        # A repetition, and one of another id.
        in   events  10:00:05  a  {"at": $ms, "id": "a", "n": 2}
        in   events  10:00:06  b  {"at": $ms, "id": "b", "n": 3}
        out  passed  b  3
        # One from before the first, within the horizon: it repeats as well.
        in   events  10:00:07  a  {"at": $ms(09:59:00), "id": "a", "n": 4}
        # The horizon counts from what passed, not from the repetitions, and is over at its end.
        in   events  10:09:59.999  a  {"at": $ms, "id": "a", "n": 5}
        in   events  10:10:00  a  {"at": $ms, "id": "a", "n": 6}
        out  passed  a  6
        # Who comes to life again knows all that passed before, and that of two panes.
        crash
        in   events  10:10:00  a  {"at": $ms(10:10:00.500), "id": "a", "n": 60}
        in   events  10:10:00  b  {"at": $ms(10:09:00), "id": "b", "n": 61}
        in   events  10:10:00  d  {"at": $ms(10:09:30), "id": "d", "n": 62}
        out  passed  d  62
        # What is a horizon or more behind its partition's time is late, be it new or not.
        in   events  10:10:01  c  {"at": $ms(10:00:00), "id": "c", "n": 7}
        late {"at": $ms(10:00:00), "id": "c", "n": 7}
        in   events  10:10:02  a  {"at": $ms(09:00:00), "id": "a", "n": 8}
        late {"at": $ms(09:00:00), "id": "a", "n": 8}
        # Hours later nothing is remembered, and nothing has to be.
        in   events  14:00:00  a  {"at": $ms, "id": "a", "n": 9}
        out  passed  a  9
        in   events  14:00:00  b  {"at": $ms, "id": "b", "n": 10}
        out  passed  b  10
        "#,
    );
}

#[test]
fn a_record_goes_to_the_first_branch_that_takes_it() {
    let plan = || {
        let app = Topology::named("split");
        app.stream(events())
            .event_time(timed)
            .already_keyed_by(id)
            .split()
            .branch(|event| event.n < 0, |negative| negative.map(|event| event.n).to(numbers("negative")))
            .branch(|event| event.n % 2 == 0, |even| even.map(|event| event.n).to(numbers("even")))
            .rest()
            .map(|event| event.n)
            .to(numbers("rest"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   events  10:00:00  a  {"at": $ms, "id": "a", "n": -2}
        out  negative  a  -2
        in   events  10:00:01  a  {"at": $ms, "id": "a", "n": 2}
        out  even  a  2
        in   events  10:00:02  a  {"at": $ms, "id": "a", "n": 3}
        out  rest  a  3
        "#,
    );
}

#[test]
fn hours_and_days_are_merged_from_minutes_and_a_minutes_lateness_decides() {
    let plan = || {
        let app = Topology::named("rollup");
        app.stream(events())
            .event_time(timed)
            .key_by(id)
            .window(Tumbling::minutes(1).grace(DurationMs::seconds(30)))
            .fold("minutes", sum(|event: &Event| event.n))
            .on_close()
            .tee(|minutes| minutes.map(|closed| closed.value.get() as i64).to(numbers("minutes-out")))
            .roll_up(Tumbling::hours(1), "hours")
            .on_close()
            .tee(|hours| hours.map(|closed| closed.value.get() as i64).to(numbers("hours-out")))
            .roll_up(LocalDays::of(Tz::Europe__Lisbon), "days")
            .on_close()
            .map(|closed| closed.value.get() as i64)
            .to(numbers("days-out"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   events  10:00:10  a  {"at": $ms, "id": "a", "n": 1}
        in   events  10:01:00  a  {"at": $ms, "id": "a", "n": 10}
        in   events  10:01:29  a  {"at": $ms(10:00:59), "id": "a", "n": 100}
        in   events  10:01:30  a  {"at": $ms, "id": "a", "n": 0}
        out  minutes-out  a  101
        # Late for its minute, though its hour is open.
        in   events  10:01:31  a  {"at": $ms(10:00:58), "id": "a", "n": 1000}
        late {"at": $ms(10:00:58), "id": "a", "n": 1000}
        # The hour closes with its last minute.
        in   events  11:00:29  a  {"at": $ms, "id": "a", "n": 7}
        out  minutes-out  a  10
        in   events  11:00:30  a  {"at": $ms, "id": "a", "n": 0}
        out  hours-out  a  111
        in   events  2026-01-02T00:00:30Z  a  {"at": $ms, "id": "a", "n": 5}
        out  minutes-out  a  7
        out  hours-out  a  7
        out  days-out  a  118
        "#,
    );
}

#[test]
fn rollups_that_would_count_twice_or_cut_are_refused() {
    let refusal = |fine: Hopping, coarse: Tumbling| {
        let app = Topology::named("rollup");
        let minutes = app.stream(events()).event_time(timed).already_keyed_by(id).window(fine).fold("fine", count());
        minutes.on_close().filter(|_| true).roll_up(coarse, "coarse").on_close().end();
        app.build().map(|_| ()).unwrap_err().to_string()
    };
    let minute = DurationMs::minutes(1);
    let overlap = refusal(Hopping::new(minute, DurationMs::seconds(30)), Tumbling::hours(1));
    assert!(overlap.contains("\"coarse\" rolls up windows that overlap"), "{overlap}");
    let cut = refusal(Hopping::new(minute, minute), Tumbling::seconds(90));
    assert!(cut.contains("begins or ends within a finer one"), "{cut}");
}

#[test]
fn distinct_items_are_counted_exactly_and_windows_add_up_by_key() {
    let plan = || {
        let app = Topology::named("distinct");
        app.stream(events())
            .event_time(timed)
            .count_distinct(
                ["pairs", "counts"],
                Tumbling::minutes(1),
                |event: &Event| event.id.clone(),
                |event: &Event| event.n,
            )
            .on_close()
            .map(|closed| closed.value.get() as i64)
            .to(numbers("distinct-out"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   events  10:00:00  -  {"at": $ms, "id": "a", "n": 1}
        in   events  10:00:01  -  {"at": $ms, "id": "a", "n": 2}
        in   events  10:00:02  -  {"at": $ms, "id": "a", "n": 1}
        in   events  10:00:03  -  {"at": $ms, "id": "b", "n": 1}
        in   events  10:01:00  -  {"at": $ms, "id": "a", "n": 3}
        out  distinct-out  a  2
        out  distinct-out  b  1
        "#,
    );
}

#[test]
fn a_day_of_local_time_closes_at_local_midnight() {
    let plan = || {
        let app = Topology::named("days");
        app.stream(events())
            .event_time(timed)
            .already_keyed_by(id)
            .window(LocalDays::of(Tz::Europe__Berlin))
            .fold("days", count())
            .on_close()
            .with_previous("last", DurationMs(0))
            .map(|day| {
                let hours = (day.window.end.0 - day.window.start.0) / 3_600_000;
                (hours, day.value.get(), day.previous.map(Count::get))
            })
            .to(Topic::json("days-out"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   events  2026-03-28T22:59:59Z  a  {"at": $ms, "id": "a"}
        in   events  2026-03-28T23:00:00Z  a  {"at": $ms, "id": "a"}
        out  days-out  a  [24, 1, null]
        in   events  2026-03-29T21:59:59Z  a  {"at": $ms, "id": "a"}
        in   events  2026-03-29T22:00:00Z  a  {"at": $ms, "id": "a"}
        out  days-out  a  [23, 2, 1]
        # A key that falls silent gets its empty day, which is as long as that day was.
        in   events  2026-10-24T22:00:00Z  a  {"at": $ms, "id": "a"}
        out  days-out  a  [24, 1, 2]
        out  days-out  a  [24, 0, 1]
        in   events  2026-10-25T23:00:00Z  a  {"at": $ms, "id": "a"}
        out  days-out  a  [25, 1, null]
        "#,
    );
}
