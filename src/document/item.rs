//! One value of a document, read as the type that the caller expects. Notes what is wrong with it; knows nothing of its key's meaning.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::tree::{Node, Value};
use super::{Document, listed, nearest, quantity};

/// A value in a document, with its place. Getters return `None` and note a problem if it is something else.
#[derive(Clone, Debug)]
pub struct Item<'d> {
    document: &'d Document,
    node: &'d Node,
    path: String,
}

impl<'d> Item<'d> {
    pub(super) fn new(document: &'d Document, node: &'d Node, path: String) -> Self {
        Item { document, node, path }
    }

    pub(super) fn document(&self) -> &'d Document {
        self.document
    }

    pub(super) fn node(&self) -> &'d Node {
        self.node
    }

    /// The dotted path of this value.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The line it stands on; 0 if it did not come from the file.
    #[must_use]
    pub fn line(&self) -> usize {
        self.node.at.line
    }

    /// Whether it is a string (and not, say, a table), for keys that take either.
    #[must_use]
    pub fn is_str(&self) -> bool {
        matches!(self.node.value, Value::String(_) | Value::Outside(..))
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::Array(_))
    }

    /// Whether it is a table.
    #[must_use]
    pub fn is_table(&self) -> bool {
        matches!(self.node.value, Value::Table(_))
    }

    /// Notes a problem with this value.
    pub fn problem(&self, message: impl Into<String>, help: Option<&str>) {
        self.document.note(self.node, &self.path, message.into(), help.map(str::to_owned));
    }

    /// A string.
    #[must_use]
    pub fn str(&self) -> Option<&'d str> {
        match &self.node.value {
            Value::String(text) | Value::Outside(text, _) => Some(text),
            _ => self.mismatch("a string"),
        }
    }

    /// A string with something else than white space in it.
    #[must_use]
    pub fn nonempty(&self) -> Option<&'d str> {
        let text = self.str()?;
        if text.trim().is_empty() {
            self.problem("must not be empty", None);
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn bool(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(value) => Some(*value),
            Value::Outside(text, _) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => self.mismatch("true or false"),
            },
            _ => self.mismatch("true or false"),
        }
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let value = match &self.node.value {
            Value::Integer(value) => Some(*value),
            Value::Float(value) if value.abs() >= 9.2e18 => return self.outside(&range),
            Value::Outside(text, _) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        };
        match value {
            None => self.mismatch("a whole number"),
            Some(value) if range.contains(&value) => Some(value),
            Some(_) => self.outside(&range),
        }
    }

    /// A whole number within `range`, as a count.
    #[must_use]
    pub fn count(&self, range: RangeInclusive<usize>) -> Option<usize> {
        let bound = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.integer(bound(*range.start())..=bound(*range.end())).and_then(|value| usize::try_from(value).ok())
    }

    /// A number within `range`; whole numbers are accepted, NaN is not.
    #[must_use]
    pub fn float(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let value = match &self.node.value {
            Value::Float(value) => Some(*value),
            #[expect(clippy::cast_precision_loss, reason = "settings are small numbers")]
            Value::Integer(value) => Some(*value as f64),
            Value::Outside(text, _) => text.trim().parse().ok(),
            _ => None,
        };
        match value {
            None => self.mismatch("a number"),
            Some(value) if range.contains(&value) => Some(value),
            Some(value) if !value.is_finite() && range.end().is_limit() => self.noted(Err("must be finite".to_owned())),
            Some(_) => self.outside(&range),
        }
    }

    /// A list of strings. From outside the file: separated by commas.
    #[must_use]
    pub fn strings(&self) -> Option<Vec<&'d str>> {
        match &self.node.value {
            Value::Array(_) => all(self.items().iter().map(Item::str)),
            Value::Outside(text, _) => Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()),
            _ => self.mismatch("a list of strings"),
        }
    }

    /// A list of finite numbers.
    #[must_use]
    pub fn floats(&self) -> Option<Vec<f64>> {
        match &self.node.value {
            Value::Array(_) => all(self.items().iter().map(|item| item.float(f64::MIN..=f64::MAX))),
            _ => self.mismatch("a list of numbers"),
        }
    }

    /// A span of time: `"250ms"`, `"30s"`, `"1h30m"`, `"30d"`.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        match &self.node.value {
            Value::String(text) | Value::Outside(text, _) => self.noted(quantity::duration(text)),
            Value::Integer(number) => {
                let help = format!("write \"{number}s\" for seconds");
                self.problem("expected a time with a unit, found a bare number", Some(&help));
                None
            }
            _ => self.mismatch("a time, like \"30s\""),
        }
    }

    /// A size in bytes: `"20MiB"`, or a whole number.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        match &self.node.value {
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(size) => Some(size),
                Err(_) => self.noted(Err("must not be negative".to_owned())),
            },
            Value::Outside(text, _) if text.trim().bytes().all(|byte| byte.is_ascii_digit()) && !text.trim().is_empty() => {
                self.noted(text.trim().parse().map_err(|_| "is larger than any machine".to_owned()))
            }
            Value::String(text) | Value::Outside(text, _) => self.noted(quantity::bytes(text)),
            _ => self.mismatch("a size, like \"20MiB\""),
        }
    }

    /// One of a few words.
    #[must_use]
    pub fn choice<T: Copy>(&self, options: &[(&str, T)]) -> Option<T> {
        let word = self.str()?;
        let found = options.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            self.unknown_value(word, options.iter().map(|(name, _)| *name));
        }
        found
    }

    /// Notes that `word` is none of `names`, with the nearest of them, or all where none is near.
    pub fn unknown_value<'n>(&self, word: &str, names: impl Iterator<Item = &'n str> + Clone) {
        let help = match nearest(word, names.clone()) {
            Some(near) => Some(format!("did you mean \"{near}\"?")),
            // Where what could be named is itself a problem, there is none to list.
            None => names.clone().next().map(|_| format!("must be {}", listed(names))),
        };
        self.problem(format!("unknown value {word:?}"), help.as_deref());
    }

    /// The values of a list, each with its path; empty (and a problem) if this is no list.
    #[must_use]
    pub fn items(&self) -> Vec<Item<'d>> {
        let (Value::Array(nodes) | Value::Outside(_, nodes)) = &self.node.value else {
            self.mismatch::<()>("a list");
            return Vec::new();
        };
        let of_node = |(index, node)| Item::new(self.document, node, format!("{}[{index}]", self.path));
        nodes.iter().enumerate().map(of_node).collect()
    }

    /// The values of a list, or this one itself where it is a text: from outside the file a list is a text with commas.
    #[must_use]
    pub fn each(&self) -> Vec<Item<'d>> {
        match &self.node.value {
            Value::String(_) => vec![self.clone()],
            Value::Outside(text, _) if !text.contains(',') => vec![self.clone()],
            _ => self.items(),
        }
    }

    pub(super) fn mismatch<T>(&self, expected: &str) -> Option<T> {
        self.problem(format!("expected {expected}, found {}", self.node.value.kind()), None);
        None
    }

    fn outside<N: Display + PartialEq + Limit, T>(&self, range: &RangeInclusive<N>) -> Option<T> {
        let (low, high) = (range.start(), range.end());
        let message = match (low.is_limit(), high.is_limit()) {
            (false, false) => format!("must be between {low} and {high}"),
            (false, true) => format!("must be at least {low}"),
            (true, false) => format!("must be at most {high}"),
            (true, true) => "is out of range".to_owned(),
        };
        self.problem(message, None);
        None
    }

    fn noted<T>(&self, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(message, None)).ok()
    }
}

