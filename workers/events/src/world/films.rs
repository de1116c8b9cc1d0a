//! LENS: users are recommended films, look at some, click and rate; one A/B test runs on who recommends.
//!
//! Not here: what is true of the test's variants ([`super::trial`]). Invariant: a click is on a film that the answer
//! before it held, and comes after it.

use super::page::Page;
use super::story::{DAY, HOUR, MINUTE, SECOND, Story};
use super::trial::{EXPERIMENT, VARIANTS};
use crate::event::ContractName;
use crate::feed::event::{push_number, push_user};

/// Films on a list.
const LIST: u64 = 10;
/// So many films stand at each place of the lists.
const FILMS_A_PLACE: u64 = 300;
/// Who recommends to those who are in no test.
const USUAL: (&str, &str) = ("als", "2026-09");
/// Of 1 000 that see a film at the first place, so many click; at the tenth about a third.
const CLICKS_PER_1_000: u64 = 90;
const QUERIES: [&str; 6] = ["space opera", "heist", "silent film", "road movie", "courtroom drama", "90s comedy"];
/// What models report at each hour, with its usual value in ten-thousandths.
const METRICS: [(&str, i64); 4] =
    [("rmse", 8_700), ("ndcg_at_10", 3_900), ("coverage", 6_200), ("latency_p95_ms", 480_000)];

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Assigned { variant: u8 },
    Exposed { variant: u8 },
    Converted { variant: u8 },
    Asked { request: u64, variant: Option<u8> },
    Recommended { request: u64, variant: Option<u8>, took_ms: u16, is_failed: bool },
    Did { what: Deed, request: u64, is_named: bool, place: u8, variant: Option<u8> },
    Searched { query: u8 },
    Measured { metric: u8, variant: u8, is_worse_by: u16 },
}

/// What a user does with a film.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    View,
    Click,
    Bookmark,
    /// Half stars.
    Rate(u8),
}

/// A user comes into the test, sees what its variant recommends, and converts or not.
pub(super) fn come_in(story: &mut Story<'_>) {
    let variant = story.trial.fate(story.user);
    story.tell(0, Act::Assigned { variant: variant as u8 });
    let exposed = story.soon(100, 2 * SECOND);
    story.tell(exposed, Act::Exposed { variant: variant as u8 });
    let is_converted = story.draws.chance(VARIANTS[variant].conversions_per_10_000);
    let after = story.soon(2 * MINUTE, 2 * DAY);
    if is_converted {
        story.tell(after, Act::Converted { variant: variant as u8 });
    }
    recommend(story, Some(variant), exposed + SECOND);
}

/// A user asks for recommendations, perhaps after a search, and does something with them.
pub(super) fn look_around(story: &mut Story<'_>, variant: Option<usize>) {
    let mut at = 0;
    if story.percent(30) {
        let query = story.draws.skewed_below(QUERIES.len() as u64) as u8;
        story.tell(0, Act::Searched { query });
        at = story.soon(SECOND, 30 * SECOND);
    }
    recommend(story, variant, at);
}

fn recommend(story: &mut Story<'_>, variant: Option<usize>, asked: i64) {
    let request = story.name();
    let shown = variant.map(|variant| variant as u8);
    story.tell(asked, Act::Asked { request, variant: shown });
    if story.draws.chance(60) {
        return;
    }
    let took = 12 + story.draws.skewed_below(140);
    let is_failed = story.draws.chance(80);
    let answered = asked + took as i64;
    story.tell(answered, Act::Recommended { request, variant: shown, took_ms: took as u16, is_failed });
    if is_failed {
        return;
    }
    let more = variant.map_or(100, |variant| VARIANTS[variant].clicks_percent);
    // Some tell by which request they came to the film, the others' films speak for themselves.
    let is_named = story.percent(60);
    let mut at = answered;
    for place in 0..LIST {
        at += story.soon(500, 6 * SECOND);
        let clicks = CLICKS_PER_1_000 * more / 100 * 5 / (5 + place);
        let did = |what| Act::Did { what, request, is_named, place: place as u8, variant: shown };
        if story.draws.below(1_000) < clicks {
            story.tell(at, did(Deed::Click));
            at += story.soon(SECOND, 20 * SECOND);
            if story.percent(45) {
                story.tell(at, did(Deed::View));
                at += story.soon(MINUTE, 10 * MINUTE);
            }
            if story.percent(22) {
                let stars = 10 - story.draws.skewed_below(if asked > 0 { 7 } else { 8 }) as u8;
                story.tell(at, did(Deed::Rate(stars)));
                at += 5 * SECOND;
            }
            if story.percent(8) {
                story.tell(at, did(Deed::Bookmark));
            }
        } else if story.draws.chance(300) {
            story.tell(at, did(Deed::View));
        }
    }
}

/// The models report on themselves, each number at a time of the hour of its own; the older one has been getting worse for
/// `days` days.
pub(super) fn measure(story: &mut Story<'_>, days: u16) {
    for variant in 0..VARIANTS.len() {
        for metric in 0..METRICS.len() {
            let turn = (variant * METRICS.len() + metric) as i64;
            let after = turn * HOUR / (VARIANTS.len() * METRICS.len()) as i64 + story.soon(SECOND, 20 * SECOND);
            let is_worse_by = if variant == 0 { days.saturating_mul(60) } else { 0 };
            story.tell(after, Act::Measured { metric: metric as u8, variant: variant as u8, is_worse_by });
        }
    }
}

