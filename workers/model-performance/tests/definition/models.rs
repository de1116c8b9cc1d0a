//! Models by the minute and by the hour, straight from what is known of them.

use std::collections::{BTreeMap, BTreeSet};

use model_performance::ModelSettings;
use model_performance::event::{ModelEvent, ModelName, What};
use serde_json::{Value, json};

use crate::compare::Records;
use crate::lists;
use crate::world::{Events, MINUTE, cutoff};

pub(crate) const HOUR: i64 = 60 * MINUTE;
/// What an hour is compared with.
const REFERENCE: i64 = 7 * 24 * HOUR;

/// Something that is known of a model.
pub(crate) struct Note {
    pub(crate) time: i64,
    pub(crate) model: String,
    pub(crate) noted: Noted,
}

pub(crate) enum Noted {
    Answered(u64, bool),
    TimedOut,
    Unasked,
    ShownToNobody,
    Scores(Vec<f64>),
    List { clicked: Vec<bool>, first: Vec<bool>, ratings: Vec<i64> },
    Unattributed,
    Rated(i64),
    Measured { name: String, time: i64, id: u64, value: f64 },
    Message { intent: String, tier: String, actions: Vec<String>, confidence: Option<f64> },
    Failed(String),
    Judged(f64, bool),
}

pub(crate) fn model_of(event: &ModelEvent, name: &ModelName) -> String {
    [event.app.as_str(), &event.tenant, &name.model, &name.version, &name.variant].join("/")
}

fn notes(settings: &ModelSettings, events: &Events) -> Vec<Note> {
    let mut notes = lists::notes(settings, events);
    let mut messages = Vec::new();
    let mut truths = Vec::new();
    for event in events.all.iter().filter(|event| !event.misses_its_minute()) {
        let (time, of) = (event.time(), &event.event);
        let mut note = |model: String, noted| notes.push(Note { time, model, noted });
        match &of.what {
            What::Interacted(acted) => {
                if let Some(rating) = acted.rating {
                    note(model_of(of, &ModelName::default()), Noted::Rated(rating));
                }
            }
            What::Measured(it) => {
                let noted =
                    Noted::Measured { name: it.metric.to_string(), time, id: of.id, value: it.value as f64 / 1e6 };
                note(model_of(of, &it.name), noted);
            }
            What::Understood(it) => {
                let model = model_of(of, &it.name);
                let confidence = it.confidence.map(|confidence| confidence as f64 / 1e6);
                let [intent, tier] = [&it.intent, &it.tier].map(|it| it.as_deref().unwrap_or("").to_owned());
                // What nobody was sure of cannot be judged.
                if let (Some(confidence), Some(_)) = (confidence, &it.intent) {
                    messages.push((it.lead.clone(), time, model.clone(), intent.clone(), confidence));
                }
                let actions = it.actions.iter().map(ToString::to_string).collect();
                note(model, Noted::Message { intent, tier, actions, confidence });
            }
            What::Failed { name, error } => note(model_of(of, name), Noted::Failed(error.to_string())),
            What::LeadUpdated { lead, intent: Some(intent) } => truths.push((Some(lead.clone()), time, intent.clone())),
            _ => {}
        }
    }
    // The first truth at its time or after it judges a message.
    truths.sort_by_key(|(_, time, intent)| (*time, intent.clone()));
    for (lead, time, model, intent, confidence) in messages {
        let first =
            truths.iter().filter(|(of, known, _)| *of == lead && *known >= time).min_by_key(|(_, known, _)| *known);
        let Some((lead_of, known, _)) = first.filter(|(_, known, _)| *known <= time + settings.outcome.0) else {
            continue;
        };
        // Of several at one moment the first that was said: by the order of their texts.
        let truth = truths.iter().find(|(of, at, _)| of == lead_of && at == known).unwrap();
        let is_right = truth.2.to_lowercase() == intent.to_lowercase();
        notes.push(Note { time: *known, model, noted: Noted::Judged(confidence, is_right) });
    }
    notes
}

