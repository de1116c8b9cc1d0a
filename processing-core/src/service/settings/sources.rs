//! Where settings' texts come from: a file, the environment, flags.
//!
//! Not here: what the texts mean (`spec`). Each source turns into the same list of [`Given`]s.
//! Invariant: every text keeps where it came from, to the line of the file, and a mistake is told
//! with that place.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::flags::Line;
use super::nearest::hint;
use super::{Declarations, Problem, kafka};
use crate::limits::SETTINGS_FILE_BYTES_MAX;

/// What the library's environment variables begin with.
pub(super) const PREFIX: &str = "STREAMFLEET_";
/// The settings file, where no flag names it.
pub const FILE_VARIABLE: &str = "STREAMFLEET_CONFIG";

/// Where a value comes from; later ones in this order win.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// Nobody said it; it follows from this setting.
    Implied(&'static str),
    /// The settings file.
    File {
        /// Its path as given.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, without its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Implied(name) => write!(f, "follows from {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// A text for a setting.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// What the outside gives; the caller reads the environment, so that tests need none.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config`, or else [`FILE_VARIABLE`].
    pub file: Option<PathBuf>,
    /// `--data`: the folder of log and state.
    pub data: Option<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Name and text of each flag, in their order.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The process' environment and its command line. Variables that are not Unicode are left out.
    pub fn from_process(line: Line) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { file: line.file, data: line.data, environment, flags: line.flags }
    }
}

/// Everything given, weakest first, and warnings.
pub(super) fn gather(
    declared: &Declarations,
    sources: &Sources,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Vec<Given> {
    let environment: BTreeMap<&str, &str> = sources
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let mut all = Vec::new();
    let file = sources.file.clone().or_else(|| environment.get(FILE_VARIABLE).map(PathBuf::from));
    if let Some(path) = file {
        from_file(declared, &path, problems, &mut all);
    }
    from_environment(declared, &environment, problems, warnings, &mut all);
    if let Some(data) = &sources.data {
        for (name, folder) in [("embedded.dir", "log"), ("state.dir", "state")] {
            let text = data.join(folder).to_string_lossy().into_owned();
            all.push(Given { name: name.to_owned(), text, origin: Origin::Flag("data".to_owned()) });
        }
    }
    for (name, text) in &sources.flags {
        let given = Given { name: name.clone(), text: text.clone(), origin: Origin::Flag(name.clone()) };
        if declared.knows(name) {
            all.push(given);
        } else {
            problems.push(Problem::unknown(&given.origin, name, &declared.hint(name)));
        }
    }
    all
}

fn from_file(declared: &Declarations, path: &Path, problems: &mut Vec<Problem>, all: &mut Vec<Given>) {
    let text = match read_bounded(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::new(format!("{}: the settings file cannot be read: {error}", path.display())));
            return;
        }
    };
    let place = |at: usize| Origin::File { path: path.to_owned(), line: line_of(&text, at) };
    match DeTable::parse(&text) {
        Ok(table) => {
            let mut found = Vec::new();
            flatten("", table.get_ref(), &mut found);
            // Tables come sorted by name; mistakes are told in the order of the lines.
            found.sort_by_key(|(_, at, _)| *at);
            let mut seen = BTreeMap::new();
            for (name, at, value) in found {
                let origin = place(at);
                if let Some(first) = seen.insert(name.clone(), origin.clone()) {
                    problems.push(Problem::new(format!("{origin}: `{name}` is already given at {first}")));
                    continue;
                }
                if !declared.knows(&name) {
                    problems.push(Problem::unknown(&origin, &name, &declared.hint(&name)));
                    continue;
                }
                match value {
                    Ok(text) => all.push(Given { name, text, origin }),
                    Err(kind) => {
                        problems.push(Problem::new(format!("{origin}: `{name}` takes a single value, not {kind}")))
                    }
                }
            }
        }
        Err(error) => {
            let origin = place(error.span().map_or(0, |span| span.start));
            problems.push(Problem::new(format!("{origin}: not TOML: {}", error.message())));
        }
    }
}

/// The names of a table's leaves with the position of their keys and their values as text.
fn flatten(prefix: &str, table: &DeTable<'_>, found: &mut Vec<(String, usize, Result<String, &'static str>)>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        let leaf = |text: Result<String, &'static str>| (name.clone(), key.span().start, text);
        found.push(match Spanned::get_ref(value) {
            // The nesting is bounded by the parser.
            DeValue::Table(table) => {
                flatten(&format!("{name}."), table, found);
                continue;
            }
            DeValue::String(text) => leaf(Ok(text.to_string())),
            DeValue::Integer(number) => leaf(
                i64::from_str_radix(number.as_str(), number.radix())
                    .map(|number| number.to_string())
                    .map_err(|_| "a number beyond 64 bits"),
            ),
            DeValue::Float(number) => leaf(Ok(number.as_str().to_owned())),
            DeValue::Boolean(on) => leaf(Ok(on.to_string())),
            DeValue::Datetime(time) => leaf(Ok(time.to_string())),
            DeValue::Array(_) => leaf(Err("a list")),
        });
    }
}

fn from_environment(
    declared: &Declarations,
    environment: &BTreeMap<&str, &str>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
    all: &mut Vec<Given>,
) {
    let mut used = vec![FILE_VARIABLE.to_owned()];
    for spec in declared.specs() {
        // ORDER: the name's own variable counts before the aliases.
        let own = spec.variable();
        let names = std::iter::once(own.as_str()).chain(spec.aliases.iter().copied());
        let mut found = None;
        for name in names {
            let file = format!("{name}_FILE");
            let given = value_or_file(environment, name, &file, problems);
            used.extend([name.to_owned(), file]);
            found = found.or(given);
        }
        if let Some((text, origin)) = found {
            all.push(Given { name: spec.name.to_string(), text, origin });
        }
    }
    kafka::environment::from_environment(environment, &used, problems, warnings, all);
    let variables: Vec<String> = declared.specs().map(|spec| spec.variable()).collect();
    for name in environment.keys().filter(|name| name.starts_with(PREFIX)) {
        if !used.iter().any(|known| known == name) {
            let hint = hint(name, variables.iter().map(String::as_str));
            // Only a warning: one ConfigMap may serve several workers, and Kubernetes puts variables of
            // its own beside ours.
            warnings.push(format!("variable {name} belongs to no setting of this worker{hint}"));
        }
    }
}

/// The value of `name`, or the content of the file that `file` names: so that a secret need not stand
/// in the environment.
pub(super) fn value_or_file(
    environment: &BTreeMap<&str, &str>,
    name: &str,
    file: &str,
    problems: &mut Vec<Problem>,
) -> Option<(String, Origin)> {
    match (environment.get(name), environment.get(file)) {
        (Some(_), Some(_)) => {
            problems.push(Problem::new(format!("variables {name} and {file} are both set; unset one of them")));
            None
        }
        (Some(text), None) => Some(((*text).to_owned(), Origin::Variable(name.to_owned()))),
        (None, Some(path)) => match read_bounded(Path::new(path)) {
            Ok(text) => {
                let text = text.trim_end_matches(['\n', '\r']).to_owned();
                Some((text, Origin::Variable(file.to_owned())))
            }
            Err(error) => {
                problems.push(Problem::new(format!("variable {file}: {path} cannot be read: {error}")));
                None
            }
        },
        (None, None) => None,
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(SETTINGS_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SETTINGS_FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {SETTINGS_FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
