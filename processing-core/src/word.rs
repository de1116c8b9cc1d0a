//! What a stream's records are worth: the last word on something, or the present one.
//!
//! Not here: how either comes about ([`crate::windowed`], [`crate::updates`]). Invariant: it is part of a
//! stream's type from its beginning to its end, and no step but a window's turns one into the other.

/// The last word, or one that a newer may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// Each record stands for ever: events, and the results of closed windows. Equal after any crash, as a
    /// sequence per key.
    Final,
    /// A record replaces the one before it under its key. Equal after any crash by the last record per key.
    Update,
}

/// The type of a stream's finality.
pub trait Word: 'static {
    /// The same as a value.
    const FINALITY: Finality;
}

/// See [`Finality::Final`].
#[derive(Debug, Clone, Copy)]
pub struct LastWord;

/// See [`Finality::Update`].
#[derive(Debug, Clone, Copy)]
pub struct PresentWord;

impl Word for LastWord {
    const FINALITY: Finality = Finality::Final;
}

impl Word for PresentWord {
    const FINALITY: Finality = Finality::Update;
}

/// Streams that can be aggregated: those of last words.
#[diagnostic::on_unimplemented(
    message = "updates cannot be windowed",
    label = "each update replaces the one before it, and a window would count both",
    note = "window what `on_update` hands on after its side chain: every closed window, once"
)]
pub trait Settled: Word {}

impl Settled for LastWord {}

/// Streams of which records can be left out: those of updates.
#[diagnostic::on_unimplemented(
    message = "only updates can be limited in rate",
    label = "each record here is the last word on something, and would be lost if it were left out",
    note = "limit what a table's `on_update` shows to its side chain"
)]
pub trait Replaced: Word {}

impl Replaced for PresentWord {}
