//! Step 2 of 7: bytes become a typed event, or a verdict that they are poison.
//!
//! Not here: event time and everything after it ([`crate::process`]). Invariant: decoding depends on
//! the bytes alone, never panics on them, and a poison verdict never repeats the payload.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

/// Why a record cannot be used. It goes to the dead-letter topic with its record; the stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// A short class for counting, of a small fixed set: `json`, `timestamp`, `tombstone`.
    pub reason: &'static str,
    /// What is wrong, for a person; holds nothing of the payload beyond field names and positions.
    pub message: String,
}

impl Poison {
    /// A verdict with its class and its explanation.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Reads events of one kind from record values.
///
/// Implementations borrow from the bytes while they read; what they return is owned and small.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not read events",
    label = "a topic that can be written and not read",
    note = "an event must implement `serde::Deserialize` for every lifetime; one that borrows from its bytes is read by \
            `Topic::json_view`"
)]
pub trait Decoder: Clone + Send + 'static {
    /// What is read.
    type Event: 'static;
    /// Reads one record's value; `None` is a tombstone.
    fn decode(&self, value: Option<&[u8]>) -> Result<Self::Event, Poison>;
}

/// Writes results of one kind as record values.
#[diagnostic::on_unimplemented(
    message = "a stream of `{V}` cannot be sent to a topic of `{Self}`",
    label = "a topic of another kind",
    note = "`map` the stream to what the topic holds, or name the topic as `Topic::json(..)`, which takes what the \
            stream gives"
)]
pub trait Encoder<V>: Clone + Send + 'static {
    /// Appends the value's bytes.
    fn encode(&self, value: &V, into: &mut Vec<u8>) -> Result<(), Poison>;
}

/// JSON by serde, both ways.
pub struct Json<E>(PhantomData<fn() -> E>);

impl<E> Json<E> {
    /// The codec; it holds nothing.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for Json<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for Json<E> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<E: DeserializeOwned + 'static> Decoder for Json<E> {
    type Event = E;

    fn decode(&self, value: Option<&[u8]>) -> Result<E, Poison> {
        let bytes = value.ok_or_else(|| Poison::new("tombstone", "the record has no value"))?;
        serde_json::from_slice(bytes).map_err(|error| json_poison(&error))
    }
}

impl<V: Serialize + 'static> Encoder<V> for Json<V> {
    fn encode(&self, value: &V, into: &mut Vec<u8>) -> Result<(), Poison> {
        serde_json::to_writer(into, value).map_err(|error| json_poison(&error))
    }
}

/// An event that is read through a view of its JSON which borrows from the record: only what the event
/// keeps is ever copied.
///
/// ```
/// use std::borrow::Cow;
/// use processing_core::decode::{Decoder, JsonView, Poison, ViewedJson};
///
/// struct Search { city: String, results: u32 }
///
/// #[derive(serde::Deserialize)]
/// struct SearchView<'a> {
///     // `Cow`, since text with escapes cannot be borrowed; `borrow`, or serde copies all the same.
///     #[serde(borrow)]
///     city: Cow<'a, str>,
///     results: u32,
/// }
///
/// impl ViewedJson for Search {
///     type View<'a> = SearchView<'a>;
///     fn from_view(view: SearchView<'_>) -> Result<Self, Poison> {
///         if view.city.is_empty() {
///             return Err(Poison::new("no_city", "the field city is empty"));
///         }
///         Ok(Self { city: view.city.to_lowercase(), results: view.results })
///     }
/// }
///
/// let search = JsonView::<Search>::new().decode(Some(br#"{"city":"Porto","results":3,"user":"u1"}"#)).unwrap();
/// assert_eq!((search.city.as_str(), search.results), ("porto", 3));
/// ```
pub trait ViewedJson: Sized + 'static {
    /// What serde reads.
    type View<'a>: Deserialize<'a>;
    /// What is kept of it, or why it cannot be used.
    fn from_view(view: Self::View<'_>) -> Result<Self, Poison>;
}

/// JSON by serde through a borrowing view, for reading.
pub struct JsonView<E>(PhantomData<fn() -> E>);

impl<E> JsonView<E> {
    /// The codec; it holds nothing.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for JsonView<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for JsonView<E> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<E: ViewedJson> Decoder for JsonView<E> {
    type Event = E;

    fn decode(&self, value: Option<&[u8]>) -> Result<E, Poison> {
        let bytes = value.ok_or_else(|| Poison::new("tombstone", "the record has no value"))?;
        serde_json::from_slice(bytes).map_err(|error| json_poison(&error)).and_then(E::from_view)
    }
}

/// Says where and how JSON is wrong. serde's own text may quote values, so only its class and place
/// are kept.
pub fn json_poison(error: &serde_json::Error) -> Poison {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io => "cannot be read",
        Category::Syntax => "is not valid JSON",
        Category::Data => "has a field of a wrong type or lacks one",
        Category::Eof => "ends too early",
    };
    Poison::new("json", format!("the value {what} (line {}, column {})", error.line(), error.column()))
}
