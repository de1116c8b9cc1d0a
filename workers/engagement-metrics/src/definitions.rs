//! Funnels, pipelines, active kinds and the rule of programs: what a company says of itself in a TOML file.
//!
//! Not here: what is done with them. Invariant: definitions that were read make sense; whatever does not is refused with
//! the file, the place and what to do.

use std::collections::BTreeSet;

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::prelude::DurationMs;
use serde::Deserialize;

use crate::action::Traffic;
use crate::calendar::MINUTE_MS;
use crate::kind::{Kind, Kinds};

/// What is shipped.
const SHIPPED: &str = include_str!("definitions.toml");
/// How many funnels there may be, and how many pipelines.
const MOST: usize = 64;
/// How many steps a funnel may have, and stages or states a pipeline.
const STEPS_MAX: usize = 16;
/// The longest time that is waited for a step or an end.
const LONGEST: DurationMs = DurationMs::hours(365 * 24);

/// Everything that a company may define.
#[derive(Debug, Clone)]
pub struct Definitions {
    /// Kinds that make a user active.
    pub active: Kinds,
    /// Whose doing is counted apart.
    pub traffic: TrafficRule,
    /// In their order.
    pub funnels: Vec<Funnel>,
    /// In their order.
    pub pipelines: Vec<Pipeline>,
}

/// A step or stage: any of some kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The kinds' names, with `|` between them.
    pub name: CompactString,
    /// Any of them.
    pub kinds: Kinds,
}

/// Steps in their order within a time of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funnel {
    /// Its name.
    pub name: CompactString,
    /// The bits of its name, by which it stands in state.
    pub id: IdHash,
    /// The only application that it is for.
    pub app: Option<CompactString>,
    /// At least two.
    pub steps: Vec<Stage>,
    /// How long after the first step one counts; whole minutes.
    pub within: DurationMs,
}

/// What happens to one thing from a start to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Its name.
    pub name: CompactString,
    /// The only application that it is for.
    pub app: Option<CompactString>,
    /// What one thing is.
    pub key: ItemKey,
    /// Whether a thing is the same whichever tenant its events name. It is counted for the tenant of its start.
    pub across_tenants: bool,
    /// How long after its start a thing is waited for, whole minutes; `None` of a pipeline without an end, whose starts
    /// are counted and nothing is waited for.
    pub timeout: Option<DurationMs>,
    /// How it goes.
    pub flow: Flow,
}

/// What one thing of a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKey {
    /// What the event is about.
    Subject,
    /// What the event is about, for each user apart.
    UserSubject,
}

/// How a pipeline goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Through stages, the last of which is its end.
    Stages {
        /// What begins it.
        start: Stage,
        /// In their order; one may be left out by a thing.
        stages: Vec<Stage>,
        /// What breaks it off.
        failed: Kinds,
    },
    /// Through states that events name in their labels.
    States {
        /// What begins it.
        start: Stage,
        /// The state that it begins in where the event names none.
        initial: CompactString,
        /// What changes the state.
        updates: Kinds,
        /// All states; any other label is `other`.
        states: Vec<CompactString>,
        /// States behind which nothing comes.
        ends: Vec<CompactString>,
    },
}

impl Pipeline {
    /// Whether events of this kind say anything to it.
    pub fn hears(&self, kind: Kind) -> bool {
        match &self.flow {
            Flow::Stages { start, stages, failed } => {
                start.kinds.contains(kind)
                    || failed.contains(kind)
                    || stages.iter().any(|stage| stage.kinds.contains(kind))
            }
            Flow::States { start, updates, .. } => start.kinds.contains(kind) || updates.contains(kind),
        }
    }
}

/// Whose doing is counted apart: patterns in which `*` stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrafficRule {
    /// Users that are programs.
    pub bot_users: Vec<String>,
    /// Users that are the company's own.
    pub internal_users: Vec<String>,
    /// Tenants that are the company's own.
    pub internal_tenants: Vec<String>,
}

