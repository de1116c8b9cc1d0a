//! A task of a changed topology takes over the state that an earlier topology has left.
//!
//! What the columns hold is a row of the meta column ([`crate::contents`]). A task compares it with its plan before it
//! takes anything in, store by store and by name, and then either runs, or refuses, or brings its rows to what the plan
//! says, by commits like any other:
//!
//! | store | what happens |
//! |---|---|
//! | as it was | nothing |
//! | as it was, under another number | its rows about itself move to the new number, in the first commit |
//! | new | begins empty, whatever a store of its name has left in the changelog once |
//! | no more there | its rows about itself go; its changelog is named in a log line, for a person to delete |
//! | under another name in the topology, [kept under its old one](crate::dsl::Topology::stored_as) | nothing |
//! | gone, and a new one holds the same | the worker refuses: it was renamed, most likely |
//! | with another fingerprint, and a [`crate::migration`] | its rows are migrated, a bounded number with each commit |
//! | with another fingerprint, and none | the worker refuses, and names both remedies |
//!
//! **Why a migration can be interrupted anywhere.** It goes through the store's keys in ascending order. Each commit writes
//! migrated rows, under the keys that they had, and the key that it has come to; both in one transaction of the log, and
//! in one batch of the store. So at every commit, rows before the noted key are new and the others are old. That is all
//! that anybody counts on:
//!
//! - *A crash* leaves the store at some commit, and the changelog's tail brings it to the last one. The migration goes on at
//!   the key noted there. An aborted transaction takes rows and key back together.
//! - *A restore from the changelog* meets old and new records, and keeps the last one of each key. That is the row as of
//!   the last commit; the key in the meta changelog, which is restored up to the same commit, says which rows are new.
//! - *A copy of another process* takes the commit record and the noted key over in one step, when every column holds at
//!   least all that this commit made true ([`crate::standby`]). Its columns may be ahead; a worker that takes the copy over
//!   reads on from where they stand, to the last commit of all changelogs, before it looks at the key.
//! - *Compaction* keeps the last record of each key, and expiry drops rows as ever: neither looks at values.
//! - No operator runs, and no query is answered, before the last row is migrated: nobody reads an old row as a new one.
//!   A store that was away while this happened, and follows its changelog afterwards, might keep rows of old that the
//!   compacted topic no longer says are gone; so it is made anew ([`crate::restore`]).
//!
//! Where the rows stay as they are ([`crate::migration::Migrating::unchanged`]) only the fingerprint changes.
//!
//! Not here: what is in the store's folder ([`state::RocksBase`] takes columns by their names) and partial aggregates on
//! their way ([`crate::repartition::in_flight`]). Invariant: the chain of a task runs only over rows that are, all of them,
//! what the plan says, under the numbers that the plan gives them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use state::keys::meta::MetaKey;
use state::{ColumnContents, ColumnId, KeyFamily, KeyRange};

use crate::changelog::{self, META};
use crate::contents::{self, Held, HeldStore, UnderWay};
use crate::error::CoreError;
use crate::limits::REWRITE_ROWS_MAX;
use crate::migration::{Envelope, Path};
use crate::plan::{Plan, StoreKind, StorePlan, SubTopology};
use crate::rewrite;
use crate::state_view::Rows;
use crate::step::Step;
use crate::table;
use crate::task::TaskId;

/// What is left to do until a task's rows are what its plan says.
pub(crate) struct Upgrade {
    /// As the log had it before; `None` where nothing was written down.
    before: Option<Held>,
    /// The plan's stores, with the fingerprints that their rows have at the beginning.
    begun: Held,
    /// As of the last commit; `None` until the first part is committed.
    committed: Option<Held>,
    /// As the open transaction says; `None` where nothing of it is staged.
    staged: Option<Held>,
    /// The columns whose rows become others.
    moving: BTreeMap<u8, Moving>,
}

/// No key begins with so many of these: times and generations do not go so far.
const AFTER_ALL_KEYS: [u8; 32] = [u8::MAX; 32];

/// How the rows of a column become others.
struct Moving {
    name: &'static str,
    path: Path,
    form: Form,
}

/// How values lie in the rows of a store.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// In panes.
    Panes(Envelope),
    /// In a table.
    Table(Envelope),
}

impl Form {
    /// `None` for stores whose rows are more than a value.
    pub(crate) fn of(part: &SubTopology, store: &StorePlan) -> Option<Self> {
        match store.kind {
            StoreKind::Panes(_) | StoreKind::Sliding(_) => Some(Self::Panes(Envelope::Plain)),
            StoreKind::Sessions(_) => Some(Self::Panes(Envelope::Run)),
            StoreKind::Rows if part.folds(store.name) => Some(Self::Table(Envelope::Aged)),
            StoreKind::Rows => Some(Self::Table(Envelope::Plain)),
            StoreKind::Join(..)
            | StoreKind::Passed(_)
            | StoreKind::Queue(_)
            | StoreKind::Composed
            | StoreKind::Windowed(_) => None,
        }
    }
}

