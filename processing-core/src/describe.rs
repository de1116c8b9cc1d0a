//! A plan as a person reads it: as text in the manner of Kafka Streams' `Topology.describe()`, and as a
//! Mermaid flow chart.
//!
//! Not here: what runs, and how many partitions there are ([`crate::layout`]). Invariant: the same topology
//! gives the same text; nothing in it hangs on a machine, a compiler or a run.

use std::fmt::{self, Display};

use crate::dsl::internal;
use crate::join::Side;
use crate::plan::{Input, InputKind, OutputKind, Plan, PlanStep, Source, StepKind, StoreKind, StorePlan, SubTopology};
use crate::record::DurationMs;
use crate::session::SessionWindows;
use crate::window::{Kind, Windows};
use crate::word::Finality;

impl Plan {
    /// Sub-topologies with their sources, steps, sinks and stores; `-->` names what follows a step, `<--`
    /// what it follows.
    pub fn describe(&self) -> String {
        Text(self).to_string()
    }

    /// The same as a Mermaid flow chart: topics, a box for each sub-topology, stores as barrels.
    pub fn mermaid(&self) -> String {
        Chart(self).to_string()
    }

    fn describe_part(&self, part: &SubTopology, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(text, "  Sub-topology: {}", part.number)?;
        for step in &part.steps {
            let name = self.step_name(step);
            match &step.kind {
                StepKind::Source(_) => writeln!(text, "    Source: {name}{}", self.source_note(part, step))?,
                StepKind::PreAggregate(store) => writeln!(text, "    Step: {name} (for store: {store})")?,
                StepKind::Sink(output) => writeln!(text, "    Sink: {name}{}", self.sink_note(*output))?,
                kind => match kind.stores() {
                    [] => writeln!(text, "    Step: {name}")?,
                    [store] => writeln!(text, "    Step: {name} (store: {store})")?,
                    stores => writeln!(text, "    Step: {name} (stores: {})", stores.join(", "))?,
                },
            }
            let next = part.steps.iter().filter(|next| next.follows.contains(&step.number));
            let next: Vec<String> = next.map(|next| self.step_name(next)).collect();
            if !next.is_empty() {
                writeln!(text, "      --> {}", next.join(", "))?;
            }
            let before = part.steps.iter().filter(|before| step.follows.contains(&before.number));
            let before: Vec<String> = before.map(|before| self.step_name(before)).collect();
            if !before.is_empty() {
                writeln!(text, "      <-- {}", before.join(", "))?;
            }
        }
        for store in &part.stores {
            writeln!(text, "    Store: {}", store.name)?;
            match store.kind {
                StoreKind::Panes(_) | StoreKind::Sessions(_) | StoreKind::Passed(_) => {
                    writeln!(text, "      windows: {}", kind(store))?;
                    match store.keep {
                        DurationMs(0) => writeln!(text, "      readable: until closed")?,
                        keep => writeln!(text, "      readable: for {} after closing", Span(keep))?,
                    }
                    writeln!(text, "      history: {}", Span(store.history()))?;
                }
                StoreKind::Join(..) => {
                    writeln!(text, "      join: {}", kind(store))?;
                    writeln!(text, "      history: {}", Span(store.history()))?;
                }
                StoreKind::Rows | StoreKind::Composed | StoreKind::Queue(_) | StoreKind::Windowed(_) => {
                    writeln!(text, "      holds: {}", kind(store))?;
                }
            }
            writeln!(text, "      changelog: {}", internal(self.name(), store.stored_as, "changelog"))?;
        }
        writeln!(text, "    Commit records: {}-{}-meta-changelog", self.name(), part.number)
    }

    fn step_name(&self, step: &PlanStep) -> String {
        match &step.kind {
            StepKind::Source(topic) => topic.to_string(),
            StepKind::Operator(word) => format!("{word}-{}", step.number),
            StepKind::Window(_) => format!("window-{}", step.number),
            StepKind::TableFold(_) => format!("table-{}", step.number),
            StepKind::Join(_) | StepKind::TableJoin(_) | StepKind::BroadcastJoin(_) => format!("join-{}", step.number),
            StepKind::RateLimit(_) => format!("rate-limit-{}", step.number),
            StepKind::Process { name, .. } => format!("process-{name}-{}", step.number),
            StepKind::PreAggregate(_) => format!("pre-aggregate-{}", step.number),
            StepKind::Sink(output) => self.outputs().get(*output).map_or_else(String::new, |o| o.topic.to_string()),
        }
    }