/// All records of models.
pub(crate) fn expected(settings: &ModelSettings, events: &Events) -> Records {
    let notes = notes(settings, events);
    let mut records = popular(settings, &notes, cutoff(events));
    let mut say = |topic: &str, key: &str, value: Value| {
        records.entry((topic.to_owned(), key.to_owned())).or_default().push(value);
    };
    for (model, minutes) in windows(&notes, MINUTE) {
        for (start, notes) in minutes.into_iter().filter(|(start, _)| start + MINUTE <= cutoff(events)) {
            say("model.performance.1m.v1", &model, record(settings, &model, start, MINUTE, &notes));
        }
    }
    for (model, hours) in windows(&notes, HOUR) {
        let mut drifting = BTreeSet::new();
        for (start, notes) in hours.iter().filter(|(start, _)| **start + HOUR <= cutoff(events)) {
            let before: Vec<&Note> =
                hours.range(start - REFERENCE..*start).flat_map(|(_, notes)| notes.iter().copied()).collect();
            let end = start + HOUR;
            let mut value = record(settings, &model, *start, HOUR, notes);
            let known = series(&before);
            drifting.retain(|name: &String| known.get(name).is_some_and(|numbers| !numbers.is_empty()));
            let moved = moved(settings, notes, &before);
            value["drift"] = json!(moved);
            value["peak_hour"] = peak(&before);
            say("model.performance.1h.v1", &model, value);
            for moved in moved {
                let series = moved["series"].as_str().unwrap().to_owned();
                let is_drift = moved["is_drift"].as_bool().unwrap();
                if is_drift == drifting.contains(&series) {
                    continue;
                }
                let mut alert = stamp(settings, &model, &format!("{model}/drift/{series}"), *start, end);
                for (name, it) in
                    [("state", json!(if is_drift { "drifting" } else { "recovered" })), ("rule", json!("drift"))]
                {
                    alert[name] = it;
                }
                for name in ["series", "psi", "ks", "values", "reference_values"] {
                    alert[name] = moved[name].clone();
                }
                say("model.alerts.v1", &model, alert);
                if is_drift {
                    let mut retrain = stamp(settings, &model, &format!("{model}/drift/{series}"), *start, end);
                    (retrain["rule"], retrain["series"]) = (json!("drift"), json!(series));
                    retrain["ratings"] = Value::Null;
                    say("model.retrain.v1", &model, retrain);
                    drifting.insert(series);
                } else {
                    drifting.remove(&series);
                }
            }
            let ratings = notes.iter().filter(|note| matches!(note.noted, Noted::Rated(_))).count() as u64;
            if ratings >= settings.retrain_ratings {
                let mut retrain = stamp(settings, &model, &format!("{model}/ratings"), *start, end);
                (retrain["rule"], retrain["series"], retrain["ratings"]) =
                    (json!("ratings"), Value::Null, json!(ratings));
                say("model.retrain.v1", &model, retrain);
            }
        }
    }
    records
}

/// Which of a tenant's models were asked most in each hour: most requests first, of equals by name.
fn popular(settings: &ModelSettings, notes: &[Note], cutoff: i64) -> Records {
    let mut hours: BTreeMap<i64, BTreeMap<&str, u64>> = BTreeMap::new();
    for note in notes.iter().filter(|note| matches!(note.noted, Noted::Answered(..) | Noted::TimedOut)) {
        let start = note.time - note.time.rem_euclid(HOUR);
        *hours.entry(start).or_default().entry(&note.model).or_default() += 1;
    }
    let mut records = Records::new();
    for (start, models) in hours.into_iter().filter(|(start, _)| start + HOUR <= cutoff) {
        let all: u64 = models.values().sum();
        let mut models: Vec<(&str, u64)> = models.into_iter().collect();
        models.sort_by_key(|(model, requests)| (u64::MAX - requests, *model));
        let line = |(rank, (model, requests)): (usize, (&str, u64))| {
            let names: Vec<&str> = model.split('/').skip(2).collect();
            json!({
                "rank": rank, "model": names[0], "version": names[1], "variant": names[2], "requests": requests,
                "share": share(requests as usize, all as usize),
            })
        };
        let value = json!({
            "run_id": settings.run_id, "revision": 0, "key": format!("lens/lens@{}", start + HOUR), "window_start_ms": start,
            "window_end_ms": start + HOUR, "app": "lens", "tenant": "lens", "requests": all,
            "models": (1..).zip(models).map(line).collect::<Vec<_>>(),
        });
        records.entry(("model.popular.1h.v1".to_owned(), "lens/lens".to_owned())).or_default().push(value);
    }
    records
}

