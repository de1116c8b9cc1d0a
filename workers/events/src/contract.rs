//! A contract: what the fleet knows of one type of event.
//!
//! Not here: where its fields stand in a company's records ([`crate::mapping`]) and what a worker makes of them.
//! Invariant: a contract is data ([`ContractSpec`]) and a struct of the same fields in the same order, both written by
//! [`contract!`](crate::contract!) from one declaration, so that neither can be changed alone.

use crate::field::{Kind, Scalar};
use crate::mapping::Envelope;
use crate::poison::Poison;
use crate::tokens::Tokens;

/// Whose events they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// Travel: searches, chats, places, itineraries.
    Loci,
    /// Documents, notifications, reports.
    Paka,
    /// Recommendations of films.
    Lens,
    /// Job hunting as a game.
    JobQuest,
    /// Leads and the AI that answers them.
    BizNavigate,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Loci, Self::Paka, Self::Lens, Self::JobQuest, Self::BizNavigate];

    /// Its name in settings and results, and the app of events that name none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loci => "loci",
            Self::Paka => "paka",
            Self::Lens => "lens",
            Self::JobQuest => "jobquest",
            Self::BizNavigate => "biznavigate",
        }
    }

    /// How it wraps its events.
    pub fn envelope(self) -> Envelope {
        match self {
            Self::Loci => Envelope::Loci,
            Self::Paka | Self::Lens => Envelope::Flat,
            Self::JobQuest => Envelope::JobQuest,
            Self::BizNavigate => Envelope::BizNavigate,
        }
    }

    /// The system of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }
}

/// How a record tells which type of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// By its topic: the event itself does not say.
    ByTopic,
    /// By its envelope, in one of these words.
    ByEnvelope(&'static [&'static str]),
    /// By its envelope, in any word that no other contract of the topic has.
    ByRest,
}

/// A contract as data.
#[derive(Clone, Copy, Debug)]
pub struct ContractSpec {
    /// Whose events they are.
    pub system: System,
    /// The events' type.
    pub event_type: &'static str,
    /// How a record says that it is of this type.
    pub typed: Typed,
    /// The topics on which they come unless the settings say otherwise.
    pub topics: &'static [&'static str],
    /// What has happened.
    pub doc: &'static str,
    /// Its own fields.
    pub fields: &'static [FieldSpec],
    /// The fields of the group that it shares with others.
    pub group: &'static [FieldSpec],
}

impl ContractSpec {
    /// The contract's name in settings: the system, and the type of its events.
    pub fn name(&self) -> String {
        format!("{}.{}", self.system.name(), self.event_type)
    }

    /// Every field of the payload.
    pub fn fields(&self) -> impl Iterator<Item = &'static FieldSpec> {
        self.fields.iter().chain(self.group)
    }
}

/// A field as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its name in settings.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Whether an event without it is poison.
    pub required: bool,
    /// What it holds.
    pub kind: Kind,
    /// Where it stands, the first that holds a value first: names under the payload, parted by `/`, `*` for the items
    /// of an array. A path that begins with `/` begins at the event.
    pub paths: &'static [&'static str],
    /// Further places of a duration, behind those, which give it in seconds.
    pub seconds: &'static [&'static str],
}

/// A struct that is filled from an event's values; written by [`contract!`](crate::contract!) and
/// [`group!`](crate::group!).
pub trait FromTokens<'a>: Sized {
    /// Its fields, in order.
    const FIELDS: &'static [FieldSpec];

    /// Takes its values, of which the next one is the first.
    ///
    /// # Errors
    /// The verdict on a value that a field cannot hold, and on a required one that is absent.
    fn from_tokens(tokens: &mut Tokens<'a>) -> Result<Self, Poison>;
}

/// The kind of a field's type, for the declarations.
pub const fn kind_of<'a, T: Scalar<'a>>() -> Kind {
    T::KIND
}

