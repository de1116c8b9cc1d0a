//! Requests, answers, and what users did with them.

use std::fmt::Write as _;

use model_performance::ModelSettings;
use processing_core::record::DurationMs;

use crate::{check, prompt};

/// A click belongs to a list for two minutes.
fn two_minutes() -> ModelSettings {
    ModelSettings { attribution: DurationMs::minutes(2), ..prompt() }
}

#[test]
fn requests_are_answered_or_time_out() {
    check(
        &prompt(),
        r#"
        ask  10:00:00 ana r1 als
        ask  10:00:01 bia r2 als
        give 10:00:00.250 ana r1 als i1,i2
        crash
        ask  10:02:00 ana r3 als
        give 10:02:00.100 ana r3 als i1
        give 10:02:01 eva r9 mf i1
        end 10:05:00
        has model.performance.1m.v1 lens/lens/als// {"key": "lens/lens/als//@$ms(10:01)", "serving": {"requests": 2, "answered": 1, "timeouts": 1, "success_rate": 0.5, "response_time_ms": {"mean": 250.0, "max": 250.0}}}
        has model.performance.1m.v1 lens/lens/als// {"key": "lens/lens/als//@$ms(10:03)", "serving": {"requests": 1, "timeouts": 0, "unasked": 0}, "recommendations": null}
        has model.performance.1m.v1 lens/lens/mf// {"key": "lens/lens/mf//@$ms(10:03)", "serving": {"requests": 0, "unasked": 1, "success_rate": null}}
        "#,
    );
}

#[test]
fn a_click_is_counted_for_the_list_that_it_came_of() {
    check(
        &two_minutes(),
        r#"
        ask   10:00:00 ana r1 als
        ask   10:00:00 bia r2 als
        give  10:00:01 ana r1 als i1,i2,i3
        give  10:00:01 bia r2 als i1,i2
        ask   10:00:20 ana r3 mf
        give  10:00:21 ana r3 mf i3,i4
        click 10:00:30 ana i2
        click 10:00:40 ana i3
        click 10:00:41 ana i3
        crash
        rate  10:01:00 ana i2 4
        click 10:02:01 bia i1
        click 10:02:02 bia i2
        click 10:05:00 eva i9
        end 10:08:00
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(10:01), "serving": {"requests": 2}, "recommendations": null}
        has model.performance.1m.v1 lens/lens/mf// {"window_end_ms": $ms(10:01), "serving": {"requests": 1}}
        has model.performance.1m.v1 lens/lens/// {"window_end_ms": $ms(10:02), "interactions": {"ratings": 1, "mean_rating": 4.0}}
        # Three impressions of ana and two of bia; i2 (second of three) and i1 were clicked, i3 was last seen in the list of mf, and bia's last click came too late.
        has model.performance.1m.v1 lens/lens/// {"window_end_ms": $ms(10:03), "interactions": {"unattributed_clicks": 1}}
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(10:03), "serving": null, "recommendations": {"shown_from_ms": $ms(10:00), "shown_to_ms": $ms(10:01), "lists": 2, "impressions": 5, "clicks": 2, "clicks_first_touch": 3, "click_through_rate": 0.4, "ndcg": 0.815465, "hit_rate": 1.0, "mean_reciprocal_rank": 0.75, "mean_rating": 4.0}}
        has model.performance.1m.v1 lens/lens/mf// {"window_end_ms": $ms(10:03), "recommendations": {"lists": 1, "impressions": 2, "clicks": 1, "clicks_first_touch": 0, "ndcg": 1.0}}
        has model.performance.1m.v1 lens/lens/// {"window_end_ms": $ms(10:06), "interactions": {"unattributed_clicks": 1}}
        "#,
    );
}

/// Lists of one minute and of several. The named click belongs to its list alone, though others hold the item; the last
/// moment of a list's two minutes counts, and what was clicked before anything was shown belongs to nothing.
#[test]
fn a_click_belongs_to_the_latest_list_with_the_item_and_is_told_of_the_earliest() {
    check(
        &two_minutes(),
        r#"
        click 10:00:09 ana i1
        give  10:00:10 ana r1 a i1,i2
        give  10:00:50 ana r2 b i2,i3
        give  10:01:05 ana r3 c i2,i4
        crash
        click 10:01:10 ana i2
        click 10:01:11 ana i2
        in user-interactions 10:01:12 ana {"event_id": "named", "timestamp": "$time", "userId": "ana", "interactionType": "click", "movieId": "i2", "request_id": "r2"}
        rate  10:01:20 ana i3 5
        crash
        click 10:02:10 ana i1
        click 10:02:11 ana i2
        end 10:08
        has model.performance.1m.v1 lens/lens/// {"window_end_ms": $ms(10:01), "interactions": {"unattributed_clicks": 1}}
        has model.performance.1m.v1 lens/lens/a// {"window_end_ms": $ms(10:01)}
        has model.performance.1m.v1 lens/lens/b// {"window_end_ms": $ms(10:01)}
        has model.performance.1m.v1 lens/lens/// {"window_end_ms": $ms(10:02), "interactions": {"unattributed_clicks": 0, "ratings": 1}}
        has model.performance.1m.v1 lens/lens/c// {"window_end_ms": $ms(10:02)}
        has model.performance.1m.v1 lens/lens/a// {"window_end_ms": $ms(10:03), "recommendations": {"lists": 1, "impressions": 2, "clicks": 1, "clicks_first_touch": 2, "ndcg": 1.0, "mean_rating": null}}
        has model.performance.1m.v1 lens/lens/b// {"window_end_ms": $ms(10:03), "recommendations": {"lists": 1, "impressions": 2, "clicks": 1, "clicks_first_touch": 1, "ndcg": 1.0, "mean_rating": 5.0}}
        has model.performance.1m.v1 lens/lens/c// {"window_end_ms": $ms(10:04), "recommendations": {"lists": 1, "impressions": 2, "clicks": 1, "clicks_first_touch": 0, "ndcg": 1.0}}
        "#,
    );
}