type Windows<'n> = BTreeMap<String, BTreeMap<i64, Vec<&'n Note>>>;

fn windows(notes: &[Note], size: i64) -> Windows<'_> {
    let mut windows = Windows::new();
    for note in notes {
        let start = note.time - note.time.rem_euclid(size);
        windows.entry(note.model.clone()).or_default().entry(start).or_default().push(note);
    }
    windows
}

pub(crate) fn stamp(settings: &ModelSettings, model: &str, about: &str, start: i64, end: i64) -> Value {
    let parts: Vec<&str> = model.split('/').collect();
    json!({
        "run_id": settings.run_id, "revision": 0, "key": format!("{about}@{end}"), "window_start_ms": start, "window_end_ms": end,
        "app": parts[0], "tenant": parts[1], "model": parts[2], "version": parts[3], "variant": parts[4],
    })
}

pub(crate) fn share(part: usize, whole: usize) -> Value {
    if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64) }
}

fn mean(of: &[f64]) -> Value {
    if of.is_empty() { Value::Null } else { json!(of.iter().sum::<f64>() / of.len() as f64) }
}

/// The number of rank floor(q (n - 1)).
fn quantile(of: &[f64], q: f64) -> Value {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((q * sorted.len().saturating_sub(1) as f64) as usize).map_or(Value::Null, |it| json!(it))
}

fn numbers(notes: &[&Note], of: impl Fn(&Noted) -> Vec<f64>) -> Vec<f64> {
    notes.iter().flat_map(|note| of(&note.noted)).collect()
}

fn latencies(notes: &[&Note]) -> Vec<f64> {
    numbers(notes, |noted| match noted {
        Noted::Answered(took, _) => vec![*took as f64],
        _ => vec![],
    })
}

fn record(settings: &ModelSettings, model: &str, start: i64, size: i64, notes: &[&Note]) -> Value {
    let end = start + size;
    let count = |is: fn(&Noted) -> bool| notes.iter().filter(|note| is(&note.noted)).count();
    let mut value = stamp(settings, model, model, start, end);
    value["serving"] = serving(notes);
    value["recommendations"] = recommendations(settings, start, end, notes);
    value["metrics"] = metrics(notes);
    value["intents"] = intents(notes);
    value["calibration"] = calibration(notes);
    let ratings = numbers(notes, |noted| match noted {
        Noted::Rated(rating) => vec![*rating as f64 / 1e6],
        _ => vec![],
    });
    let unattributed = count(|noted| matches!(noted, Noted::Unattributed));
    value["interactions"] = match ratings.len() + unattributed {
        0 => Value::Null,
        _ => json!({ "ratings": ratings.len(), "mean_rating": mean(&ratings), "unattributed_clicks": unattributed }),
    };
    (value["drift"], value["peak_hour"], value["cut"]) = (json!([]), Value::Null, json!(0));
    value
}

fn serving(notes: &[&Note]) -> Value {
    let count = |is: fn(&Noted) -> bool| notes.iter().filter(|note| is(&note.noted)).count();
    let took = latencies(notes);
    let timeouts = count(|noted| matches!(noted, Noted::TimedOut));
    let unasked = count(|noted| matches!(noted, Noted::Unasked));
    let nobody = count(|noted| matches!(noted, Noted::ShownToNobody));
    let succeeded = count(|noted| matches!(noted, Noted::Answered(_, true)));
    let scored = count(|noted| matches!(noted, Noted::Scores(_)));
    if took.len() + timeouts + unasked + nobody + scored == 0 {
        return Value::Null;
    }
    let times = match took.is_empty() {
        true => Value::Null,
        false => json!({
            "mean": mean(&took), "p50": quantile(&took, 0.5), "p95": quantile(&took, 0.95), "p99": quantile(&took, 0.99),
            "max": quantile(&took, 1.0),
        }),
    };
    json!({
        "requests": took.len() + timeouts, "answered": took.len(), "succeeded": succeeded, "timeouts": timeouts,
        "unasked": unasked, "repeated": 0, "shown_to_nobody": nobody,
        "success_rate": share(succeeded, took.len() + timeouts), "response_time_ms": times,
    })
}

