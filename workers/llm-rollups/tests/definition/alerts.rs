//! Alerts of budgets and objectives, straight from their definitions.
//!
//! Not here: rollups ([`crate::oracle`]). Invariant: every minute is judged by adding up everything that counts in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::oracle::{Came, DAY, Fact, HOUR, MINUTE, SLOW, Scope, What, decimal, scopes};
use crate::tables::{Table, Terms};

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
    [[budget]]
    id = "all"
    period = "month"
    amount = "5"
    thresholds = [20, 50, 100]
    [[budget]]
    id = "seats"
    tenant = "acme"
    user = "*"
    period = "month"
    time_zone = "Asia/Tokyo"
    amount = "1"
    thresholds = [50, 100]
    [[budget]]
    id = "euros"
    tenant = "*"
    model = "*"
    period = "day"
    time_zone = "Asia/Tokyo"
    amount = "1"
    currency = "EUR"
    thresholds = [100]
"#;
/// So many accounts a budget for each has at most when a minute begins.
pub(crate) const NAMES_MAX: u64 = 2;

/// What a call cost in an account.
struct Charge {
    /// When it came.
    at: i64,
    time: i64,
    /// In billionths of the budget's currency; the outer `None` where nobody knows.
    amount: Option<i128>,
    terms: Terms,
    start: i64,
    end: i64,
}

/// The charges of an owner's accounts by account: the names that they are over, and what counts in each.
type Accounts = BTreeMap<String, ([Option<String>; 3], Vec<Charge>)>;

fn accounts(came: &[Came], owner: &str, rows: Option<&Table>) -> Accounts {
    let file = Terms::of(&toml::from_str(BUDGETS).unwrap(), None);
    let mut calls: Vec<&Came> = came.iter().filter(|came| owner == "*" || came.tenant() == owner).collect();
    calls.sort_by_key(|came| came.moment);
    let (mut known, mut accounts) = (BTreeSet::new(), Accounts::new());
    // By budget and period: in which minute each account began.
    let mut began: BTreeMap<(String, i64), BTreeMap<String, i64>> = BTreeMap::new();
    for came in calls {
        let Some(call) = came.call().filter(|call| call.is_billable) else { continue };
        let row = rows.and_then(|rows| rows.row(owner, came.moment));
        let of_row = row.map_or(Vec::new(), |row| Terms::of(row, Some(owner)));
        let of_file = file.iter().filter(|terms| terms.owner() == owner);
        let of_file = of_file.filter(|terms| of_row.iter().all(|other| other.id != terms.id)).cloned();
        let names = [Some(came.tenant()), came.payload["user_id"].as_str(), came.payload["model"].as_str()];
        let mut open = Vec::new();
        for terms in of_file.collect::<Vec<_>>().into_iter().chain(of_row.clone()) {
            let counts = |(over, name): (&Option<String>, &Option<&str>)| match over.as_deref() {
                None => true,
                Some("*") => name.is_some(),
                Some(only) => *name == Some(only),
            };
            let (start, end) = terms.period(came.time);
            if terms.over.iter().zip(&names).all(counts) && came.moment < end + DAY {
                open.push((terms, start, end));
            }
        }
        if open.is_empty() || !known.insert((&came.topic, &came.id)) {
            continue;
        }
        for (terms, start, end) in open {
            let mut name = format!("{owner}|{}", terms.id);
            let mut whose = terms.over.clone();
            for (place, part) in ["tenant", "user", "model"].into_iter().enumerate() {
                if whose[place].as_deref() == Some("*") {
                    whose[place] = names[place].map(str::to_owned);
                    name += &format!("|{part}={}", names[place].unwrap());
                }
            }
            if terms.over.iter().flatten().any(|over| over == "*") {
                let minute = came.moment.div_euclid(MINUTE);
                let began = began.entry((terms.id.clone(), start)).or_default();
                let before = began.values().filter(|other| **other < minute).count() as u64;
                if !began.contains_key(&name) && before >= NAMES_MAX {
                    continue;
                }
                began.entry(name.clone()).or_insert(minute);
            }
            let amount = call.cost.as_ref().map(|(of, amount)| if *of == terms.currency { *amount } else { 0 });
            let charge = Charge { at: came.moment, time: came.time, amount, terms, start, end };
            accounts.entry(name).or_insert_with(|| (whose, Vec::new())).1.push(charge);
        }
    }
    accounts
}

