//! The worker told as stories: what users do, what comes out, and what fails in between.
//!
//! Each story is run as it is written, with a crash and with a rebalance before each of its lines, and with a
//! crash at each stage of the commit after it. `search`, `favourite` and `unfavourite` are short for a line
//! `in` with the event: TIME, user, city as JSON, and what more is in the payload.

use std::sync::{Arc, LazyLock};

use events::{Gazetteer, SignalContract};
use processing_core::record::DurationMs;
use processing_core::testing::script;
use trending_cities::{TrendingSettings, topology};

static CITIES: LazyLock<Arc<Gazetteer>> = LazyLock::new(|| Arc::new(Gazetteer::shipped()));

/// Lists of one minute, made every minute, in which a single user can make a trend.
fn minute_lists(inputs: &[SignalContract]) -> TrendingSettings {
    TrendingSettings {
        inputs: inputs.iter().map(|input| (*input, input.event_type().to_owned())).collect(),
        window: DurationMs::minutes(1),
        grace: DurationMs(0),
        users_min: 1,
        query_users_min: 2,
        ..TrendingSettings::default()
    }
}

const SEARCHES: &[SignalContract] = &[SignalContract::SearchExecuted];

#[track_caller]
fn check(settings: &TrendingSettings, story: &str) {
    script::check(
        || topology(settings, &CITIES).unwrap_or_else(|error| panic!("{error}")),
        &story.lines().map(told).collect::<String>(),
    );
}

/// A line of a script; short ones are written out.
fn told(line: &str) -> String {
    let mut rest = line.trim();
    let mut word = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after.trim_start();
        Some(word)
    };
    let topic = match word() {
        Some("search") => "search.executed",
        Some("favourite") => "poi.favorited",
        Some("unfavourite") => "poi.unfavorited",
        _ => return format!("{line}\n"),
    };
    let (Some(time), Some(user)) = (word(), word()) else {
        panic!("a TIME, a user and a city are missing: {line}");
    };
    format!(
        "in {topic} {time} {user} {{\"event_id\":\"{user} {time}\",\"event_type\":\"{topic}\",\"timestamp\":$ms,\
         \"payload\":{{\"user_id\":\"{user}\",\"poi_id\":\"p\",\"city\":{rest}}}}}\n"
    )
}

#[test]
fn lists_are_warming_until_a_day_lies_before_them() {
    check(
        &minute_lists(SEARCHES),
        r#"
        search 10:00:00 ana "Lisbon"
        search 10:00:20 bia "Lisbon"
        crash
        search 10:01:00 ana "Porto"
        has trending.cities.v1 PT     {"warming": true, "trending": [{"city": "Lisbon", "volume": 2, "baseline": 0.0, "score": 0.632456}]}
        has trending.cities.v1 world  {"warming": true, "trending": [{"city": "Lisbon", "volume": 2}]}

        # A day later the same minute of yesterday is what was to be expected: two.
        search 34:00:00 ana "Lisbon"
        has trending.cities.v1 PT     {"warming": true, "trending": [{"city": "Porto", "previous_rank": null}]}
        has trending.cities.v1 world  {"warming": true, "trending": [{"city": "Porto"}]}
        has trending.cities.v1 PT     {"key": "PT@$ms(10:03)", "warming": true, "trending": [], "volume": []}
        has trending.cities.v1 world  {"key": "world@$ms(10:03)", "warming": true, "trending": [], "volume": []}
        search 34:00:10 bia "Lisbon"
        search 34:00:20 eva "Lisbon"
        search 34:01:00 ana "Porto"
        has trending.cities.v1 PT     {"warming": false, "trending": [{"city": "Lisbon", "volume": 3, "baseline": 2.0, "score": 0.288675}]}
        has trending.cities.v1 world  {"warming": false, "trending": [{"city": "Lisbon"}]}
        "#,
    );
}

/// An empty list stops warming when any list would: its scope looks back a whole day there.
#[test]
fn a_list_that_falls_empty_after_a_day_is_not_warming() {
    check(
        &minute_lists(SEARCHES),
        r#"
        search 10:00:00 ana "Lisbon"
        search 33:58:00 ana "Berlin"
        has trending.cities.v1 PT     {"warming": true, "volume": [{"city": "Lisbon"}]}
        has trending.cities.v1 world  {"warming": true, "volume": [{"city": "Lisbon"}]}
        has trending.cities.v1 PT     {"key": "PT@$ms(10:02)", "warming": true, "volume": []}
        has trending.cities.v1 world  {"key": "world@$ms(10:02)", "warming": true, "volume": []}
        search 33:59:00 ana "Porto"
        has trending.cities.v1 DE     {"warming": true, "volume": [{"city": "Berlin"}]}
        has trending.cities.v1 world  {"warming": true, "volume": [{"city": "Berlin"}]}
        crash
        search 35:00:00 ana "Porto"
        has trending.cities.v1 PT     {"warming": true, "volume": [{"city": "Porto"}]}
        has trending.cities.v1 world  {"warming": true, "volume": [{"city": "Porto"}]}
        has trending.cities.v1 DE     {"key": "DE@$ms(34:00)", "warming": true, "volume": []}
        has trending.cities.v1 PT     {"key": "PT@$ms(34:01)", "warming": false, "volume": []}
        has trending.cities.v1 world  {"key": "world@$ms(34:01)", "warming": false, "volume": []}
        "#,
    );
}