/// Declares the fields of a contract, each with its type and where it stands, and how to read it.
///
/// ```
/// use events::contract::{FromTokens as _, System};
/// use events::text::{IdText, Text};
///
/// events::contract! {
///     /// A rocket has left.
///     pub struct RocketLaunched<'a> = Loci "rocket.launched" {
///         /// Which one.
///         required rocket: IdText<'a> = "rocket_id" | "id",
///         /// Where to.
///         optional orbit: Text<'a> = "orbit" | "target/orbit",
///     }
/// }
/// assert_eq!(RocketLaunched::SPEC.name(), "loci.rocket.launched");
/// assert_eq!(RocketLaunched::FIELDS[0].paths, ["rocket_id", "id"]);
/// ```
///
/// Beside the type of the events stands, in this order and each only where needed: `alias "a" | "b"`, further words for
/// the type, on topics of these names too; `on "topic" | "topic"`, the topics where they are not called as the type is;
/// `by_topic`, where the events do not say their type; `rest`, where a type that no other contract of the topic has is
/// this one. After a duration's places may stand `in seconds "a" | "b"`, further ones that give it so. After the fields may
/// stand `with name: Group<'a>`, the fields of a [`group!`](crate::group!).
#[macro_export]
macro_rules! contract {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident<$life:lifetime> = $system:ident $event_type:literal
            $(alias $($alias:literal)|+)? $(on $($topic:literal)|+)? { $($body:tt)* }
    ) => {
        $crate::contract!(@declare [$($doc),+] $name $life $system $event_type
            [$($($alias),+)?] [$($($topic),+)?] [] { $($body)* });
    };
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident<$life:lifetime> = $system:ident $event_type:literal
            $(alias $($alias:literal)|+)? $(on $($topic:literal)|+)? by_topic { $($body:tt)* }
    ) => {
        $crate::contract!(@declare [$($doc),+] $name $life $system $event_type
            [$($($alias),+)?] [$($($topic),+)?] [by_topic] { $($body)* });
    };
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident<$life:lifetime> = $system:ident $event_type:literal
            $(alias $($alias:literal)|+)? $(on $($topic:literal)|+)? rest { $($body:tt)* }
    ) => {
        $crate::contract!(@declare [$($doc),+] $name $life $system $event_type
            [$($($alias),+)?] [$($($topic),+)?] [rest] { $($body)* });
    };
    (@declare [$($doc:literal),+] $name:ident $life:lifetime $system:ident $event_type:literal
        [$($alias:literal),*] [$($topic:literal),*] [$($typed:ident)?] {
            $($(#[doc = $field_doc:literal])+ $need:ident $field:ident: $type:ty = $($path:literal)|+
                $(in seconds $($seconds:literal)|+)?,)*
            $(with $group:ident: $group_type:ty,)?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub struct $name<$life> {
            $($(#[doc = $field_doc])+ pub $field: $crate::contract!(@type $need $type),)*
            $(
                /// What it shares with other contracts.
                ///
                /// Elsewhere, because it is much, and an event moves often on its way.
                pub $group: Box<$group_type>,
            )?
            // Keeps the lifetime in the type, whether or not a field borrows.
            record: ::std::marker::PhantomData<&$life ()>,
        }

        impl<$life> $name<$life> {
            /// The contract as data.
            pub const SPEC: $crate::contract::ContractSpec = $crate::contract::ContractSpec {
                system: $crate::contract::System::$system,
                event_type: $event_type,
                typed: $crate::contract!(@typed [$($typed)?] [$event_type $(, $alias)*]),
                topics: $crate::contract!(@topics [$($topic),*] [$event_type $(, $alias)*]),
                doc: concat!($($doc, "\n"),+),
                fields: <Self as $crate::contract::FromTokens<$life>>::FIELDS,
                group: $crate::contract!(@group $life $($group_type)?),
            };
        }

        impl<$life> $crate::contract::FromTokens<$life> for $name<$life> {
            $crate::contract!(@fields $life
                $([$($field_doc),+] $need $field: $type = [$($path),+] [$($($seconds),+)?])*);

            fn from_tokens(tokens: &mut $crate::tokens::Tokens<$life>) -> Result<Self, $crate::Poison> {
                let _ = &tokens;
                Ok(Self {
                    $($field: $crate::contract!(@read $need tokens)?,)*
                    $($group: Box::new(<$group_type as $crate::contract::FromTokens<$life>>::from_tokens(tokens)?),)?
                    record: ::std::marker::PhantomData,
                })
            }
        }
    };
    (@fields $life:lifetime $([$($field_doc:literal),+] $need:ident $field:ident: $type:ty =
        [$($path:literal),+] [$($seconds:literal),*])*) => {
        const FIELDS: &'static [$crate::contract::FieldSpec] = &[$($crate::contract::FieldSpec {
            name: stringify!($field),
            doc: concat!($($field_doc, "\n"),+),
            required: $crate::contract!(@required $need),
            kind: $crate::contract::kind_of::<$life, $type>(),
            paths: &[$($path),+],
            seconds: &[$($seconds),*],
        },)*];
    };
    (@type required $type:ty) => { $type };
    (@type optional $type:ty) => { Option<$type> };
    (@required required) => { true };
    (@required optional) => { false };
    (@read required $tokens:ident) => { $tokens.required() };
    (@read optional $tokens:ident) => { $tokens.optional() };
    (@typed [] [$($word:literal),+]) => { $crate::contract::Typed::ByEnvelope(&[$($word),+]) };
    (@typed [by_topic] [$($word:literal),+]) => { $crate::contract::Typed::ByTopic };
    (@typed [rest] [$($word:literal),+]) => { $crate::contract::Typed::ByRest };
    (@topics [] [$($word:literal),+]) => { &[$($word),+] };
    (@topics [$($topic:literal),+] [$($word:literal),+]) => { &[$($topic),+] };
    (@group $life:lifetime) => { &[] };
    (@group $life:lifetime $group_type:ty) => { <$group_type as $crate::contract::FromTokens<$life>>::FIELDS };
}

/// Declares the fields that several contracts share, as [`contract!`](crate::contract!) does those of one.
#[macro_export]
macro_rules! group {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident<$life:lifetime> {
            $($(#[doc = $field_doc:literal])+ $need:ident $field:ident: $type:ty = $($path:literal)|+
                $(in seconds $($seconds:literal)|+)?,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub struct $name<$life> {
            $($(#[doc = $field_doc])+ pub $field: $crate::contract!(@type $need $type),)*
        }

        impl<$life> $crate::contract::FromTokens<$life> for $name<$life> {
            $crate::contract!(@fields $life
                $([$($field_doc),+] $need $field: $type = [$($path),+] [$($($seconds),+)?])*);

            fn from_tokens(tokens: &mut $crate::tokens::Tokens<$life>) -> Result<Self, $crate::Poison> {
                Ok(Self { $($field: $crate::contract!(@read $need tokens)?,)* })
            }
        }
    };
}