impl TrafficRule {
    /// Whose doing something by `user` of `tenant` is.
    pub fn of(&self, tenant: &str, user: Option<&str>) -> Traffic {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| fits(pattern, text));
        match user {
            Some(user) if any(&self.bot_users, user) => Traffic::Bot,
            Some(user) if any(&self.internal_users, user) => Traffic::Internal,
            _ if any(&self.internal_tenants, tenant) => Traffic::Internal,
            _ => Traffic::People,
        }
    }
}

/// Whether `text` fits a pattern of literal parts with `*` for any text between them.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or("");
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

/// Definitions that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError(String);

impl std::fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DefinitionError {}

impl Definitions {
    /// What is shipped.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn shipped() -> Result<Self, DefinitionError> {
        Self::read(&File::default(), SHIPPED)
    }

    /// What a file says, and for sections that it lacks what is shipped.
    ///
    /// # Errors
    /// What does not make sense, and where.
    pub fn from_toml(text: &str) -> Result<Self, DefinitionError> {
        let given: File = toml::from_str(text).map_err(|error| DefinitionError(error.to_string()))?;
        Self::read(&given, SHIPPED)
    }

    fn read(given: &File, shipped: &str) -> Result<Self, DefinitionError> {
        let shipped: File = toml::from_str(shipped).map_err(|error| DefinitionError(error.to_string()))?;
        let active = match given.active.as_ref().or(shipped.active.as_ref()) {
            None => Kinds::user_initiated(),
            Some(active) => {
                let kinds = kinds("[active]: kinds", &Names::Several(active.kinds.clone()))?;
                for kind in [Kind::NotificationSent, Kind::ChallengeAvailable, Kind::SystemError] {
                    if kinds.contains(kind) {
                        let what = format!("[active]: kinds: `{kind}` merely happens to a user; take it out");
                        return Err(DefinitionError(what));
                    }
                }
                kinds
            }
        };
        let traffic = given.traffic.clone().or(shipped.traffic).unwrap_or_default();
        let funnels = given.funnel.as_ref().or(shipped.funnel.as_ref()).map_or(&[][..], Vec::as_slice);
        let pipelines = given.pipeline.as_ref().or(shipped.pipeline.as_ref()).map_or(&[][..], Vec::as_slice);
        let funnels: Vec<Funnel> = funnels.iter().map(funnel).collect::<Result<_, _>>()?;
        let pipelines: Vec<Pipeline> = pipelines.iter().map(pipeline).collect::<Result<_, _>>()?;
        names("funnel", funnels.iter().map(|funnel| &funnel.name))?;
        names("pipeline", pipelines.iter().map(|pipeline| &pipeline.name))?;
        Ok(Self { active, traffic, funnels, pipelines })
    }

    /// Kinds whose subject some pipeline asks for.
    pub fn followed(&self) -> Kinds {
        let hears = |kind: &Kind| self.pipelines.iter().any(|pipeline| pipeline.hears(*kind));
        Kind::ALL.iter().copied().filter(hears).collect()
    }

    /// The funnels of an application.
    pub fn funnels_of(&self, app: &str) -> impl Iterator<Item = &Funnel> + Clone {
        self.funnels.iter().filter(move |funnel| funnel.app.as_ref().is_none_or(|only| only == app))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    active: Option<ActiveSection>,
    traffic: Option<TrafficRule>,
    funnel: Option<Vec<FunnelSection>>,
    pipeline: Option<Vec<PipelineSection>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActiveSection {
    kinds: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FunnelSection {
    name: CompactString,
    app: Option<CompactString>,
    steps: Vec<Names>,
    within: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PipelineSection {
    name: CompactString,
    app: Option<CompactString>,
    key: ItemKey,
    #[serde(default)]
    across_tenants: bool,
    timeout: Option<String>,
    start: Names,
    stages: Option<Vec<Names>>,
    failed: Option<Names>,
    updates: Option<Names>,
    initial: Option<CompactString>,
    states: Option<Vec<CompactString>>,
    ends: Option<Vec<CompactString>>,
}

/// One kind or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

impl Names {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

fn kinds(place: &str, names: &Names) -> Result<Kinds, DefinitionError> {
    let kind = |name: &String| {
        Kind::of_name(name).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            DefinitionError(format!("{place}: there is no kind `{name}`; there are {}", known.join(", ")))
        })
    };
    let kinds: Kinds = names.as_slice().iter().map(kind).collect::<Result<_, _>>()?;
    if kinds.is_empty() {
        return Err(DefinitionError(format!("{place}: names no kind; name at least one")));
    }
    Ok(kinds)
}

fn stage(place: &str, names: &Names) -> Result<Stage, DefinitionError> {
    Ok(Stage { name: names.as_slice().join("|").into(), kinds: kinds(place, names)? })
}

/// A whole number of minutes, hours or days: `30m`, `24h`, `7d`.
fn span(place: &str, text: &str) -> Result<DurationMs, DefinitionError> {
    let wrong = || {
        let longest = LONGEST.0 / 86_400_000;
        DefinitionError(format!(
            "{place}: `{text}` is no span; it takes whole minutes, hours or days from 1m to {longest}d, as 30m, 24h or 7d"
        ))
    };
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "m" => MINUTE_MS,
        "h" => 60 * MINUTE_MS,
        "d" => 24 * 60 * MINUTE_MS,
        _ => return Err(wrong()),
    };
    let span = digits.parse::<i64>().ok().and_then(|number| number.checked_mul(unit));
    span.map(DurationMs).filter(|span| span.0 >= MINUTE_MS && *span <= LONGEST).ok_or_else(wrong)
}

fn names<'n>(what: &str, names: impl ExactSizeIterator<Item = &'n CompactString>) -> Result<(), DefinitionError> {
    if names.len() > MOST {
        return Err(DefinitionError(format!("there are {} of [[{what}]]; at most {MOST} are possible", names.len())));
    }
    let mut seen = BTreeSet::new();
    for name in names {
        let legal = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(legal) {
            let wants = "1 to 64 of the letters a-z A-Z 0-9 . _ -";
            return Err(DefinitionError(format!("[[{what}]] `{name}`: its name takes {wants}")));
        }
        if !seen.insert(name) {
            return Err(DefinitionError(format!("[[{what}]] `{name}` stands there twice; give one another name")));
        }
    }
    Ok(())
}

