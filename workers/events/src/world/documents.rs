//! Paka: users upload documents, ask for reports, are notified, and what they do is kept on record.
//!
//! Not here: what is in a document. Invariant: a document's steps come in their order by event time; what is lost on the
//! way is never heard of again.

use super::call::Call;
use super::page::{Page, push_hashed};
use super::story::{MINUTE, SECOND, Story};
use crate::event::ContractName;
use crate::feed::event::push_user;

const TYPES: [&str; 4] = ["application/pdf", "text/markdown", "text/plain", "image/png"];
const CHANNELS: [&str; 3] = ["telegram", "email", "push"];
const TEMPLATES: [&str; 4] = ["weekly_report", "document_ready", "comment", "reminder"];
const REPORTS: [&str; 3] = ["daily", "weekly", "usage"];
const ACTIONS: [(&str, &str); 6] = [
    ("document.view", "document"),
    ("document.share", "document"),
    ("document.delete", "document"),
    ("settings.update", "settings"),
    ("report.download", "report"),
    ("token.rotate", "api_token"),
];
/// Whose users they are: a user's number, remainder by so many.
const TENANTS: [Option<&str>; 5] = [Some("acme"), Some("acme"), Some("globex"), Some("initech"), None];

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Uploaded { document: u64, media: u8, bytes: u32 },
    Parsed { document: u64, chunks: u16, pages: u16, took_ms: u32, is_failed: bool },
    Embedded { document: u64, chunks: u16, call: Call },
    Send { notification: u64, channel: u8, template: u8 },
    Sent { notification: u64, channel: u8, is_delivered: bool },
    ReportAsked { report: u64, which: u8 },
    ReportReady { report: u64, which: u8, took_ms: u32, is_failed: bool },
    Audit { action: u8, resource: u64, is_success: bool, by_service: bool },
}

/// A document is uploaded, parsed and embedded; a few fail, a few are lost.
pub(super) fn upload(story: &mut Story<'_>) {
    let document = story.name();
    let media = story.draws.skewed_below(TYPES.len() as u64) as u8;
    let pages = 1 + story.draws.skewed_below(120);
    let chunks = pages * (2 + story.draws.below(3));
    let bytes = (pages * (20_000 + story.draws.below(60_000))) as u32;
    story.tell(0, Act::Uploaded { document, media, bytes });
    if story.draws.chance(150) {
        return;
    }
    let took = 40 * pages as i64 + story.soon(50, 4 * SECOND);
    let parsed = story.soon(200, 8 * SECOND) + took;
    let is_failed = story.percent(3);
    let (chunks, pages) = (chunks as u16, pages as u16);
    story.tell(parsed, Act::Parsed { document, chunks, pages, took_ms: took as u32, is_failed });
    if is_failed || story.percent(2) {
        return;
    }
    let call = Call::embedding(story.draws, u64::from(chunks) * 420);
    let embedded = parsed + story.soon(300, 40 * SECOND) + i64::from(call.latency_ms);
    story.tell(embedded, Act::Embedded { document, chunks, call });
}

/// A notification is sent, and mostly delivered.
pub(super) fn notify(story: &mut Story<'_>) {
    let notification = story.name();
    let channel = story.draws.skewed_below(CHANNELS.len() as u64) as u8;
    let template = story.draws.skewed_below(TEMPLATES.len() as u64) as u8;
    story.tell(0, Act::Send { notification, channel, template });
    if story.percent(1) {
        return;
    }
    let after = story.soon(250, 20 * SECOND);
    let is_delivered = story.percent(95);
    story.tell(after, Act::Sent { notification, channel, is_delivered });
}

/// A report is asked for, and mostly ready soon.
pub(super) fn report(story: &mut Story<'_>) {
    let report = story.name();
    let which = story.draws.skewed_below(REPORTS.len() as u64) as u8;
    story.tell(0, Act::ReportAsked { report, which });
    if story.percent(2) {
        return;
    }
    let took = story.soon(2 * SECOND, 4 * MINUTE);
    let is_failed = story.percent(3);
    story.tell(took, Act::ReportReady { report, which, took_ms: took as u32, is_failed });
}

