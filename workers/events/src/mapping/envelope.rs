//! What events are wrapped in, in the ways that companies do it.
//!
//! Not here: what the payload holds. Invariant: an envelope says where each field of the head stands, and nothing else.

/// A way of wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `{event_id, event_type, timestamp, trace_id, payload}`, the user in the payload.
    Loci,
    /// As [`Self::Loci`], but the tenant is the `business_id`: all events about a lead have one, and only its creation has a
    /// `tenant_id` too, so that by that one a business would meet itself as two tenants. `tenant_id` counts where there is
    /// no business.
    BizNavigate,
    /// `{id, type, userId, timestamp, metadata, data}`.
    JobQuest,
    /// All fields at the top.
    Flat,
    /// [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md), structured
    /// mode: `{id, type, time, source, subject, data}`.
    CloudEvents,
}

/// A field of every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HeadField {
    /// Names the event.
    Id,
    /// Names its contract.
    Type,
    /// When it happened.
    Timestamp,
    /// Joins it to the request that caused it.
    Trace,
    /// The application.
    App,
    /// The tenant.
    Tenant,
    /// Who did it.
    User,
    /// In which session.
    Session,
}

impl HeadField {
    pub(crate) const ALL: [Self; 8] =
        [Self::Id, Self::Type, Self::Timestamp, Self::Trace, Self::App, Self::Tenant, Self::User, Self::Session];

    /// Its name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Type => "type",
            Self::Timestamp => "timestamp",
            Self::Trace => "trace",
            Self::App => "app",
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Session => "session",
        }
    }
}

impl Envelope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Loci, Self::BizNavigate, Self::JobQuest, Self::Flat, Self::CloudEvents];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loci => "loci",
            Self::BizNavigate => "biznavigate",
            Self::JobQuest => "jobquest",
            Self::Flat => "flat",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// The envelope of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|envelope| envelope.name() == name)
    }

    /// The name of the object that holds the payload; `None` where the event itself does.
    pub(crate) fn payload(self) -> Option<&'static str> {
        match self {
            Self::Loci | Self::BizNavigate => Some("payload"),
            Self::JobQuest | Self::CloudEvents => Some("data"),
            Self::Flat => None,
        }
    }

    /// Whether an event without an identifier is poison. Where it is not, an event's bytes are its identity.
    pub(crate) fn needs_id(self) -> bool {
        self != Self::Flat
    }

    /// Where a field of the head stands, the first that holds a value first.
    pub(crate) fn places(self, field: HeadField) -> &'static [&'static str] {
        match (self, field) {
            (Self::Loci | Self::BizNavigate, HeadField::Id) => &["/event_id"],
            (Self::JobQuest | Self::CloudEvents, HeadField::Id) => &["/id"],
            (Self::Flat, HeadField::Id) => &["/event_id"],
            (Self::Loci | Self::BizNavigate | Self::Flat, HeadField::Type) => &["/event_type"],
            (Self::JobQuest | Self::CloudEvents, HeadField::Type) => &["/type"],
            (Self::CloudEvents, HeadField::Timestamp) => &["/time"],
            (_, HeadField::Timestamp) => &["/timestamp"],
            (Self::CloudEvents, HeadField::Trace) => &["/traceparent", "/trace_id"],
            (Self::JobQuest, HeadField::Trace) => &["/metadata/trace_id"],
            (_, HeadField::Trace) => &["/trace_id"],
            (_, HeadField::App) => &[],
            (Self::Loci, HeadField::Tenant) => &["/payload/tenant_id", "/payload/business_id"],
            (Self::BizNavigate, HeadField::Tenant) => &["/payload/business_id", "/payload/tenant_id"],
            (Self::JobQuest, HeadField::Tenant) => &["/metadata/tenant_id", "/data/tenant_id"],
            (Self::Flat, HeadField::Tenant) => &["/tenant_id", "/business_id"],
            (Self::CloudEvents, HeadField::Tenant) => &["/tenant_id", "/data/tenant_id", "/data/business_id"],
            (Self::Loci | Self::BizNavigate, HeadField::User) => &["/payload/user_id"],
            (Self::JobQuest | Self::Flat, HeadField::User) => &["/user_id"],
            (Self::CloudEvents, HeadField::User) => &["/data/user_id", "/subject"],
            (Self::Loci | Self::BizNavigate, HeadField::Session) => &["/payload/session_id"],
            (Self::JobQuest, HeadField::Session) => &["/metadata/session_id", "/data/session_id"],
            (Self::Flat, HeadField::Session) => &["/session_id"],
            (Self::CloudEvents, HeadField::Session) => &["/data/session_id"],
        }
    }
}