impl Upgrade {
    /// What there is to do for a task that is at its last commit; `None` where it is all as it should be.
    pub(crate) fn of(id: TaskId, rows: &dyn Rows, plan: &Plan, has_record: bool) -> Result<Option<Self>, CoreError> {
        let Some(part) = plan.sub_topologies().get(usize::from(id.sub_topology)) else { return Ok(None) };
        let columns = part.contents();
        let wanted = Held::of(&columns);
        let Some(held) = contents::read(rows)? else {
            let migrated = part.stores.iter().find(|store| plan.migrations_of(store.stored_as).next().is_some());
            if let Some(store) = migrated.filter(|_| has_record) {
                return Err(CoreError::store_refused(format!(
                    "task {id}: nothing says whether the rows of store `{}` are migrated already: its changelog was \
                     written before that was noted, and its folder is gone. Start the topology as it was once with this \
                     version, or compute the state anew with `streamfleet reprocess`",
                    store.name
                )));
            }
            return Ok(Some(Self {
                before: None,
                begun: wanted,
                committed: None,
                staged: None,
                moving: BTreeMap::new(),
            }));
        };
        if held == wanted {
            return Ok(None);
        }
        let mut begun = wanted;
        let mut moving = BTreeMap::new();
        let stores = columns.iter().filter(|column| column.keys != KeyFamily::Meta).zip(&mut begun.stores);
        for (column, store) in stores {
            let Some(known) = held.named(&column.name) else { continue };
            if let Some(path) = way(id, known, column, plan)? {
                let planned = part.stores.iter().find(|store| store.column == column.id);
                let Some((planned, form)) = planned.and_then(|store| Some((store, Form::of(part, store)?))) else {
                    if path.is_by_name() {
                        continue;
                    }
                    return Err(CoreError::store_refused(format!("store `{}` cannot be migrated", column.name)));
                };
                let name = planned.name;
                store.fingerprint.clone_from(&known.fingerprint);
                store.under_way.clone_from(&known.under_way);
                let under_way = UnderWay { to: column.fingerprint.clone(), before: Vec::new() };
                let to = &store.under_way.get_or_insert(under_way).to;
                tracing::info!(task = %id, store = name, from = known.fingerprint, to, "migrating the store's rows");
                moving.insert(column.id.0, Moving { name, path, form });
            }
        }
        for gone in held.stores.iter().filter(|store| begun.named(&store.name).is_none()) {
            let is_alike = |now: &&HeldStore| held.named(&now.name).is_none() && now.is_alike(gone);
            if let Some(new) = begun.stores.iter().find(is_alike) {
                return Err(CoreError::store_refused(format!(
                    "task {id}: store `{}` is gone and `{}`, which holds the same, is new: was it renamed? A store's rows are \
                     found by its name: give it its old name back, or keep it under that one by \
                     `topology.stored_as(\"{}\", \"{}\")`. If it shall begin empty, start the topology once without \
                     either of them, and then with the new one",
                    gone.name, new.name, new.name, gone.name
                )));
            }
            let changelog = format!("{}-{}-changelog", plan.name(), gone.name);
            tracing::info!(task = %id, store = gone.name, changelog, "the topology has this store no more: nobody reads its changelog");
        }
        Ok(Some(Self { before: Some(held), begun, committed: None, staged: None, moving }))
    }

    /// Whether nothing may run before it is done: rows are not what the plan says, or not where.
    pub(crate) fn blocks(&self) -> bool {
        let Some(before) = &self.before else { return false };
        let moved = |store: &HeldStore| self.begun.named(&store.name).is_none_or(|now| now.column != store.column);
        let is_new = |store: &HeldStore| before.named(&store.name).is_none();
        !self.moving.is_empty() || before.stores.iter().any(moved) || self.begun.stores.iter().any(is_new)
    }

    /// Stages the next part. Answers whether it was the last, so that the chain may run within the same transaction.
    pub(crate) fn advance(&mut self, step: &mut Step<'_>) -> bool {
        // A commit that had no answer is prepared once more: its rows are staged already, and another part with each try
        // would have no bound.
        if let Some(staged) = &self.staged {
            return staged.is_through();
        }
        let mut now = match (&self.committed, &self.before) {
            (Some(held), _) => held.clone(),
            (None, before) => {
                if let Some(before) = before {
                    self.renumber(step, before);
                    self.empty_new(step, before);
                }
                self.begun.clone()
            }
        };
        let mut done = true;
        for store in &mut now.stores {
            let (Some(UnderWay { to, before }), Some(moving)) =
                (store.under_way.take(), self.moving.get(&store.column))
            else {
                continue;
            };
            if !done {
                store.under_way = Some(UnderWay { to, before });
                continue;
            }
            match moving.migrate_some(step, ColumnId(store.column), before) {
                Some(before) => {
                    store.under_way = Some(UnderWay { to, before });
                    done = false;
                }
                None => store.fingerprint = to,
            }
        }
        changelog::put_own(step, MetaKey::Contents, &now);
        self.staged = Some(now);
        done
    }

