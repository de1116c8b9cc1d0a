//! The values of one event, in the order of its fields, on their way from the record into a struct.
//!
//! Not here: how they are found ([`crate::mapping`]). Invariant: values are handed out in the order of
//! the mapping's labels, each once; the first path that holds a value wins, whatever the order in the record.

use crate::field::{Field, LIST_MAX, Scalar};
use crate::mapping::EVENT;
use crate::poison::{Poison, PoisonReason};
use crate::text::Text;
use crate::token::Token;

/// One item of one array of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// The array's number among those that are read.
    pub(crate) array: u32,
    /// The item's place in it.
    pub(crate) index: u32,
}

/// Values by field.
pub struct Tokens<'a> {
    /// What was found, in the order of the record: of a call's some sixty fields a record has a dozen.
    found: Vec<Slot<'a>>,
    /// By field, its place in `found`, counted from 1; 0 where nothing was found.
    places: Vec<u16>,
    labels: &'a [Box<str>],
    next: usize,
}

/// So many values are expected of a record.
const FOUND: usize = 16;

/// What was found for a field, and by which of its paths.
struct Slot<'a> {
    value: Token<'a>,
    /// The place of the path among the field's own.
    rank: u8,
    /// Of a list: its array among those of the record, which item the last value came from, and by which path.
    item: Option<(Item, u8)>,
}

impl<'a> Tokens<'a> {
    /// None yet, for fields that verdicts name so.
    pub(crate) fn new(labels: &'a [Box<str>]) -> Self {
        Self { found: Vec::with_capacity(FOUND), places: vec![0; labels.len()], labels, next: 0 }
    }

    /// What was found for a field.
    fn slot(&mut self, field: usize) -> Option<&mut Slot<'a>> {
        let place = usize::from(*self.places.get(field)?);
        self.found.get_mut(place.checked_sub(1)?)
    }

    /// The slot of a field, empty where nothing was found.
    fn slot_or_empty(&mut self, field: usize) -> &mut Slot<'a> {
        let Self { found, places, .. } = self;
        let place = &mut places[field];
        if *place == 0 {
            found.push(Slot { value: Token::Absent, rank: u8::MAX, item: None });
            // No mapping has so many fields.
            *place = u16::try_from(found.len()).unwrap_or(u16::MAX);
        }
        &mut found[usize::from(*place) - 1]
    }

    /// Takes a value that the field's path number `rank` has led to. A path before it keeps its value, and null is none.
    pub(crate) fn put(&mut self, field: usize, rank: u8, value: Token<'a>) {
        if matches!(value, Token::Absent) {
            return;
        }
        let slot = self.slot_or_empty(field);
        if rank < slot.rank || matches!(slot.value, Token::Absent) {
            (slot.value, slot.rank) = (value, rank);
        }
    }

    /// Begins the list of a field with an array; an empty one is a list too.
    pub(crate) fn begin_list(&mut self, field: usize, rank: u8, array: u32) {
        let slot = self.slot_or_empty(field);
        let empty_handed = match &slot.value {
            Token::Absent => true,
            Token::List(items) => !items.is_empty() && items.iter().all(|item| *item == Token::Absent),
            _ => false,
        };
        if rank < slot.rank || empty_handed {
            let before_all = Item { array, index: u32::MAX };
            *slot = Slot { value: Token::List(Vec::new()), rank, item: Some((before_all, u8::MAX)) };
        }
    }

    /// Takes the value of an item, if it is of the array that the field's list began with.
    pub(crate) fn put_item(&mut self, field: usize, rank: u8, item: Item, value: Token<'a>) {
        let Some(slot) = self.slot(field) else { return };
        let (Token::List(items), Some((last, by))) = (&mut slot.value, slot.item) else { return };
        if last.array != item.array {
            return;
        }
        if last == item {
            if rank < by
                && let Some(last) = items.last_mut()
            {
                (*last, slot.item) = (value, Some((item, rank)));
            }
        } else if items.len() <= LIST_MAX {
            // One more than a list may have, so that it is seen to be too long.
            items.push(value);
            slot.item = Some((item, rank));
        }
    }

    /// Ends an item: one that held nothing for the field leaves a gap, or the items behind it would move up.
    pub(crate) fn end_item(&mut self, field: usize, item: Item) {
        self.put_item(field, u8::MAX, item, Token::Absent);
    }

    /// What verdicts call a field.
    pub(crate) fn label(&self, field: usize) -> &'a str {
        self.labels.get(field).map_or("", |label| label)
    }

    /// Whether the event is an object at all.
    ///
    /// # Errors
    /// The verdict on one that is not.
    pub(crate) fn is_an_object(&mut self) -> Result<(), Poison> {
        if *self.peek(EVENT) == Token::Object { Ok(()) } else { self.object() }
    }

    /// The next value as an object, of which nothing but its being there is asked.
    pub(crate) fn object(&mut self) -> Result<(), Poison> {
        let (value, label) = self.value();
        match value {
            Token::Object => Ok(()),
            other => match Field::<Text<'a>>::of(other) {
                Field::Given(_) => Err(Poison::new(PoisonReason::WrongValue, format!("`{label}` cannot be a string"))),
                field => field.required(label).map(|_| ()),
            },
        }
    }

    /// What was found for a field.
    pub(crate) fn peek(&self, field: usize) -> &Token<'a> {
        match usize::from(self.places[field]) {
            0 => &Token::Absent,
            place => &self.found[place - 1].value,
        }
    }

    /// The next field's value as it is, and what verdicts call the field.
    pub(crate) fn value(&mut self) -> (Token<'a>, &'a str) {
        let at = self.next;
        self.next += 1;
        let value = self.slot(at).map(|slot| std::mem::take(&mut slot.value)).unwrap_or_default();
        (value, self.labels.get(at).map_or("", |label| label))
    }

    fn field<T: Scalar<'a>>(&mut self) -> (Field<T>, &'a str) {
        let (value, label) = self.value();
        (Field::of(value), label)
    }

    /// The next field's value, if the event has one.
    ///
    /// # Errors
    /// A value that the field cannot hold.
    pub fn optional<T: Scalar<'a>>(&mut self) -> Result<Option<T>, Poison> {
        // Most are absent.
        if self.places.get(self.next).is_none_or(|place| *place == 0) {
            self.next += 1;
            return Ok(None);
        }
        let (field, label) = self.field::<T>();
        field.optional(label)
    }

    /// The next field's value.
    ///
    /// # Errors
    /// A value that the field cannot hold, and none.
    pub fn required<T: Scalar<'a>>(&mut self) -> Result<T, Poison> {
        let (field, label) = self.field::<T>();
        field.required(label)
    }

    /// As [`Self::required`], with another reason for a value that the field cannot hold.
    ///
    /// # Errors
    /// A value that the field cannot hold, and none.
    pub(crate) fn required_or<T: Scalar<'a>>(&mut self, reason: PoisonReason) -> Result<T, Poison> {
        let (field, label) = self.field::<T>();
        field.required_or(label, reason)
    }
}