fn recommendations(settings: &ModelSettings, start: i64, end: i64, notes: &[&Note]) -> Value {
    let (mut impressions, mut clicks, mut firsts, mut hits) = (0, 0, 0, 0);
    let (mut gains, mut ranks, mut stars) = (Vec::new(), Vec::new(), Vec::new());
    for note in notes {
        let Noted::List { clicked, first, ratings } = &note.noted else { continue };
        let of = clicked.iter().filter(|it| **it).count();
        impressions += clicked.len();
        clicks += of;
        firsts += first.iter().filter(|it| **it).count();
        stars.extend(ratings.iter().map(|it| *it as f64 / 1e6));
        let at = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
        let gained: f64 = clicked.iter().zip(1..).filter(|(it, _)| **it).map(|(_, rank)| at(rank)).sum();
        if of > 0 {
            hits += 1;
            gains.push(gained / (1..=of).map(at).sum::<f64>());
        }
        ranks.push(clicked.iter().position(|it| *it).map_or(0.0, |place| 1.0 / (place as f64 + 1.0)));
    }
    if ranks.is_empty() {
        return Value::Null;
    }
    let (n, p, z) = (impressions as f64, clicks as f64 / impressions as f64, 1.959_963_984_540_054_f64);
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let width = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    json!({
        "shown_from_ms": start - settings.attribution.0, "shown_to_ms": end - settings.attribution.0,
        "lists": ranks.len(), "early": 0, "impressions": impressions, "clicks": clicks, "clicks_first_touch": firsts,
        "click_through_rate": share(clicks, impressions),
        "click_through_lower": middle - width, "click_through_upper": middle + width,
        "ndcg": mean(&gains), "hit_rate": share(hits, ranks.len()), "mean_reciprocal_rank": mean(&ranks),
        "ratings": stars.len(), "mean_rating": mean(&stars),
    })
}

fn measured(notes: &[&Note]) -> BTreeMap<String, Vec<(i64, u64, f64)>> {
    let mut series: BTreeMap<String, Vec<(i64, u64, f64)>> = BTreeMap::new();
    for note in notes {
        if let Noted::Measured { name, time, id, value } = &note.noted {
            series.entry(name.clone()).or_default().push((*time, *id, *value));
        }
    }
    series
}

fn metrics(notes: &[&Note]) -> Value {
    let line = |(name, numbers): (String, Vec<(i64, u64, f64)>)| {
        let values: Vec<f64> = numbers.iter().map(|(_, _, value)| *value).collect();
        let last = numbers.iter().max_by_key(|(time, id, _)| (*time, *id)).unwrap().2;
        json!({
            "metric": name, "count": values.len(), "last": last, "mean": mean(&values), "min": quantile(&values, 0.0),
            "max": quantile(&values, 1.0), "p50": quantile(&values, 0.5),
        })
    };
    measured(notes).into_iter().map(line).collect()
}

fn shares(names: &[String]) -> Value {
    let distinct: BTreeSet<&String> = names.iter().collect();
    let line = |name: &String| {
        let count = names.iter().filter(|other| *other == name).count();
        json!({ "name": name, "count": count, "share": share(count, names.len()) })
    };
    distinct.into_iter().map(line).collect()
}

fn intents(notes: &[&Note]) -> Value {
    let (mut by_intent, mut by_tier, mut by_action, mut histogram) = (vec![], vec![], vec![], [0; 15]);
    for note in notes {
        let Noted::Message { intent, tier, actions, confidence } = &note.noted else { continue };
        by_intent.push(intent.clone());
        by_tier.push(tier.clone());
        by_action.extend(actions.iter().cloned());
        if let Some(confidence) = confidence {
            histogram[(confidence * 15.0).ceil() as usize - 1] += 1;
        }
    }
    let errors: Vec<String> = notes
        .iter()
        .filter_map(|note| match &note.noted {
            Noted::Failed(error) => Some(error.clone()),
            _ => None,
        })
        .collect();
    if by_intent.len() + errors.len() == 0 {
        return Value::Null;
    }
    json!({
        "messages": by_intent.len(), "errors": errors.len(), "errors_by_type": shares(&errors),
        "by_intent": shares(&by_intent), "by_tier": shares(&by_tier),
        "actions": shares(&by_action), "confidence_histogram": histogram,
    })
}

