//! The values of a document with their positions, owned. The one file that names the `toml` crate's parser.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A place in a file: line and column from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub line: usize,
    pub column: usize,
}

/// A value, where it stands and, if it is not from the file, whence it came.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub value: Value,
    pub at: Position,
    pub origin: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date,
    Array(Vec<Node>),
    Table(Entries),
    /// Text from the environment or the command line: read as whatever type is asked for.
    Outside(String, Vec<Node>),
}

/// The entries of a table in the order of the file: key, the key's place, value.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(pub Vec<(String, Position, Node)>);

impl Value {
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Date => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
            Value::Outside(..) => "text",
        }
    }
}

impl Entries {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _, _)| name == key).map(|(_, _, node)| node)
    }
}

impl Node {
    /// Sets a value below this one, making the tables on the way. Errs with the name of what is no table.
    pub fn set(&mut self, path: &[&str], text: &str, origin: &str) -> Result<(), String> {
        let Some((key, rest)) = path.split_first() else {
            let node = |value| Node { value, at: Position::default(), origin: Some(origin.to_owned()) };
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let parts = parts.map(|part| node(Value::Outside(part.to_owned(), Vec::new()))).collect();
            *self = node(Value::Outside(text.to_owned(), parts));
            return Ok(());
        };
        let child = match &mut self.value {
            Value::Table(Entries(entries)) => {
                let place = entries.iter().position(|(name, _, _)| name == key).unwrap_or_else(|| {
                    // `upstream.0.url` where there is no upstream yet: a number means that an array is wanted.
                    let array = rest.first().is_some_and(|next| next.parse::<usize>().is_ok());
                    let value = if array { Value::Array(Vec::new()) } else { Value::Table(Entries::default()) };
                    let node = Node { value, at: Position::default(), origin: Some(origin.to_owned()) };
                    entries.push(((*key).to_owned(), Position::default(), node));
                    entries.len() - 1
                });
                &mut entries[place].2
            }
            Value::Array(items) => {
                let index = key.parse::<usize>().map_err(|_| (*key).to_owned())?;
                if index == items.len() {
                    let value = Value::Table(Entries::default());
                    items.push(Node { value, at: Position::default(), origin: Some(origin.to_owned()) });
                }
                items.get_mut(index).ok_or_else(|| (*key).to_owned())?
            }
            _ => return Err((*key).to_owned()),
        };
        child.set(rest, text, origin)
    }
}

/// Reads TOML. Errs with every syntax error, one a line.
pub(super) fn parse(text: &str) -> Result<Node, Vec<(Position, String)>> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let at = Position { line: 1, column: 1 };
        return Ok(Node { value: Value::Table(entries(table.get_ref(), &lines)), at, origin: None });
    }
    let mut errors: Vec<(Position, String)> = errors
        .iter()
        .map(|error| {
            (
                lines.position(error.span().unwrap_or(0..0)),
                format!("not TOML: {}", error.message().trim_end().replace('\n', ", ")),
            )
        })
        .collect();
    errors.sort();
    errors.dedup_by_key(|(at, _)| at.line);
    Err(errors)
}

fn entries(table: &DeTable<'_>, lines: &Lines<'_>) -> Entries {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), lines.position(key.span()), node(value.get_ref(), value.span(), lines)))
        .collect();
    entries.sort_by_key(|(_, at, _)| *at);
    Entries(entries)
}

fn node(value: &DeValue<'_>, span: Range<usize>, lines: &Lines<'_>) -> Node {
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
            // Beyond 64 bits: no key of ours takes it, and as a float it fails the range check it deserves.
            |_| Value::Float(number.as_str().parse().unwrap_or(f64::MAX)),
            Value::Integer,
        ),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::Array(items.iter().map(|item| node(item.get_ref(), item.span(), lines)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, lines)),
    };
    Node { value, at: lines.position(span), origin: None }
}

/// From byte offsets to lines and columns.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Lines { text, starts }
    }

    fn position(&self, span: Range<usize>) -> Position {
        let offset = crate::text::floor_char_boundary(self.text, span.start);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        Position { line, column: self.text[start..offset].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let lines = Lines::new("aé\nñb = 1\r\nx\n");
        let at = |offset: usize| {
            let Position { line, column } = lines.position(offset..offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 3));
        assert_eq!(at(4), (2, 1));
        assert_eq!(at(6), (2, 2));
        assert_eq!(at(999), (4, 1));
        let Position { line, column } = Lines::new("").position(5..9);
        assert_eq!((line, column), (1, 1));
    }

    #[test]
    fn numbers_of_every_spelling() {
        let root = parse("a = 0x1F\nb = 1_000\nc = -2\nd = 1e3\ne = 99999999999999999999\nf = nan\ng = +5\n").unwrap();
        let Value::Table(entries) = root.value else { panic!("no table") };
        assert!(matches!(entries.get("a").unwrap().value, Value::Integer(31)));
        assert!(matches!(entries.get("b").unwrap().value, Value::Integer(1000)));
        assert!(matches!(entries.get("c").unwrap().value, Value::Integer(-2)));
        assert!(matches!(entries.get("d").unwrap().value, Value::Float(x) if x == 1000.0));
        assert!(matches!(entries.get("e").unwrap().value, Value::Float(x) if x > 1e19));
        assert!(matches!(entries.get("f").unwrap().value, Value::Float(x) if x.is_nan()));
        assert!(matches!(entries.get("g").unwrap().value, Value::Integer(5)));
    }
}
