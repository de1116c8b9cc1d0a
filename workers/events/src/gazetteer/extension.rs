//! A file of cities that extends the shipped table, or overrides it.
//!
//! CSV, or TSV where the file's name ends in `.tsv`. The first line names the columns: `name` and
//! `country` (two letters) must be there; `population`, `latitude` and `longitude` (degrees) and
//! `aliases` (separated by `|`) may be. Every name in it goes to its row, before any shipped city.
//!
//! Not here: the search. Invariant: a file is taken whole or refused with its name and line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::fold::Folded;

/// The largest file taken, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// The longest name taken, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// Why a file of cities was refused.
#[derive(Debug, thiserror::Error)]
pub enum GazetteerError {
    /// The file could not be read.
    #[error("cannot read the cities in {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a table of cities.
    #[error("{}, line {line}: {problem}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: u64,
        /// What is wrong there, and what is expected.
        problem: String,
    },
}

/// The file's cities as lines of the shipped table's form.
pub(super) fn read(path: &Path) -> Result<String, GazetteerError> {
    let unreadable = |source| GazetteerError::Read { file: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other(format!("{size} bytes, at most {FILE_BYTES_MAX} are taken"))));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let tab = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    lines(bytes, if tab { b'\t' } else { b',' }).map_err(|(line, problem)| GazetteerError::Line {
        file: path.to_owned(),
        line,
        problem,
    })
}

/// Where the columns stand in a file.
#[derive(Default)]
struct Columns {
    name: Option<usize>,
    country: Option<usize>,
    population: Option<usize>,
    latitude: Option<usize>,
    longitude: Option<usize>,
    aliases: Option<usize>,
}

type Refusal = (u64, String);

fn lines(bytes: &[u8], delimiter: u8) -> Result<String, Refusal> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes);
    let columns = columns(reader.headers().map_err(refusal)?).map_err(|problem| (1, problem))?;
    let mut lines = String::new();
    for record in reader.records() {
        let record = record.map_err(refusal)?;
        let line = record.position().map_or(0, csv::Position::line);
        push_line(&mut lines, &columns, &record).map_err(|problem| (line, problem))?;
    }
    Ok(lines)
}

fn refusal(error: csv::Error) -> Refusal {
    (error.position().map_or(1, csv::Position::line), error.to_string())
}

fn columns(header: &StringRecord) -> Result<Columns, String> {
    let mut columns = Columns::default();
    for (place, column) in header.iter().enumerate() {
        let slot = match column.trim() {
            "name" => &mut columns.name,
            "country" => &mut columns.country,
            "population" => &mut columns.population,
            "latitude" => &mut columns.latitude,
            "longitude" => &mut columns.longitude,
            "aliases" => &mut columns.aliases,
            other => {
                return Err(format!(
                    "unknown column `{other}`; known are name, country, population, latitude, \
                     longitude and aliases"
                ));
            }
        };
        *slot = Some(place);
    }
    if columns.name.is_none() || columns.country.is_none() {
        return Err("the first line must name the columns `name` and `country`".to_owned());
    }
    Ok(columns)
}

fn push_line(lines: &mut String, columns: &Columns, record: &StringRecord) -> Result<(), String> {
    let cell = |column: Option<usize>| column.and_then(|i| record.get(i)).unwrap_or("").trim();
    let name = cell(columns.name);
    if Folded::of(name).as_bytes().is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!("`name` must have 1 to {NAME_BYTES_MAX} bytes and a letter or digit"));
    }
    let country = cell(columns.country);
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(format!("`country` must be an ISO code of two letters, not `{country}`"));
    }
    let population: u32 = match cell(columns.population) {
        "" => 0,
        text => text.parse().map_err(|_| format!("`population` must be a whole number, not `{text}`"))?,
    };
    let degrees = |column, name: &str, bound: f64| match cell(column) {
        "" => Ok(0.0),
        text => match text.parse::<f64>() {
            Ok(degrees) if degrees.abs() <= bound => Ok(degrees),
            _ => Err(format!("`{name}` must be degrees from -{bound} to {bound}, not `{text}`")),
        },
    };
    let latitude = degrees(columns.latitude, "latitude", 90.0)?;
    let longitude = degrees(columns.longitude, "longitude", 180.0)?;
    let aliases = cell(columns.aliases);
    if [name, aliases].iter().any(|text| text.contains(['\t', '\n', '\r'])) {
        return Err("a name cannot hold a tab or a line break".to_owned());
    }
    let country = country.to_ascii_uppercase();
    // Writing to a string cannot fail.
    writeln!(lines, "{name}\t{country}\t{population}\t{latitude:.2}\t{longitude:.2}\t{aliases}")
        .map_err(|error| error.to_string())
}
