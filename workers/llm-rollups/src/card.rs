//! Price cards: what a token of which model costs, since when, at which hours, in which size of context.
//!
//! Not here: which price holds for a call and what the call costs ([`crate::pricing`]). Invariant: a price is a whole number
//! of pico-units of its currency for a token, exactly as it was written; what cannot be written so is an error that names it.
//!
//! A card is TOML (`data/prices.toml` is the one that is shipped) or, as a record of the topic of prices, JSON of one
//! provider, of which the record's key is the name:
//!
//! ```toml
//! [[provider]]
//! name = "anthropic"
//! [[provider.model]]
//! name = "claude-sonnet-4-5"
//! aliases = ["claude-sonnet-4.5"]
//! prefixes = ["claude-sonnet-4-5-"]
//! price = [
//!   { input = "3", cached_input = "0.3", cache_write_5m = "3.75", output = "15" },
//!   { above_input_tokens = 200000, input = "6", cached_input = "0.6", cache_write_5m = "7.5", output = "22.5" },
//!   { batch = true, input = "1.5", output = "7.5" },
//! ]
//! ```
//! Prices are for a million tokens. Of the rows of a model that apply to a call, the one that took effect last holds; of
//! those of one moment the one for the hour of the day (`from`, `until`, UTC) before one for all hours, then one for batch
//! calls, then the one of the largest context.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Timelike};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, decimal};
use crate::tokens::TokenKind;

/// A price of a pico-dollar a token is a millionth of a dollar for a million tokens.
const DECIMALS: i32 = 6;
/// More than anybody asks for a million tokens, in units of the currency.
const PRICE_MAX: i64 = 1_000_000_000_000_000;
/// The card that is shipped.
const SHIPPED: &str = include_str!("../data/prices.toml");

/// Prices of several providers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// Whoever made it, as it says of itself.
    pub source: String,
    /// The day to which it is true, as it says of itself.
    pub dated: String,
    providers: Vec<(CompactString, ProviderPrices)>,
    /// Places by name and alias.
    names: BTreeMap<CompactString, usize>,
}

/// The models of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderPrices {
    models: Vec<ModelPrices>,
    /// Places in `models` by name and alias.
    exact: BTreeMap<CompactString, u32>,
    /// Places in `models`, in the order of the prefixes.
    prefixes: Vec<(CompactString, u32)>,
}

/// The prices of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPrices {
    /// Its name on the card.
    pub name: CompactString,
    /// The one that goes before others stands behind them.
    rows: Vec<Price>,
}

/// A price and when it holds. Its order is that of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Price {
    /// Milliseconds since 1970 UTC.
    effective_from: i64,
    /// Minutes of the day in UTC, the second one excluded; it may be before the first.
    hours: Option<(u16, u16)>,
    /// For batch calls only, or for others only.
    batch: Option<bool>,
    /// For calls of more input than this only.
    above_input_tokens: u64,
    /// What it is paid in.
    pub currency: Currency,
    /// Pico-units a token, by kind.
    picos: [Option<i64>; TokenKind::ALL.len()],
}

/// What of a call decides which of a model's prices holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion {
    /// When it was made, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// All its input.
    pub input_tokens: u64,
    /// Whether it was one of a batch.
    pub is_batch: bool,
}

impl Price {
    /// What a token of this kind costs, in pico-units; a kind without a price of its own costs what it is a part of.
    pub fn picos(&self, kind: TokenKind) -> Option<i64> {
        let mut kind = Some(kind);
        while let Some(of) = kind {
            if let Some(picos) = self.picos[of as usize] {
                return Some(picos);
            }
            kind = of.part_of();
        }
        None
    }

    fn applies(&self, occasion: &Occasion) -> bool {
        let minute = occasion.time_ms.rem_euclid(86_400_000) / 60_000;
        self.effective_from <= occasion.time_ms
            && self.above_input_tokens < occasion.input_tokens.max(1)
            && self.batch.is_none_or(|batch| batch == occasion.is_batch)
            && self.hours.is_none_or(|(from, until)| {
                let (from, until) = (i64::from(from), i64::from(until));
                if from <= until { (from..until).contains(&minute) } else { minute >= from || minute < until }
            })
    }
}

impl ModelPrices {
    /// The price that holds; `None` before the first took effect.
    pub fn at(&self, occasion: &Occasion) -> Option<&Price> {
        self.rows.iter().rev().find(|price| price.applies(occasion))
    }
}

