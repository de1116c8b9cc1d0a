//! The topics of prices and of budgets: their rows as they were at each moment, and what they say.
//!
//! Not here: who is charged ([`crate::alerts`]). Invariant: shares no code with the worker. A row takes effect at its record's
//! timestamp, or at its partition's stream time where that has come further.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Months, NaiveTime};
use processing_core::testing::Story;
use serde_json::Value;

use crate::oracle::{DAY, HOUR};

/// The rows of a topic by key, each from its moment on.
pub(crate) struct Table(BTreeMap<String, Vec<(i64, Option<Value>)>>);

impl Table {
    pub(crate) fn of(story: &Story, topic: &str) -> Self {
        let mut rows: BTreeMap<String, Vec<(i64, Option<Value>)>> = BTreeMap::new();
        for (place, records) in story.inputs.iter().filter(|(place, _)| place.topic.as_str() == topic) {
            let mut moment = i64::MIN;
            for record in records {
                let raises = story.raises.iter().filter(|(at, offset, _)| at == place && *offset <= record.offset);
                moment = raises.map(|(.., time)| time.0).fold(moment.max(record.timestamp.0), i64::max);
                let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
                let row = record.value.as_ref().map(|value| serde_json::from_slice(value).unwrap());
                rows.entry(key).or_default().push((moment, row));
            }
        }
        Self(rows)
    }

    /// The row of a key at this time.
    pub(crate) fn row(&self, key: &str, at: i64) -> Option<&Value> {
        self.0.get(key)?.iter().rev().find(|(moment, _)| *moment <= at)?.1.as_ref()
    }
}

/// Billionths of a dollar that a call costs by a row of prices; the outer `None` where the row says nothing of its model and
/// time, the inner one where a price is missing.
pub(crate) fn by_row(row: &Value, model: &str, time: i64, counts: [i128; 3]) -> Option<Option<i128>> {
    let model = row["model"].as_array().unwrap().iter().find(|one| one["name"] == model)?;
    let from = |price: &Value| {
        let text = price["effective_from"].as_str();
        text.map_or(i64::MIN, |text| DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    };
    let prices = model["price"].as_array().unwrap().iter().filter(|price| from(price) <= time);
    let price = prices.max_by_key(|price| from(price))?;
    // A dollar for a million tokens is 1 000 billionths for one.
    let of = |kind: &str| price[kind].as_str().map(|text| (text.parse::<f64>().unwrap() * 1_000.0) as i128);
    let [plain, cached, output] = counts;
    let parts = [(plain, of("input")), (cached, of("cached_input").or(of("input"))), (output, of("output"))];
    let used = parts.into_iter().filter(|(count, _)| *count > 0);
    Some(used.map(|(count, price)| price.map(|price| count * price)).sum())
}

/// What a budget says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) id: String,
    pub(crate) version: u64,
    /// Tenant, user and model: `None` for all together, `*` for each.
    pub(crate) over: [Option<String>; 3],
    pub(crate) period: String,
    pub(crate) zone: String,
    pub(crate) amount: i128,
    pub(crate) currency: String,
    pub(crate) thresholds: Vec<u64>,
}

impl Terms {
    /// Those of a list, under the key of its record if it is one.
    pub(crate) fn of(list: &Value, key: Option<&str>) -> Vec<Self> {
        let budgets = list["budget"].as_array().unwrap().iter();
        let text = |budget: &Value, name: &str| budget[name].as_str().map(str::to_owned);
        budgets
            .map(|budget| {
                let own = text(budget, "tenant");
                let tenant = match key {
                    None => own,
                    Some("*") => own.filter(|own| own == "*"),
                    Some(key) => Some(key.to_owned()),
                };
                let thresholds = budget["thresholds"].as_array().unwrap().iter();
                Self {
                    id: text(budget, "id").unwrap(),
                    version: budget["version"].as_u64().unwrap_or(1),
                    over: [tenant, text(budget, "user"), text(budget, "model")],
                    period: text(budget, "period").unwrap(),
                    zone: text(budget, "time_zone").unwrap_or("UTC".to_owned()),
                    amount: text(budget, "amount").unwrap().parse::<i128>().unwrap() * 1_000_000_000,
                    currency: text(budget, "currency").unwrap_or("USD".to_owned()),
                    thresholds: thresholds.map(|percent| percent.as_u64().unwrap()).collect(),
                }
            })
            .collect()
    }

    pub(crate) fn owner(&self) -> &str {
        self.over[0].as_deref().unwrap_or("*")
    }

    /// The period of this time.
    pub(crate) fn period(&self, time: i64) -> (i64, i64) {
        let shift = if self.zone == "Asia/Tokyo" { 9 * HOUR } else { 0 };
        let local = time + shift;
        if self.period == "day" {
            let start = local - local.rem_euclid(DAY) - shift;
            return (start, start + DAY);
        }
        let first = DateTime::from_timestamp_millis(local).unwrap().date_naive().with_day(1).unwrap();
        let next = first.checked_add_months(Months::new(1)).unwrap();
        let ms = |date: chrono::NaiveDate| date.and_time(NaiveTime::MIN).and_utc().timestamp_millis() - shift;
        (ms(first), ms(next))
    }
}
