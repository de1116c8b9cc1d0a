//! What is counted of a series in a stretch of time: a minute, and merged from minutes whatever is longer.
//!
//! Not here: how it is written down ([`crate::results`]). Invariant: one definition for all lengths; folding and merging
//! are additions of whole numbers, maxima and unions, so every order and grouping gives the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::aggregate::{Aggregate, Distinct, Exactness, Max, Mergeable, Quantiles};
use processing_core::windowed::Closed;
use serde::{Deserialize, Serialize};

use crate::event::{Call, Exchange, Feedback};
use crate::money::{Currency, Money, Nanos, half_even};
use crate::pricing::{Basis, Cost};
use crate::series::Series;
use crate::tokens::{TokenKind, Tokens};

/// So many types of errors stand by name; see [`Errors`].
const ERROR_TYPES_MAX: usize = 32;
/// The longest name of a type of errors.
const ERROR_TYPE_LENGTH_MAX: usize = 64;

/// Something that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Where.
    pub series: Series,
    /// What; shared, since it counts in its series, in its tenant's sum and in that of all.
    pub what: Arc<Measured>,
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured {
    /// A call, with what it costs.
    Call {
        /// The call.
        call: Box<Call>,
        /// Its cost.
        cost: Cost,
        /// In which session.
        session: Option<IdHash>,
        /// Whether it took longer than its objective.
        is_slow: bool,
    },
    /// A request was answered after so many milliseconds.
    Answered(Exchange, u64),
    /// A request was answered by nobody.
    TimedOut(Exchange),
    /// A chat has begun.
    SessionStarted,
    /// An itinerary was saved.
    ItinerarySaved,
}

/// Times in milliseconds: how they are distributed, within 1 %, and the longest, exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// All of them.
    pub sketch: Quantiles,
    /// The longest.
    pub max: Max<u64>,
}

impl Times {
    fn add(&mut self, ms: u64) {
        self.sketch.add(ms as f64);
        self.max.add(ms);
    }
}

impl Mergeable for Times {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.sketch.merge(&other.sketch);
        self.max.merge(&other.max);
    }

    fn heap_bytes(&self) -> usize {
        self.sketch.heap_bytes()
    }
}

/// Errors by their type. Of more than 32 types the first 32 of the alphabet stand by name, and the errors of all others are
/// counted together. Which stand does not hang on the order in which they came: one that is among the first 32 of all was
/// among the first 32 of every part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    by_type: BTreeMap<CompactString, u64>,
    elsewhere: u64,
}

impl Errors {
    /// Counts by type.
    pub fn by_type(&self) -> &BTreeMap<CompactString, u64> {
        &self.by_type
    }

    /// Errors of types that do not stand by name.
    pub fn elsewhere(&self) -> u64 {
        self.elsewhere
    }

    /// All errors.
    pub fn count(&self) -> u64 {
        self.by_type.values().fold(self.elsewhere, |sum, count| sum.wrapping_add(*count))
    }

    fn put(&mut self, name: &str, count: u64) {
        let mut end = name.len().min(ERROR_TYPE_LENGTH_MAX);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let name = &name[..end];
        match self.by_type.get_mut(name) {
            Some(known) => *known = known.wrapping_add(count),
            None => drop(self.by_type.insert(name.into(), count)),
        }
        if self.by_type.len() > ERROR_TYPES_MAX
            && let Some((_, count)) = self.by_type.pop_last()
        {
            self.elsewhere = self.elsewhere.wrapping_add(count);
        }
    }
}

impl Mergeable for Errors {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        other.by_type.iter().for_each(|(name, count)| self.put(name, *count));
        self.elsewhere = self.elsewhere.wrapping_add(other.elsewhere);
    }

    fn heap_bytes(&self) -> usize {
        self.by_type.len() * size_of::<(CompactString, u64)>()
    }
}

