//! What becomes of an event: what is counted, what begins or answers an exchange, and what is spent of budgets.
//!
//! Not here: counting. Invariant: an event's cost is decided once, before it is taken apart, so that every result means the
//! same cost.

use compact_str::CompactString;

use crate::budget::{Caller, EVERYBODY};
use crate::card::ProviderPrices;
use crate::event::{Link, LlmEvent, What};
use crate::exchange::{Outcome, Turn, Unanswered};
use crate::pricing::Cost;
use crate::rollup::Measured;
use crate::series::{Series, UNKNOWN};
use crate::settings::LlmSettings;
use crate::spending::Spending;

/// An event, with what it costs and where it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    event: LlmEvent,
    cost: Cost,
    series: Series,
    /// It counts in budgets alone.
    is_late: bool,
}

/// An event, or what is spent of budgets by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The event.
    Event(Priced),
    /// What is spent.
    Spending(Spending),
}

/// A part of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// It counts.
    Measure(Series, Measured),
    /// It begins or answers an exchange.
    Turn(Turn),
}

impl Priced {
    /// By which row of the topic of prices an event is priced.
    pub fn row_of(settings: &LlmSettings, event: &LlmEvent) -> Option<CompactString> {
        match &event.what {
            What::Call(call) => settings.pricing.provider(call),
            _ => None,
        }
    }

    /// An event, priced beside that row.
    pub fn of(settings: &LlmSettings, event: LlmEvent, row: Option<&ProviderPrices>) -> Self {
        let (cost, series) = match &event.what {
            What::Call(call) => {
                let (provider, model) = settings.pricing.names(call);
                let series = Series::new(&event.tenant, &provider, &model, &call.operation);
                (settings.pricing.cost(call, event.time.0, row), series)
            }
            What::SessionStarted => (Cost::NotBillable, Series::new(&event.tenant, UNKNOWN, UNKNOWN, "session")),
            What::ItinerarySaved => (Cost::NotBillable, Series::new(&event.tenant, UNKNOWN, UNKNOWN, "itinerary")),
            What::Linked | What::Other => (Cost::NotBillable, Series::new(&event.tenant, UNKNOWN, UNKNOWN, "none")),
        };
        Self { event, cost, series, is_late: false }
    }

    /// As one that comes later than the windows' grace, or not.
    pub fn late(self, is_late: bool) -> Self {
        Self { is_late, ..self }
    }

    /// By which it is known when it comes again.
    pub fn id(&self) -> u64 {
        self.event.id.get()
    }

    /// The event, and beside it what is spent by it: of a tenant's budgets, and of those over all tenants.
    pub fn entries(self, settings: &LlmSettings) -> impl Iterator<Item = Entry> + use<> {
        let spendings = self.spendings(settings);
        let event = (!self.is_late).then_some(self);
        spendings.into_iter().map(Entry::Spending).chain(event.map(Entry::Event))
    }

    fn spendings(&self, settings: &LlmSettings) -> Vec<Spending> {
        let LlmEvent { id, time, tenant, user, what, .. } = &self.event;
        let mut spendings = Vec::new();
        let (What::Call(call), cost @ (Cost::Known { .. } | Cost::Unknown)) = (what, self.cost) else {
            return spendings;
        };
        let owners = [tenant.as_str(), EVERYBODY];
        // Whom the file does not name the topic may.
        let from_topic = settings.budgets_topic.is_some();
        if !from_topic && owners.iter().all(|owner| settings.budgets.of(owner).next().is_none()) {
            return spendings;
        }
        let amount = match cost {
            Cost::Known { currency, amount, .. } => Some((currency, amount)),
            Cost::Unknown | Cost::NotBillable => None,
        };
        let caller = Caller { tenant: tenant.clone(), user: user.clone(), model: call.model.clone() };
        for owner in owners {
            if from_topic || settings.budgets.of(owner).any(|own| own.account_of(&caller).is_some()) {
                let (owner, caller) = (owner.into(), caller.clone());
                spendings.push(Spending { id: *id, time: *time, owner, caller, amount });
            }
        }
        spendings
    }

    /// What becomes of it.
    pub fn parts(self, settings: &LlmSettings) -> impl Iterator<Item = Part> + use<> {
        let Self { event: LlmEvent { time, tenant, session, what, links, .. }, cost, series, .. } = self;
        let turn = |Link { exchange, id, is_request }: Link| {
            let answer = (!is_request).then(|| series.clone());
            Turn { exchange, tenant: tenant.clone(), id, time, answer }
        };
        let turns: Vec<_> = links.into_iter().map(turn).collect();
        let measured = match what {
            What::Call(call) => {
                let is_slow = call.latency_ms.is_some_and(|ms| ms > settings.slow.0.unsigned_abs());
                Some(Measured::Call { call, cost, session, is_slow })
            }
            What::SessionStarted => Some(Measured::SessionStarted),
            What::ItinerarySaved => Some(Measured::ItinerarySaved),
            What::Linked | What::Other => None,
        };
        let measure = measured.map(|measured| Part::Measure(series, measured));
        turns.into_iter().map(Part::Turn).chain(measure)
    }
}

impl Entry {
    /// What is spent, if it is that.
    pub fn spending(self) -> Option<Spending> {
        if let Self::Spending(spending) = self { Some(spending) } else { None }
    }

    /// The event, if it is that.
    pub fn event(self) -> Option<Priced> {
        if let Self::Event(event) = self { Some(event) } else { None }
    }
}

impl Part {
    /// What begins or answers an exchange, if it is that.
    pub fn turn(self) -> Option<Turn> {
        if let Self::Turn(turn) = self { Some(turn) } else { None }
    }

    /// What counts, if it is that.
    pub fn measure(self) -> Option<(Series, Measured)> {
        if let Self::Measure(series, what) = self { Some((series, what)) } else { None }
    }
}

impl Outcome {
    /// What counts of it, and where.
    pub fn measured(self) -> (Series, Measured) {
        match self {
            Self::Answered { exchange, series, ms } => (series, Measured::Answered(exchange, ms)),
            Self::TimedOut(unanswered) => (unanswered.series(), Measured::TimedOut(unanswered.exchange)),
        }
    }

    /// The request, if nobody answered it.
    pub fn timed_out(self) -> Option<Unanswered> {
        if let Self::TimedOut(unanswered) = self { Some(unanswered) } else { None }
    }
}