/// Something is done that is kept on record, now and then by a service.
pub(super) fn audit(story: &mut Story<'_>) {
    let act = Act::Audit {
        action: story.draws.skewed_below(ACTIONS.len() as u64) as u8,
        resource: story.draws.skewed_below(5_000),
        is_success: story.percent(97),
        by_service: story.percent(15),
    };
    story.tell(0, act);
}

impl Act {
    pub(super) fn contract(self) -> ContractName {
        match self {
            Self::Uploaded { .. } => ContractName::DocumentUploaded,
            Self::Parsed { .. } => ContractName::DocumentParsed,
            Self::Embedded { .. } => ContractName::DocumentEmbedded,
            Self::Send { .. } => ContractName::NotificationSend,
            Self::Sent { .. } => ContractName::PakaNotificationSent,
            Self::ReportAsked { .. } => ContractName::ReportGenerate,
            Self::ReportReady { .. } => ContractName::ReportReady,
            Self::Audit { .. } => ContractName::AuditEvent,
        }
    }

    pub(super) fn push_key(self, user: u32, out: &mut Vec<u8>) {
        match self {
            Self::Uploaded { document, .. } | Self::Parsed { document, .. } | Self::Embedded { document, .. } => {
                push_hashed(out, "doc-", document);
            }
            _ => push_user(out, user.into()),
        }
    }

    pub(super) fn write(self, user: u32, page: &mut Page<'_>) {
        page.begin();
        page.unique("eventId");
        page.at();
        page.user("userId", user);
        if let Some(tenant) = TENANTS[user as usize % TENANTS.len()] {
            page.text("tenantId", tenant);
        }
        match self {
            Self::Uploaded { document, media, bytes } => {
                page.hashed("documentId", "doc-", document);
                page.text("mimeType", TYPES[usize::from(media)]);
                page.whole("size", bytes.into());
            }
            Self::Parsed { document, chunks, pages, took_ms, is_failed } => {
                page.hashed("documentId", "doc-", document);
                page.whole("durationMs", took_ms.into());
                if is_failed {
                    page.text("error", "unreadable_document");
                } else {
                    page.whole("chunkCount", chunks.into());
                    page.whole("pageCount", pages.into());
                }
            }
            Self::Embedded { document, chunks, call } => {
                page.hashed("documentId", "doc-", document);
                page.whole("chunkCount", chunks.into());
                call.write(page, "embeddings", "latencyMs");
            }
            Self::Send { notification, channel, template } => {
                page.hashed("notificationId", "n-", notification);
                page.text("channel", CHANNELS[usize::from(channel)]);
                page.text("template", TEMPLATES[usize::from(template)]);
            }
            Self::Sent { notification, channel, is_delivered } => {
                page.hashed("notificationId", "n-", notification);
                page.text("channel", CHANNELS[usize::from(channel)]);
                page.text("status", if is_delivered { "delivered" } else { "undelivered" });
                if !is_delivered {
                    page.text("error", "recipient_unreachable");
                }
            }
            Self::ReportAsked { report, which } => {
                page.hashed("requestId", "rq-", report);
                page.text("reportType", REPORTS[usize::from(which)]);
            }
            Self::ReportReady { report, which, took_ms, is_failed } => {
                page.hashed("requestId", "rq-", report);
                page.text("reportType", REPORTS[usize::from(which)]);
                page.whole("durationMs", took_ms.into());
                page.text("status", if is_failed { "failed" } else { "ready" });
            }
            Self::Audit { action, resource, is_success, by_service } => {
                let (action, kind) = ACTIONS[usize::from(action)];
                page.text("action", action);
                page.text("resource", kind);
                page.numbered("resourceId", "r-", resource);
                page.text("outcome", if is_success { "success" } else { "failure" });
                page.text("actorType", if by_service { "service" } else { "user" });
            }
        }
        page.close();
    }
}