    /// Moves the rows about columns whose numbers have changed, and takes those away that speak of columns no more there.
    fn renumber(&self, step: &mut Step<'_>, held: &Held) {
        let renumbered = |column| {
            let name = held.name_of(column)?;
            self.begun.named(name).map(|store| ColumnId(store.column))
        };
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        let mut broken = None;
        let scanned = step.rows.scan(META, KeyRange::ALL, &mut |key, value| match MetaKey::decode(key) {
            Ok(known) => {
                before.insert(key.to_vec(), value.to_vec());
                if let Some(now) = known.of_column(renumbered) {
                    after.insert(now.to_bytes(), value.to_vec());
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                broken = Some(CoreError::store_rebuild(error.to_string()));
                ControlFlow::Break(())
            }
        });
        step.ok(scanned);
        if let Some(error) = broken {
            step.fail(error);
            return;
        }
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            changelog::forget(step, META, key);
        }
        for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
            changelog::put(step, META, key, value);
        }
    }

    /// A new store begins empty, also where one of its name has left a changelog once.
    fn empty_new(&self, step: &mut Step<'_>, before: &Held) {
        for store in self.begun.stores.iter().filter(|store| before.named(&store.name).is_none()) {
            let mut has_rows = false;
            let scanned = step.rows.scan(ColumnId(store.column), KeyRange::ALL, &mut |_, _| {
                has_rows = true;
                ControlFlow::Break(())
            });
            step.ok(scanned);
            if has_rows {
                changelog::expire(step, ColumnId(store.column), &AFTER_ALL_KEYS);
            }
        }
    }

    /// The transaction is true. Answers whether nothing is left to do.
    pub(crate) fn settle(&mut self) -> bool {
        self.committed = self.staged.take().or_else(|| self.committed.take());
        self.committed.as_ref().is_some_and(Held::is_through)
    }

    /// The transaction was aborted.
    pub(crate) fn rewind(&mut self) {
        self.staged = None;
    }
}

/// How the rows of a store become what the plan says; `None` where they are.
fn way(id: TaskId, known: &HeldStore, column: &ColumnContents, plan: &Plan) -> Result<Option<Path>, CoreError> {
    let name = &column.name;
    let (from, to) = (&known.fingerprint, &column.fingerprint);
    if !known.has_keys_of(column) {
        return Err(CoreError::store_refused(format!(
            "task {id}: store `{name}` was another kind of store: it holds `{from}`, and the topology says `{to}`. Give it \
             another name, which begins empty, or compute the state anew with `streamfleet reprocess`"
        )));
    }
    if let Some(UnderWay { to: begun, .. }) = &known.under_way {
        // Whatever the plan says, half of the rows are what was begun.
        return match (begun == to, plan.path(name, from, begun)) {
            (true, Some(path)) => Ok(Some(path)),
            _ => Err(CoreError::store_refused(format!(
                "task {id}: store `{name}` is half-way from `{from}` to `{begun}`. Start the program with the topology \
                 and the migration that have begun this, and change them when it is through; or compute the state anew \
                 with `streamfleet reprocess`"
            ))),
        };
    }
    if from == to {
        return Ok(None);
    }
    plan.path(name, from, to).map(Some).ok_or_else(|| {
        CoreError::store_refused(format!(
            "task {id}: store `{name}` holds `{from}`, and the topology says `{to}`. Either say how the one becomes the \
             other, `topology.migrate(Migration::of(\"{name}\").from(\"{from}\").to(\"{to}\").values(|old: Old| ...))` \
             (or `.unchanged()` where only a name has changed), or compute the state anew with `streamfleet reprocess`"
        ))
    })
}

impl Moving {
    /// Stages the next rows from key `from` on. Answers where the rest begins, if there is any.
    fn migrate_some(&self, step: &mut Step<'_>, column: ColumnId, from: Vec<u8>) -> Option<Vec<u8>> {
        if self.path.is_by_name() {
            return None;
        }
        let standing = match self.form {
            Form::Panes(_) => None,
            Form::Table(_) => {
                let standing = table::Standing::read(step.rows, column);
                Some(step.ok(standing)?)
            }
        };
        let most = REWRITE_ROWS_MAX.min(step.terms.bounds.close_slice_records).max(1);
        let (rows, left_at) = rewrite::slice(step, column, &from, most);
        for (key, old) in rows {
            // A table's rows behind the cursor of a move are never looked at again.
            if standing.as_ref().is_some_and(|standing| !standing.is_read(&key)) {
                continue;
            }
            let migrated = match self.form {
                Form::Panes(envelope) => self.path.value(envelope, &old).map(Some),
                Form::Table(envelope) => table::migrated(&old, |row| self.path.value(envelope, row)),
            };
            let told = |error: String| CoreError::store_refused(format!("a row of store `{}`: {error}", self.name));
            match step.ok(migrated.map_err(told)) {
                Some(Some(new)) => changelog::put(step, column, &key, &new),
                Some(None) => {}
                None => break,
            }
        }
        left_at
    }
}
