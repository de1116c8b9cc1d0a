//! BizNavigate: leads write to businesses, an AI finds out what they want, and somebody answers.
//!
//! How sure the AI says it is has to do with how often it is right, but it is a little too sure of itself.
//!
//! Not here: what a lead writes. Invariant: what a lead truly wants is drawn once, and `lead.updated` tells nothing else.

use super::call::{Call, Which};
use super::page::{Page, push_hashed};
use super::story::{HOUR, MINUTE, SECOND, Story};
use crate::event::ContractName;

const BUSINESSES: u64 = 12;
/// Businesses from this one on call requests and results by their older names.
const OLDER: u8 = 9;
const SOURCES: [&str; 4] = ["whatsapp", "instagram", "web", "facebook"];
const INTENTS: [(&str, &str); 6] = [
    ("ORDER_REQUEST", "send_catalog"),
    ("PRICE_QUERY", "send_price_list"),
    ("SUPPORT", "open_ticket"),
    ("APPOINTMENT", "offer_slots"),
    ("COMPLAINT", "call_back"),
    ("GREETING", "greet"),
];
/// By so much the AI is too sure of itself, in per cent.
const TOO_SURE: u64 = 5;

/// What happens to a lead of a business.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    lead: u64,
    business: u8,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Came { source: u8, is_asking: bool },
    Wrote { message: u64 },
    WasAnswered { message: u64 },
    Asked { processing: u64 },
    Understood { processing: u64, intent: u8, sure_percent: u8, by: By },
    Failed { processing: u64, call: Call },
    Turned { status: &'static str, intent: Option<u8> },
}

/// Who found out what a lead wants.
#[derive(Clone, Copy, Debug)]
enum By {
    Rules { took_ms: u16 },
    Model(Call),
}

/// A lead comes, writes, is understood and answered, and is perhaps won.
pub(super) fn lead(story: &mut Story<'_>) {
    let lead = story.name();
    let business = story.draws.skewed_below(BUSINESSES) as u8;
    let source = story.draws.skewed_below(SOURCES.len() as u64) as u8;
    let wants = story.draws.skewed_below(INTENTS.len() as u64) as u8;
    let is_asking = story.percent(70);
    let act = |what| Act { lead, business, what };
    story.tell(0, act(What::Came { source, is_asking }));
    let mut at = 0;
    if is_asking {
        at = understand(story, act, 0, wants);
    }
    let rounds = if is_asking { story.draws.skewed_below(3) } else { 1 + story.draws.skewed_below(2) };
    for round in 0..=rounds {
        if round > 0 {
            at += story.soon(20 * SECOND, 40 * MINUTE);
            let message = story.name();
            story.tell(at, act(What::Wrote { message }));
            at = understand(story, act, at, wants);
        } else if !is_asking {
            continue;
        }
        if story.percent(92) {
            at += if story.percent(40) { story.soon(SECOND, 10 * SECOND) } else { story.soon(MINUTE, 3 * HOUR) };
            let message = story.name();
            story.tell(at, act(What::WasAnswered { message }));
        }
    }
    if story.percent(75) {
        at += story.soon(5 * MINUTE, 6 * HOUR);
        let status = if story.percent(35) { "won" } else { "qualified" };
        let intent = story.percent(85).then_some(wants);
        story.tell(at, act(What::Turned { status, intent }));
    }
}

