//! A record on its way into its aggregate allocates nothing, decoding included where the event does not.
//!
//! Not here: closing and committing, which cost by row and not by record. Invariant: what is counted is
//! [`Task::run`] itself, on warm rows of known keys, with everything that a worker has around it.

use compact_str::CompactString;
use state::{MemoryBase, TaskStoreLimits};

use super::*;
use crate::batch::{Headers, RecordRef};
use crate::prelude::*;
use crate::record::{TopicId, TopicName};
use crate::sink::OutboxTopics;
use crate::source::Raises;

const RECORDS: u64 = 10_000;
const CITIES: u64 = 100;
const MINUTE_MS: i64 = 60_000;

struct Search {
    at: EventTime,
    city: CompactString,
    results: u32,
}

#[derive(serde::Deserialize)]
struct SearchView<'a> {
    at: i64,
    city: &'a str,
    results: u32,
}

impl ViewedJson for Search {
    type View<'a> = SearchView<'a>;
    fn from_view(view: SearchView<'_>) -> Result<Self, Poison> {
        Ok(Self { at: EventTime(view.at), city: CompactString::new(view.city), results: view.results })
    }
}

/// Ten minutes of searches in [`CITIES`] cities, a little out of order.
fn batch() -> RecordBatch {
    let mut batch = RecordBatch::new();
    for n in 0..RECORDS {
        let at = (n * 10 * 60_000 / RECORDS) as i64 - (n % 7) as i64 * 100 + MINUTE_MS;
        let value = format!("{{\"at\":{at},\"user\":\"u{n}\",\"city\":\"city {}\",\"results\":{}}}", n % CITIES, n % 9);
        batch.push(RecordRef {
            offset: Offset(n),
            timestamp: LogTime(at),
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::NONE,
        });
    }
    batch
}

/// The first sub-topology's task 0 on an empty store.
pub(super) fn task(plan: &Plan) -> Task<MemoryBase> {
    let part = &plan.sub_topologies()[0];
    let topic = part.sources[0].topic().clone();
    let columns = part.stores.iter().map(|store| store.column).chain([META]);
    let changelogs: Vec<_> = (0..=plan.sub_topologies().iter().flat_map(|part| &part.stores).count())
        .map(|column| TopicName::new(format!("changelog-{column}")))
        .collect();
    let topics = OutboxTopics {
        shapes: Vec::new(),
        changelogs: changelogs.clone(),
        outputs: plan.outputs().iter().map(|output| (output.topic.clone(), 4)).collect(),
        late: (TopicName::new("late"), 1),
        dead: (TopicName::new("dead"), 1),
        time: TopicName::new("time"),
    };
    Task::new(TaskParts {
        upgrade: None,
        in_flight: Vec::new(),
        id: TaskId { sub_topology: 0, partition: 0 },
        sources: vec![SourcePartition {
            source: 0,
            place: TopicPartition { topic, partition: Partition(0) },
            is_table: false,
            topic_id: TopicId(1),
            begin: Offset::ZERO,
            next: Offset::ZERO,
            time: SourceTime::Input { stream_time: EventTime::MIN, raises: Raises::default() },
        }],
        source_count: 1,
        rewrites: Vec::new(),
        changelogs: changelogs.into_iter().map(|topic| TopicPartition { topic, partition: Partition(0) }).collect(),
        chain: part.chain(),
        store: TaskStore::new(MemoryBase::new(), columns, TaskStoreLimits::default()),
        out: Outbox::new(&topics, Partition(0)),
        terms: Terms {
            epoch: 0,
            future_bound: Some(DurationMs::hours(1)),
            partition: 0,
            tasks: 1,
            bounds: Default::default(),
            shares: Shares::of_one(1 << 24),
        },
        record: CommitRecord { number: 0, epoch: 0, sources: Vec::new(), changelogs: Vec::new() },
    })
}

/// How many allocations the second run of the same records makes.
fn allocations_when_warm(plan: &Plan) -> u64 {
    let (mut task, batch, now) = (task(plan), batch(), WallTime(0));
    assert_eq!(task.run(&batch, 0, 0, now).unwrap(), batch.len());
    let counted = allocation_counter::measure(|| {
        assert_eq!(task.run(&batch, 0, 0, now).unwrap(), batch.len());
    });
    assert_eq!(task.counts.records, 2 * RECORDS);
    assert_eq!((task.counts.late_total(), task.counts.dead_total()), (0, 0));
    counted.count_total
}

fn searches() -> (Topology, crate::dsl::Untimed<JsonView<Search>>) {
    let app = Topology::named("app");
    let searches = app.stream(Topic::<JsonView<Search>>::json_view("searches"));
    (app, searches)
}

/// Nothing is late in the second run of ten minutes.
const GRACE: DurationMs = DurationMs::hours(1);

#[test]
fn pre_aggregation_allocates_nothing_per_record() {
    let (app, searches) = searches();
    searches
        .event_time(|search| search.at)
        .filter(|search| search.results < 100)
        .key_by(|search| search.city.clone())
        .window(Tumbling::minutes(1).grace(GRACE))
        .fold("per-minute", (count(), sum(|search: &Search| search.results)))
        .on_close()
        .end();
    assert_eq!(allocations_when_warm(&app.build().unwrap()), 0);
}

#[test]
fn tumbling_windows_allocate_nothing_per_record() {
    let (app, searches) = searches();
    searches
        .event_time(|search| search.at)
        .already_keyed_by(|search| search.city.clone())
        .window(Tumbling::minutes(1).grace(GRACE))
        .fold("per-minute", (count(), max(|search: &Search| search.results)))
        .on_update(DurationMs::seconds(1), |updates| updates.map(|update| update.value.0.get()).to(Topic::json("now")))
        .end();
    assert_eq!(allocations_when_warm(&app.build().unwrap()), 0);
}

#[test]
fn hopping_windows_allocate_nothing_per_record() {
    let (app, searches) = searches();
    searches
        .event_time(|search| search.at)
        .already_keyed_by(|search| search.city.clone())
        .window(Hopping::new(DurationMs::minutes(60), DurationMs::minutes(1)).grace(GRACE))
        .fold("per-hour", count())
        .on_close()
        .end();
    assert_eq!(allocations_when_warm(&app.build().unwrap()), 0);
}

#[test]
fn the_counter_counts() {
    let (app, searches) = searches();
    searches
        .event_time(|search| search.at)
        .already_keyed_by(|search| search.city.to_string())
        .window(Tumbling::minutes(1).grace(GRACE))
        .fold("per-minute", count())
        .on_close()
        .end();
    assert_eq!(allocations_when_warm(&app.build().unwrap()), RECORDS, "one for each key that is a `String`");
}
