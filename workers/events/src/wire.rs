//! JSON objects read in one pass into typed fields, borrowed from the record where possible.
//!
//! Not here: which fields an event has (its contract's file) and what a value means ([`Scalar`]'s
//! implementations). Invariant: only bytes that are not JSON fail here. A value of the wrong type is
//! kept as [`Field::Wrong`] and judged by whoever needs the field, so that the verdict names the
//! field and never quotes its value.
//!
//! A field may have several spellings (`user_id`, `userId`). The first that holds a value wins: some
//! applications send both during a change of spelling, and null stands for absent. Unknown fields are
//! skipped without a copy and, however deep, without recursion.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::poison::{Poison, PoisonReason};

/// What an object holds under one of its names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// Something that the field cannot hold; the words say what, for the verdict.
    Wrong(&'static str),
    /// A value.
    Given(T),
}

impl<T> Field<T> {
    /// The value, or `None` where there is none.
    ///
    /// # Errors
    /// [`PoisonReason::WrongValue`] for a value that the field cannot hold.
    pub fn optional(self, name: &'static str) -> Result<Option<T>, Poison> {
        match self {
            Self::Absent => Ok(None),
            Self::Given(value) => Ok(Some(value)),
            Self::Wrong(found) => Err(wrong(PoisonReason::WrongValue, name, found)),
        }
    }

    /// The value.
    ///
    /// # Errors
    /// [`PoisonReason::MissingField`] where there is none, [`PoisonReason::WrongValue`] for one that
    /// the field cannot hold.
    pub fn required(self, name: &'static str) -> Result<T, Poison> {
        self.required_or(name, PoisonReason::WrongValue)
    }

    /// As [`Self::required`], with another reason for a value that the field cannot hold.
    ///
    /// # Errors
    /// [`PoisonReason::MissingField`] or `reason`.
    pub fn required_or(self, name: &'static str, reason: PoisonReason) -> Result<T, Poison> {
        match self {
            Self::Given(value) => Ok(value),
            Self::Absent => Err(Poison::new(PoisonReason::MissingField, format!("`{name}` is missing"))),
            Self::Wrong(found) => Err(wrong(reason, name, found)),
        }
    }
}

#[cold]
fn wrong(reason: PoisonReason, name: &str, found: &str) -> Poison {
    Poison::new(reason, format!("`{name}` cannot be {found}"))
}

/// A type that one JSON string or number can become. Each method answers for one kind of JSON value;
/// by default a kind is wrong.
pub trait Scalar<'de>: Sized {
    /// From a string that stands in the record as it is.
    fn from_borrowed(text: &'de str) -> Field<Self> {
        Self::from_text(text)
    }
    /// From a string that had escapes, and so had to be copied.
    fn from_text(text: &str) -> Field<Self>;
    /// From a number without sign, point or exponent.
    fn from_unsigned(_number: u64) -> Field<Self> {
        Field::Wrong("a number")
    }
    /// From a number with a sign.
    fn from_signed(_number: i64) -> Field<Self> {
        Field::Wrong("a number")
    }
    /// From a number with a point or an exponent, or too large for 64 bits.
    fn from_float(_number: f64) -> Field<Self> {
        Field::Wrong("a number")
    }
}

/// A field that can take its value from a document, in place: an event's objects are some hundred
/// bytes, which would otherwise move at every level on the way out.
pub trait ReadInto<'de> {
    /// Takes the value.
    ///
    /// # Errors
    /// Only those of the document: bytes that are not JSON.
    fn read_into<D: Deserializer<'de>>(&mut self, document: D) -> Result<(), D::Error>;
}

impl<'de, T: Scalar<'de>> ReadInto<'de> for Field<T> {
    fn read_into<D: Deserializer<'de>>(&mut self, document: D) -> Result<(), D::Error> {
        *self = document.deserialize_any(ScalarVisitor(PhantomData))?;
        Ok(())
    }
}

/// Reads the next value of an object into a field.
pub struct Into<'f, F>(pub &'f mut F);

