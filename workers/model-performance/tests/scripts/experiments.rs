//! A/B tests.

use std::sync::Arc;

use model_performance::ModelSettings;
use model_performance::experiments::Experiments;

use crate::{check, prompt};

fn with(experiments: &str) -> ModelSettings {
    let experiments = Experiments::from_toml(experiments).unwrap_or_else(|error| panic!("{error}"));
    ModelSettings { experiments: Arc::new(experiments), ..prompt() }
}

#[test]
fn the_first_assignment_wins_and_a_user_converts_once() {
    check(
        &prompt(),
        r#"
        assign 10:00:10 ana look b
        assign 10:00:05 ana look control
        does   10:00:20 ana look converted
        does   10:00:30 ana look converted
        does   10:00:30 bia look converted
        crash
        assign 10:01:00 bia look b
        has ab.results.v1 lens/lens/look {"key": "lens/lens/look@$ms(10:01)", "conflicts": 1, "outside": 1, "sample_ratio": null, "arms": [{"variant": "control", "is_control": true, "users": 1, "conversions": 1, "rate": 1.0}]}
        does   10:01:30 ana look converted
        does   10:01:31 bia look rated
        assign 10:02:00 eva look b
        has ab.results.v1 lens/lens/look {"key": "lens/lens/look@$ms(10:02)", "conflicts": 1, "outside": 1, "sample_ratio": {"is_mismatch": false, "is_assumed": true}, "arms": [{"variant": "b", "users": 1, "conversions": 1, "decision": null}, {"variant": "control", "users": 1, "conversions": 1}]}
        "#,
    );
}

/// Who is in an arm that should not be is beyond doubt; what follows changes no decision.
#[test]
fn a_decision_comes_once_and_stands() {
    check(
        &with("[experiments.look]\nends = 2026-01-01T10:05:00Z\nshares = { control = 1, b = 1 }"),
        r#"
        assign 10:00:01 ana look b
        assign 10:00:02 bia look control
        assign 10:01:01 eva look c
        has ab.results.v1 lens/lens/look {"arms": [{"variant": "b", "users": 1, "decision": null}, {"variant": "control", "users": 1, "p_value": null}], "sample_ratio": {"is_mismatch": false}}
        assign 10:02:01 gil look b
        has ab.results.v1 lens/lens/look {"level": 0.025, "arms": [{"variant": "b", "decision": "invalid_srm"}, {"variant": "c", "users": 1, "decision": "invalid_srm"}, {"variant": "control"}], "sample_ratio": {"is_mismatch": true, "is_assumed": false}}
        has ab.decision.v1 lens/lens/look/b {"key": "lens/lens/look/b", "decision": "invalid_srm", "level": 0.025, "control_users": 1, "window_start_ms": $ms(10:00), "window_end_ms": $ms(10:02)}
        has ab.decision.v1 lens/lens/look/c {"decision": "invalid_srm"}
        assign 10:06:00 lea look b
        has ab.results.v1 lens/lens/look {"key": "lens/lens/look@$ms(10:03)", "arms": [{"users": 2}, {"users": 1}, {"users": 1}]}
        has ab.results.v1 lens/lens/look {"key": "lens/lens/look@$ms(10:05)", "window_start_ms": $ms(10:00), "is_over": true}
        assign 10:08:00 lea look b
        "#,
    );
}

#[test]
fn what_has_no_decision_ends_at_its_planned_end() {
    check(
        &with("[experiments.look]\nends = 2026-01-01T10:05:00Z"),
        r#"
        assign 10:00:10 ana look b
        assign 10:00:20 bia look control
        assign 10:01:00 eva other x
        has ab.results.v1 lens/lens/look {"planned_end_ms": $ms(10:05), "arms": [{"variant": "b", "users": 1}, {"variant": "control", "users": 1}]}
        crash
        assign 10:05:30 gil other x
        has ab.results.v1 lens/lens/other {"arms": [{"variant": "control", "users": 0}, {"variant": "x", "users": 1}]}
        assign 10:06:30 gil other x
        has ab.results.v1 lens/lens/look {"is_over": true, "arms": [{"decision": "no_decision"}, {}]}
        has ab.decision.v1 lens/lens/look/b {"decision": "no_decision", "window_end_ms": $ms(10:05)}
        has ab.results.v1 lens/lens/other {"arms": [{"variant": "control", "users": 0}, {"variant": "x", "users": 2}]}
        "#,
    );
}

/// What is left of users who were assigned long ago is no experiment of its own.
#[test]
fn a_decision_is_not_told_again_when_the_experiment_is_forgotten() {
    check(
        &with("[experiments.look]\nends = 2026-01-01T10:05:00Z"),
        r#"
        assign 10:00:10 ana look b
        assign 10:00:20 bia look control
        assign 10:05:30 eva look b
        has ab.results.v1 lens/lens/look {"window_end_ms": $ms(10:01), "is_over": false}
        assign 10:06:30 eva look b
        has ab.results.v1 lens/lens/look {"window_end_ms": $ms(10:05), "is_over": true}
        has ab.decision.v1 lens/lens/look/b {"decision": "no_decision", "window_end_ms": $ms(10:05)}
        crash
        assign 2026-02-10T10:00:00Z gil look b
        does   2026-02-10T10:00:01Z ana look converted
        assign 2026-02-10T10:02:00Z eva look b
        assign 2026-02-10T10:03:00Z eva look b
        "#,
    );
}