/// Bounds that stand for "no bound" and are not worth printing.
trait Limit {
    fn is_limit(&self) -> bool;
}

impl Limit for i64 {
    fn is_limit(&self) -> bool {
        *self == i64::MAX || *self == i64::MIN
    }
}

impl Limit for f64 {
    fn is_limit(&self) -> bool {
        *self == f64::MAX || *self == f64::MIN || self.is_infinite()
    }
}

/// The values if there is none missing. Looks at all of them, so that every problem is noted.
fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let values: Vec<Option<T>> = values.collect();
    values.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one<T>(text: &str, read: impl Fn(&Item<'_>) -> Option<T>) -> Result<T, String> {
        let document = Document::parse(text, None).unwrap();
        let value = document.root().item("k").and_then(|item| read(&item));
        match value {
            Some(value) => Ok(value),
            None => Err(document.into_problems().into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("|")),
        }
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert_eq!(one("k = 5", |item| item.integer(1..=9)), Ok(5));
        assert_eq!(one("k = 5.5", |item| item.integer(1..=9)), Err("expected a whole number, found a number".into()));
        assert_eq!(one("k = 99999999999999999999", |item| item.integer(1..=9)), Err("must be between 1 and 9".into()));
        assert_eq!(one("k = -1", |item| item.count(0..=usize::MAX)), Err("must be at least 0".into()));
        assert_eq!(one("k = 1", |item| item.float(0.0..=1.0)), Ok(1.0));
        assert_eq!(one("k = nan", |item| item.float(0.0..=1.0)), Err("must be between 0 and 1".into()));
        assert_eq!(one("k = inf", |item| item.float(0.0..=f64::MAX)), Err("must be finite".into()));
    }

    #[test]
    fn where_nothing_can_be_named_no_list_is_promised() {
        let document = Document::parse("k = \"up\"", None).unwrap();
        document.root().item("k").unwrap().unknown_value("up", std::iter::empty());
        let problem = document.into_problems().pop().unwrap();
        assert_eq!((problem.message.as_str(), problem.help), ("unknown value \"up\"", None));
    }

    #[test]
    fn bare_numbers_are_sizes_but_no_times() {
        assert_eq!(one("k = 1024", |item| item.bytes()), Ok(1024));
        assert_eq!(one("k = -1", |item| item.bytes()), Err("must not be negative".into()));
        assert!(one("k = 30", |item| item.duration()).unwrap_err().contains("bare number"));
        assert_eq!(one("k = \"  \"", |item| item.nonempty().map(str::to_owned)), Err("must not be empty".into()));
    }

    #[test]
    fn lists_report_each_bad_item() {
        assert_eq!(one("k = [1, \"a\", true]", |item| item.strings().map(|_| ())).unwrap_err().matches('|').count(), 1);
        assert_eq!(one("k = \"a\"", |item| item.strings().map(|_| ())), Err("expected a list of strings, found a string".into()));
        assert_eq!(
            one("k = [{ a = 1 }, 2]", |item| (item.tables().len() == 2).then_some(())),
            Err("expected a table, found an integer".into())
        );
    }

    #[test]
    fn a_single_table_where_several_are_expected_says_how_to_write_it() {
        let document = Document::parse("[rule]\nname = \"x\"\n", None).unwrap();
        assert!(document.root().tables("rule").is_empty());
        assert_eq!(document.into_problems()[0].help.as_deref(), Some("write [[rule]] in place of [rule]"));
    }
}