/// Counts that are sums and nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Sums", from = "Sums")]
pub struct Counts {
    /// Calls.
    pub requests: u64,
    /// Calls whose cost is reported.
    pub cost_reported: u64,
    /// Calls whose cost is computed.
    pub cost_computed: u64,
    /// Calls whose cost nobody knows.
    pub cost_unknown: u64,
    /// Calls of no model.
    pub not_billable: u64,
    /// Calls that took longer than their objective.
    pub slow: u64,
    /// Output tokens of calls that say when the first one came and the last one.
    pub streamed_tokens: u64,
    /// Milliseconds in which these came.
    pub streamed_ms: u64,
    /// Answers in which the model refused.
    pub refused: u64,
    /// Answers that were flagged.
    pub flagged: u64,
    /// Answers that were asked for again.
    pub regenerated: u64,
    /// Answers that somebody found good.
    pub feedback_positive: u64,
    /// Answers that somebody found bad.
    pub feedback_negative: u64,
    /// Chats that began.
    pub sessions_started: u64,
    /// Itineraries that were saved.
    pub itineraries_saved: u64,
    /// Requests that nobody answered, by [`Exchange`].
    pub timeouts: [u64; Exchange::ALL.len()],
}

/// [`Counts`] as they are stored: most are 0.
#[derive(Serialize, Deserialize)]
struct Sums(#[serde(with = "crate::sparse")] [u64; Counts::ALL]);

impl From<Counts> for Sums {
    fn from(mut counts: Counts) -> Self {
        Self(counts.all().map(|count| *count))
    }
}

impl From<Sums> for Counts {
    fn from(Sums(sums): Sums) -> Self {
        let mut counts = Self::default();
        counts.all().into_iter().zip(sums).for_each(|(count, sum)| *count = sum);
        counts
    }
}

impl Counts {
    /// How many they are.
    const ALL: usize = 15 + Exchange::ALL.len();

    /// Each of them.
    fn all(&mut self) -> [&mut u64; Self::ALL] {
        let Self {
            requests,
            cost_reported,
            cost_computed,
            cost_unknown,
            not_billable,
            slow,
            streamed_tokens,
            streamed_ms,
            refused,
            flagged,
            regenerated,
            feedback_positive,
            feedback_negative,
            sessions_started,
            itineraries_saved,
            timeouts: [process, lead, embedding],
        } = self;
        [
            requests,
            cost_reported,
            cost_computed,
            cost_unknown,
            not_billable,
            slow,
            streamed_tokens,
            streamed_ms,
            refused,
            flagged,
            regenerated,
            feedback_positive,
            feedback_negative,
            sessions_started,
            itineraries_saved,
            process,
            lead,
            embedding,
        ]
    }

    /// Adds all of `other`.
    fn merge(&mut self, other: &Self) {
        for (count, more) in self.all().into_iter().zip({ *other }.all()) {
            *count = count.wrapping_add(*more);
        }
    }
}

/// What is counted of a series in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollup {
    /// Sums.
    pub counts: Counts,
    /// Calls that failed.
    pub errors: Errors,
    /// Tokens by kind.
    pub tokens: Tokens,
    /// What calls cost, where it is known.
    pub cost: Money,
    /// What calls cost that belong to a session.
    pub session_cost: Money,
    /// Sessions with a call: exact up to some hundreds, then within 1.6 % (one standard error).
    pub sessions: Distinct,
    /// How long calls took.
    pub latency: Times,
    /// How long until their first token came.
    pub first_token: Times,
    /// How long requests waited for their answer, by [`Exchange`].
    #[serde(with = "crate::sparse")]
    pub answered: [Times; Exchange::ALL.len()],
}

impl Measure {
    /// A measure in its series, in its tenant's sum and in that of everything.
    pub fn everywhere((series, what): (Series, Measured)) -> [Self; 3] {
        let what = Arc::new(what);
        [series.of_tenant(), Series::total(), series].map(|series| Self { series, what: Arc::clone(&what) })
    }
}

impl Aggregate<Measure> for Rollup {
    fn add(&mut self, measure: &Measure) {
        match &*measure.what {
            Measured::Call { call, cost, session, is_slow } => {
                self.add_call(call);
                self.counts.slow += u64::from(*is_slow);
                self.add_cost(cost, session.is_some());
                if let Some(session) = session {
                    // Half of its bits: they take half the room, and tell sessions apart better than the sketch does.
                    self.sessions.add_hash(session.get() >> 32);
                }
            }
            Measured::Answered(exchange, ms) => self.answered[*exchange as usize].add(*ms),
            Measured::TimedOut(exchange) => self.counts.timeouts[*exchange as usize] += 1,
            Measured::SessionStarted => self.counts.sessions_started += 1,
            Measured::ItinerarySaved => self.counts.itineraries_saved += 1,
        }
    }
}

