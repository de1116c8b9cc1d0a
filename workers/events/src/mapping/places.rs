//! Where one field stands in a company's events, as the settings say it.
//!
//! Not here: the whole of a mapping ([`super`]). Invariant: a field has pointers or a constant or both, and a unit that
//! goes with its kind.

use serde::Deserialize;

use super::pointer::Pointer;
use super::unit::Unit;
use crate::field::Kind;

/// As it is written: one pointer, several, or all that can be said.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum PlacesText {
    One(String),
    Several(Vec<String>),
    All(PlacesTable),
}

/// All that can be said of a field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlacesTable {
    #[serde(default)]
    pointers: Vec<String>,
    constant: Option<String>,
    unit: Option<String>,
    format: Option<String>,
}

/// A field's places, checked.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Places {
    pub(crate) pointers: Vec<Pointer>,
    /// Further places of a duration, behind those, in seconds.
    pub(crate) seconds: Vec<Pointer>,
    /// What the field holds where none of the pointers leads to a value.
    pub(crate) constant: Option<Box<str>>,
    pub(crate) unit: Unit,
}

impl Places {
    /// Every place, the best first, with the unit that its values have.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Pointer, &Unit)> {
        let own = self.pointers.iter().map(|pointer| (pointer, &self.unit));
        own.chain(self.seconds.iter().map(|pointer| (pointer, &Unit::SECONDS)))
    }
}

/// How many pointers one field may have.
const POINTERS_MAX: usize = 32;

impl PlacesText {
    /// Checks it for a field of this kind.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn checked(&self, kind: Kind) -> Result<Places, String> {
        let table = match self {
            Self::One(pointer) => PlacesTable { pointers: vec![pointer.clone()], ..PlacesTable::default() },
            Self::Several(pointers) => PlacesTable { pointers: pointers.clone(), ..PlacesTable::default() },
            Self::All(table) => table.clone(),
        };
        let PlacesTable { pointers, constant, unit, format } = table;
        if pointers.is_empty() && constant.is_none() {
            return Err("it has neither a pointer nor a constant".to_owned());
        }
        if pointers.len() > POINTERS_MAX {
            return Err(format!("it has more than {POINTERS_MAX} pointers"));
        }
        if constant.is_some() && kind.is_list() {
            return Err(format!("a constant is no {}", kind.wants()));
        }
        let pointers: Vec<Pointer> = pointers.iter().map(|text| Pointer::parse(text)).collect::<Result<_, _>>()?;
        if let Some(pointer) = pointers.iter().find(|pointer| pointer.leads_to_items() != kind.is_list()) {
            let takes =
                if kind.is_list() { "one value, and a list has a `*`, as in `/items/*/id`" } else { "many values" };
            return Err(format!(
                "`/{}` leads to {takes}; the field holds {}",
                pointer.dotted().replace('.', "/"),
                kind.wants()
            ));
        }
        let unit = match (unit, format) {
            (None, None) => Unit::AsItIs,
            (Some(unit), None) => Unit::named(&unit, kind)?,
            (None, Some(format)) => Unit::format(&format, kind)?,
            (Some(_), Some(_)) => {
                return Err("it has a unit and a format; a time has a format, a number a unit".to_owned());
            }
        };
        Ok(Places { pointers, seconds: Vec::new(), constant: constant.map(String::into_boxed_str), unit })
    }
}
