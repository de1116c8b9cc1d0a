//! What every event has, whoever publishes it: its identity, its time, and whose it is.
//!
//! Not here: where these fields stand ([`crate::mapping`]). Invariant: two events with one id are one event; where events
//! have no id, equal bytes are one event.

use processing_core::record::EventTime;

use crate::field::Kind;
use crate::identity::IdHash;
use crate::mapping::HeadField;
use crate::poison::{Poison, PoisonReason};
use crate::text::{IdText, Text};
use crate::timestamp::Timestamp;
use crate::tokens::Tokens;

/// The head of an event.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// Names the event.
    pub id: IdHash,
    /// When it happened.
    pub time: EventTime,
    /// Joins the event to the request that caused it, across services.
    pub trace: Option<IdText<'a>>,
    /// The application whose event it is.
    pub app: Text<'a>,
    /// The tenant: the one that is named, else the business, else the application.
    pub tenant: Text<'a>,
    /// Who did it, of this tenant; `None` for a visitor who is not logged in.
    pub user: Option<IdText<'a>>,
    /// The session, which stands for the user where there is none.
    pub session: Option<IdText<'a>>,
}

/// What a head has to have.
pub(crate) struct Wanted {
    /// The application where the event names none.
    pub(crate) app: &'static str,
    /// Whether there has to be an object for the payload.
    pub(crate) payload: bool,
    /// Whether there has to be an identifier.
    pub(crate) id: bool,
}

impl HeadField {
    /// What it holds.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Id | Self::Trace | Self::Tenant | Self::User | Self::Session => Kind::Id,
            Self::Type | Self::App => Kind::Text,
            Self::Timestamp => Kind::Time,
        }
    }
}

impl<'a> Head<'a> {
    pub(crate) fn read(tokens: &mut Tokens<'a>, bytes: &[u8], wanted: Wanted) -> Result<Self, Poison> {
        tokens.object()?;
        let payload = tokens.object();
        let id = if wanted.id { Some(tokens.required::<IdText<'a>>()?) } else { tokens.optional::<IdText<'a>>()? };
        let _its_type = tokens.optional::<Text<'a>>()?;
        let Timestamp(time) = tokens.required_or(PoisonReason::Timestamp)?;
        let trace = tokens.optional()?;
        let app = tokens.optional()?.unwrap_or_else(|| Text::borrowed(wanted.app));
        let tenant = tokens.optional::<IdText<'a>>()?.map_or_else(|| app.clone(), Text::from);
        let head = Self {
            id: id.map_or_else(|| IdHash::of_bytes(bytes), |id| IdHash::of(id.as_str())),
            time,
            trace,
            app,
            tenant,
            user: tokens.optional()?,
            session: tokens.optional()?,
        };
        // After the head, so that a verdict names first what stands first.
        if wanted.payload {
            payload?;
        }
        Ok(head)
    }

    /// Who did it: the user, else the session in the user's place, else nobody known.
    pub fn who(&self) -> Option<IdHash> {
        let (app, tenant) = (self.app.as_str(), self.tenant.as_str());
        let session = || self.session.as_ref().map(|session| IdHash::of_session(app, tenant, session.as_str()));
        self.user.as_ref().map(|user| IdHash::of_user(app, tenant, user.as_str())).or_else(session)
    }
}