impl Rollup {
    fn add_call(&mut self, call: &Call) {
        let counts = &mut self.counts;
        counts.requests += 1;
        counts.refused += u64::from(call.quality.is_refused);
        counts.flagged += u64::from(call.quality.is_flagged);
        counts.regenerated += u64::from(call.quality.is_regenerated);
        counts.feedback_positive += u64::from(call.quality.feedback == Some(Feedback::Positive));
        counts.feedback_negative += u64::from(call.quality.feedback == Some(Feedback::Negative));
        if let Some(error) = &call.error {
            self.errors.put(error, 1);
        }
        let output = call.tokens.map_or(0, |tokens| tokens.output());
        if let Some(tokens) = &call.tokens {
            self.tokens.merge(tokens);
        }
        if let Some(ms) = call.latency_ms {
            self.latency.add(ms);
        }
        if let Some(ms) = call.first_token_ms {
            self.first_token.add(ms);
        }
        // Only where all three are known: tokens of one call over the time of another would be no speed.
        if let (Some(latency), Some(first)) = (call.latency_ms, call.first_token_ms)
            && output > 0
            && latency >= first
        {
            counts.streamed_tokens = counts.streamed_tokens.wrapping_add(output);
            counts.streamed_ms = counts.streamed_ms.wrapping_add(latency - first);
        }
    }

    fn add_cost(&mut self, cost: &Cost, in_session: bool) {
        match cost {
            Cost::NotBillable => self.counts.not_billable += 1,
            Cost::Unknown => self.counts.cost_unknown += 1,
            Cost::Known { currency, amount, basis } => {
                match basis {
                    Basis::Reported => self.counts.cost_reported += 1,
                    Basis::Computed => self.counts.cost_computed += 1,
                }
                self.cost.add(*currency, *amount);
                if in_session {
                    self.session_cost.add(*currency, *amount);
                }
            }
        }
    }

    /// Output tokens per second of the calls that say when they came; `None` of none.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let Counts { streamed_tokens, streamed_ms, .. } = self.counts;
        (streamed_ms > 0).then(|| streamed_tokens as f64 * 1_000.0 / streamed_ms as f64)
    }

    /// Cached tokens among those of the input; `None` without input.
    pub fn cache_share(&self) -> Option<f64> {
        let input = self.tokens.input();
        (input > 0).then(|| self.tokens.get(TokenKind::CachedInput) as f64 / input as f64)
    }

    /// What is paid for each of so many, by currency; nothing where there is none.
    pub fn cost_per(money: &Money, count: u64) -> Vec<(Currency, Nanos)> {
        let each =
            |(currency, Nanos(sum), _): (Currency, Nanos, u64)| (currency, Nanos(half_even(sum, i128::from(count))));
        if count == 0 { Vec::new() } else { money.amounts().map(each).collect() }
    }
}

/// What a day's calls cost, without how long they took: small enough to be shown while the day lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCost {
    /// Sums.
    pub counts: Counts,
    /// What calls cost, where it is known.
    pub cost: Money,
}

impl Aggregate<Closed<Rollup>> for DayCost {
    fn add(&mut self, minute: &Closed<Rollup>) {
        self.counts.merge(&minute.value.counts);
        self.cost.merge(&minute.value.cost);
    }
}

impl Mergeable for DayCost {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.cost.merge(&other.cost);
    }

    fn heap_bytes(&self) -> usize {
        self.cost.heap_bytes()
    }
}

impl Mergeable for Rollup {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.errors.merge(&other.errors);
        self.tokens.merge(&other.tokens);
        self.cost.merge(&other.cost);
        self.session_cost.merge(&other.session_cost);
        self.sessions.merge(&other.sessions);
        self.latency.merge(&other.latency);
        self.first_token.merge(&other.first_token);
        for (times, more) in self.answered.iter_mut().zip(&other.answered) {
            times.merge(more);
        }
    }

    fn heap_bytes(&self) -> usize {
        let times = [&self.latency, &self.first_token].into_iter().chain(&self.answered);
        times.map(Times::heap_bytes).sum::<usize>()
            + self.errors.heap_bytes()
            + self.cost.heap_bytes()
            + self.session_cost.heap_bytes()
            + self.sessions.heap_bytes()
    }
}
