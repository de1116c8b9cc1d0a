//! Alerts of budgets and objectives, straight from their definitions.
//!
//! Not here: rollups ([`crate::oracle`]). Invariant: every minute is judged by adding up everything that counts in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::oracle::{Came, DAY, Fact, HOUR, MINUTE, SLOW, Scope, What, decimal, scopes};

/// The budgets of the runs, as the settings have them.
pub(crate) const BUDGETS: &str = r#"
    [[budget]]
    id = "daily"
    tenant = "acme"
    period = "day"
    amount = "2"
    thresholds = [50, 80, 100]
    [[budget]]
    id = "u1"
    version = 3
    user = "u1"
    model = "gpt-4o"
    period = "day"
    time_zone = "UTC"
    amount = "1"
    thresholds = [10, 100]
"#;

/// A budget's key, user, model, amount in billionths, thresholds and version.
type Terms = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, i128, &'static [u16], u64);

const TERMS: [Terms; 2] = [
    ("acme", "daily", None, None, 2_000_000_000, &[50, 80, 100], 1),
    ("*", "u1", Some("u1"), Some("gpt-4o"), 1_000_000_000, &[10, 100], 3),
];

/// By key, in the order of time.
pub(crate) fn budgets(came: &[Came]) -> BTreeMap<String, Vec<Value>> {
    let mut results: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, id, user, model, amount, thresholds, version) in TERMS {
        let charges: Vec<(&Came, Option<(String, i128)>)> = came
            .iter()
            .filter(|came| came.is_first && (key == "*" || came.tenant() == key))
            .filter(|came| user.is_none_or(|user| came.payload["user_id"] == user))
            .filter(|came| model.is_none_or(|model| came.payload["model"] == model))
            .filter_map(|came| came.call().filter(|call| call.is_billable).map(|call| (came, call.cost)))
            .collect();
        // A budget is judged at the close of a minute in which something came.
        let closes: BTreeSet<i64> =
            charges.iter().map(|(came, _)| came.moment - came.moment.rem_euclid(MINUTE) + MINUTE).collect();
        let mut told = BTreeSet::new();
        let mut alerts = Vec::new();
        for at in closes {
            let known: Vec<_> = charges.iter().filter(|(came, _)| came.moment < at).collect();
            let periods: BTreeSet<i64> = known.iter().map(|(came, _)| came.time - came.time.rem_euclid(DAY)).collect();
            let dollars = |from: i64, to: i64| -> i128 {
                let within = known.iter().filter(|(came, _)| (from..to).contains(&came.time));
                within.filter_map(|(_, cost)| cost.as_ref().filter(|cost| cost.0 == "USD")).map(|cost| cost.1).sum()
            };
            for start in periods {
                let spent = dollars(start, start + DAY);
                let unknown = known
                    .iter()
                    .filter(|(came, cost)| (start..start + DAY).contains(&came.time) && cost.is_none())
                    .count();
                for threshold in thresholds.iter().filter(|threshold| spent * 100 >= amount * i128::from(**threshold)) {
                    if !told.insert((start, *threshold)) {
                        continue;
                    }
                    let elapsed = (at - start).clamp(0, DAY);
                    let present = at - at.rem_euclid(HOUR);
                    let of_a_day = dollars(present - 23 * HOUR, present + HOUR);
                    let rest = of_a_day * i128::from(DAY - elapsed);
                    let (whole, left) = (rest / i128::from(DAY), rest % i128::from(DAY));
                    let up = 2 * left > i128::from(DAY) || (2 * left == i128::from(DAY) && whole % 2 == 1);
                    let burn = (spent as f64 / amount as f64) / (elapsed as f64 / DAY as f64);
                    alerts.push(((at, start, *threshold), json!({
                        "run_id": "live", "revision": 0, "key": format!("{key}|{id}|{version}@{start}@{threshold}"),
                        "window_start_ms": start, "window_end_ms": start + DAY, "threshold": threshold, "budget": id,
                        "version": version, "tenant": key, "user": user, "model": model, "period": "day",
                        "time_zone": "UTC", "currency": "USD", "amount": decimal(amount), "spent": decimal(spent),
                        "requests_unknown": unknown, "at_ms": at, "burn": (burn * 1_000.0).round() / 1_000.0,
                        "forecast": decimal(spent + whole + i128::from(up)),
                    })));
                }
            }
        }
        if !alerts.is_empty() {
            results.entry(key.to_owned()).or_default().extend(alerts.into_iter().map(|(_, alert)| alert));
        }
    }
    results
}

