//! Experiments, straight from the events of each user.

use std::collections::{BTreeMap, BTreeSet};

use model_performance::ModelSettings;
use model_performance::event::What;
use model_performance::experiments::{Ends, Experiment, Role};
use serde_json::{Value, json};

use crate::compare::Records;
use crate::world::{Events, MINUTE, cutoff, minute_of};

/// Something that an experiment learns, in the minute of `at`.
struct Learned {
    at: i64,
    what: What2,
}

enum What2 {
    Enrolled(String),
    Hit(String, usize),
    Conflict,
    Outside,
}

/// What a user did: when, whether it is a measure, and the variant or nothing.
type Done = (i64, Option<usize>, String, u64);

pub(crate) fn expected(settings: &ModelSettings, events: &Events) -> Records {
    let mut users: BTreeMap<String, BTreeMap<u64, Vec<Done>>> = BTreeMap::new();
    for event in events.all.iter().filter(|event| !event.misses_its_minute()) {
        let (What::Tested(test), Some(who)) = (&event.event.what, event.event.who) else { continue };
        let (measure, variant) = match (settings.experiments.of(&test.experiment).role(&test.action), &test.variant) {
            (Some(Role::Assignment), Some(variant)) => (None, variant.to_string()),
            (Some(Role::Hit(measure)), _) => (Some(usize::from(measure)), String::new()),
            _ => continue,
        };
        let done = (event.time(), measure, variant, event.event.id);
        users.entry(test.experiment.to_string()).or_default().entry(who).or_default().push(done);
    }
    let mut records = Records::new();
    for (id, users) in users {
        let experiment = settings.experiments.of(&id);
        let learned = users.into_values().flat_map(|done| follow(experiment, done)).collect();
        judge(settings, &id, experiment, learned, cutoff(events), &mut records);
    }
    records
}

fn follow(experiment: &Experiment, mut done: Vec<Done>) -> Vec<Learned> {
    done.sort();
    let is_after = |at: i64| matches!(experiment.ends, Ends::At(end) if at >= end.0);
    let first = done.iter().find(|(at, measure, ..)| measure.is_none() && !is_after(*at)).cloned();
    let mut hit = BTreeSet::new();
    let mut learned = Vec::new();
    for it in done {
        let (at, measure, variant, _) = &it;
        let what = match (&first, measure) {
            _ if is_after(*at) => What2::Outside,
            (Some(first), None) if *first == it => What2::Enrolled(variant.clone()),
            (Some(first), None) if first.2 != *variant => What2::Conflict,
            (_, None) => continue,
            (Some(first), Some(measure)) if *at >= first.0 && *at <= first.0 + experiment.window.0 => {
                if !hit.insert(*measure) {
                    continue;
                }
                What2::Hit(first.2.clone(), *measure)
            }
            (_, Some(_)) => What2::Outside,
        };
        learned.push(Learned { at: *at, what });
    }
    learned
}

/// Users of each arm, and how many of them hit each measure.
type Counts = BTreeMap<String, (u64, [u64; 8])>;

struct Looked {
    difference: f64,
    p: f64,
    lift: f64,
    width: Box<dyn Fn(f64) -> f64>,
}

fn look(counts: &Counts, control: &str, variant: &str, measure: usize) -> Option<Looked> {
    let arm = |name: &str| counts.get(name).map_or((0.0, 0.0), |(users, hits)| (*users as f64, hits[measure] as f64));
    let ((na, ca), (nb, cb)) = (arm(control), arm(variant));
    if variant == control || [ca, cb, na - ca, nb - cb].iter().any(|count| *count < 10.0) {
        return None;
    }
    let (pa, pb) = (ca / na, cb / nb);
    let (v, t2, d) = (pa * (1.0 - pa) / na + pb * (1.0 - pb) / nb, 1e-4, pb - pa);
    let l = (v / (v + t2)).sqrt() * (t2 * d * d / (2.0 * v * (v + t2))).exp();
    let width = move |a: f64| (v * (v + t2) / t2 * (2.0 * (1.0 / a).ln() + ((v + t2) / v).ln())).sqrt();
    Some(Looked { difference: d, p: (1.0 / l).min(1.0), lift: d / pa, width: Box::new(width) })
}

