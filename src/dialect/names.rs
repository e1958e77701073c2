//! Names of members as lenient clients read them: in any case. Go's `encoding/json` takes `Content` for `content`, and so do clients in C#
//! and Java that were told to; what they show must be judged.
//!
//! [`Folded`] reads a struct's fields like that, so a member and its double in another case are one field there twice, which is an error
//! like any other repetition. Knows no format.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

/// Whether a client that does not look at the case of names takes one for the other. Two letters beyond ASCII have a small or a capital
/// letter of ASCII: the long s and the Kelvin sign.
#[must_use]
pub fn same(name: &str, known: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(known);
    }
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(folded).eq(known.chars().map(folded))
}

/// A deserializer whose structs take members by their names in any case.
#[derive(Clone, Copy, Debug)]
pub struct Folded<D>(pub D);

struct Struct<V> {
    visitor: V,
    fields: &'static [&'static str],
}

struct Map<A> {
    map: A,
    fields: &'static [&'static str],
}

struct Name<S> {
    seed: S,
    fields: &'static [&'static str],
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Folded<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Struct { visitor, fields })
    }

    forward! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Struct<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Map { map, fields: self.fields })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(seq)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(data)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Map<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.map.next_key_seed(Name { seed, fields: self.fields })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Name<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Name<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<S::Value, E> {
        let known = || self.fields.iter().find(|field| same(name, field));
        let name = if self.fields.contains(&name) { name } else { known().map_or(name, |field| *field) };
        self.seed.deserialize(StrDeserializer::new(name))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Doc<'a> {
        #[serde(default)]
        content: Option<&'a str>,
        #[serde(default, alias = "finishReason")]
        finish_reason: Option<u32>,
    }

    fn read(json: &str) -> Result<Doc<'_>, serde_json::Error> {
        Doc::deserialize(Folded(&mut serde_json::Deserializer::from_str(json)))
    }

    #[test]
    fn a_field_goes_by_its_name_in_any_case() {
        for json in [
            r#"{"content":"x","finish_reason":1}"#,
            r#"{"Content":"x","FINISH_REASON":1}"#,
            r#"{"finishreason":1,"conten\u0054":"x","other":2}"#,
            "{\"content\":\"x\",\"fini\u{17f}h_rea\u{17f}on\":1}",
        ] {
            assert_eq!(read(json).unwrap(), Doc { content: Some("x"), finish_reason: Some(1) }, "{json}");
        }
        assert_eq!(read(r#"{"contents":"x","CØNTENT":"y"}"#).unwrap(), Doc { content: None, finish_reason: None });
    }

    #[test]
    fn in_two_cases_it_is_there_twice() {
        for json in
            [r#"{"content":"x","Content":"y"}"#, r#"{"CONTENT":"x","Content":"y"}"#, r#"{"finishReason":1,"Finish_Reason":1}"#]
        {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn letters_beyond_ascii_have_doubles_in_it() {
        assert!(same("to\u{212a}en", "token") && same("Choice\u{17f}", "choices"));
        assert!(!same("choicés", "choices") && !same("choice", "choices"));
    }
}
