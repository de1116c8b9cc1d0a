//! The world's cities of more than 15 000 people, and which of them a name means.
//!
//! The table is GeoNames' (geonames.org, CC BY 4.0; see `data/README.md`), one line per city, largest
//! first, with other names in many languages. Names are compared folded (case, accents,
//! punctuation). A name means, in this order: a row of the extension file; the most populous city
//! whose own name it is; the most populous city that has it among its other names. A country, then
//! coordinates, choose among them. A name that is in no table stands for itself, folded. A country is one
//! that some row has: any other code would be a country that nobody can ask for.
//!
//! Not here: what is done with the city. Invariant: pure and immutable. The same table, name and
//! hints give the same city, from any thread; so states that hold cities can be rebuilt.

mod extension;
mod fold;
mod index;
mod table;

use std::cmp::Reverse;
use std::fmt;
use std::path::Path;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

pub use extension::GazetteerError;
use fold::Folded;
use index::{Class, Entry, Index};
use table::Row;

/// Cities, tab-separated: see `data/README.md`.
const SHIPPED: &str = include_str!("../../data/cities.tsv");

/// Coordinates choose a city only within this distance, about 100 km. Farther off they are somebody
/// else's: often the user's, who searches for a city far away.
const NEAR_DEGREES: f64 = 0.9;

/// A country's ISO 3166 code, or `ZZ` for an unknown one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Country([u8; 2]);

impl Country {
    /// The unknown country.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// The code `code`, in any case; `None` for anything but two letters. The two codes that the European
    /// Union writes otherwise are mapped: `UK` is `GB`, `EL` is `GR`. Whether there is such a country,
    /// [`Gazetteer::knows_country`] says.
    pub fn from_code(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.trim().as_bytes().try_into().ok()?;
        if !code.iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        Some(Self(match &code.map(|letter| letter.to_ascii_uppercase()) {
            b"UK" => *b"GB",
            b"EL" => *b"GR",
            code => *code,
        }))
    }

    /// The code's two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }

    /// The code as two bytes.
    pub fn code(self) -> [u8; 2] {
        self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A city as results name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CityRef {
    /// The name the table gives it; for a city that is in no table, the event's name, folded.
    pub name: CompactString,
    /// Its country.
    pub country: Country,
}

/// A place on the globe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinates {
    latitude: f64,
    longitude: f64,
}

impl Coordinates {
    /// Degrees north and east; `None` for a place that is not on the globe.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        ((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude))
            .then_some(Self { latitude, longitude })
    }

    /// The square of the distance to a row's city, in degrees of a great circle; near enough to tell
    /// cities apart, wrong across half the globe, where nothing is near.
    fn distance_squared(self, row: &Row) -> f64 {
        let north = self.latitude - f64::from(row.latitude) / 100.0;
        let turn = (self.longitude - f64::from(row.longitude) / 100.0).abs();
        let east = turn.min(360.0 - turn) * self.latitude.to_radians().cos();
        north * north + east * east
    }
}

/// A city of the table.
#[derive(Clone, Copy, Debug)]
pub struct City<'g> {
    /// Its name.
    pub name: &'g str,
    /// Its country.
    pub country: Country,
    /// Its people.
    pub population: u32,
    /// Hundredths of a degree north.
    pub latitude_hundredths: i16,
    /// Hundredths of a degree east.
    pub longitude_hundredths: i16,
}

/// The table of cities and the index of their names; share one in an [`std::sync::Arc`].
#[derive(Debug)]
pub struct Gazetteer {
    /// The extension's lines, in the shipped table's form.
    extension: String,
    rows: Vec<Row>,
    /// How many rows, from the first, are of the shipped table.
    shipped: usize,
    index: Index,
    /// In order, each once.
    countries: Vec<Country>,
}

impl Gazetteer {
    /// The shipped table.
    pub fn shipped() -> Self {
        Self::new(String::new())
    }

    /// The shipped table, extended and overridden by the file at `path`: CSV (or TSV, by its name)
    /// with the columns `name` and `country`, and optionally `population`, `latitude`, `longitude`
    /// and `aliases` (separated by `|`).
    ///
    /// # Errors
    /// The file's name, the line, and what is wrong there.
    pub fn with_extension(path: &Path) -> Result<Self, GazetteerError> {
        extension::read(path).map(Self::new)
    }