#[test]
fn a_city_has_one_name_however_it_is_written() {
    check(
        &minute_lists(SEARCHES),
        r#"
        search 10:00:00 ana "  LISBOA "
        search 10:00:01 bia "lisbon"
        search 10:00:02 eva "Lissabon"
        crash
        # A bare name is the most populous match, unless a country or coordinates say otherwise.
        search 10:00:03 ana "Victoria"
        search 10:00:04 ana "Victoria","country":"SC"
        search 10:00:05 ana "victoria","latitude":-4.62,"longitude":55.45
        # A name that nobody knows passes through.
        search 10:00:06 ana " OCEANTOWN,"
        # So is a country that there is not, and one that is known keeps its cities of that name apart.
        search 10:00:07 bia "Oceantown","country":"QX"
        search 10:00:08 ana "Oceantown","country":"pt"
        search 10:00:09 bia "Lisbon","country":"QX"
        search 10:01:00 ana "Porto"
        has city.activity.1m.v1 CA/Victoria     {"searches": 1}
        has city.activity.1m.v1 PT/Lisbon       {"searches": 4, "distinct_users": 3}
        has city.activity.1m.v1 PT/oceantown    {"searches": 1}
        has city.activity.1m.v1 SC/Victoria     {"searches": 2, "distinct_users": 1, "volume": 1}
        has city.activity.1m.v1 ZZ/oceantown    {"searches": 2}
        "#,
    );
}

#[test]
fn what_is_taken_back_lowers_the_window_and_never_below_zero() {
    let signals = &SignalContract::ALL[..3];
    let settings = TrendingSettings { window: DurationMs::minutes(2), ..minute_lists(signals) };
    check(
        &settings,
        r#"
        # Two minutes together: -2 in the first, 2 + 1 in the second. A minute is not raised to 0.
        unfavourite 10:00:00 ana "Lisbon"
        favourite   10:01:00 ana "Lisbon"
        search      10:01:00 ana "Lisbon"
        # More taken back than done: such a city stands nowhere.
        unfavourite 10:01:05 ana "Braga"
        search      10:01:05 ana "Braga"
        # Equal ones stand by name.
        search      10:01:10 ana "Porto"
        search      10:01:20 ana "Faro"
        crash
        search      10:02:00 ana "Lisbon"
        favourite   10:02:00 ana "Lisbon"
        unfavourite 10:02:00 eva "Lisbon"
        has trending.cities.v1 PT    {"key": "PT@$ms(10:02)", "volume": [{"city": "Faro", "volume": 1, "rank": 1}, {"city": "Lisbon", "volume": 1, "rank": 2}, {"city": "Porto", "volume": 1, "rank": 3}]}
        has trending.cities.v1 world {"key": "world@$ms(10:02)"}
        "#,
    );
}

#[test]
fn a_scope_that_falls_silent_gets_one_empty_list() {
    check(
        &minute_lists(SEARCHES),
        r#"
        search 10:00:00 ana "Lisbon"
        search 10:00:00 ana "Berlin"
        search 10:01:00 ana "Berlin"
        has trending.cities.v1 DE    {"volume": [{"city": "Berlin", "previous_rank": null}]}
        has trending.cities.v1 PT    {"volume": [{"city": "Lisbon", "previous_rank": null}]}
        has trending.cities.v1 world {"volume": [{"city": "Berlin"}, {"city": "Lisbon"}]}
        advance 2s
        last trending.cities.current.v1 PT {"volume": [{"city": "Lisbon"}]}
        crash
        search 10:02:00 ana "Berlin"
        has trending.cities.v1 DE    {"volume": [{"city": "Berlin", "previous_rank": 1}]}
        has trending.cities.v1 world {"volume": [{"city": "Berlin", "rank": 1, "previous_rank": 1}]}
        has trending.cities.v1 PT    {"key": "PT@$ms(10:02)", "trending": [], "volume": []}
        search 10:03:00 ana "Berlin"
        has trending.cities.v1 DE    {"volume": [{"city": "Berlin"}]}
        has trending.cities.v1 world {"volume": [{"city": "Berlin"}]}
        advance 2s
        last trending.cities.current.v1 PT {"key": "PT@$ms(10:02)", "volume": []}
        "#,
    );
}

