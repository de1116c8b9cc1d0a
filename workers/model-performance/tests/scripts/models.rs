//! What models report, drift, and intents.

use std::fmt::Write as _;

use model_performance::ModelSettings;
use model_performance::settings::Drift;

use crate::{check, prompt};

#[test]
fn a_metric_has_its_last_mean_least_and_greatest() {
    check(
        &prompt(),
        r#"
        report 10:00:00 als accuracy 0.5
        report 10:00:20 als accuracy 0.25
        report 10:00:10 als accuracy 0.9
        report 10:00:30 als loss 2
        crash
        end 11:02
        has model.performance.1m.v1 lens/lens/als// {"window_end_ms": $ms(10:01), "metrics": [{"metric": "accuracy", "count": 3, "last": 0.25, "mean": 0.5499999999999999, "min": 0.25, "max": 0.9}, {"metric": "loss", "last": 2.0}], "serving": null}
        has model.performance.1h.v1 lens/lens/als// {"window_end_ms": $ms(11:00), "metrics": [{"count": 3, "last": 0.25}, {"metric": "loss"}], "drift": [], "peak_hour": null}
        "#,
    );
}

/// Drift is told when it begins and when it ends; a signal to train anew when it begins.
#[test]
fn drift_is_told_once() {
    let settings = ModelSettings { drift: Drift { psi: 0.25, distance: 0.25, values_min: 3 }, ..prompt() };
    let mut story = String::new();
    let hours = [[10, 10, 90, 90], [10, 10, 10, 10], [10, 10, 10, 10], [10, 10, 10, 90]];
    for (hour, values) in (10..).zip(hours) {
        for (second, value) in values.iter().enumerate() {
            writeln!(story, "report {hour}:00:0{second} als accuracy {value}").unwrap();
        }
    }
    story.push_str(
        r#"
        end 16:02
        has model.performance.1h.v1 lens/lens/als// {"drift": []}
        has model.performance.1h.v1 lens/lens/als// {"drift": [{"series": "metric:accuracy", "ks": 0.5, "is_drift": true, "values": 4, "reference_values": 4}]}
        has model.performance.1h.v1 lens/lens/als// {"drift": [{"ks": 0.25, "is_drift": true, "reference_values": 8}]}
        has model.performance.1h.v1 lens/lens/als// {"drift": [{"is_drift": false, "reference_values": 12}]}
        has model.alerts.v1 lens/lens/als// {"key": "lens/lens/als///drift/metric:accuracy@$ms(12:00)", "state": "drifting", "rule": "drift", "ks": 0.5}
        has model.alerts.v1 lens/lens/als// {"key": "lens/lens/als///drift/metric:accuracy@$ms(14:00)", "state": "recovered"}
        has model.retrain.v1 lens/lens/als// {"key": "lens/lens/als///drift/metric:accuracy@$ms(12:00)", "rule": "drift", "series": "metric:accuracy", "ratings": null}
        "#,
    );
    check(&settings, &story);
}

#[test]
fn an_hour_of_many_ratings_is_worth_training_for() {
    let settings = ModelSettings { retrain_ratings: 3, ..prompt() };
    check(
        &settings,
        r#"
        rate 10:00:00 ana i1 4
        rate 10:10:00 bia i1 5
        rate 10:20:00 ana i2 1.5
        rate 11:00:00 ana i3 2
        end 12:02
        has model.performance.1h.v1 lens/lens/// {"interactions": {"ratings": 3, "mean_rating": 3.5}}
        has model.retrain.v1 lens/lens/// {"key": "lens/lens////ratings@$ms(11:00)", "rule": "ratings", "ratings": 3, "series": null}
        has model.performance.1h.v1 lens/lens/// {"interactions": {"ratings": 1}}
        "#,
    );
}

#[test]
fn intents_have_shares_and_are_judged_where_the_truth_is_known() {
    check(
        &prompt(),
        r#"
        take 10:00:00 l1 gpt ORDER 0.95
        take 10:00:01 l2 gpt ORDER 0.5
        take 10:00:02 l3 gpt QUESTION 0.95
        know 10:00:30 l1 order
        crash
        know 10:00:31 l2 COMPLAINT
        take 10:02:00 l4 gpt ORDER 0.9
        know 10:02:00 l9 ORDER
        end 10:05
        has model.performance.1m.v1 biznavigate/biznavigate/gpt// {"window_end_ms": $ms(10:01), "intents": {"messages": 3, "errors": 0, "by_intent": [{"name": "ORDER", "count": 2}, {"name": "QUESTION", "count": 1}], "by_tier": [{"name": "rules", "share": 1.0}], "actions": [{"name": "call", "count": 3}], "confidence_histogram": [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2]}, "calibration": {"judged": 2, "accuracy": 0.5, "expected_calibration_error": 0.275, "brier": 0.12625}}
        has model.performance.1m.v1 biznavigate/biznavigate/gpt// {"window_end_ms": $ms(10:03), "intents": {"messages": 1}, "calibration": null}
        "#,
    );
}