    fn source_note(&self, part: &SubTopology, step: &PlanStep) -> &'static str {
        let StepKind::Source(topic) = &step.kind else { return "" };
        match part.sources.iter().find(|source| source.topic() == topic) {
            Some(Source::Repartition { kind: InputKind::Rows, .. }) => " (repartition topic, table)",
            Some(Source::Repartition { .. }) => " (repartition topic)",
            Some(Source::Input(Input { kind: InputKind::Rows, .. })) => " (table)",
            _ => "",
        }
    }

    fn sink_note(&self, output: usize) -> String {
        let Some(output) = self.outputs().get(output) else { return String::new() };
        let OutputKind::Topic(settings) = &output.kind else { return " (repartition topic)".to_owned() };
        let mut notes = Vec::new();
        if output.finality == Finality::Update {
            notes.push("updates".to_owned());
        }
        if settings.cleanup != crate::log::Cleanup::Delete {
            notes.push("compacted".to_owned());
        }
        if settings.partitions > 0 {
            notes.push(format!("partitions: {}", settings.partitions));
        }
        if let Some(ms) = settings.retention_ms {
            notes.push(format!("retention: {}", Span(DurationMs(ms.cast_signed()))));
        }
        if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) }
    }

    fn chart(&self, chart: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(chart, "flowchart TD")?;
        // A repartition topic is the sink of one part and the source of another: one node.
        let mut topics: Vec<String> = Vec::new();
        for part in self.sub_topologies() {
            for step in &part.steps {
                if let StepKind::Source(_) | StepKind::Sink(_) = step.kind {
                    let name = self.step_name(step);
                    if !topics.contains(&name) {
                        writeln!(chart, "    t{}([\"{name}\"])", topics.len())?;
                        topics.push(name);
                    }
                }
            }
        }
        let node = |step: &PlanStep| match step.kind {
            StepKind::Source(_) | StepKind::Sink(_) => {
                let name = self.step_name(step);
                format!("t{}", topics.iter().position(|topic| *topic == name).unwrap_or_default())
            }
            _ => format!("s{}", step.number),
        };
        for part in self.sub_topologies() {
            writeln!(chart, "    subgraph p{} [\"sub-topology {}\"]", part.number, part.number)?;
            for step in &part.steps {
                if !matches!(step.kind, StepKind::Source(_) | StepKind::Sink(_)) {
                    writeln!(chart, "        {}[\"{}\"]", node(step), self.step_name(step))?;
                }
            }
            for store in &part.stores {
                writeln!(chart, "        d{}[(\"{}<br/>{}\")]", store.column, store.name, kind(store))?;
            }
            writeln!(chart, "    end")?;
        }
        for part in self.sub_topologies() {
            for step in &part.steps {
                for before in part.steps.iter().filter(|before| step.follows.contains(&before.number)) {
                    writeln!(chart, "    {} --> {}", node(before), node(step))?;
                }
                for store in part.stores.iter().filter(|store| step.kind.stores().contains(&store.name)) {
                    writeln!(chart, "    {} --- d{}", node(step), store.column)?;
                }
            }
        }
        Ok(())
    }
}

/// The whole plan as text.
struct Text<'p>(&'p Plan);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = self.0.name();
        writeln!(f, "Topology: {app}")?;
        for part in self.0.sub_topologies() {
            self.0.describe_part(part, f)?;
        }
        writeln!(f, "  Late records: {app}-late")?;
        writeln!(f, "  Dead letters: {app}-dlq")?;
        writeln!(f, "  Time log: {app}-time")
    }
}

/// The whole plan as a chart.
struct Chart<'p>(&'p Plan);

impl Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chart(f)
    }
}

fn kind(store: &StorePlan) -> String {
    match store.kind {
        StoreKind::Panes(windows) => panes(windows),
        StoreKind::Sessions(windows) => sessions(windows),
        StoreKind::Join(window, kind) => {
            let (before, after) = (DurationMs(window.bound(Side::Right)), DurationMs(window.bound(Side::Left)));
            let text = format!("{}, {} before to {} after", kind.name(), Span(before), Span(after));
            with_grace(text, window.grace_ms())
        }
        StoreKind::Passed(panes) => format!("ids within {}", Span(panes.size())),
        StoreKind::Rows | StoreKind::Composed => "the row of each key".to_owned(),
        StoreKind::Windowed(retention) => format!("rows by window, for {}", Span(retention)),
        StoreKind::Queue(DurationMs(0)) => "what waits for its time".to_owned(),
        StoreKind::Queue(grace) => format!("what waits for its time, grace {}", Span(grace)),
    }
}

fn with_grace(text: String, grace: DurationMs) -> String {
    if grace > DurationMs(0) { format!("{text}, grace {}", Span(grace)) } else { text }
}

fn panes(windows: Windows) -> String {
    let grace = windows.grace();
    let kind = match &windows.0 {
        Kind::Even(_) if windows.overlap() => {
            format!("hopping {} every {}", Span(windows.size()), Span(windows.advance()))
        }
        Kind::Even(_) => format!("tumbling {}", Span(windows.size())),
        Kind::Calendar(calendar) => format!("{calendar} by tz database {}", chrono_tz::IANA_TZDB_VERSION),
    };
    with_grace(kind, grace)
}

fn sessions(windows: SessionWindows) -> String {
    let mut kind = format!("sessions, gap {}", Span(windows.gap()));
    if let Some((length, offset)) = windows.cut() {
        kind += &format!(", cut every {}", Span(length));
        if offset > DurationMs(0) {
            kind += &format!(" at {}", Span(offset));
        }
    }
    with_grace(kind, windows.grace())
}

/// A duration in the units that a person counts in.
struct Span(DurationMs);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.0;
        if rest == 0 {
            return f.write_str("0 s");
        }
        let mut space = "";
        for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)] {
            let whole = rest / ms;
            rest %= ms;
            if whole != 0 {
                write!(f, "{space}{whole} {unit}")?;
                space = " ";
            }
        }
        Ok(())
    }
}