fn calibration(notes: &[&Note]) -> Value {
    let judged: Vec<(f64, f64)> = notes
        .iter()
        .filter_map(|note| match note.noted {
            Noted::Judged(confidence, is_right) => Some((confidence, f64::from(u8::from(is_right)))),
            _ => None,
        })
        .collect();
    if judged.is_empty() {
        return Value::Null;
    }
    let n = judged.len() as f64;
    let gap = |bin: usize| {
        let inside = judged.iter().filter(|(confidence, _)| (confidence * 15.0).ceil() as usize == bin);
        inside.map(|(confidence, right)| right - confidence).sum::<f64>().abs() / n
    };
    json!({
        "judged": judged.len(), "accuracy": judged.iter().map(|(_, right)| right).sum::<f64>() / n,
        "expected_calibration_error": (1..=15).map(gap).sum::<f64>(),
        "brier": judged.iter().map(|(confidence, right)| (confidence - right).powi(2)).sum::<f64>() / n,
    })
}

fn peak(before: &[&Note]) -> Value {
    let mut hours = [0; 24];
    for note in before.iter().filter(|note| matches!(note.noted, Noted::Answered(..) | Noted::TimedOut)) {
        hours[(note.time.div_euclid(HOUR).rem_euclid(24)) as usize] += 1;
    }
    let most = *hours.iter().max().unwrap();
    let hour = hours.iter().position(|requests| *requests == most).unwrap();
    if most == 0 { Value::Null } else { json!({ "hour": hour, "requests": most }) }
}

/// Every series of a model by name.
fn series(notes: &[&Note]) -> BTreeMap<String, Vec<f64>> {
    let measured = measured(notes).into_iter();
    let mut all: BTreeMap<String, Vec<f64>> = measured
        .map(|(name, numbers)| (format!("metric:{name}"), numbers.into_iter().map(|(_, _, value)| value).collect()))
        .collect();
    all.insert("response_time_ms".to_owned(), latencies(notes));
    let scores = numbers(notes, |noted| match noted {
        Noted::Scores(scores) => scores.clone(),
        _ => vec![],
    });
    all.insert("score".to_owned(), scores);
    all
}

fn moved(settings: &ModelSettings, now: &[&Note], before: &[&Note]) -> Vec<Value> {
    let before = series(before);
    let mut all = Vec::new();
    for (name, mut now) in series(now) {
        let mut reference = before.get(&name).cloned().unwrap_or_default();
        if (now.len().min(reference.len()) as u64) < settings.drift.values_min {
            continue;
        }
        now.sort_by(f64::total_cmp);
        reference.sort_by(f64::total_cmp);
        let up_to = |of: &[f64], x: f64| of.iter().filter(|it| **it <= x).count() as f64 / of.len() as f64;
        let both = now.iter().chain(&reference);
        let ks = both.map(|x| (up_to(&now, *x) - up_to(&reference, *x)).abs()).fold(0.0, f64::max);
        let mut edges: Vec<f64> = (1..10).map(|k| reference[(reference.len() * k).div_ceil(10) - 1]).collect();
        edges.dedup();
        edges.push(f64::INFINITY);
        let (mut psi, mut from) = (0.0, f64::NEG_INFINITY);
        for edge in edges {
            let inside = |of: &[f64]| (up_to(of, edge) - up_to(of, from)).max(1e-4);
            let (p, q) = (inside(&now), inside(&reference));
            psi += (p - q) * (p / q).ln();
            from = edge;
        }
        let is_drift = psi >= settings.drift.psi || ks >= settings.drift.distance;
        all.push(json!({
            "series": name, "psi": psi, "ks": ks, "values": now.len(), "reference_values": reference.len(), "is_drift": is_drift,
        }));
    }
    all
}