fn funnel(section: &FunnelSection) -> Result<Funnel, DefinitionError> {
    let place = format!("[[funnel]] `{}`", section.name);
    if !(2..=STEPS_MAX).contains(&section.steps.len()) {
        return Err(DefinitionError(format!("{place}: steps: there must be 2 to {STEPS_MAX} of them")));
    }
    let steps = section.steps.iter().map(|step| stage(&format!("{place}: steps"), step)).collect::<Result<_, _>>()?;
    Ok(Funnel {
        name: section.name.clone(),
        id: IdHash::of(&section.name),
        app: section.app.clone(),
        steps,
        within: span(&format!("{place}: within"), &section.within)?,
    })
}

fn pipeline(section: &PipelineSection) -> Result<Pipeline, DefinitionError> {
    let place = format!("[[pipeline]] `{}`", section.name);
    let at = |field: &str| format!("{place}: {field}");
    let wrong = |what: &str| Err(DefinitionError(format!("{place}: {what}")));
    let start = stage(&at("start"), &section.start)?;
    let failed = section.failed.as_ref().map(|failed| kinds(&at("failed"), failed)).transpose()?;
    let flow = match (&section.stages, &section.updates, &section.states) {
        (Some(stages), None, None) if section.initial.is_none() && section.ends.is_none() => {
            if stages.len() > STEPS_MAX {
                return wrong(&format!("stages: there may be {STEPS_MAX} of them"));
            }
            let stages = stages.iter().map(|names| stage(&at("stages"), names)).collect::<Result<_, _>>()?;
            Flow::Stages { start, stages, failed: failed.unwrap_or_default() }
        }
        (None, Some(updates), Some(states)) if failed.is_none() => {
            let Some(initial) = section.initial.clone() else {
                return wrong("initial: a pipeline of states needs the state that it begins in");
            };
            if states.len() > STEPS_MAX {
                return wrong(&format!("states: there may be {STEPS_MAX} of them"));
            }
            let ends = section.ends.clone().unwrap_or_default();
            if let Some(odd) = ends.iter().chain([&initial]).find(|state| !states.contains(state)) {
                return wrong(&format!("`{odd}` is none of its states; name it there"));
            }
            Flow::States { start, initial, updates: kinds(&at("updates"), updates)?, states: states.clone(), ends }
        }
        _ => {
            return wrong(
                "it goes either through `stages` (and may have `failed`) or through `states` (with `updates`, \
                 `initial` and maybe `ends`)",
            );
        }
    };
    let is_endless =
        matches!(&flow, Flow::Stages { stages, failed, .. } if stages.is_empty() && *failed == Kinds::default());
    let timeout = match (&section.timeout, is_endless) {
        (Some(timeout), false) => Some(span(&at("timeout"), timeout)?),
        (None, true) => None,
        (None, false) => return wrong("timeout: say how long after its start a thing is waited for, such as `1h`"),
        (Some(_), true) => {
            return wrong("timeout: without stages nothing is waited for; name the stage that ends it, or take it out");
        }
    };
    Ok(Pipeline {
        name: section.name.clone(),
        app: section.app.clone(),
        key: section.key,
        across_tenants: section.across_tenants,
        timeout,
        flow,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_can_be_read() {
        let shipped = Definitions::shipped().unwrap();
        assert!(shipped.funnels.len() >= 4 && shipped.pipelines.len() >= 8);
        let endless = shipped.pipelines.iter().filter(|pipeline| pipeline.timeout.is_none());
        assert_eq!(endless.map(|pipeline| pipeline.name.as_str()).collect::<Vec<_>>(), ["dedup-requests"]);
        assert!(shipped.funnels_of("lens").any(|funnel| funnel.name == "lens-search-to-rating"));
    }

    #[test]
    fn a_section_that_is_given_takes_the_place_of_the_shipped_one() {
        let text = "[[funnel]]\nname = \"mine\"\nsteps = [\"view\", [\"click\", \"rate\"]]\nwithin = \"30m\"\n";
        let read = Definitions::from_toml(text).unwrap();
        assert_eq!(read.funnels.len(), 1);
        assert_eq!(read.funnels[0].within, DurationMs::minutes(30));
        assert_eq!(read.funnels[0].steps[1].name, "click|rate");
        assert_eq!(read.pipelines, Definitions::shipped().unwrap().pipelines);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let funnel =
            |steps: &str, within: &str| format!("[[funnel]]\nname = \"f\"\nsteps = {steps}\nwithin = \"{within}\"\n");
        let pipeline = |stages: &str, more: &str| {
            format!("[[pipeline]]\nname = \"p\"\nstart = \"view\"\nstages = {stages}\nkey = \"subject\"\n{more}\n")
        };
        let cases = [
            (funnel("[\"view\"]", "1h"), "2 to 16"),
            (funnel("[\"view\", \"fly\"]", "1h"), "there is no kind `fly`"),
            (funnel("[\"view\", \"rate\"]", "90s"), "is no span"),
            (funnel("[\"view\", \"rate\"]", "400d"), "is no span"),
            (funnel("[\"view\", \"rate\"]", "1h").repeat(2), "twice"),
            ("[active]\nkinds = [\"system.error\"]\n".to_owned(), "merely happens"),
            ("[activ]\n".to_owned(), "activ"),
            (
                "[[pipeline]]\nname = \"p\"\nstart = \"view\"\nkey = \"subject\"\ntimeout = \"1h\"\n".to_owned(),
                "either through `stages`",
            ),
            (pipeline("[]", "timeout = \"1h\""), "name the stage that ends it"),
            (pipeline("[\"rate\"]", ""), "how long after its start"),
        ];
        for (text, expected) in cases {
            let error = Definitions::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn patterns_fit_as_they_are_read() {
        for (pattern, text, expected) in [
            ("bot-*", "bot-7", true),
            ("bot-*", "robot-7", false),
            ("*-bot", "search-bot", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("qa", "qa", true),
            ("qa", "qa2", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
