//! Stories of budgets: what counts in them, who is told, and the topics of budgets and prices.
//!
//! Not here: what a line of a story means ([`crate::check`]).

use std::sync::Arc;

use llm_rollups::LlmSettings;
use llm_rollups::budget::Budgets;

use crate::{chat, check};

const BUDGETS: &str = r#"
    [[budget]]
    id = "daily"
    tenant = "acme"
    period = "day"
    amount = "10"
    [[budget]]
    id = "all"
    period = "month"
    amount = "100"
    thresholds = [10]
"#;

#[test]
fn each_threshold_of_a_budget_is_told_once_in_a_period() {
    let settings = LlmSettings { budgets: Arc::new(Budgets::from_toml(BUDGETS).unwrap()), ..chat() };
    check(
        &settings,
        r#"
        call 06:00:00 {"id": "1", "tenant_id": "acme", "model": "m", "cost": "4.999999999"}
        call 06:01:00 {"id": "2", "tenant_id": "beta", "model": "m", "cost": "1"}
        # Another currency, and a cost that nobody knows.
        call 06:02:00 {"id": "3", "tenant_id": "acme", "model": "m", "cost": "50", "currency": "EUR"}
        call 06:03:00 {"id": "4", "tenant_id": "acme", "model": "m"}
        crash
        call 06:04:59.999 {"id": "5", "tenant_id": "acme", "model": "m", "cost": "0.000000001"}
        call 06:05:00 {"id": "6", "tenant_id": "beta", "model": "m", "cost": "1"}
        out llm.budget.alert.v1 acme|daily {"run_id": "live", "revision": 0, "key": "acme|daily|1@$ms(00:00)@50", "window_start_ms": $ms(00:00), "window_end_ms": $ms(24:00), "threshold": 50, "budget": "daily", "version": 1, "tenant": "acme", "user": null, "model": null, "each": [], "period": "day", "time_zone": "UTC", "currency": "USD", "amount": "10.000000000", "spent": "5.000000000", "requests_unknown": 1, "at_ms": $ms(06:05), "burn": 1.973, "forecast": "8.732638889"}
        call 07:00:00 {"id": "7", "tenant_id": "acme", "model": "m", "cost": "5"}
        tick 07:01:00
        has llm.budget.alert.v1 acme|daily {"key": "acme|daily|1@$ms(00:00)@80", "threshold": 80, "spent": "10.000000000"}
        has llm.budget.alert.v1 acme|daily {"key": "acme|daily|1@$ms(00:00)@100", "threshold": 100, "at_ms": $ms(07:01)}
        has llm.budget.alert.v1 *|all {"key": "*|all|1@$ms(00:00)@10", "threshold": 10, "spent": "12.000000000"}
        call 08:00:00 {"id": "8", "tenant_id": "acme", "model": "m", "cost": "5"}
        tick 30:00:00
        # Another day; and one late for the day before that is not over for good.
        call 30:00:01 {"id": "9", "tenant_id": "acme", "model": "m", "cost": "5"}
        tick 30:01:00
        has llm.budget.alert.v1 acme|daily {"key": "acme|daily|1@$ms(24:00)@50", "spent": "5.000000000"}
        "#,
    );
}

#[test]
fn a_late_call_counts_until_a_day_after_its_period() {
    let settings = LlmSettings { budgets: Arc::new(Budgets::from_toml(BUDGETS).unwrap()), ..chat() };
    check(
        &settings,
        r#"
        # A minute's rollup sets the late ones aside; the budget does not.
        call 23:00:00 {"id": "1", "tenant_id": "acme", "model": "m", "cost": "1"}
        tick 47:59:59
        in chat.response.generated 47:59:59 k {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(23:30), "payload": {"tenant_id": "acme", "model": "m", "cost": "4"}}
        late {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(23:30), "payload": {"tenant_id": "acme", "model": "m", "cost": "4"}}
        tick 48:00:00
        has llm.budget.alert.v1 acme|daily {"key": "acme|daily|1@$ms(00:00)@50", "spent": "5.000000000"}
        in chat.response.generated 48:00:00 k {"event_id": "b", "event_type": "chat.response.generated", "timestamp": $ms(23:30), "payload": {"tenant_id": "acme", "model": "m", "cost": "4"}}
        late {"event_id": "b", "event_type": "chat.response.generated", "timestamp": $ms(23:30), "payload": {"tenant_id": "acme", "model": "m", "cost": "4"}}
        tick 48:01:00
        dead late_for_budget
        "#,
    );
}