/// Each user's predictive probability under the mixture over the expected share, arm after arm.
fn log_bayes_factor(counts: &Counts, experiment: &Experiment) -> Option<f64> {
    let with_users = || counts.iter().filter(|(_, (users, _))| *users > 0);
    let shares: BTreeMap<String, f64> = match experiment.shares.is_empty() {
        // Nobody said how: as many in each arm.
        true if with_users().count() < 2 => return None,
        true => with_users().map(|(name, _)| (name.clone(), 1.0)).collect(),
        false => experiment.shares.iter().map(|(name, share)| (name.to_string(), *share)).collect(),
    };
    let total: f64 = shares.values().sum();
    let (mut log, mut all) = (0.0, 0.0);
    for (name, (users, _)) in counts {
        let Some(share) = shares.get(name).map(|share| share / total) else {
            if *users > 0 {
                return Some(1e9);
            }
            continue;
        };
        for user in 0..*users {
            log += ((10_000.0 * share + user as f64) / (10_000.0 + all) / share).ln();
            all += 1.0;
        }
    }
    Some(log)
}

fn judge(
    settings: &ModelSettings,
    id: &str,
    experiment: &Experiment,
    learned: Vec<Learned>,
    cutoff: i64,
    records: &mut Records,
) {
    let mut minutes: BTreeMap<i64, Vec<What2>> = BTreeMap::new();
    for Learned { at, what } in learned {
        minutes.entry(minute_of(at)).or_default().push(what);
    }
    let Some(since) = minutes.keys().next().copied() else { return };
    let planned = match experiment.ends {
        Ends::At(end) => end.0,
        Ends::After(span) => since + span.0,
    };
    // Nothing came before it was over.
    if matches!(experiment.ends, Ends::At(end) if since >= end.0) {
        return;
    }
    let about = format!("lens/lens/{id}");
    let control = experiment.control.as_str();
    let (mut counts, mut conflicts, mut outside) = (Counts::new(), 0_u64, 0_u64);
    let mut least: BTreeMap<String, f64> = BTreeMap::new();
    let mut decided: BTreeMap<String, &str> = BTreeMap::new();
    let mut looks: Vec<(i64, i64, bool)> = Vec::new();
    let mut starts: Vec<i64> =
        minutes.keys().copied().filter(|start| *start == since || start + MINUTE <= planned).collect();
    starts.retain(|start| start + MINUTE <= cutoff);
    looks.extend(starts.iter().map(|start| (*start, start + MINUTE, false)));
    if planned <= cutoff {
        looks.push((since, planned.max(since), true));
    }
    for (start, end, is_over) in looks {
        if !is_over {
            for what in &minutes[&start] {
                match what {
                    What2::Enrolled(variant) => counts.entry(variant.clone()).or_default().0 += 1,
                    What2::Hit(variant, measure) => counts.entry(variant.clone()).or_default().1[*measure] += 1,
                    What2::Conflict => conflicts += 1,
                    What2::Outside => outside += 1,
                }
            }
        }
        let mut names: BTreeSet<String> = counts.keys().cloned().collect();
        names.extend(experiment.shares.keys().map(ToString::to_string));
        names.insert(control.to_owned());
        let variants: Vec<String> = names.iter().filter(|name| *name != control).cloned().collect();
        let level = experiment.alpha / variants.len().max(1) as f64;
        let srm = log_bayes_factor(&counts, experiment);
        let is_mismatch = srm.is_some_and(|log| log >= 1000_f64.ln());
        let is_assumed = experiment.shares.is_empty();
        let guards = experiment.guardrails.len().max(1) as f64;
        let mut said = Vec::new();
        for variant in &variants {
            let looked = look(&counts, control, variant, 0);
            if let Some(looked) = looked.as_ref().filter(|_| !is_over) {
                let least = least.entry(variant.clone()).or_insert(1.0);
                *least = least.min(looked.p);
            }
            if decided.contains_key(variant) {
                continue;
            }
            let broken = (1..).zip(&experiment.guardrails).find(|(measure, guardrail)| {
                look(&counts, control, variant, *measure)
                    .is_some_and(|looked| looked.difference - (looked.width)(level / guards) > guardrail.margin)
            });
            let decision = if is_over {
                "no_decision"
            } else if is_mismatch && !is_assumed {
                "invalid_srm"
            } else if broken.is_some() {
                "stopped_guardrail"
            } else if least.get(variant).is_some_and(|p| *p <= level) {
                if looked.unwrap().difference > 0.0 { "better" } else { "worse" }
            } else {
                continue;
            };
            decided.insert(variant.clone(), decision);
            let broken =
                broken.filter(|_| decision == "stopped_guardrail").map(|(_, guardrail)| guardrail.event.to_string());
            said.push((variant.clone(), decision, broken));
        }
        let of = |variant: &str, measure: usize, level: f64| measured(&counts, control, variant, measure, level);
        for (variant, decision, guardrail) in said {
            let key = format!("{about}/{variant}");
            let control_of = of(control, 0, level);
            let mut value = of(&variant, 0, level);
            for (name, it) in [
                ("run_id", json!(settings.run_id)),
                ("revision", json!(0)),
                ("key", json!(key)),
                ("window_start_ms", json!(since)),
                ("window_end_ms", json!(end)),
                ("app", json!("lens")),
                ("tenant", json!("lens")),
                ("experiment", json!(id)),
                ("variant", json!(variant)),
                ("control", json!(control)),
                ("decision", json!(decision)),
                ("guardrail", json!(guardrail)),
                ("level", json!(level)),
                ("p_value", json!(least.get(&variant))),
                ("control_users", control_of["users"].clone()),
                ("control_conversions", control_of["conversions"].clone()),
            ] {
                value[name] = it;
            }
            records.entry(("ab.decision.v1".to_owned(), key)).or_default().push(value);
        }
        let arms: Vec<Value> = names
            .iter()
            .map(|name| {
                let mut value = of(name, 0, level);
                let guardrails = (1..).zip(&experiment.guardrails).map(|(measure, guardrail)| {
                    let mut value = of(name, measure, level / guards);
                    (value["event"], value["margin"]) = (json!(guardrail.event.as_str()), json!(guardrail.margin));
                    value
                });
                value["guardrails"] = guardrails.collect();
                (value["variant"], value["is_control"]) = (json!(name), json!(name == control));
                (value["p_value"], value["decision"]) = (json!(least.get(name)), json!(decided.get(name)));
                value
            })
            .collect();
        let value = json!({
            "run_id": settings.run_id, "revision": 0, "key": format!("{about}@{end}"), "window_start_ms": start,
            "window_end_ms": end, "app": "lens", "tenant": "lens", "experiment": id, "control": control,
            "started_ms": since, "planned_end_ms": planned, "is_over": is_over, "alpha": experiment.alpha, "level": level,
            "sample_ratio": srm.map(|log| json!({ "log_bayes_factor": log, "is_mismatch": is_mismatch, "is_assumed": is_assumed })),
            "conflicts": conflicts, "outside": outside, "cut": 0, "arms": arms,
        });
        records.entry(("ab.results.v1".to_owned(), about.clone())).or_default().push(value);
    }
}

fn measured(counts: &Counts, control: &str, variant: &str, measure: usize, level: f64) -> Value {
    let (users, hits) = counts.get(variant).map_or((0, 0), |(users, hits)| (*users, hits[measure]));
    let looked = look(counts, control, variant, measure);
    let (n, z) = (users as f64, 1.959_963_984_540_054_f64);
    let p = hits as f64 / n;
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let width = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let known = |it: f64| (users > 0).then_some(it);
    json!({
        "users": users, "conversions": hits, "rate": known(p), "rate_lower": known(middle - width),
        "rate_upper": known(middle + width),
        "difference": looked.as_ref().map(|it| it.difference), "lift": looked.as_ref().map(|it| it.lift),
        "difference_lower": looked.as_ref().map(|it| it.difference - (it.width)(level)),
        "difference_upper": looked.as_ref().map(|it| it.difference + (it.width)(level)),
    })
}