impl ProviderPrices {
    /// The prices of a model by its name in small letters: a name or an alias before a prefix, the longest prefix before
    /// others.
    pub fn model(&self, name: &str) -> Option<&ModelPrices> {
        let place = self.exact.get(name).copied().or_else(|| self.longest_prefix(name))?;
        self.models.get(place as usize)
    }

    fn longest_prefix(&self, name: &str) -> Option<u32> {
        let mut name = name;
        loop {
            let behind = self.prefixes.partition_point(|(prefix, _)| prefix.as_str() <= name);
            let (prefix, place) = self.prefixes.get(behind.checked_sub(1)?)?;
            if name.starts_with(prefix.as_str()) {
                return Some(*place);
            }
            // Whatever is a prefix of the name and comes before this one is one of what they have in common.
            let common = name.bytes().zip(prefix.bytes()).take_while(|(a, b)| a == b).count();
            let common = (0..=common).rev().find(|end| name.is_char_boundary(*end))?;
            name = &name[..common];
        }
    }

    /// Reads a record of the topic of prices: JSON of one provider.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_json(text: &[u8]) -> Result<Self, CardError> {
        let text: ProviderText = serde_json::from_slice(text).map_err(|error| CardError(error.to_string()))?;
        text.compile().map(|(_, prices)| prices)
    }
}

impl Card {
    /// The card of real models that this worker is shipped with; its source and its date stand in it.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn shipped() -> Result<Self, CardError> {
        Self::from_toml(SHIPPED)
    }

    /// Reads a card.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_toml(text: &str) -> Result<Self, CardError> {
        let text: CardText = toml::from_str(text).map_err(|error| CardError(error.to_string()))?;
        let mut card = Self { source: text.source, dated: text.dated, ..Self::default() };
        for provider in text.provider {
            let aliases = provider.aliases.clone();
            let (name, prices) = provider.compile()?;
            for name in aliases.iter().map(|alias| lower(alias)).chain([name.clone()]) {
                if card.names.insert(name.clone(), card.providers.len()).is_some() {
                    return Err(CardError(format!("two providers are called `{name}`")));
                }
            }
            card.providers.push((name, prices));
        }
        Ok(card)
    }

    /// A provider's prices by a name or an alias in small letters, and its name on the card.
    pub fn provider(&self, name: &str) -> Option<(&CompactString, &ProviderPrices)> {
        let (name, prices) = self.providers.get(*self.names.get(name)?)?;
        Some((name, prices))
    }

    /// The first provider of the card that has a model of this name, for calls that name none: by name and alias before
    /// by prefix.
    pub fn provider_with(&self, model: &str) -> Option<(&CompactString, &ProviderPrices)> {
        let by_name = self.providers.iter().find(|(_, prices)| prices.exact.contains_key(model));
        let found = by_name.or_else(|| self.providers.iter().find(|(_, prices)| prices.model(model).is_some()));
        found.map(|(name, prices)| (name, prices))
    }

    /// All models: the provider's name and the model's.
    pub fn models(&self) -> impl Iterator<Item = (&str, &str)> {
        self.providers
            .iter()
            .flat_map(|(name, prices)| prices.models.iter().map(|model| (name.as_str(), model.name.as_str())))
    }
}

/// What is wrong with a card, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardError(String);

