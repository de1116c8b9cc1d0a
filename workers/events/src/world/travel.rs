//! Loci: users talk with the chat about cities, and places get embeddings or are looked at for doubles.
//!
//! Searches, favourites and itineraries are the feed's ([`crate::feed`]), which has the same users and, in the same half
//! hour, the same sessions. Not here: what the chat says. Invariant: an answer comes after its talk has begun.

use super::call::{Call, Which};
use super::page::{Page, push_hashed};
use super::story::{MINUTE, SECOND, Story};
use crate::event::ContractName;
use crate::feed::event::{push_poi, push_user};

/// So many places there are.
const PLACES: u64 = 250_000;

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    TalkBegan { began_ms: i64, city: u32, model: Which },
    Answered { began_ms: i64, call: Call, told: Opinion },
    EmbeddingAsked { request: u64, items: u32, poi: u64 },
    Embedded { request: u64, items: u32, poi: u64, call: Call },
    DoublesSought { request: u64, poi: u64, others: u8 },
}

/// What is said of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opinion {
    is_refused: bool,
    is_flagged: bool,
    is_regenerated: bool,
    is_liked: Option<bool>,
}

/// A user talks with the chat: one to six questions, each answered by the same model.
pub(super) fn talk(story: &mut Story<'_>) {
    let model = Which::of_chat(story.draws);
    let began_ms = story.begins;
    story.tell(0, Act::TalkBegan { began_ms, city: story.city, model });
    let questions = 1 + story.draws.skewed_below(6);
    // Each question brings all that was said before.
    let (mut at, mut context) = (story.soon(2 * SECOND, 20 * SECOND), 250 + story.draws.skewed_below(900));
    let mut is_regenerated = false;
    for _ in 0..questions {
        let call = if story.draws.chance(60) {
            Call::failed(story.draws, model, context)
        } else {
            Call::answered(story.draws, model, context, 700)
        };
        let has_answered = call.has_answered();
        let told = Opinion {
            is_refused: has_answered && story.draws.chance(80),
            is_flagged: has_answered && story.draws.chance(40),
            is_regenerated,
            is_liked: (has_answered && story.percent(8)).then(|| story.draws.chance(7_800)),
        };
        at += i64::from(call.latency_ms);
        story.tell(at, Act::Answered { began_ms, call, told });
        is_regenerated = !has_answered || told.is_liked == Some(false);
        at += story.soon(8 * SECOND, 3 * MINUTE);
        context += 120 + story.draws.skewed_below(800);
    }
}

/// A place, or a batch of them, gets embeddings; some requests come to nothing.
pub(super) fn embed(story: &mut Story<'_>) {
    let request = story.name();
    let poi = story.draws.below(PLACES);
    let items = if story.percent(70) { 1 } else { 20 + story.draws.skewed_below(480) as u32 };
    story.tell(0, Act::EmbeddingAsked { request, items, poi });
    if story.percent(3) {
        return;
    }
    let tokens = u64::from(items) * (60 + story.draws.below(80));
    let call = if story.percent(1) {
        Call::failed(story.draws, Which::EMBEDDING, tokens)
    } else {
        Call::embedding(story.draws, tokens)
    };
    let after = story.soon(SECOND, 2 * MINUTE) + i64::from(call.latency_ms);
    story.tell(after, Act::Embedded { request, items, poi, call });
}

/// A place may be one that is known already.
pub(super) fn seek_doubles(story: &mut Story<'_>) {
    let act = Act::DoublesSought {
        request: story.name(),
        poi: story.draws.below(PLACES),
        others: 1 + story.draws.skewed_below(5) as u8,
    };
    story.tell(0, act);
}

impl Act {
    pub(super) fn contract(self) -> ContractName {
        match self {
            Self::TalkBegan { .. } => ContractName::ChatSessionStarted,
            Self::Answered { .. } => ContractName::ChatResponseGenerated,
            Self::EmbeddingAsked { .. } => ContractName::PoiEmbeddingRequested,
            Self::Embedded { .. } => ContractName::PoiEmbeddingCompleted,
            Self::DoublesSought { .. } => ContractName::PoiDedupRequested,
        }
    }

    pub(super) fn push_key(self, user: u32, out: &mut Vec<u8>) {
        match self {
            Self::TalkBegan { .. } | Self::Answered { .. } => push_user(out, user.into()),
            Self::EmbeddingAsked { request, .. } | Self::Embedded { request, .. } => push_hashed(out, "em-", request),
            Self::DoublesSought { poi, .. } => push_poi(out, poi),
        }
    }

    pub(super) fn write(self, user: u32, page: &mut Page<'_>) {
        page.begin();
        page.unique("event_id");
        page.event_type("event_type", self.contract().spec().event_type);
        page.at();
        if page.draws.chance(2_000) {
            let trace = page.draws.bits();
            page.hashed("trace_id", "", trace);
        }
        page.open("payload");
        match self {
            Self::TalkBegan { began_ms, city, model } => {
                page.user("user_id", user);
                page.session("session_id", user, began_ms);
                if let Some(city) = page.cities.city(city as usize) {
                    page.text("city_name", city.name);
                }
                page.text("model", model.name());
            }
            Self::Answered { began_ms, call, told } => {
                page.user("user_id", user);
                page.session("session_id", user, began_ms);
                let message = page.draws.bits();
                page.hashed("message_id", "m-", message);
                if call.is_observed() {
                    call.write_attributes(page, "chat");
                } else {
                    call.write(page, "chat", "latency_ms");
                }
                told.write(page, call.has_answered());
            }
            Self::EmbeddingAsked { request, items, poi } => {
                page.hashed("request_id", "em-", request);
                write_items(page, items, poi);
                page.text("model", Which::EMBEDDING.name());
            }
            Self::Embedded { request, items, poi, call } => {
                page.hashed("request_id", "em-", request);
                write_items(page, items, poi);
                call.write(page, "embeddings", "duration_ms");
            }
            Self::DoublesSought { request, poi, others } => {
                page.hashed("request_id", "dd-", request);
                write_items(page, 1, poi);
                page.list("candidates", others.into(), |out, at| {
                    out.push(b'"');
                    push_poi(out, (poi + 1 + 7 * at as u64) % PLACES);
                    out.push(b'"');
                });
            }
        }
        page.close();
        page.close();
    }
}

fn write_items(page: &mut Page<'_>, items: u32, poi: u64) {
    if items == 1 {
        page.poi("poi_id", poi);
    } else {
        page.whole("item_count", items.into());
    }
}

impl Opinion {
    fn write(self, page: &mut Page<'_>, has_answered: bool) {
        if has_answered {
            page.text("finish_reason", if self.is_refused { "content_filter" } else { "stop" });
            page.flag("refused", self.is_refused);
        }
        if self.is_flagged {
            page.flag("flagged", true);
        }
        if self.is_regenerated {
            page.flag("regenerated", true);
        }
        if let Some(is_liked) = self.is_liked {
            page.text("feedback", if is_liked { "up" } else { "down" });
        }
    }
}