/// Nothing has to be set for it, and what comes again does not count twice, however late.
#[test]
fn a_late_call_counts_once_until_a_day_after_its_month() {
    let budgets = r#"
        [[budget]]
        id = "all"
        period = "month"
        amount = "100"
        thresholds = [9, 10, 11]
    "#;
    let settings = LlmSettings { budgets: Arc::new(Budgets::from_toml(budgets).unwrap()), ..chat() };
    check(
        &settings,
        r#"
        call 23:00:00 {"id": "1", "model": "m", "cost": "9"}
        tick 2026-02-01T23:59:00Z
        has llm.budget.alert.v1 *|all {"key": "*|all|1@$ms(00:00)@9", "at_ms": $ms(23:01)}
        in chat.response.generated 2026-02-01T23:59:00Z k {"event_id": "1", "event_type": "chat.response.generated", "timestamp": $ms(23:00), "payload": {"model": "m", "cost": "9"}}
        late {"event_id": "1", "event_type": "chat.response.generated", "timestamp": $ms(23:00), "payload": {"model": "m", "cost": "9"}}
        in chat.response.generated 2026-02-01T23:59:01Z k {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(30:00), "payload": {"model": "m", "cost": "1"}}
        late {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(30:00), "payload": {"model": "m", "cost": "1"}}
        crash
        in chat.response.generated 2026-02-01T23:59:02Z k {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(30:00), "payload": {"model": "m", "cost": "1"}}
        late {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(30:00), "payload": {"model": "m", "cost": "1"}}
        tick 2026-02-02T00:00:00Z
        has llm.budget.alert.v1 *|all {"key": "*|all|1@$ms(00:00)@10", "spent": "10.000000000", "window_end_ms": $ms(2026-02-01T00:00:00Z), "at_ms": $ms(2026-02-02T00:00:00Z)}
        in chat.response.generated 2026-02-02T00:00:00Z k {"event_id": "b", "event_type": "chat.response.generated", "timestamp": $ms(2026-01-31T23:00:00Z), "payload": {"model": "m", "cost": "1"}}
        late {"event_id": "b", "event_type": "chat.response.generated", "timestamp": $ms(2026-01-31T23:00:00Z), "payload": {"model": "m", "cost": "1"}}
        tick 2026-02-02T00:01:00Z
        dead late_for_budget
        "#,
    );
}

