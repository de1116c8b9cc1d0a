//! The worker told as stories: what people do, what comes out, and what fails in between.
//!
//! Each story is run as it is written, with a crash and with a rebalance before each of its lines, and with a crash at each
//! stage of the commit after it. `do TIME USER KIND [FIELDS]` is short for a line `in` with an action: USER is a name or
//! `-` for nobody, and FIELDS are more fields of it as JSON, where `thing X` stands for what it is about. Its event's id is
//! made of its time, user and kind.

use std::collections::BTreeSet;

use engagement_metrics::action::Reading;
use engagement_metrics::definitions::Definitions;
use engagement_metrics::{EngagementSettings, topology, topology_of};
use events::Contracts;
use events::contract::System;
use events::identity::IdHash;
use processing_core::prelude::*;
use processing_core::testing::script;

fn settings() -> EngagementSettings {
    EngagementSettings { grace: DurationMs(0), ..EngagementSettings::default() }
}

fn plan(settings: &EngagementSettings, definitions: &Definitions) -> Plan {
    let topic = Topic::<Json<Reading>>::json("actions");
    topology_of(settings, definitions, [topic]).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn check(settings: &EngagementSettings, story: &str) {
    let definitions = shipped();
    script::check(|| plan(settings, &definitions), &story.lines().map(told).collect::<String>());
}

fn shipped() -> Definitions {
    Definitions::shipped().unwrap_or_else(|error| panic!("{error}"))
}

/// A line of a script; short ones are written out, and `$user(ana)` is how results name her.
fn told(line: &str) -> String {
    let words: Vec<&str> = line.trim().splitn(5, ' ').collect();
    let ["do", time, user, kind, rest @ ..] = &words[..] else {
        let names: BTreeSet<&str> = line.split("$user(").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        let mut line = line.to_owned();
        for name in names {
            line = line.replace(&format!("$user({name})"), &format!("{:016x}", id(name)));
        }
        return line + "\n";
    };
    let fields = match rest.first() {
        None => String::new(),
        Some(fields) => match fields.strip_prefix("thing ") {
            Some(thing) => {
                let (thing, more) = thing.split_once(' ').map_or((thing, ""), |(thing, more)| (thing, more));
                format!(",\"subject\":{}{more}", id(thing))
            }
            None => format!(",{fields}"),
        },
    };
    let event = id(&format!("{time} {user} {kind}"));
    let who = if *user == "-" { "null".to_owned() } else { id(user).to_string() };
    format!(
        "in actions {time} {user} {{\"time\":$ms,\"app\":\"lens\",\"tenant\":\"acme\",\"user\":{who},\"event\":{event},\
         \"kind\":\"{kind}\"{fields}}}\n"
    )
}

fn id(name: &str) -> u64 {
    IdHash::of(name).get()
}

#[test]
fn a_session_is_told_when_its_gap_is_over() {
    check(
        &settings(),
        r#"
        do 10:00:00 a search
        do 10:00:10 a click
        do 10:00:50 a rate "amount":4500
        crash
        # Exactly the gap later it goes on, and a millisecond more splits.
        do 10:30:50 a view
        do 11:00:50.001 a view
        do 11:01:00 b view
        out engagement.sessions.v1 lens/acme/$user(a) {"run_id": "live", "revision": 0, "key": "lens/acme/$user(a)@$ms(10:30:50.001)", "window_start_ms": $ms(10:00), "window_end_ms": $ms(10:30:50.001), "app": "lens", "tenant": "acme", "user": "$user(a)", "duration_ms": 1850000, "requests": 4, "bounce": false, "journey": "search > click > rate > view", "ratings_after_search": 1, "rating_thousandths_after_search": 4500, "ratings_without_search": 0, "rating_thousandths_without_search": 0}
        do 11:32:00 - system.error
        has engagement.sessions.v1 lens/acme/$user(a) {"journey": "view", "bounce": true, "window_start_ms": $ms(11:00:50.001)}
        has engagement.sessions.v1 lens/acme/$user(b) {"journey": "view", "bounce": true}
        "#,
    );
}

/// In New York's winter it is at 05:00 UTC.
#[test]
fn midnight_of_the_zone_cuts_a_session() {
    let settings = EngagementSettings { zone: Tz::America__New_York, ..settings() };
    check(
        &settings,
        r#"
        do 04:59:50 a view
        do 05:00:10 a view
        has engagement.sessions.v1 lens/acme/$user(a) {"journey": "view", "duration_ms": 0}
        crash
        do 05:00:20 a click
        do 06:00:00 b view
        has engagement.sessions.v1 lens/acme/$user(a) {"journey": "view > click", "duration_ms": 10000}
        "#,
    );
}

#[test]
fn a_minute_counts_each_user_once() {
    check(
        &settings(),
        r#"
        do 10:00:00 a search
        do 10:00:10 a click
        do 10:00:20 b search
        # The same event again.
        do 10:00:20 b search
        do 10:00:30 - document.parsed
        # What merely happens makes nobody active, and programs are counted apart.
        do 10:00:40 c notification.sent
        do 10:00:50 d view "traffic":"bot"
        crash
        do 10:05:00 a view
        has engagement.metrics.1m.v1 lens/* {"requests": 5, "active_users": 2, "tenant": null, "bot_requests": 1}
        has engagement.metrics.1m.v1 lens/acme {"requests": 5, "active_users": 2, "bot_requests": 1, "by_kind": {"search": 2, "click": 1, "document.parsed": 1, "notification.sent": 1}, "day": null}
        # Its minute is over.
        do 10:00:59 e view
        late {"time":$ms(10:00:59),"app":"lens","tenant":"acme","user":$id(e),"event":$id(10:00:59 e view),"kind":"view"}
        "#
        .replace("$id(e)", &id("e").to_string())
        .replace("$id(10:00:59 e view)", &id("10:00:59 e view").to_string())
        .as_str(),
    );
}

#[test]
fn days_tell_who_is_new_who_comes_back_and_who_stays() {
    check(
        &settings(),
        r#"
        do 10:00:00 a view
        do 11:00:00 b view
        # The next day.
        do 34:00:00 a view
        has engagement.metrics.1d.v1 lens/* {"active_users": 2}
        has engagement.metrics.1d.v1 lens/acme {"active_users": 2, "day": {"new_users": 2, "returning_users": 0, "active_users_7d": 2, "active_users_28d": 2, "stickiness": 1.0, "streaks": {"2": 0}}}
        crash
        do 58:00:00 c view
        has engagement.metrics.1d.v1 lens/* {"active_users": 1}
        has engagement.metrics.1d.v1 lens/acme {"active_users": 1, "day": {"new_users": 0, "returning_users": 1, "active_users_7d": 2, "active_users_28d": 2, "stickiness": 0.5, "streaks": {"2": 1}}}
        has engagement.retention.1d.v1 lens/*/1d {"age_days": 1}
        has engagement.retention.1d.v1 lens/acme/1d {"cohort_start_ms": $ms(00:00), "age_days": 1, "cohort_users": 2, "retained_users": 1, "retention": 0.5}
        "#,
    );
}

#[test]
fn a_funnel_is_told_when_its_last_attempt_is_over() {
    check(
        &settings(),
        r#"
        do 10:00:00 a search
        # Another first step while one runs begins nothing; steps out of their order count nothing.
        do 10:10:00 a search
        do 10:20:00 b search
        do 10:25:00 b rate "amount":3000
        do 10:30:00 a click
        # At the limit, to the millisecond.
        do 11:00:00 a rate "amount":4000
        crash
        do 11:20:00 b click
        do 11:20:00.001 b view
        do 11:59:59 - system.error
        do 12:00:00 - system.error
        has engagement.funnels.1h.v1 lens/acme/lens-search-to-rating {"window_start_ms": $ms(10:00), "attempts": 2, "completed": 1, "conversion": 0.5, "steps": [{"step": "search", "reached": 2, "dropped": 0, "time": null}, {"step": "click", "reached": 2, "dropped": 0, "conversion": 1.0}, {"step": "rate", "reached": 1, "dropped": 1, "conversion": 0.5}]}
        has engagement.funnels.1h.v1 lens/*/lens-search-to-rating {"attempts": 2}
        "#,
    );
}

#[test]
fn a_pipeline_tells_what_ended_and_what_is_open() {
    check(
        &settings(),
        r#"
        do 10:00:00 a document.uploaded thing d1
        do 10:00:05 - document.parsed thing d1
        do 10:10:00 a document.uploaded thing d2
        do 10:20:00 - document.embedded thing d1
        do 10:30:00 - document.embedded thing d3
        crash
        do 11:00:00 - system.error
        has engagement.pipelines.1h.v1 lens/*/documents {"started": 2}
        has engagement.pipelines.1h.v1 lens/acme/documents {"started": 2, "completed": 1, "backlog": 1, "unmatched": 1, "completion": 1.0, "time": {"count": 1, "mean_ms": 1200000}, "stages": {"document.parsed": {"count": 1, "mean_ms": 5000}, "document.embedded": {"count": 1, "mean_ms": 1195000}}}
        # An hour after it was uploaded the second one is given up; what comes then belongs to nothing.
        do 11:20:00 - document.parsed thing d2
        do 13:00:00 - system.error
        has engagement.pipelines.1h.v1 lens/*/documents {"timed_out": 1}
        has engagement.pipelines.1h.v1 lens/acme/documents {"started": 0, "timed_out": 1, "backlog": 0, "unmatched": 1, "completion": 0.0}
        # To the millisecond in time.
        do 13:10:00 a document.uploaded thing d4
        do 14:10:00 - document.embedded thing d4
        has engagement.pipelines.1h.v1 lens/*/documents {"started": 1}
        has engagement.pipelines.1h.v1 lens/acme/documents {"started": 1, "backlog": 1}
        do 15:00:00 - system.error
        has engagement.pipelines.1h.v1 lens/*/documents {"completed": 1}
        has engagement.pipelines.1h.v1 lens/acme/documents {"completed": 1, "timed_out": 0, "backlog": 0, "time": {"count": 1, "mean_ms": 3600000}}
        "#,
    );
}

/// Those of stages; the others have stories of their own.
#[test]
fn every_shipped_pipeline_goes_from_its_start_to_its_end() {
    let ways = [
        ("daily-challenges", "daily.challenge.available", "daily.challenge.completed", None),
        ("documents", "document.uploaded", "document.embedded", Some("document.failed")),
        ("embeddings", "poi.embedding.requested", "poi.embedding.completed", Some("poi.embedding.failed")),
        ("lead-replies", "lead.message.inbound", "lead.message.outbound", None),
        ("learning", "learning.started", "learning.completed", None),
        ("missions", "mission.started", "mission.completed", Some("mission.failed")),
        ("notification-delivery", "notification.send", "notification.delivered", Some("notification.failed")),
        ("notification-reading", "notification.sent", "notification.read", None),
        ("reports", "report.generate", "report.ready", Some("report.failed")),
    ];
    let named: BTreeSet<&str> = ways.iter().map(|(name, ..)| *name).collect();
    let definitions = shipped();
    let mut shipped: BTreeSet<&str> = definitions.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    assert!(shipped.remove("applications") && shipped.remove("dedup-requests"));
    assert_eq!(named, shipped);
    let mut story = String::new();
    for (minute, (_, start, end, failed)) in (10..).zip(ways) {
        story += &format!("do 10:{minute}:00 a {start} thing {minute}\n");
        if let Some(failed) = failed {
            story +=
                &format!("do 10:{minute}:20 b {start} thing {minute}f\ndo 10:{minute}:30 b {failed} thing {minute}f\n");
        }
        story += &format!("do 10:{minute}:45 a {end} thing {minute}\n");
    }
    story += "do 11:00:00 - system.error\n";
    for scope in ["lens/*", "lens/acme"] {
        for (name, _, _, failed) in ways {
            let (started, failures, completion) = if failed.is_some() { (2, 1, 0.5) } else { (1, 0, 1.0) };
            story += &format!(
                "has engagement.pipelines.1h.v1 {scope}/{name} {{\"started\": {started}, \"completed\": 1, \"failed\": {failures}, \
                 \"timed_out\": 0, \"backlog\": 0, \"completion\": {completion:?}, \"unmatched\": 0, \"repeated\": 0, \
                 \"time\": {{\"count\": 1, \"mean_ms\": 45000}}}}\n"
            );
        }
    }
    check(&settings(), &story);
}

/// No event ends it: what is asked for is counted, is never open and never times out.
#[test]
fn a_pipeline_without_an_end_counts_requests_alone() {
    check(
        &settings(),
        r#"
        do 10:00:00 a poi.dedup.requested thing p
        do 10:00:30 b poi.dedup.requested thing p
        do 10:30:00 a poi.dedup.requested thing q
        crash
        do 11:00:00 - system.error
        has engagement.pipelines.1h.v1 lens/*/dedup-requests {"started": 3, "timeout_ms": null}
        has engagement.pipelines.1h.v1 lens/acme/dedup-requests {"started": 3, "completed": 0, "timed_out": 0, "backlog": 0, "repeated": 0, "unmatched": 0, "completion": null, "timeout_ms": null}
        do 11:10:00 a poi.dedup.requested thing p
        # Hours in which nothing is asked for are not told.
        do 14:00:00 - system.error
        has engagement.pipelines.1h.v1 lens/*/dedup-requests {"started": 1, "window_start_ms": $ms(11:00)}
        has engagement.pipelines.1h.v1 lens/acme/dedup-requests {"started": 1, "timed_out": 0, "backlog": 0}
        "#,
    );
}

/// The first unanswered message counts, and the first answer.
#[test]
fn a_reply_is_timed_from_the_first_unanswered_message() {
    check(
        &settings(),
        r#"
        do 10:00:00 l lead.created.asking thing l
        do 10:05:00 l lead.message.inbound thing l
        do 10:10:00 - lead.message.outbound thing l
        do 10:11:00 - lead.message.outbound thing l
        crash
        do 10:20:00 l lead.message.inbound thing l
        do 10:21:00 - lead.message.outbound thing l
        do 11:00:00 - system.error
        has engagement.pipelines.1h.v1 lens/*/lead-replies {"completed": 2}
        has engagement.pipelines.1h.v1 lens/acme/lead-replies {"started": 2, "completed": 2, "repeated": 1, "unmatched": 1, "time": {"count": 2, "mean_ms": 330000}}
        "#,
    );
}

#[test]
fn applications_go_from_state_to_state() {
    check(
        &settings(),
        r#"
        do 10:00:00 a job.applied thing x
        do 10:10:00 a job.status.updated thing x ,"label":"interview"
        do 10:40:00 a job.status.updated thing x ,"label":"rejected"
        crash
        do 11:00:00 - document.parsed
        has engagement.pipelines.1h.v1 lens/*/applications {"completed": 1}
        has engagement.pipelines.1h.v1 lens/acme/applications {"started": 1, "completed": 1, "backlog": 0, "stages": {"applied > interview": {"mean_ms": 600000}, "interview > rejected": {"mean_ms": 1800000}}}
        do 24:00:00 - document.parsed
        has engagement.top.1d.v1 lens/*/application_statuses {"distinct": 3, "names": [{"rank": 1, "name": "applied", "number": 1}, {"rank": 2, "name": "interview"}, {"rank": 3, "name": "rejected"}]}
        has engagement.top.1d.v1 lens/*/journeys {"distinct": 1, "total": 1, "names": [{"rank": 1, "name": "job.applied"}]}
        has engagement.top.1d.v1 lens/acme/application_statuses {"distinct": 3, "names": [{"rank": 1, "name": "applied", "number": 1}, {"rank": 2, "name": "interview"}, {"rank": 3, "name": "rejected"}]}
        has engagement.top.1d.v1 lens/acme/journeys {"distinct": 1}
        "#,
    );
}

/// The whole worker over LENS's own events, as its page has them.
#[test]
fn lens_tells_that_searches_go_with_higher_ratings() {
    let lens = EngagementSettings { contracts: Contracts::of_systems(&[System::Lens]), ..settings() };
    let definitions = shipped();
    let mut story = String::new();
    let mut act = |time: &str, user: &str, kind: &str, rating: f64| {
        story += &format!(
            "in user-interactions {time} {user} {{\"userId\":\"{user}\",\"movieId\":\"1\",\"interactionType\":\"{kind}\",\
             \"rating\":{rating},\"timestamp\":$ms}}\n"
        );
    };
    for (minute, with, without) in [(1, 5.0, 2.0), (2, 4.0, 3.0), (3, 5.0, 4.0), (4, 3.0, 3.0)] {
        act(&format!("10:0{minute}:00"), &format!("s{minute}"), "search", 0.0);
        act(&format!("10:0{minute}:10"), &format!("s{minute}"), "rate", with);
        act(&format!("10:0{minute}:20"), &format!("r{minute}"), "rate", without);
    }
    act("10:05:00", "bot-1", "rate", 1.0);
    act("34:00:00", "s1", "view", 0.0);
    story += r#"
        has engagement.metrics.1d.v1 lens/* {"active_users": 8}
        has engagement.metrics.1d.v1 lens/lens {"active_users": 8, "bot_requests": 1, "sessions": {"count": 8, "bounces": 4, "bounce_rate": 0.5}, "day": {"search_and_rating": {"after_search": {"count": 4, "mean": 4.25}, "without_search": {"count": 4, "mean": 3.0}, "difference": 1.25}}}
    "#;
    script::check(|| topology(&lens, &definitions).unwrap_or_else(|error| panic!("{error}")), &story);
}
