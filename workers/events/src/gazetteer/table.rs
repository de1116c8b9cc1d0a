//! The rows of the gazetteer: lines of text, and where their parts stand.
//!
//! ```text
//! name TAB country TAB population TAB latitude TAB longitude TAB alias|alias|!alias NEWLINE
//! ```
//!
//! An alias with `!` counts as the city's own name, where the table's author knows it to be one that
//! a smaller city must not take (`!St. Petersburg` of Saint Petersburg).
//!
//! Not here: how a name finds its rows ([`super::index`]). Invariant: a row is twenty bytes beside
//! text that exists anyway; nothing of it is copied.

/// One city's line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Where the line begins in its text.
    start: u32,
    /// The name's length in bytes.
    name_len: u8,
    /// ISO 3166 code.
    pub(super) country: [u8; 2],
    /// People.
    pub(super) population: u32,
    /// Hundredths of a degree north.
    pub(super) latitude: i16,
    /// Hundredths of a degree east.
    pub(super) longitude: i16,
}

impl Row {
    /// The row of the line that begins at `start` of `text`; `None` where it is not in the form above.
    pub(super) fn parse(text: &str, start: usize) -> Option<Self> {
        let mut columns = text.get(start..)?.lines().next()?.split('\t');
        let name_len = u8::try_from(columns.next()?.len()).ok()?;
        let country = columns.next()?.as_bytes().try_into().ok()?;
        let population = columns.next()?.parse().ok()?;
        let latitude = hundredths(columns.next()?)?;
        let longitude = hundredths(columns.next()?)?;
        columns.next()?;
        let start = u32::try_from(start).ok()?;
        Some(Self { start, name_len, country, population, latitude, longitude })
    }

    /// The city's name in `text`, of which the row was parsed.
    pub(super) fn name<'t>(&self, text: &'t str) -> &'t str {
        let start = self.start as usize;
        text.get(start..start + usize::from(self.name_len)).unwrap_or_default()
    }

    /// The city's other names in `text`, of which the row was parsed.
    pub(super) fn aliases<'t>(&self, text: &'t str) -> impl Iterator<Item = Alias<'t>> + use<'t> {
        let line = text.get(self.start as usize..).and_then(|rest| rest.lines().next());
        let column = line.and_then(|line| line.rsplit('\t').next()).unwrap_or_default();
        column.split('|').filter(|alias| !alias.is_empty()).map(|alias| match alias.strip_prefix('!') {
            Some(name) => Alias { name, own: true },
            None => Alias { name: alias, own: false },
        })
    }
}

/// Another name of a city.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alias<'t> {
    /// The name.
    pub(super) name: &'t str,
    /// It counts as the city's own name.
    pub(super) own: bool,
}

/// Degrees as hundredths; `None` beyond a circle.
fn hundredths(degrees: &str) -> Option<i16> {
    let degrees: f64 = degrees.parse().ok()?;
    (-180.0..=180.0).contains(&degrees).then(|| (degrees * 100.0).round() as i16)
}