#[test]
fn what_comes_late_is_set_aside_and_what_names_no_city_counts_nowhere() {
    let settings = TrendingSettings { grace: DurationMs::seconds(30), ..minute_lists(SEARCHES) };
    check(
        &settings,
        r#"
        search 10:00:00 ana "Lisbon"
        search 10:01:29 bia "Porto"
        # Within the grace.
        in search.executed 10:01:29 eva {"event_id": "a", "event_type": "search.executed", "timestamp": "$time(10:00:59)", "payload": {"user_id": "eva", "city": "Lisbon"}}
        search 10:01:29 ana null
        crash
        search 10:01:30 ana "Porto"
        out city.activity.1m.v1 PT/Lisbon {"run_id": "live", "revision": 0, "key": "PT/Lisbon@$ms(10:01)", "window_start_ms": $ms(10:00), "window_end_ms": $ms(10:01), "city": "Lisbon", "country": "PT", "volume": 2, "searches": 2, "distinct_users": 2, "by_source": {"chat": 0, "manual": 0, "other": 2}, "searches_without_result": 0, "signals": 0, "top_queries": []}
        # Over.
        in search.executed 10:01:31 eva {"event_id": "b", "event_type": "search.executed", "timestamp": $ms(10:00:58), "payload": {"user_id": "eva", "city": "Lisbon"}}
        late {"event_id": "b", "event_type": "search.executed", "timestamp": $ms(10:00:58), "payload": {"user_id": "eva", "city": "Lisbon"}}
        "#,
    );
}