/// By account, in the order of time.
pub(crate) fn budgets(came: &[Came], rows: Option<&Table>) -> BTreeMap<String, Vec<Value>> {
    let mut results: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, (whose, charges)) in ["acme", "beta", "*"].into_iter().flat_map(|owner| accounts(came, owner, rows)) {
        // An account is judged at the close of a minute in which something came.
        let closes: BTreeSet<i64> =
            charges.iter().map(|charge| charge.at.div_euclid(MINUTE) * MINUTE + MINUTE).collect();
        let mut told = BTreeSet::new();
        let mut alerts = Vec::new();
        for at in closes {
            let known: Vec<_> = charges.iter().filter(|charge| charge.at < at).collect();
            let periods: BTreeSet<(i64, i64)> = known.iter().map(|charge| (charge.start, charge.end)).collect();
            for (start, end) in periods {
                let of_period = || known.iter().filter(|charge| charge.start == start);
                let terms = &of_period().max_by_key(|charge| charge.terms.version).unwrap().terms;
                let spent: i128 = of_period().filter_map(|charge| charge.amount).sum();
                let unknown = of_period().filter(|charge| charge.amount.is_none()).count();
                for threshold in
                    terms.thresholds.iter().filter(|percent| spent * 100 >= terms.amount * i128::from(**percent))
                {
                    if !told.insert((start, terms.version, *threshold)) {
                        continue;
                    }
                    let elapsed = (at - start).clamp(0, end - start);
                    let first = at - at.rem_euclid(HOUR) - 23 * HOUR;
                    let of_a_day = known.iter().filter(|charge| (first..first + DAY).contains(&charge.time));
                    let of_a_day: i128 = of_a_day.filter_map(|charge| charge.amount).sum();
                    let rest = of_a_day * i128::from(end - start - elapsed);
                    let (whole, left) = (rest / i128::from(DAY), rest % i128::from(DAY));
                    let up = 2 * left > i128::from(DAY) || (2 * left == i128::from(DAY) && whole % 2 == 1);
                    let burn = (spent as f64 / terms.amount as f64) / (elapsed as f64 / (end - start) as f64);
                    let parts = ["tenant", "user", "model"].into_iter().zip(&terms.over);
                    let each: Vec<&str> =
                        parts.filter(|(_, over)| over.as_deref() == Some("*")).map(|(part, _)| part).collect();
                    alerts.push(json!({
                        "run_id": "live", "revision": 0, "key": format!("{name}|{}@{start}@{threshold}", terms.version),
                        "window_start_ms": start, "window_end_ms": end, "threshold": threshold, "budget": terms.id,
                        "version": terms.version, "tenant": whose[0].as_deref().unwrap_or("*"), "user": whose[1],
                        "model": whose[2], "each": each, "period": terms.period, "time_zone": terms.zone,
                        "currency": terms.currency, "amount": decimal(terms.amount), "spent": decimal(spent),
                        "requests_unknown": unknown, "at_ms": at, "burn": (burn * 1_000.0).round() / 1_000.0,
                        "forecast": decimal(spent + whole + i128::from(up)),
                    }));
                }
            }
        }
        if !alerts.is_empty() {
            results.insert(name, alerts);
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
                        let known = since.get(&(objective, number)).copied();
                        // What burns goes on with fewer calls than it begins with.
                        let are_enough = known.is_some() || (of_long[0] >= CALLS_MIN && of_short[0] >= CALLS_MIN);
                        let is_burning = are_enough && burns(of_long) && burns(of_short);
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