/// The film that an answer holds at a place: no film stands at two places.
fn film(request: u64, place: u8) -> u64 {
    let bits = request.rotate_left(u32::from(place) * 6) >> 40;
    let even = bits & 0xffff;
    ((((even * even) >> 16) * FILMS_A_PLACE) >> 16) * LIST + u64::from(place)
}

impl Act {
    pub(super) fn contract(self) -> ContractName {
        match self {
            Self::Assigned { .. } | Self::Exposed { .. } | Self::Converted { .. } => ContractName::AbTestEvent,
            Self::Asked { .. } => ContractName::RecommendationRequest,
            Self::Recommended { .. } => ContractName::RecommendationResponse,
            Self::Did { .. } | Self::Searched { .. } => ContractName::UserInteraction,
            Self::Measured { .. } => ContractName::ModelMetric,
        }
    }

    pub(super) fn push_key(self, user: u32, out: &mut Vec<u8>) {
        match self {
            Self::Measured { metric, variant, .. } => {
                out.extend_from_slice(VARIANTS[usize::from(variant)].model.as_bytes());
                out.push(b'/');
                out.extend_from_slice(METRICS[usize::from(metric)].0.as_bytes());
            }
            _ => push_user(out, user.into()),
        }
    }

    pub(super) fn write(self, user: u32, page: &mut Page<'_>) {
        page.begin();
        page.unique("eventId");
        match self {
            Self::Assigned { variant } => write_test(page, user, "assigned", variant),
            Self::Exposed { variant } => write_test(page, user, "exposed", variant),
            Self::Converted { variant } => {
                write_test(page, user, "converted", variant);
                page.whole("value", 1);
            }
            Self::Asked { request, variant } => {
                page.user("userId", user);
                page.hashed("requestId", "rec-", request);
                write_model(page, variant);
                page.whole("k", LIST);
            }
            Self::Recommended { request, variant, took_ms, is_failed } => {
                page.user("userId", user);
                page.hashed("requestId", "rec-", request);
                write_model(page, variant);
                page.whole("latencyMs", took_ms.into());
                page.flag("success", !is_failed);
                if is_failed {
                    page.text("error", "model_unavailable");
                } else {
                    write_list(page, request);
                }
            }
            Self::Did { what, request, is_named, place, variant } => {
                page.user("userId", user);
                let word = match what {
                    Deed::View => "view",
                    Deed::Click => "click",
                    Deed::Bookmark => "bookmark",
                    Deed::Rate(_) => "rate",
                };
                page.text("interactionType", word);
                page.numbered("movieId", "", film(request, place));
                if let Deed::Rate(stars) = what {
                    page.fixed("rating", i64::from(stars) * 5, 1);
                }
                if is_named {
                    page.hashed("requestId", "rec-", request);
                    if let Some(variant) = variant {
                        page.text("variant", VARIANTS[usize::from(variant)].name);
                    }
                }
            }
            Self::Searched { query } => {
                page.user("userId", user);
                page.text("interactionType", "search");
                page.text("query", QUERIES[usize::from(query)]);
            }
            Self::Measured { metric, variant, is_worse_by } => {
                let (name, usual) = METRICS[usize::from(metric)];
                let variant = &VARIANTS[usize::from(variant)];
                page.text("model", variant.model);
                page.text("modelVersion", variant.version);
                page.text("metric", name);
                let noise = usual / 50;
                let value = usual - noise + page.draws.below(noise.unsigned_abs() * 2) as i64;
                let is_error = metric == 0;
                page.fixed("value", if is_error { value + i64::from(is_worse_by) } else { value }, 4);
            }
        }
        page.at_seconds();
        page.close();
    }
}

fn write_test(page: &mut Page<'_>, user: u32, event: &str, variant: u8) {
    page.text("experimentId", EXPERIMENT);
    page.user("userId", user);
    page.text("variant", VARIANTS[usize::from(variant)].name);
    page.text("event", event);
}

fn write_model(page: &mut Page<'_>, variant: Option<u8>) {
    let variant = variant.map(|variant| &VARIANTS[usize::from(variant)]);
    let (model, version) = variant.map_or(USUAL, |variant| (variant.model, variant.version));
    page.text("model", model);
    page.text("modelVersion", version);
    if let Some(variant) = variant {
        page.text("variant", variant.name);
        page.text("experimentId", EXPERIMENT);
    }
}

fn write_list(page: &mut Page<'_>, request: u64) {
    page.list("items", LIST as usize, |out, at| {
        out.push(b'"');
        push_number(out, film(request, at as u8), 1);
        out.push(b'"');
    });
    let first = 9_000 + page.draws.below(900);
    let step = 200 + page.draws.below(400);
    page.list("scores", LIST as usize, |out, at| {
        out.extend_from_slice(b"0.");
        push_number(out, first - step * at as u64, 4);
    });
}