/// The AI is asked at `asked`; answers when it is done.
fn understand(story: &mut Story<'_>, act: impl Fn(What) -> Act, asked: i64, wants: u8) -> i64 {
    let processing = story.name();
    let asked = asked + story.soon(20, 400);
    story.tell(asked, act(What::Asked { processing }));
    let fate = story.draws.below(1_000);
    let input = 300 + story.draws.skewed_below(1_500);
    if fate < 10 {
        // Nobody hears of it again.
        return asked + 31 * SECOND;
    }
    if fate < 18 {
        let call = Call::failed(story.draws, Which::GPT_4_1_MINI, input);
        let over = asked + i64::from(call.latency_ms);
        story.tell(over, act(What::Failed { processing, call }));
        return over;
    }
    let sure = 52 + story.draws.below(48);
    let is_right = story.percent(sure - TOO_SURE);
    let other = (u64::from(wants) + 1 + story.draws.below(INTENTS.len() as u64 - 1)) % INTENTS.len() as u64;
    let intent = if is_right { wants } else { other as u8 };
    let (took, by) = if story.percent(38) {
        let took = 2 + story.draws.skewed_below(60);
        (took as i64, By::Rules { took_ms: took as u16 })
    } else {
        let which = if story.percent(70) { Which::GPT_4_1_MINI } else { Which::GPT_4O_MINI };
        let call = Call::answered(story.draws, which, input, 260);
        (i64::from(call.latency_ms), By::Model(call))
    };
    let over = asked + took;
    story.tell(over, act(What::Understood { processing, intent, sure_percent: sure as u8, by }));
    over
}

impl Act {
    pub(super) fn contract(self) -> ContractName {
        match self.what {
            What::Came { .. } => ContractName::LeadCreated,
            What::Wrote { .. } | What::WasAnswered { .. } => ContractName::LeadMessage,
            What::Asked { .. } => ContractName::AiProcessRequest,
            What::Understood { .. } => ContractName::AiProcessResult,
            What::Failed { .. } => ContractName::AiError,
            What::Turned { .. } => ContractName::LeadUpdated,
        }
    }

    /// Whether its topic, and its type, is called by the older of two names.
    pub(super) fn by_older_name(self) -> bool {
        self.business >= OLDER && matches!(self.what, What::Asked { .. } | What::Understood { .. })
    }

    pub(super) fn push_key(self, _user: u32, out: &mut Vec<u8>) {
        push_hashed(out, "lead-", self.lead);
    }

    pub(super) fn write(self, _user: u32, page: &mut Page<'_>) {
        page.begin();
        page.unique("event_id");
        let spec = self.contract().spec();
        let word = if self.by_older_name() { spec.topics.get(1) } else { None };
        page.event_type("event_type", word.copied().unwrap_or(spec.event_type));
        page.at();
        page.open("payload");
        page.hashed("lead_id", "lead-", self.lead);
        page.numbered("business_id", "biz-", self.business.into());
        match self.what {
            What::Came { source, is_asking } => {
                page.text("source", SOURCES[usize::from(source)]);
                if is_asking {
                    page.text("initial_message", "Hello, I have a question.");
                }
            }
            What::Wrote { message } => {
                page.hashed("message_id", "msg-", message);
                page.text("direction", "inbound");
            }
            What::WasAnswered { message } => {
                page.hashed("message_id", "msg-", message);
                page.text("direction", "outbound");
            }
            What::Asked { processing } => {
                page.hashed("processing_id", "pr-", processing);
                page.text("operation", "intent");
            }
            What::Understood { processing, intent, sure_percent, by } => {
                page.hashed("processing_id", "pr-", processing);
                let (name, action) = INTENTS[usize::from(intent)];
                page.open("intent");
                page.text("intent", name);
                page.fixed("confidence", sure_percent.into(), 2);
                page.text("tier", if matches!(by, By::Rules { .. }) { "rules" } else { "llm" });
                page.close();
                page.list("suggested_actions", 1, |out, _| {
                    out.push(b'"');
                    out.extend_from_slice(action.as_bytes());
                    out.push(b'"');
                });
                match by {
                    By::Rules { took_ms } => page.whole("processing_time_ms", took_ms.into()),
                    By::Model(call) => call.write(page, "intent", "processing_time_ms"),
                }
            }
            What::Failed { processing, call } => {
                page.hashed("processing_id", "pr-", processing);
                call.write(page, "intent", "processing_time_ms");
            }
            What::Turned { status, intent } => {
                page.text("status", status);
                if let Some(intent) = intent {
                    page.text("intent", INTENTS[usize::from(intent)].0);
                }
            }
        }
        page.close();
        page.close();
    }
}
