//! A cursor on one table: typed getters that note a problem where the value is not what was asked for, and [`Table::finish`], which
//! notes the keys that nobody asked for. Knows no key itself.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::tree::{Entries, Node, Value};
use super::{Document, Item, listed, nearest};

/// One table of a document. Every getter makes its key known; a getter returns `None` both when the key is absent and when its value is
/// wrong, and in the second case a problem is noted, so callers put their default in place and go on to the next mistake.
#[derive(Debug)]
pub struct Table<'d> {
    document: &'d Document,
    node: &'d Node,
    entries: &'d Entries,
    path: String,
    known: RefCell<Vec<String>>,
}

impl<'d> Table<'d> {
    pub(super) fn new(document: &'d Document, node: &'d Node, entries: &'d Entries, path: String) -> Self {
        Table { document, node, entries, path, known: RefCell::default() }
    }

    /// The dotted path of this table: `rule[2]`; empty at the top.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value under `key`, whatever its type.
    #[must_use]
    pub fn item(&self, key: &str) -> Option<Item<'d>> {
        self.knows(key);
        self.entries.get(key).map(|node| Item::new(self.document, node, self.path_of(key)))
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.item(key).is_some()
    }

    /// The value under `key`, which must be there: its absence is a problem.
    pub fn require(&self, key: &str, help: &str) -> Option<Item<'d>> {
        let item = self.item(key);
        if item.is_none() {
            self.document.note(self.node, &self.path_of(key), "missing".to_owned(), Some(help.to_owned()));
        }
        item
    }

    /// A string.
    #[must_use]
    pub fn str(&self, key: &str) -> Option<&'d str> {
        self.item(key)?.str()
    }

    /// A string with something else than white space in it.
    #[must_use]
    pub fn nonempty(&self, key: &str) -> Option<&'d str> {
        self.item(key)?.nonempty()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.item(key)?.bool()
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.item(key)?.integer(range)
    }

    /// A whole number within `range`, as a count.
    #[must_use]
    pub fn count(&self, key: &str, range: RangeInclusive<usize>) -> Option<usize> {
        self.item(key)?.count(range)
    }

    /// A number within `range`; whole numbers are accepted, NaN is not.
    #[must_use]
    pub fn float(&self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        self.item(key)?.float(range)
    }

    /// A list of strings.
    #[must_use]
    pub fn strings(&self, key: &str) -> Option<Vec<&'d str>> {
        self.item(key)?.strings()
    }

    /// A list of finite numbers.
    #[must_use]
    pub fn floats(&self, key: &str) -> Option<Vec<f64>> {
        self.item(key)?.floats()
    }

    /// A span of time: `"250ms"`, `"30s"`, `"1h30m"`, `"30d"`.
    #[must_use]
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.item(key)?.duration()
    }

    /// A size in bytes: `"20MiB"`, or a whole number.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<u64> {
        self.item(key)?.bytes()
    }

    /// One of a few words.
    #[must_use]
    pub fn choice<T: Copy>(&self, key: &str, options: &[(&str, T)]) -> Option<T> {
        self.item(key)?.choice(options)
    }

    /// A nested table. The caller calls [`Table::finish`] on it.
    #[must_use]
    pub fn table(&self, key: &str) -> Option<Table<'d>> {
        self.item(key)?.table()
    }

    /// An array of tables (`[[rule]]`), empty if it is not there. The caller calls [`Table::finish`] on each.
    #[must_use]
    pub fn tables(&self, key: &str) -> Vec<Table<'d>> {
        self.item(key).map(|item| item.tables()).unwrap_or_default()
    }

    /// Every entry, for tables whose keys are free. Makes them all known.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'d str, Item<'d>)> {
        let of_entry = |(key, _, node): &'d (String, super::tree::Position, Node)| {
            self.knows(key);
            (key.as_str(), Item::new(self.document, node, self.path_of(key)))
        };
        self.entries.0.iter().map(of_entry).collect()
    }

    /// Notes a problem with the value under `key`, or with this table if the key is not there.
    pub fn problem(&self, key: &str, message: impl Into<String>, help: Option<&str>) {
        let node = self.entries.get(key).unwrap_or(self.node);
        self.document.note(node, &self.path_of(key), message.into(), help.map(str::to_owned));
    }

    /// Notes a problem with this table as a whole.
    pub fn problem_here(&self, message: impl Into<String>, help: Option<&str>) {
        self.document.note(self.node, &self.path, message.into(), help.map(str::to_owned));
    }

    /// Notes every key that no getter asked for, with the nearest known key, or all of them where none is near.
    pub fn finish(&self) {
        let known = self.known.borrow();
        for (key, at, node) in &self.entries.0 {
            if known.contains(key) {
                continue;
            }
            let help = nearest(key, known.iter().map(String::as_str)).map_or_else(
                || {
                    (!known.is_empty())
                        .then(|| format!("known here: {}", listed(known.iter().map(String::as_str)).replace(" or ", ", ")))
                },
                |near| Some(format!("did you mean \"{near}\"?")),
            );
            self.document.note_at(*at, node.origin.as_deref(), &self.path_of(key), "unknown key".to_owned(), help);
        }
    }

    fn knows(&self, key: &str) {
        let mut known = self.known.borrow_mut();
        if !known.iter().any(|name| name == key) {
            known.push(key.to_owned());
        }
    }

    fn path_of(&self, key: &str) -> String {
        // Quoted as TOML would, so that a key with dots in it is not read as a path.
        let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let key = if bare { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}

impl<'d> Item<'d> {
    /// This value as a table.
    #[must_use]
    pub fn table(&self) -> Option<Table<'d>> {
        match &self.node().value {
            Value::Table(entries) => Some(Table::new(self.document(), self.node(), entries, self.path().to_owned())),
            _ => self.mismatch("a table"),
        }
    }

    /// This value as an array of tables. What is none is noted and left out.
    #[must_use]
    pub fn tables(&self) -> Vec<Table<'d>> {
        match &self.node().value {
            Value::Array(_) => self.items().iter().filter_map(Item::table).collect(),
            Value::Table(_) => {
                let header = format!("write [[{0}]] in place of [{0}]", self.path());
                self.problem("expected an array of tables, found a table", Some(&header));
                Vec::new()
            }
            _ => {
                self.mismatch::<()>("an array of tables");
                Vec::new()
            }
        }
    }
}