#[test]
fn a_models_coverage_is_told_at_the_end_of_the_day() {
    check(
        &prompt(),
        r#"
        ask   23:00:00 ana r1 als
        give  23:00:01 ana r1 als i1,i2
        ask   23:00:02 - r2 mf
        give  23:00:03 - r2 mf i2
        click 23:00:04 ana i8
        end 2026-01-02T00:05:00Z
        has model.coverage.1d.v1 lens/lens/als// {"key": "lens/lens/als//@$ms(2026-01-02T00:00:00Z)", "items_served": 2, "items_seen": 3}
        has model.coverage.1d.v1 lens/lens/mf// {"items_served": 1, "items_seen": 3}
        has model.performance.1m.v1 lens/lens/// {"window_end_ms": $ms(23:01), "interactions": {"unattributed_clicks": 1}}
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(23:01)}
        has model.performance.1m.v1 lens/lens/mf// {"window_end_ms": $ms(23:01), "serving": {"shown_to_nobody": 1}}
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(23:31), "recommendations": {"lists": 1, "ndcg": null, "hit_rate": 0.0, "mean_reciprocal_rank": 0.0}}
        "#,
    );
}

#[test]
fn the_models_that_are_asked_most_are_ranked_by_the_hour() {
    check(
        &prompt(),
        r#"
        ask 10:00:00 ana r1 mf
        ask 10:10:00 ana r2 als
        ask 10:20:00 bia r3 als
        ask 11:00:00 ana r4 mf
        end 12:02
        has model.popular.1h.v1 lens/lens {"key": "lens/lens@$ms(11:00)", "requests": 3, "models": [{"rank": 1, "model": "als", "requests": 2}, {"rank": 2, "model": "mf", "requests": 1}]}
        has model.popular.1h.v1 lens/lens {"key": "lens/lens@$ms(12:00)", "requests": 1, "models": [{"rank": 1, "model": "mf", "share": 1.0}]}
        has model.performance.1h.v1 lens/lens/als// {"window_end_ms": $ms(11:00), "peak_hour": null, "serving": {"timeouts": 2}}
        has model.performance.1h.v1 lens/lens/mf// {"window_end_ms": $ms(11:00)}
        has model.performance.1h.v1 lens/lens/mf// {"window_end_ms": $ms(12:00), "peak_hour": {"hour": 10, "requests": 1}}
        "#,
    );
}

/// Of a minute 64 lists are looked at, and as many of a user wait for clicks: the oldest give way, and are told early.
#[test]
fn a_user_with_too_many_lists_is_told_of() {
    let mut story = String::new();
    for number in 0..66 {
        let items = if number == 0 { "i1,i2,i3" } else { "i1" };
        writeln!(story, "give 10:00:{:02}.{:03} ana r{number} als {items}", number / 2, number % 2).unwrap();
    }
    for number in 66..68 {
        writeln!(story, "give 10:01:00.{number:03} ana r{number} als i1").unwrap();
    }
    story.push_str(
        r#"
        click 10:01:30 ana i1
        end 10:09
        has model.performance.1m.v1 lens/lens/// {"window_end_ms": $ms(10:01), "cut": 2, "interactions": null}
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(10:01), "serving": {"unasked": 66}, "recommendations": null}
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(10:02), "serving": {"unasked": 2}, "recommendations": {"lists": 2, "early": 2, "impressions": 4, "clicks": 0}}
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(10:03), "recommendations": {"lists": 62, "early": 0, "impressions": 62, "clicks": 0, "clicks_first_touch": 1}}
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(10:04), "recommendations": {"lists": 2, "impressions": 2, "clicks": 1}}
        "#,
    );
    check(&two_minutes(), &story);
}

/// By its word, else by its error, else by its status; one that says none of these went well. A clock that is behind the
/// request's measures nothing.
#[test]
fn an_answer_says_whether_it_went_well() {
    check(
        &prompt(),
        r#"
        ask 10:00:01 ana r1 als
        ask 10:00:01 ana r2 als
        ask 10:00:01 ana r3 als
        ask 10:00:01 ana r4 als
        ask 10:00:01.500 ana r5 als
        in recommendation-responses 10:00:01 ana {"event_id": "a1", "timestamp": "$time", "request_id": "r1", "error": "overloaded", "status": "ok"}
        in recommendation-responses 10:00:01 ana {"event_id": "a2", "timestamp": "$time", "request_id": "r2", "status": "OK"}
        in recommendation-responses 10:00:01 ana {"event_id": "a3", "timestamp": "$time", "request_id": "r3", "status": "refused"}
        in recommendation-responses 10:00:01 ana {"event_id": "a4", "timestamp": "$time", "request_id": "r4", "success": true, "error": "none"}
        in recommendation-responses 10:00:01 ana {"event_id": "a5", "timestamp": "$time", "request_id": "r5"}
        end 10:05
        has model.performance.1m.v1 lens/lens/als// {"serving": {"requests": 5, "answered": 5, "succeeded": 3, "success_rate": 0.6, "response_time_ms": {"max": 0.0}}}
        "#,
    );
}