/// The grace is half a minute: a lookup waits for it, and for the table.
#[test]
fn an_event_without_a_city_takes_it_from_its_place_as_of_its_own_time() {
    let favourites = &SignalContract::ALL[1..2];
    let settings = TrendingSettings {
        grace: DurationMs::seconds(30),
        places: Some("poi.ingested".to_owned()),
        ..minute_lists(favourites)
    };
    let place = |time: &str, city: &str| {
        format!(
            "in poi.ingested {time} p {{\"event_id\":\"p\",\"event_type\":\"poi.ingested\",\"timestamp\":$ms,\
             \"payload\":{{\"city\":{city}}}}}\n"
        )
    };
    let [faro, porto, nowhere] = [("10:00:10", r#""Faro""#), ("10:00:30", r#""Porto""#), ("10:00:50", "null")]
        .map(|(time, city)| place(time, city));
    check(
        &settings,
        &format!(
            r#"
            # Before the place is known, in Faro, in Porto, and where the place says of itself that it is nowhere.
            favourite 10:00:00 ana null
            favourite 10:00:10 bia null
            favourite 10:00:40 eva null
            {faro}{porto}
            crash
            # Comes late, and meets what was true at its time.
            in poi.favorited 10:00:41 gil {{"event_id":"g","event_type":"poi.favorited","timestamp":$ms(10:00:29),"payload":{{"user_id":"gil","poi_id":"p"}}}}
            favourite 10:00:45 leo "Lisbon"
            favourite 10:00:50 ida null
            {nowhere}
            favourite 10:01:31 leo "Lisbon"
            in poi.ingested 10:02:00 p ~
            # The minute is over when the table has come to its end as well; who named the city and who did not are in one.
            has city.activity.1m.v1 PT/Faro   {{"volume": 4, "distinct_users": 2}}
            has city.activity.1m.v1 PT/Lisbon {{"volume": 2}}
            has city.activity.1m.v1 PT/Porto  {{"volume": 2, "distinct_users": 1}}
            "#
        ),
    );
}

#[test]
fn poison_is_set_aside_and_the_stream_goes_on() {
    check(
        &minute_lists(SEARCHES),
        r#"
        in search.executed 10:00:00 ana {"event_id":
        dead truncated
        in search.executed 10:00:01 ana ~
        dead tombstone
        in search.executed 10:00:02 ana {"event_id": "a", "event_type": "poi.viewed", "timestamp": $ms, "payload": {}}
        # Of another type: passed over, and no dead letter.
        in search.executed 10:00:03 ana {"event_id": "a", "event_type": "search.executed", "timestamp": "yesterday", "payload": {"city": "Lisbon"}}
        dead timestamp
        crash
        in search.executed 10:00:04 ana {"event_id": "a", "event_type": "search.executed", "timestamp": $ms(12:00), "payload": {"city": "Lisbon"}}
        dead future
        search 10:00:05 ana "Lisbon"
        # The same event twice is one.
        in search.executed 10:00:06 eva {"event_id": "ana 10:00:05", "event_type": "search.executed", "timestamp": $ms(10:00:05), "payload": {"user_id": "ana", "city": "Lisbon"}}
        search 10:01:00 ana "Porto"
        has city.activity.1m.v1 PT/Lisbon {"searches": 1, "volume": 1}
        "#,
    );
}

#[test]
fn a_query_is_shown_when_enough_users_asked_it() {
    check(
        &minute_lists(SEARCHES),
        r#"
        search 10:00:00 ana "Lisbon","query":" Pastéis  de NATA","result_count":3
        search 10:10:00 bia "Lisbon","query":"pastéis de nata","result_count":0
        search 10:20:00 ana "Porto","query":"my street 5","result_count":0
        crash
        search 10:30:00 ana "Porto","query":"my street 5","result_count":0
        search 10:59:00 eva "Berlin","query":"pastéis de nata","result_count":0
        search 11:00:00 ana "Porto"
        out searches.top.v1 PT    {"run_id": "live", "revision": 0, "key": "PT@$ms(11:00)", "window_start_ms": $ms(10:00), "window_end_ms": $ms(11:00), "scope": "PT", "queries": [{"rank": 1, "query": "pastéis de nata", "distinct_users": 2, "searches": 2}], "without_result": []}
        out searches.top.v1 world {"run_id": "live", "revision": 0, "key": "world@$ms(11:00)", "window_start_ms": $ms(10:00), "window_end_ms": $ms(11:00), "scope": "world", "queries": [{"rank": 1, "query": "pastéis de nata", "distinct_users": 3, "searches": 3}], "without_result": [{"rank": 1, "query": "pastéis de nata", "distinct_users": 2, "searches": 3}]}
        "#,
    );
}

/// One visitor who is not logged in is no crowd, however often they search.
#[test]
fn what_nobody_is_known_to_have_done_counts_and_is_no_user() {
    let nobodys = |time: &str, event: &str, more: &str| {
        format!(
            "in search.executed {time} x {{\"event_id\":\"{event}\",\"event_type\":\"search.executed\",\
             \"timestamp\":$ms,\"payload\":{{{more}\"query\":\"my street 5\",\"city\":\"Lisbon\"}}}}\n"
        )
    };
    let settings = TrendingSettings { users_min: 2, ..minute_lists(SEARCHES) };
    let [first, again, second] = [("10:00:00", "a"), ("10:00:01", "a"), ("10:00:02", "b")]
        .map(|(time, event)| nobodys(time, event, "\"user_id\":\"\","));
    let session = nobodys("10:00:03", "c", "\"session_id\":\"s\",");
    check(
        &settings,
        &format!(
            r#"{first}{again}{second}{session}
            crash
            search 11:00:00 ana "Porto","query":"port"
            has city.activity.1m.v1 PT/Lisbon {{"volume": 3, "searches": 3, "distinct_users": 1, "top_queries": []}}
            has trending.cities.v1 PT    {{"trending": [], "volume": [{{"city": "Lisbon", "volume": 3, "distinct_users": 1}}]}}
            has trending.cities.v1 world {{"trending": [], "volume": [{{"city": "Lisbon", "volume": 3, "distinct_users": 1}}]}}
            has trending.cities.v1 PT    {{"key": "PT@$ms(10:02)", "volume": []}}
            has trending.cities.v1 world {{"key": "world@$ms(10:02)", "volume": []}}
            search 11:00:01 bia "Porto","query":"port"
            search 12:00:00 ana "Porto"
            has city.activity.1m.v1 PT/Porto {{"volume": 2, "searches": 2, "distinct_users": 2}}
            has trending.cities.v1 PT    {{"trending": [{{"city": "Porto", "volume": 2, "distinct_users": 2}}]}}
            has trending.cities.v1 world {{"trending": [{{"city": "Porto", "volume": 2, "distinct_users": 2}}]}}
            has trending.cities.v1 PT    {{"key": "PT@$ms(11:02)", "volume": []}}
            has trending.cities.v1 world {{"key": "world@$ms(11:02)", "volume": []}}
            # Three times asked, by one session and nobody else who is known: never shown.
            has searches.top.v1 PT    {{"key": "PT@$ms(12:00)", "queries": [{{"query": "port", "distinct_users": 2, "searches": 2}}]}}
            has searches.top.v1 world {{"key": "world@$ms(12:00)", "queries": [{{"query": "port", "distinct_users": 2, "searches": 2}}]}}
            "#
        ),
    );
}
