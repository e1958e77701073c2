//! A finished span, in words that no exporter's library owns. Data only.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::text::Str;

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: u128,
    /// Its id, never 0.
    pub id: u64,
    /// The span it hangs on.
    pub parent: Option<u64>,
    /// Whether that one is the caller's.
    pub remote: bool,
    /// Its side of a conversation.
    pub kind: Kind,
    /// Its name, of few values.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// What happened in it.
    pub events: Vec<Event>,
    /// Why it failed, in a word of few values. A verdict is no failure.
    pub error: Option<Cow<'static, str>>,
}

/// A span's side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers.
    Server,
    /// It asks.
    Client,
    /// Neither.
    Internal,
}

/// Something that happened in a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// When.
    pub time: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(Str),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Several texts.
    Texts(Vec<Str>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<&Str> for Value {
    fn from(text: &Str) -> Self {
        Value::Text(text.clone())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::Int(value.into())
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Value::Int(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
