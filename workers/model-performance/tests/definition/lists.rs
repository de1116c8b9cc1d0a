//! Requests, answers and clicks, each by looking at all others.

use model_performance::ModelSettings;
use model_performance::event::{Item, ModelName, Request, Response, What};

use crate::models::{Note, Noted};
use crate::world::{Event, Events, MINUTE, minute_of};

/// A list that a user was shown.
struct Shown {
    time: i64,
    who: u64,
    model: String,
    request: u64,
    items: Vec<Item>,
    clicked: Vec<bool>,
    first: Vec<bool>,
    ratings: Vec<i64>,
}

fn named(event: &Event, model: &str, version: &str, variant: &str) -> String {
    [event.event.app.as_str(), &event.event.tenant, model, version, variant].join("/")
}

fn hash(id: &str) -> u64 {
    events::identity::IdHash::of(id).get()
}

/// An answer, and whose it is by its request.
struct Given<'e> {
    answer: &'e Response,
    asked: Option<&'e Event>,
    event: &'e Event,
    model: String,
    who: Option<u64>,
    time: i64,
}

/// All answers, and the requests that got none.
fn answered<'e>(settings: &ModelSettings, events: &'e Events) -> (Vec<Given<'e>>, Vec<(&'e Event, &'e Request)>) {
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
    let unanswered = requests.iter().filter(|asked| !answers.iter().any(|given| belong(asked, given)));
    let unanswered = unanswered.copied().collect();
    let given = |given: &(&'e Event, &'e Response)| {
        let (event, answer) = *given;
        let asked = requests.iter().find(|asked| belong(asked, given));
        let none = ModelName::default();
        let (mine, other) = (&answer.name, asked.map_or(&none, |(_, request)| &request.name));
        let [name, version, variant] =
            [(&mine.model, &other.model), (&mine.version, &other.version), (&mine.variant, &other.variant)]
                .map(|(mine, other)| if mine.is_empty() { other } else { mine });
        Given {
            answer,
            asked: asked.map(|(asked, _)| *asked),
            event,
            model: named(event, name, version, variant),
            who: event.event.who.or(asked.and_then(|(asked, _)| asked.event.who)),
            time: asked.map_or(event.time(), |(asked, _)| event.time().max(asked.time())),
        }
    };
    (answers.iter().map(given).collect(), unanswered)
}

/// The items of each list: by which model and when they were shown.
pub(crate) fn served(settings: &ModelSettings, events: &Events) -> Vec<(String, i64, Vec<Item>)> {
    let (given, _) = answered(settings, events);
    let lists = given.into_iter().filter(|given| !given.answer.items.is_empty());
    lists.map(|given| (given.model, given.time, given.answer.items.to_vec())).collect()
}

/// What is known of requests, answers and lists.
pub(crate) fn notes(settings: &ModelSettings, events: &Events) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut shown: Vec<Shown> = Vec::new();
    let (given, unanswered) = answered(settings, events);
    for (event, Request { name, .. }) in unanswered {
        let model = named(event, &name.model, &name.version, &name.variant);
        notes.push(Note { time: event.time(), model, noted: Noted::TimedOut });
    }
    for Given { answer, asked, event, model, who, time } in given {
        let noted = match asked {
            Some(asked) => {
                let took = answer.latency_ms.unwrap_or((event.time() - asked.time()).max(0) as u64);
                Noted::Answered(took, answer.is_success)
            }
            None => Noted::Unasked,
        };
        notes.push(Note { time, model: model.clone(), noted });
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
                    items: items.into_vec(),
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
        let is_click = settings.clicks.iter().any(|name| name.eq_ignore_ascii_case(&acted.action));
        let time = event.time();
        let by_request = acted.request.as_deref().map(hash);
        let is_before = |list: &Shown| {
            list.who == who
                && by_request.is_none_or(|request| list.request == request)
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