/// It has the price of the rows that are visible when it comes, as of its own time; in rollups it is late.
#[test]
fn a_late_call_counts_in_budgets_where_prices_have_a_topic() {
    let budgets = r#"
        [[budget]]
        id = "daily"
        tenant = "acme"
        period = "day"
        amount = "6"
        thresholds = [100]
    "#;
    let settings = LlmSettings {
        prices: Some("llm.prices.v1".to_owned()),
        budgets: Arc::new(Budgets::from_toml(budgets).unwrap()),
        ..chat()
    };
    check(
        &settings,
        r#"
        in llm.prices.v1 10:00:00 openai {"model": [{"name": "gpt-4o", "price": [{"input": "1000000"}]}]}
        call 10:00:01 {"id": "1", "tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}
        in llm.prices.v1 12:00:00 openai {"model": [{"name": "gpt-4o", "price": [{"input": "2000000"}, {"effective_from": "2026-01-01T11:00:00Z", "input": "9000000"}]}]}
        call 12:00:01 {"id": "2", "tenant_id": "acme", "model": "gpt-4o", "cost": "1"}
        has llm.rollups.1m.v1 *|*|*|* {"requests": 1}
        has llm.rollups.1m.v1 acme|*|*|* {"requests": 1}
        has llm.rollups.1m.v1 acme|openai|gpt-4o|chat {"requests": 1}
        in chat.response.generated 12:00:02 k {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(10:30), "payload": {"tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}}
        dead late
        in chat.response.generated 12:00:02 k {"event_id": "b", "event_type": "chat.response.generated", "timestamp": $ms(10:31), "payload": {"tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}}
        dead late
        in chat.response.generated 12:00:02 k {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(10:30), "payload": {"tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}}
        dead late
        crash
        in llm.prices.v1 12:02:00 x ~
        tick 12:02:00
        has llm.budget.alert.v1 acme|daily {"spent": "6.000000000", "at_ms": $ms(12:01)}
        has llm.rollups.1m.v1 *|*|*|* {"requests": 1, "cost": {"sums": [{"currency": "USD", "amount": "1.000000000"}]}}
        has llm.rollups.1m.v1 acme|*|*|* {"requests": 1}
        has llm.rollups.1m.v1 acme|openai|gpt-4o|chat {"requests": 1}
        "#,
    );
}

/// One budget for each user, one for each model, one for each tenant.
#[test]
fn a_budget_for_each_is_judged_one_by_one() {
    let budgets = r#"
        [[budget]]
        id = "seat"
        tenant = "acme"
        user = "*"
        period = "day"
        amount = "10"
        thresholds = [50]
        [[budget]]
        id = "models"
        model = "*"
        period = "month"
        amount = "10"
        thresholds = [100]
        [[budget]]
        id = "tenants"
        tenant = "*"
        period = "day"
        amount = "9"
        thresholds = [100]
    "#;
    let settings = LlmSettings { budgets: Arc::new(Budgets::from_toml(budgets).unwrap()), ..chat() };
    check(
        &settings,
        r#"
        call 06:00:00 {"id": "1", "tenant_id": "acme", "user_id": "u1", "model": "M", "cost": "5"}
        call 06:00:01 {"id": "2", "tenant_id": "acme", "user_id": "u|2", "model": "n", "cost": "4"}
        # Nobody's.
        call 06:00:02 {"id": "3", "tenant_id": "beta", "model": "m", "cost": "5"}
        crash
        call 06:01:00 {"id": "4", "tenant_id": "acme", "user_id": "u|2", "cost": "1"}
        has llm.budget.alert.v1 acme|seat|user=u1 {"key": "acme|seat|user=u1|1@$ms(00:00)@50", "tenant": "acme", "user": "u1", "model": null, "each": ["user"], "spent": "5.000000000"}
        has llm.budget.alert.v1 *|models|model=m {"key": "*|models|model=m|1@$ms(00:00)@100", "tenant": "*", "user": null, "model": "m", "each": ["model"], "spent": "10.000000000"}
        has llm.budget.alert.v1 *|tenants|tenant=acme {"key": "*|tenants|tenant=acme|1@$ms(00:00)@100", "tenant": "acme", "each": ["tenant"], "spent": "9.000000000"}
        tick 06:02:00
        has llm.budget.alert.v1 acme|seat|user=u%7C2 {"key": "acme|seat|user=u%7C2|1@$ms(00:00)@50", "user": "u|2", "at_ms": $ms(06:02)}
        "#,
    );
}

/// Two users are enough: the third one comes in the minute in which they are reached, the fourth one later.
#[test]
fn a_budget_for_each_has_so_many_accounts_and_no_more() {
    let budgets = "[[budget]]\nid = \"b\"\nuser = \"*\"\nperiod = \"day\"\namount = \"1\"\nthresholds = [100]";
    let budgets = Arc::new(Budgets::from_toml(budgets).unwrap());
    let settings = LlmSettings { budgets, budget_names_max: 2, ..chat() };
    check(
        &settings,
        r#"
        call 06:00:00 {"id": "1", "user_id": "u1", "cost": "0.5"}
        call 06:00:01 {"id": "2", "user_id": "u2", "cost": "0.5"}
        call 06:00:02 {"id": "3", "user_id": "u3", "cost": "0.5"}
        crash
        call 06:01:00 {"id": "4", "user_id": "u4", "cost": "1"}
        call 06:01:01 {"id": "5", "user_id": "u3", "cost": "0.5"}
        call 24:00:00 {"id": "6", "user_id": "u4", "cost": "1"}
        has llm.budget.alert.v1 *|b|user=u3 {"spent": "1.000000000"}
        tick 24:01:00
        has llm.budget.alert.v1 *|b|user=u4 {"window_start_ms": $ms(24:00)}
        "#,
    );
}

/// The budget is that of the moment at which the call comes; its period that of the call.
#[test]
fn a_late_call_meets_the_budgets_that_are_in_force_when_it_comes() {
    let settings = LlmSettings { budgets_topic: Some("llm.budgets.v1".to_owned()), ..chat() };
    check(
        &settings,
        r#"
        call 10:00:00 {"id": "1", "tenant_id": "acme", "model": "m", "cost": "1"}
        in llm.budgets.v1 11:00:00 acme {"budget": [{"id": "b", "period": "day", "amount": "4", "thresholds": [100]}]}
        tick 25:00:00
        in chat.response.generated 25:00:00 k {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(10:30), "payload": {"tenant_id": "acme", "model": "m", "cost": "4"}}
        late {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(10:30), "payload": {"tenant_id": "acme", "model": "m", "cost": "4"}}
        in llm.budgets.v1 26:00:00 x ~
        crash
        tick 26:00:00
        has llm.budget.alert.v1 acme|b {"key": "acme|b|1@$ms(00:00)@100", "spent": "4.000000000", "at_ms": $ms(25:01)}
        "#,
    );
}

#[test]
fn budgets_and_prices_change_without_a_restart() {
    let settings = LlmSettings {
        prices: Some("llm.prices.v1".to_owned()),
        budgets_topic: Some("llm.budgets.v1".to_owned()),
        ..chat()
    };
    check(
        &settings,
        r#"
        in llm.budgets.v1 10:00:00 acme {"budget": [{"id": "b", "period": "day", "amount": "1", "thresholds": [100]}]}
        in llm.prices.v1  10:00:00 openai {"model": [{"name": "gpt-4o", "price": [{"input": "1000000"}, {"effective_from": "2026-01-01T10:00:30Z", "input": "2000000"}]}]}
        # Before the row is visible, the card; then the row; then its later price.
        call 09:59:59 {"id": "1", "tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}
        call 10:00:01 {"id": "2", "tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}
        call 10:00:31 {"id": "3", "tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}
        crash
        in llm.prices.v1  10:01:00 openai {"model": [{"name": "gpt-4o", "price": [{"input": "0"}]}]}
        in llm.budgets.v1 10:01:00 acme {"budget": [{"id": "b", "version": 2, "period": "day", "amount": "3", "thresholds": [100]}]}
        call 10:01:01 {"id": "4", "tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1}
        # The first call was made before anybody had a budget.
        has llm.budget.alert.v1 acme|b {"key": "acme|b|1@$ms(00:00)@100", "spent": "3.000000000", "at_ms": $ms(10:01)}
        in llm.prices.v1  10:02:00 openai {"model": [{"name": "gpt-4o", "price": [{"input": "0.0000001"}]}]}
        dead prices
        in llm.budgets.v1 10:02:00 acme {"budget": [{"id": "b", "period": "year", "amount": "3"}]}
        dead budgets
        in llm.prices.v1  10:02:01 openai ~
        in llm.budgets.v1 10:02:01 acme ~
        call 10:02:02 {"id": "5", "tenant_id": "acme", "model": "gpt-4o", "input_tokens": 1000000}
        has llm.budget.alert.v1 acme|b {"key": "acme|b|2@$ms(00:00)@100", "spent": "3.000000000", "at_ms": $ms(10:02)}
        in llm.prices.v1  10:03:02 x ~
        in llm.budgets.v1 10:03:02 x ~
        tick 10:03:02
        advance 2s
        last llm.cost.current.v1 acme|openai|gpt-4o|chat {"requests": 5, "cost": {"sums": [{"currency": "USD", "amount": "5.500002500"}]}}
        "#,
    );
}
