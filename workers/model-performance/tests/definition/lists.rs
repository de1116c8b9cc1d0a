//! Requests, answers and clicks, each by looking at all others.

use model_performance::event::{Request, Response, What};

use crate::models::{Note, Noted};
use crate::world::{Event, Events, MINUTE, minute_of};

/// A list that a user was shown.
struct Shown {
    time: i64,
    who: u64,
    model: String,
    request: u64,
    items: Vec<u64>,
    clicked: Vec<bool>,
    first: Vec<bool>,
    ratings: Vec<i64>,
}

fn named(event: &Event, model: &str, version: &str, variant: &str) -> String {
    [event.event.app.as_str(), &event.event.tenant, model, version, variant].join("/")
}

fn either<'n>(mine: &'n str, other: &'n str) -> &'n str {
    if mine.is_empty() { other } else { mine }
}

fn hash(id: &str) -> u64 {
    events::identity::IdHash::of(id).get()
}

/// What is known of requests, answers and lists.
pub(crate) fn notes(settings: &model_performance::ModelSettings, events: &Events) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut shown: Vec<Shown> = Vec::new();
    let in_time = || events.all.iter().filter(|event| !event.misses_its_partner());
    let requests: Vec<(&Event, &Request)> = in_time()
        .filter_map(|event| match &event.event.what {
            What::Requested(request) => Some((event, request)),
            _ => None,
        })
        .collect();
    let answers: Vec<(&Event, &Response)> = in_time()
        .filter_map(|event| match &event.event.what {
            What::Responded(answer) => Some((event, answer)),
            _ => None,
        })
        .collect();
    let belong = |(asked, request): &(&Event, &Request), (given, answer): &(&Event, &Response)| {
        request.request == answer.request
            && asked.time() - settings.skew.0 <= given.time()
            && given.time() <= asked.time() + settings.timeout.0
    };
    for asked in &requests {
        if !answers.iter().any(|given| belong(asked, given)) {
            let name = &asked.1.name;
            let model = named(asked.0, &name.model, &name.version, &name.variant);
            notes.push(Note { time: asked.0.time(), model, noted: Noted::TimedOut });
        }
    }
    for given in &answers {
        let (event, answer) = given;
        let asked = requests.iter().find(|asked| belong(asked, given));
        let (mut model, mut who, mut time) = (
            named(event, &answer.name.model, &answer.name.version, &answer.name.variant),
            event.event.who,
            event.time(),
        );
        match asked {
            Some((asked, request)) => {
                let (mine, other) = (&answer.name, &request.name);
                let [name, version, variant] =
                    [(&mine.model, &other.model), (&mine.version, &other.version), (&mine.variant, &other.variant)]
                        .map(|(mine, other)| either(mine, other));
                model = named(event, name, version, variant);
                who = who.or(asked.event.who);
                time = time.max(asked.time());
                let took = answer.latency_ms.unwrap_or((event.time() - asked.time()).max(0) as u64);
                notes.push(Note { time, model: model.clone(), noted: Noted::Answered(took, answer.is_success) });
            }
            None => notes.push(Note { time, model: model.clone(), noted: Noted::Unasked }),
        }
        if !answer.scores.is_empty() {
            let scores = answer.scores.iter().map(|score| *score as f64 / 1e6).collect();
            notes.push(Note { time, model: model.clone(), noted: Noted::Scores(scores) });
        }
        match who {
            _ if answer.items.is_empty() => {}
            None => notes.push(Note { time, model, noted: Noted::ShownToNobody }),
            Some(who) => {
                let none = vec![false; answer.items.len()];
                let (items, request) = (answer.items.clone(), hash(&answer.request));
                shown.push(Shown {
                    time,
                    who,
                    model,
                    request,
                    items,
                    clicked: none.clone(),
                    first: none,
                    ratings: vec![],
                });
            }
        }
    }
    // The order in which lists of one moment count.
    shown.sort_by(|a, b| (a.time, &a.model, a.request).cmp(&(b.time, &b.model, b.request)));
    for event in events.all.iter().filter(|event| !event.misses_its_minute()) {
        let (What::Interacted(acted), Some(who)) = (&event.event.what, event.event.who) else { continue };
        let Some(item) = acted.item else { continue };
        let is_click = settings.clicks.iter().any(|name| *name == acted.action.as_str());
        let time = event.time();
        let is_before = |list: &Shown| {
            list.who == who
                && list.time <= time
                && time <= list.time + settings.attribution.0
                && list.items.contains(&item)
        };
        let candidates: Vec<usize> = (0..shown.len()).filter(|at| is_before(&shown[*at])).collect();
        let place = |list: &Shown| list.items.iter().position(|shown| *shown == item).unwrap();
        if let (Some(first), Some(last)) = (candidates.first(), candidates.last()) {
            if is_click {
                let (first_place, last_place) = (place(&shown[*first]), place(&shown[*last]));
                shown[*first].first[first_place] = true;
                shown[*last].clicked[last_place] = true;
            }
            shown[*last].ratings.extend(acted.rating);
        } else if is_click {
            let model = named(event, "", "", "");
            notes.push(Note { time, model, noted: Noted::Unattributed });
        }
    }
    for list in shown {
        // The minute in which its attribution window ends.
        let time = minute_of(list.time + settings.attribution.0) + MINUTE - 1;
        let Shown { model, clicked, first, ratings, .. } = list;
        notes.push(Note { time, model, noted: Noted::List { clicked, first, ratings } });
    }
    notes
}
