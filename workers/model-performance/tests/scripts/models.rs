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