/// The objectives of the runs: 90 % succeed, 80 % are fast, judged from three calls on.
pub(crate) const SHARES: [u32; 2] = [900_000, 800_000];
pub(crate) const CALLS_MIN: u64 = 3;

const PAIRS: [(f64, i64, i64); 4] = [(14.4, 60, 5), (6.0, 360, 30), (3.0, 1_440, 120), (1.0, 4_320, 360)];

/// Calls by their minute's end: all, failed, slow.
type Minutes = BTreeMap<i64, [u64; 3]>;

/// By key, in the order of time.
pub(crate) fn objectives(facts: &[Fact], until: i64) -> BTreeMap<String, Vec<Value>> {
    let mut series: BTreeMap<String, (Scope, Minutes)> = BTreeMap::new();
    for fact in facts {
        let What::Call(call) = &fact.what else { continue };
        let is_slow = call.payload["latency_ms"].as_u64().is_some_and(|ms| ms > SLOW);
        for (key, scope) in scopes(&fact.series) {
            let minutes = &mut series.entry(key).or_insert_with(|| (scope, Minutes::new())).1;
            let minute = minutes.entry(fact.time - fact.time.rem_euclid(MINUTE) + MINUTE).or_default();
            minute[0] += 1;
            minute[1] += u64::from(call.error.is_some());
            minute[2] += u64::from(is_slow);
        }
    }
    let mut results: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, (scope, minutes)) in series {
        let mut since: BTreeMap<(usize, usize), i64> = BTreeMap::new();
        let first = *minutes.keys().next().unwrap();
        let mut at = first;
        while at <= until {
            if minutes.contains_key(&at) || !since.is_empty() {
                for (objective, name) in ["errors", "latency"].into_iter().enumerate() {
                    for (number, (factor, long, short)) in PAIRS.into_iter().enumerate() {
                        let window = |size: i64| {
                            let within = minutes.range(at - size * MINUTE + 1..=at);
                            within
                                .fold([0, 0], |[all, bad], (_, minute)| [all + minute[0], bad + minute[objective + 1]])
                        };
                        let allowed = i128::from(1_000_000 - SHARES[objective]);
                        let burns = |[all, bad]: [u64; 2]| {
                            all > 0
                                && i128::from(bad) * 10_000_000 >= i128::from(all) * allowed * (factor * 10.0) as i128
                        };
                        let (of_long, of_short) = (window(long), window(short));
                        let is_burning = of_long[0] >= CALLS_MIN && burns(of_long) && burns(of_short);
                        let known = since.get(&(objective, number)).copied();
                        if is_burning == known.is_some() {
                            continue;
                        }
                        let began = known.unwrap_or(at);
                        match is_burning {
                            true => drop(since.insert((objective, number), at)),
                            false => drop(since.remove(&(objective, number))),
                        }
                        let state = if is_burning { "firing" } else { "resolved" };
                        let shown = |minutes: i64, [all, bad]: [u64; 2]| {
                            let rate = (bad as f64 / all.max(1) as f64) / (allowed as f64 / 1e6);
                            let rate = (rate * 1_000.0).round() / 1_000.0;
                            json!({ "minutes": minutes, "requests": all, "bad": bad, "burn_rate": rate })
                        };
                        results.entry(key.clone()).or_default().push(json!({
                            "run_id": "live", "revision": 0, "key": format!("{key}|{name}|{factor}@{began}@{state}"),
                            "window_start_ms": began, "window_end_ms": at, "tenant": scope[0], "provider": scope[1],
                            "model": scope[2], "operation": scope[3], "objective": name,
                            "target": f64::from(SHARES[objective]) / 1e6, "state": state, "factor": factor,
                            "long": shown(long, of_long), "short": shown(short, of_short),
                        }));
                    }
                }
            }
            at += MINUTE;
        }
    }
    results
}