impl std::fmt::Display for CardError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CardError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardText {
    #[serde(default)]
    source: String,
    #[serde(default)]
    dated: String,
    #[serde(default)]
    provider: Vec<ProviderText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderText {
    /// In a record, its key says it.
    #[serde(default)]
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    currency: Option<String>,
    #[serde(default)]
    model: Vec<ModelText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelText {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    prefixes: Vec<String>,
    price: Vec<PriceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceText {
    effective_from: Option<String>,
    from: Option<String>,
    until: Option<String>,
    batch: Option<bool>,
    above_input_tokens: Option<u64>,
    input: Option<String>,
    cached_input: Option<String>,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
    audio_input: Option<String>,
    image_input: Option<String>,
    output: Option<String>,
    reasoning: Option<String>,
    audio_output: Option<String>,
}

impl ProviderText {
    fn compile(self) -> Result<(CompactString, ProviderPrices), CardError> {
        let provider = lower(&self.name);
        let currency = match &self.currency {
            None => Currency::USD,
            Some(text) => Currency::of(text).ok_or_else(|| {
                CardError(format!("provider `{provider}`: `currency` takes three letters such as EUR, not `{text}`"))
            })?,
        };
        let mut prices = ProviderPrices::default();
        for (place, model) in (0..).zip(self.model) {
            let name = lower(&model.name);
            let wrong = |what: String| CardError(format!("provider `{provider}`, model `{name}`: {what}"));
            for alias in model.aliases.iter().map(|alias| lower(alias)).chain([name.clone()]) {
                if prices.exact.insert(alias.clone(), place).is_some_and(|other| other != place) {
                    return Err(wrong(format!("another model is called `{alias}` too")));
                }
            }
            prices.prefixes.extend(model.prefixes.iter().map(|prefix| (lower(prefix), place)));
            let rows =
                model.price.into_iter().zip(1..).map(|(row, number)| {
                    row.compile(currency).map_err(|what| wrong(format!("price {number}: {what}")))
                });
            let mut rows: Vec<Price> = rows.collect::<Result<_, _>>()?;
            rows.sort();
            prices.models.push(ModelPrices { name: model.name.into(), rows });
        }
        prices.prefixes.sort();
        if let Some([(prefix, _), _]) = prices.prefixes.array_windows().find(|[(a, _), (b, _)]| a == b) {
            return Err(CardError(format!("provider `{provider}`: two models have the prefix `{prefix}`")));
        }
        Ok((provider, prices))
    }
}

impl PriceText {
    fn compile(self, currency: Currency) -> Result<Price, String> {
        let by_kind = [
            (TokenKind::Input, self.input),
            (TokenKind::CachedInput, self.cached_input),
            (TokenKind::CacheWrite5m, self.cache_write_5m),
            (TokenKind::CacheWrite1h, self.cache_write_1h),
            (TokenKind::AudioInput, self.audio_input),
            (TokenKind::ImageInput, self.image_input),
            (TokenKind::Output, self.output),
            (TokenKind::Reasoning, self.reasoning),
            (TokenKind::AudioOutput, self.audio_output),
        ];
        let mut picos = [None; TokenKind::ALL.len()];
        for (kind, text) in by_kind {
            picos[kind as usize] = text.map(|text| picos_a_token(&text)).transpose()?;
        }
        let hours = match (self.from, self.until) {
            (None, None) => None,
            (Some(from), Some(until)) => Some((minute(&from)?, minute(&until)?)),
            _ => return Err("`from` and `until` come together".to_owned()),
        };
        Ok(Price {
            effective_from: self.effective_from.map_or(Ok(i64::MIN), |text| moment(&text))?,
            hours,
            batch: self.batch,
            above_input_tokens: self.above_input_tokens.unwrap_or(0),
            currency,
            picos,
        })
    }
}

/// A price for a million tokens as pico-units a token.
fn picos_a_token(text: &str) -> Result<i64, String> {
    let wrong = |what: &str| Err(format!("`{text}` {what}"));
    let Some((digits, exponent)) = decimal(text) else { return wrong("is no decimal number") };
    if digits < 0 {
        return wrong("is below 0");
    }
    let shift = exponent + DECIMALS;
    let factor = 10_i128.checked_pow(shift.unsigned_abs());
    let picos = match (shift, factor) {
        (0.., Some(factor)) => digits.checked_mul(factor),
        (_, Some(factor)) if digits % factor == 0 => Some(digits / factor),
        (_, None) if digits == 0 => Some(0),
        (0.., None) => None,
        _ => return wrong("is finer than a millionth: a price is whole pico-units a token"),
    };
    match picos.and_then(|picos| i64::try_from(picos).ok()).filter(|picos| *picos <= PRICE_MAX) {
        Some(picos) => Ok(picos),
        None => wrong("is too much for a million tokens"),
    }
}

fn minute(text: &str) -> Result<u16, String> {
    let time = NaiveTime::parse_from_str(text, "%H:%M");
    let time = time.map_err(|_| format!("`{text}` is no time of day such as 16:30"))?;
    Ok((time.hour() * 60 + time.minute()) as u16)
}

fn moment(text: &str) -> Result<i64, String> {
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let instant = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis()).ok();
    let found = instant.or_else(|| day().map(|time| time.and_utc().timestamp_millis()));
    found.ok_or_else(|| format!("`effective_from` takes 2026-01-31 or 2026-01-31T12:00:00Z, not `{text}`"))
}

/// As names are looked up.
pub(crate) fn lower(name: &str) -> CompactString {
    let name = name.trim();
    if name.is_ascii() {
        let mut small = CompactString::from(name);
        small.make_ascii_lowercase();
        return small;
    }
    name.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn provider(models: &str) -> Result<Card, CardError> {
        Card::from_toml(&format!("[[provider]]\nname = \"P\"\naliases = [\"Q\"]\n{models}"))
    }

    #[test]
    fn the_card_that_is_shipped_can_be_read_and_says_where_it_comes_from() {
        let card = Card::shipped().unwrap();
        assert!(card.source.contains("genai-prices") && card.dated.starts_with("20"), "{} {}", card.source, card.dated);
        assert!(card.models().count() > 500, "{}", card.models().count());
        let (name, prices) = card.provider("aws.bedrock").unwrap();
        assert_eq!(name, "aws");
        assert!(prices.model("no such model").is_none());
        let (name, _) = card.provider_with("claude-sonnet-4-5-20250929").unwrap();
        assert_eq!(name, "anthropic");
    }

    #[test]
    fn of_the_prices_that_apply_the_most_particular_holds() {
        let card = provider(
            r#"
            [[provider.model]]
            name = "m"
            price = [
              { batch = true, input = "2" },
              { above_input_tokens = 100, input = "3" },
              { input = "1" },
              { effective_from = "2026-01-02", input = "4" },
              { effective_from = "2026-01-02", from = "23:00", until = "01:30", input = "5" },
            ]
            "#,
        );
        let card = card.unwrap();
        let model = card.provider("q").unwrap().1.model("m").unwrap();
        let price = |time: &str, input_tokens, is_batch| {
            let occasion = Occasion { time_ms: moment(time).unwrap(), input_tokens, is_batch };
            model.at(&occasion).unwrap().picos(TokenKind::CachedInput).unwrap() / 1_000_000
        };
        assert_eq!(price("2026-01-01T23:30:00Z", 100, false), 1);
        assert_eq!(price("2026-01-01T23:30:00Z", 101, false), 3);
        assert_eq!(price("2026-01-01T23:30:00Z", 100, true), 2);
        // A version stands alone: what it does not say is not taken from the one before.
        assert_eq!(price("2026-01-02T12:00:00Z", 101, true), 4);
        for (time, expected) in [("00:00", 5), ("01:29", 5), ("01:30", 4), ("22:59", 4), ("23:00", 5)] {
            assert_eq!(price(&format!("2026-01-02T{time}:00Z"), 1, false), expected, "{time}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_card_is_told_with_its_place() {
        let price = |row: &str| provider(&format!("[[provider.model]]\nname = \"m\"\nprice = [{{ {row} }}]"));
        for (row, part) in [
            (r#"input = "0.0000001""#, "model `m`: price 1: `0.0000001` is finer than a millionth"),
            (r#"input = "-1""#, "`-1` is below 0"),
            (r#"input = "cheap""#, "`cheap` is no decimal number"),
            (r#"input = "1e30""#, "too much"),
            (r#"inputs = "1""#, "unknown field `inputs`"),
            (r#"from = "1:00", input = "1""#, "`from` and `until` come together"),
            (r#"from = "1:00", until = "25:00""#, "`25:00` is no time of day"),
            (r#"effective_from = "soon""#, "not `soon`"),
        ] {
            let told = price(row).unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
        let twice = "[[provider.model]]\nname = \"m\"\nprefixes = [\"a\"]\nprice = []\n[[provider.model]]\nname = \"";
        for (second, part) in [("M", "another model is called `m`"), ("n\"\nprefixes = [\"A\"]#", "the prefix `a`")] {
            let told = provider(&format!("{twice}{second}\"\nprice = []")).unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
    }

    proptest! {
        #[test]
        fn the_longest_prefix_is_found(prefixes in prop::collection::btree_set("[ab]{1,4}", 0..12), name in "[abé]{0,6}") {
            let prices = ProviderPrices {
                prefixes: prefixes.iter().zip(0..).map(|(prefix, n)| (prefix.as_str().into(), n)).collect(),
                ..ProviderPrices::default()
            };
            let found = prices.longest_prefix(&name).map(|n| prefixes.iter().nth(n as usize).unwrap());
            let longest = prefixes.iter().filter(|prefix| name.starts_with(*prefix)).max_by_key(|prefix| prefix.len());
            prop_assert_eq!(found, longest);
        }
    }
}