/// An answer that says what went wrong is no message that was understood.
#[test]
fn errors_are_told_apart_by_their_type() {
    check(
        &prompt(),
        r#"
        take 10:00:00 l1 gpt ORDER 0.95
        fail 10:00:01 l2 gpt timeout
        fail 10:00:02 l3 gpt rate_limit
        crash
        fail 10:00:03 l1 gpt timeout
        fail 10:00:04 l1 gpt -
        in ai.process.result 10:00:05 x {"event_id": "r5", "event_type": "ai.process.result", "timestamp": "$time", "payload": {"lead_id": "l4", "model": "gpt", "intent": "ORDER", "error_type": "timeout"}}
        take 10:30:00 l5 gpt ORDER 0.95
        end 11:02
        has model.performance.1m.v1 biznavigate/biznavigate/gpt// {"window_end_ms": $ms(10:01), "intents": {"messages": 1, "errors": 5, "errors_by_type": [{"name": "_OTHER", "count": 1, "share": 0.2}, {"name": "rate_limit", "count": 1}, {"name": "timeout", "count": 3, "share": 0.6}]}}
        has model.performance.1m.v1 biznavigate/biznavigate/gpt// {"window_end_ms": $ms(10:31), "intents": {"messages": 1, "errors": 0, "errors_by_type": []}}
        has model.performance.1h.v1 biznavigate/biznavigate/gpt// {"window_end_ms": $ms(11:00), "intents": {"messages": 2, "errors": 5, "errors_by_type": [{"name": "_OTHER"}, {"name": "rate_limit"}, {"name": "timeout", "count": 3}]}}
        "#,
    );
}

/// Each day is far beyond all that the seven days before it held, for longer than anything is remembered.
#[test]
fn a_drift_that_lasts_is_told_once() {
    let settings = ModelSettings { drift: Drift { psi: 0.25, distance: 0.25, values_min: 2 }, ..prompt() };
    let mut story = String::new();
    for day in 1..=24_u32 {
        for second in 0..2 {
            writeln!(story, "report 2026-01-{day:02}T10:00:0{second}Z als loss {}", 2_u64.pow(day)).unwrap();
        }
    }
    story.push_str(
        r#"
        end 2026-01-24T11:05:00Z
        has model.alerts.v1 lens/lens/als// {"key": "lens/lens/als///drift/metric:loss@$ms(2026-01-02T11:00:00Z)", "state": "drifting"}
        has model.retrain.v1 lens/lens/als// {"rule": "drift", "series": "metric:loss"}
        "#,
    );
    check(&settings, &story);
}

/// What was compared with nothing for a week is not what it was.
#[test]
fn a_drift_of_numbers_that_have_gone_is_forgotten() {
    let settings = ModelSettings { drift: Drift { psi: 0.25, distance: 0.25, values_min: 2 }, ..prompt() };
    let mut story = String::new();
    for (day, value) in [(1, 10), (2, 90), (11, 10), (12, 500)] {
        for second in 0..2 {
            writeln!(story, "report 2026-01-{day:02}T10:00:0{second}Z als loss {value}").unwrap();
        }
    }
    story.push_str(
        r#"
        end 2026-01-12T11:05:00Z
        has model.alerts.v1 lens/lens/als// {"key": "lens/lens/als///drift/metric:loss@$ms(2026-01-02T11:00:00Z)", "state": "drifting"}
        has model.alerts.v1 lens/lens/als// {"key": "lens/lens/als///drift/metric:loss@$ms(2026-01-12T11:00:00Z)", "state": "drifting"}
        "#,
    );
    check(&settings, &story);
}

#[test]
fn so_many_messages_of_a_lead_wait_and_what_is_too_much_is_counted() {
    let mut story = String::new();
    for second in 10..27 {
        writeln!(story, "take 10:00:{second} l1 gpt ORDER 0.9").unwrap();
    }
    story.push_str(
        r#"
        know 10:00:40 l1 ORDER
        end 10:05
        has model.performance.1m.v1 biznavigate/biznavigate/// {"cut": 1, "intents": null}
        has model.performance.1m.v1 biznavigate/biznavigate/gpt// {"intents": {"messages": 17}, "calibration": {"judged": 16, "accuracy": 1.0}}
        "#,
    );
    check(&prompt(), &story);
}

#[test]
fn who_is_surer_than_sure_is_not_believed() {
    check(
        &prompt(),
        r#"
        take 10:00:00 l1 gpt ORDER 1.5
        take 10:00:01 l2 gpt ORDER 1
        know 10:00:30 l1 ORDER
        end 10:05
        has model.performance.1m.v1 biznavigate/biznavigate/gpt// {"intents": {"messages": 2, "confidence_histogram": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]}, "calibration": null}
        "#,
    );
}

/// Two tenants may both have an event that is called `1`.
#[test]
fn an_events_id_is_its_tenants_own() {
    check(
        &prompt(),
        r#"
        in user-interactions 10:00:00 x {"event_id": "1", "timestamp": "$time", "tenant_id": "acme", "userId": "ana", "interactionType": "rate", "movieId": "i1", "rating": 4}
        in user-interactions 10:00:01 x {"event_id": "1", "timestamp": "$time", "tenant_id": "beta", "userId": "ana", "interactionType": "rate", "movieId": "i1", "rating": 2}
        in user-interactions 10:00:02 x {"event_id": "1", "timestamp": "$time", "tenant_id": "beta", "userId": "ana", "interactionType": "rate", "movieId": "i1", "rating": 2}
        end 10:05
        has model.performance.1m.v1 lens/acme/// {"interactions": {"ratings": 1, "mean_rating": 4.0}}
        has model.performance.1m.v1 lens/beta/// {"interactions": {"ratings": 1, "mean_rating": 2.0}}
        "#,
    );
}
