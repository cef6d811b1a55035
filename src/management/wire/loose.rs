//! A value of any kind where one of a certain kind is due: one odd field of one entry must not make a whole answer
//! unreadable.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Whatever stands at a place; `T` is what an object there is read as, `S` what a text is.
#[derive(Default)]
pub(super) enum Loose<T = IgnoredAny, S = String> {
    /// Between quotes.
    Text(S),
    /// A whole number.
    Number(u64),
    /// A truth value.
    Flag(bool),
    /// Between braces.
    Object(T),
    /// Between brackets.
    List(Vec<Self>),
    /// `null`, or no entry at all.
    #[default]
    Nothing,
    /// Something else.
    Other,
}

impl<T, S> Loose<T, S> {
    /// The text, if it is one.
    pub(super) fn text(self) -> Option<S> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    pub(super) fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The object, if it is one.
    pub(super) fn object(self) -> Option<T> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The elements, if it is a list.
    pub(super) fn list(self) -> Vec<Self> {
        if let Self::List(list) = self { list } else { Vec::new() }
    }
}

struct Any<T, S>(PhantomData<(T, S)>);

impl<'de, T: Deserialize<'de>, S: From<String>> Visitor<'de> for Any<T, S> {
    type Value = Loose<T, S>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Loose::Text(text.to_owned().into()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Loose::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Loose::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Loose::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Loose::Object)
    }
}

impl<'de, T: Deserialize<'de>, S: From<String>> Deserialize<'de> for Loose<T, S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}