    fn new(extension: String) -> Self {
        let header = SHIPPED.find('\n').map_or(0, |end| end + 1);
        let mut rows = parse(SHIPPED, header);
        let shipped = rows.len();
        rows.extend(parse(&extension, 0));

        let mut entries = Vec::with_capacity(rows.len() * 5);
        for (number, row) in rows.iter().enumerate() {
            let text = if number < shipped { SHIPPED } else { extension.as_str() };
            let mut claim = |name: &str, class: Class| {
                let class = if number < shipped { class } else { Class::Extension };
                entries.push(Entry {
                    hash: index::hash(Folded::of(name).as_bytes()),
                    class,
                    population: Reverse(row.population),
                    row: number as u32,
                });
            };
            claim(row.name(text), Class::Own);
            for alias in row.aliases(text) {
                claim(alias.name, if alias.own { Class::Own } else { Class::Alias });
            }
        }
        rows.shrink_to_fit();
        let mut countries: Vec<Country> = rows.iter().map(|row| Country(row.country)).collect();
        countries.sort_unstable();
        countries.dedup();
        countries.shrink_to_fit();
        Self { extension, rows, shipped, index: Index::new(entries), countries }
    }

    /// The city that `name` means; `None` where it holds no letter and no digit.
    ///
    /// A country that no row has counts as not given. With a country, only its cities are
    /// meant; where it has none of that name, the name stands for itself in that country. With
    /// coordinates, the nearest of the cities that are meant, if one is near.
    pub fn resolve(&self, name: &str, country: Option<&str>, coordinates: Option<Coordinates>) -> Option<CityRef> {
        let folded = Folded::of(name);
        if folded.as_bytes().is_empty() {
            return None;
        }
        let country = country.and_then(Country::from_code).filter(|country| self.knows_country(*country));
        let rows = self.index.rows(index::hash(folded.as_bytes()));
        let mut meant = rows
            .iter()
            .map(|&number| number as usize)
            .filter(|&number| country.is_none_or(|country| self.rows[number].country == country.0));
        let best = match coordinates {
            None => meant.next(),
            Some(place) => meant.clone().next().map(|best| {
                meant
                    .map(|number| (place.distance_squared(&self.rows[number]), number))
                    .filter(|(distance, _)| *distance <= NEAR_DEGREES * NEAR_DEGREES)
                    .min_by(|a, b| a.0.total_cmp(&b.0))
                    .map_or(best, |(_, nearest)| nearest)
            }),
        };
        Some(match best {
            Some(number) => {
                let row = &self.rows[number];
                CityRef { name: CompactString::new(row.name(self.text(number))), country: Country(row.country) }
            }
            None => CityRef { name: CompactString::new(folded.as_str()), country: country.unwrap_or(Country::UNKNOWN) },
        })
    }

    /// Whether some city of the table has this name among its names.
    pub fn knows(&self, name: &str) -> bool {
        !self.index.rows(index::hash(Folded::of(name).as_bytes())).is_empty()
    }

    /// Whether some city of the table lies in this country.
    pub fn knows_country(&self, country: Country) -> bool {
        self.countries.binary_search(&country).is_ok()
    }

    /// The cities of the table, the shipped ones first, largest first.
    pub fn cities(&self) -> impl Iterator<Item = City<'_>> {
        (0..self.rows.len()).filter_map(|number| self.city(number))
    }

    /// The `number`th of [`Self::cities`], from 0; `None` beyond them.
    pub fn city(&self, number: usize) -> Option<City<'_>> {
        self.rows.get(number).map(|row| City {
            name: row.name(self.text(number)),
            country: Country(row.country),
            population: row.population,
            latitude_hundredths: row.latitude,
            longitude_hundredths: row.longitude,
        })
    }

    /// The other names of the `number`th of [`Self::cities`]; none for a number beyond them.
    pub fn aliases(&self, number: usize) -> impl Iterator<Item = &str> {
        let text = self.text(number);
        self.rows.get(number).into_iter().flat_map(|row| row.aliases(text)).map(|alias| alias.name)
    }

    /// The memory it holds beside the program's own text, in bytes.
    pub fn resident_bytes(&self) -> usize {
        self.extension.capacity()
            + self.rows.capacity() * size_of::<Row>()
            + self.index.resident_bytes()
            + self.countries.capacity() * size_of::<Country>()
    }

    fn text(&self, number: usize) -> &str {
        if number < self.shipped { SHIPPED } else { &self.extension }
    }
}

/// The rows of the lines of `text` from `start` on. A line that is no row is left out: the extension's
/// were written in this form, and a test reads each line of the shipped table.
fn parse(text: &str, start: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut line = start;
    while line < text.len() {
        rows.extend(Row::parse(text, line));
        line = text[line..].find('\n').map_or(text.len(), |end| line + end + 1);
    }
    rows
}

#[cfg(test)]
mod tests;