impl<'de, F: ReadInto<'de>> DeserializeSeed<'de> for Into<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<(), D::Error> {
        self.0.read_into(document)
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar<'de>> Visitor<'de> for ScalarVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(T::from_borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::from_text(text))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(T::from_unsigned(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(T::from_signed(number))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(T::from_float(number))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Field::Wrong("a boolean"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong("an array"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong("an object"))
    }
}

/// A type that one JSON object can become; written by [`wire!`](crate::wire!).
pub trait Wire<'de>: Default {
    /// Its fields, whatever their spelling.
    type Name: Copy;
    /// The field spelt `key`, if it is one.
    fn name(key: &str) -> Option<Self::Name>;
    /// Takes the next value of `map` for the field `name`.
    ///
    /// # Errors
    /// Only those of `map`: bytes that are not JSON.
    fn read<A: MapAccess<'de>>(&mut self, name: Self::Name, map: &mut A) -> Result<(), A::Error>;
}

/// An object as the value of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object<W>(pub W);

impl<'de, W: Wire<'de>> ReadInto<'de> for Field<Object<W>> {
    fn read_into<D: Deserializer<'de>>(&mut self, document: D) -> Result<(), D::Error> {
        document.deserialize_any(ObjectVisitor(self))
    }
}

struct ObjectVisitor<'f, W>(&'f mut Field<Object<W>>);

impl<W> ObjectVisitor<'_, W> {
    fn wrong<E>(self, found: &'static str) -> Result<(), E> {
        *self.0 = Field::Wrong(found);
        Ok(())
    }
}

impl<'de, W: Wire<'de>> Visitor<'de> for ObjectVisitor<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        *self.0 = Field::Given(Object(W::default()));
        let Field::Given(Object(object)) = self.0 else {
            return Ok(());
        };
        while let Some(name) = map.next_key_seed(NameSeed::<W>(PhantomData))? {
            match name {
                Some(name) => object.read(name, &mut map)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        *self.0 = Field::Absent;
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.wrong("a string")
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.wrong("a number")
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.wrong("a number")
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.wrong("a number")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.wrong("a boolean")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.wrong("an array")
    }
}

/// Reads a key as the field it spells, without keeping the key.
struct NameSeed<W>(PhantomData<W>);

impl<'de, W: Wire<'de>> DeserializeSeed<'de> for NameSeed<W> {
    type Value = Option<W::Name>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, W: Wire<'de>> Visitor<'de> for NameSeed<W> {
    type Value = Option<W::Name>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(W::name(key))
    }
}

/// Declares the fields of a JSON object, each with its type and its spellings, and how to read it.
///
/// ```
/// use events::text::Text;
///
/// events::wire! {
///     /// Who asked.
///     pub struct Asked<'a> {
///         /// The user's name.
///         name: Text<'a> = "name" | "userName",
///     }
/// }
/// ```
#[macro_export]
macro_rules! wire {
    (
        $(#[$meta:meta])*
        pub struct $wire:ident<$life:lifetime $(, $payload:ident)?> {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $($spelling:literal)|+,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $wire<$life $(, $payload)?> {
            $($(#[$field_meta])* pub $field: $crate::wire::Field<$type>,)+
            // Keeps the lifetime in the type, whether or not a field borrows.
            record: ::std::marker::PhantomData<&$life ()>,
        }

        impl<$($payload)?> ::std::default::Default for $wire<'_ $(, $payload)?> {
            fn default() -> Self {
                Self {
                    $($field: $crate::wire::Field::Absent,)+
                    record: ::std::marker::PhantomData,
                }
            }
        }

        const _: () = {
            #[allow(non_camel_case_types, reason = "a variant is named as its field")]
            #[derive(Clone, Copy)]
            pub enum Name {
                $($field,)+
            }

            impl<$life $(, $payload: $crate::wire::Wire<$life>)?> $crate::wire::Wire<$life>
                for $wire<$life $(, $payload)?>
            {
                type Name = Name;

                fn name(key: &str) -> Option<Name> {
                    match key {
                        $($($spelling)|+ => Some(Name::$field),)+
                        _ => None,
                    }
                }

                fn read<A: ::serde::de::MapAccess<$life>>(
                    &mut self,
                    name: Name,
                    map: &mut A,
                ) -> Result<(), A::Error> {
                    match name {
                        $(Name::$field => match self.$field {
                            $crate::wire::Field::Absent => {
                                map.next_value_seed($crate::wire::Into(&mut self.$field))?;
                            }
                            _ => {
                                map.next_value::<::serde::de::IgnoredAny>()?;
                            }
                        },)+
                    }
                    Ok(())
                }
            }

            impl<$($payload)?> $wire<'_ $(, $payload)?> {
                /// Every spelling of every field, field by field.
                pub const SPELLINGS: &'static [&'static [&'static str]] =
                    &[$(&[$($spelling),+]),+];
            }
        };
    };
}
