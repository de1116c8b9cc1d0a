//! What a call costs: as it says of itself, or by the prices that held when it was made.
//!
//! Not here: the prices ([`crate::card`]). Invariant: the cost of a call is a function of the call, the cards that the
//! settings name and the row of the topic of prices that was visible at the call's time; a replay gives the same one. A
//! cost that nobody knows is never 0.

use std::sync::{Arc, LazyLock};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::card::{Card, ModelPrices, Occasion, Price, ProviderPrices, lower};
use crate::event::Call;
use crate::money::{Currency, Nanos};
use crate::series::UNKNOWN;
use crate::tokens::{TokenKind, Tokens};

/// What a call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cost {
    /// No model was called: no model, no tokens and no cost are named (rules have answered).
    NotBillable,
    /// Something was called that has no price here.
    Unknown,
    /// So much.
    Known {
        /// Of what.
        currency: Currency,
        /// How much.
        amount: Nanos,
        /// Who says so.
        basis: Basis,
    },
}

/// Who says what a call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// The event.
    Reported,
    /// A price card.
    Computed,
}

/// Whose word counts where there are two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preference {
    /// The event's.
    #[default]
    Reported,
    /// The price card's.
    Computed,
}

/// The cards, the operator's own before the one that is shipped, and whose word counts.
#[derive(Debug, Clone, Default)]
pub struct Pricing {
    /// A provider's models are looked for in each, in this order.
    pub cards: Vec<Card>,
    /// Where a call reports its cost and has a price too.
    pub preference: Preference,
}

static SHIPPED: LazyLock<Arc<Pricing>> = LazyLock::new(|| {
    // A test reads it: there is no card that cannot be read.
    let cards = Card::shipped().into_iter().collect();
    Arc::new(Pricing { cards, preference: Preference::default() })
});

impl Pricing {
    /// By the card that is shipped alone; read once.
    pub fn shipped() -> Arc<Self> {
        Arc::clone(&SHIPPED)
    }

    /// Provider and model as results name them: the provider as the cards call it, where they know it or its model.
    pub fn names(&self, call: &Call) -> (CompactString, CompactString) {
        let model = call.model.clone().unwrap_or_else(|| UNKNOWN.into());
        (self.provider(call).unwrap_or_else(|| UNKNOWN.into()), model)
    }

    /// By which row of the topic of prices a call is priced; `None` where nobody knows whose model it is.
    pub fn provider(&self, call: &Call) -> Option<CompactString> {
        match &call.provider {
            Some(named) => Some(self.known(named)),
            None => self.sought(call).0,
        }
    }

    /// A provider as the cards call it, if they know it.
    fn known(&self, named: &CompactString) -> CompactString {
        self.cards.iter().find_map(|card| card.provider(named)).map_or(named, |(name, _)| name).clone()
    }

    /// The provider's name on the cards, and the model's in small letters.
    fn sought(&self, call: &Call) -> (Option<CompactString>, CompactString) {
        let model = lower(call.model.as_deref().unwrap_or_default());
        if let Some(named) = &call.provider {
            return (Some(self.known(named)), model);
        }
        // `provider/model`, as gateways write it.
        if let Some((named, rest)) = model.split_once('/')
            && let Some((name, _)) = self.cards.iter().find_map(|card| card.provider(named))
        {
            return (Some(name.clone()), rest.into());
        }
        let found = self.cards.iter().find_map(|card| card.provider_with(&model));
        (found.filter(|_| !model.is_empty()).map(|(name, _)| name.clone()), model)
    }

    /// What a call at this time costs, beside the row of the topic of prices that is its provider's.
    pub fn cost(&self, call: &Call, time_ms: i64, row: Option<&ProviderPrices>) -> Cost {
        if call.model.is_none() && call.tokens.is_none() && call.reported.is_none() && !call.is_cost_unreadable {
            return Cost::NotBillable;
        }
        let reported = call.reported.map(|(currency, amount)| Cost::Known { currency, amount, basis: Basis::Reported });
        let computed = || self.computed(call, time_ms, row);
        let found = match self.preference {
            Preference::Reported => reported.or_else(computed),
            Preference::Computed => computed().or(reported),
        };
        found.unwrap_or(Cost::Unknown)
    }

    fn computed(&self, call: &Call, time_ms: i64, row: Option<&ProviderPrices>) -> Option<Cost> {
        let tokens = call.tokens?;
        let occasion = Occasion { time_ms, input_tokens: tokens.input(), is_batch: call.is_batch };
        let (provider, name) = self.sought(call);
        let provider = provider?;
        let on_cards = self.cards.iter().filter_map(|card| Some(card.provider(&provider)?.1));
        // A model that the row does not have is looked for on the cards, and one whose first price is still to come.
        let mut models = row.into_iter().chain(on_cards).filter_map(|prices| prices.model(&name));
        let price = models.find_map(|model: &ModelPrices| model.at(&occasion))?;
        let amount = amount(price, &tokens)?;
        Some(Cost::Known { currency: price.currency, amount, basis: Basis::Computed })
    }
}

/// The tokens at these prices, added up exactly and rounded once; `None` where a kind that there is has no price.
fn amount(price: &Price, tokens: &Tokens) -> Option<Nanos> {
    let mut picos = 0_i128;
    for kind in TokenKind::ALL {
        let count = tokens.get(kind);
        if count > 0 {
            // Below 10^12 tokens at below 10^15 each, nine times.
            picos += i128::from(count) * i128::from(price.picos(kind)?);
        }
    }
    Some(Nanos::of_picos(picos))
}
