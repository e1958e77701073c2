//! TOML files and what is wrong with them. Reads a document with positions and gathers **every** mistake, each with file, line, column,
//! key and, where there is one, the fix. Pure: callers read the file. Knows no key of any file.
//!
//! ```
//! use steadfast::document::Document;
//!
//! let document = Document::parse("[server]\nlisten = \"0.0.0.0:8080\"\ngrace = \"30 parsecs\"\nlimt = 1\n", Some("steadfast.toml"))?;
//! let root = document.root();
//! if let Some(server) = root.table("server") {
//!     assert_eq!(server.str("listen"), Some("0.0.0.0:8080"));
//!     assert_eq!(server.duration("grace"), None); // and a problem is noted
//!     assert_eq!(server.integer("limit", 1..=100), None); // simply not there
//!     server.finish(); // notes unknown keys
//! }
//! root.finish();
//! let problems: Vec<String> = document.into_problems().iter().map(ToString::to_string).collect();
//! assert!(problems[0].starts_with("steadfast.toml:3:9: server.grace: expected a time with a unit"));
//! assert_eq!(problems[1], "steadfast.toml:4:1: server.limt: unknown key; did you mean \"limit\"?");
//! # Ok::<(), Vec<steadfast::document::Problem>>(())
//! ```

mod item;
mod nearest;
mod quantity;
mod table;
mod tree;

use std::cell::RefCell;
use std::fmt;

pub use item::Item;
pub use nearest::{listed, nearest};
pub use quantity::{bytes, duration};
pub use table::Table;

use tree::{Entries, Node, Position, Value};

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as the caller named it; or where else the value came from (`environment variable STEADFAST_…`, `--listen`).
    pub file: Option<String>,
    /// The line, from 1; 0 where there is none.
    pub line: usize,
    /// The column in characters, from 1; 0 where there is none.
    pub column: usize,
    /// The key, dotted, with places in arrays from 0: `rule[2].at_least`. Empty for the file as a whole.
    pub key: String,
    /// What is wrong: lower case, no full stop. Values that may be secret are not quoted.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem with a file as a whole (it cannot be read, it is missing).
    #[must_use]
    pub fn of_file(file: &str, message: impl Into<String>, help: Option<&str>) -> Self {
        Problem {
            file: Some(file.to_owned()),
            line: 0,
            column: 0,
            key: String::new(),
            message: message.into(),
            help: help.map(str::to_owned),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if self.line > 0 {
                write!(f, ":{}:{}", self.line, self.column)?;
            }
            f.write_str(": ")?;
        } else if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// A TOML document that is being read, and the problems found so far.
#[derive(Debug)]
pub struct Document {
    file: Option<String>,
    root: Node,
    problems: RefCell<Vec<Problem>>,
}

impl Document {
    /// Reads TOML. `file` is only a name for problems.
    ///
    /// # Errors
    /// Every syntax error (one a line: the others follow from the first). A document with syntax errors is not looked at further, for
    /// what is left of it after recovery would raise false alarms.
    pub fn parse(text: &str, file: Option<&str>) -> Result<Self, Vec<Problem>> {
        let root = tree::parse(text).map_err(|errors| {
            let of_error = |(at, message): (Position, String)| Problem {
                file: file.map(str::to_owned),
                line: at.line,
                column: at.column,
                key: String::new(),
                message,
                help: None,
            };
            errors.into_iter().map(of_error).collect::<Vec<_>>()
        })?;
        Ok(Document { file: file.map(str::to_owned), root, problems: RefCell::default() })
    }

    /// A document with nothing in it.
    #[must_use]
    pub fn empty(file: Option<&str>) -> Self {
        let root = Node { value: Value::Table(Entries::default()), at: Position::default(), origin: None };
        Document { file: file.map(str::to_owned), root, problems: RefCell::default() }
    }

    /// Sets a value from outside the file (`STEADFAST_SERVER__LISTEN`, `--listen`), over what the file says. `path` names tables from the
    /// root and, last, the key; a number is a place in an array. `text` is read as the type that the reader asks for: a number, `true`, a
    /// duration, a list with commas. Problems name `origin` in place of the file.
    ///
    /// A path that leads through something that is no table (or a place that the array does not have) is a problem.
    pub fn overlay(&mut self, path: &[&str], text: &str, origin: &str) {
        if let Err(at) = self.root.set(path, text, origin) {
            let problem = Problem {
                file: Some(origin.to_owned()),
                line: 0,
                column: 0,
                key: path.join("."),
                message: format!("{at} is no table that could hold this"),
                help: None,
            };
            self.problems.borrow_mut().push(problem);
        }
    }

    /// The table at the top.
    #[must_use]
    pub fn root(&self) -> Table<'_> {
        match &self.root.value {
            Value::Table(entries) => Table::new(self, &self.root, entries, String::new()),
            _ => unreachable!("the root of a TOML document is a table"),
        }
    }

    /// The problems so far, in the order of the file.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }

    /// `value`, if it was read without a problem.
    ///
    /// # Errors
    /// The problems, in the order of the file.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        let problems = self.into_problems();
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(problems),
        }
    }

    fn note(&self, node: &Node, key: &str, message: String, help: Option<String>) {
        self.note_at(node.at, node.origin.as_deref(), key, message, help);
    }

    fn note_at(&self, at: Position, origin: Option<&str>, key: &str, message: String, help: Option<String>) {
        let file = origin.map(str::to_owned).or_else(|| self.file.clone());
        let (line, column) = if origin.is_some() { (0, 0) } else { (at.line, at.column) };
        self.problems.borrow_mut().push(Problem { file, line, column, key: key.to_owned(), message, help });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(document: Document) -> String {
        document.into_problems().iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn every_mistake_at_once_in_the_order_of_the_file() {
        let text = "\
name = 3
mode = \"enfroce\"
deadline = \"2 parsecs\"
body = \"20 apples\"
ratio = 1
ratios = [0.5, \"x\"]
words = [\"a\", 2]
big = 99
when = 1979-05-27

[nested]
colour = 1
[nested.deep]
on = \"yes\"

[[rule]]
name = \"ok\"
[[rule]]
nam = \"typo\"
";
        let document = Document::parse(text, Some("x.toml")).unwrap();
        let root = document.root();
        assert_eq!(root.str("name"), None);
        assert_eq!(root.choice("mode", &[("enforce", 1), ("shadow", 2)]), None);
        assert_eq!(root.duration("deadline"), None);
        assert_eq!(root.bytes("body"), None);
        assert_eq!(root.float("ratio", 0.0..=1.0), Some(1.0));
        assert_eq!(root.strings("words"), None);
        assert_eq!(root.floats("ratios"), None);
        assert_eq!(root.integer("big", 1..=10), None);
        assert_eq!(root.str("when"), None);
        let nested = root.table("nested").unwrap();
        let deep = nested.table("deep").unwrap();
        assert_eq!(deep.bool("on"), None);
        deep.finish();
        nested.finish();
        for rule in root.tables("rule") {
            rule.require("name", "give the rule a name");
            rule.finish();
        }
        root.finish();
        insta::assert_snapshot!(problems(document), @r#"
        x.toml:1:8: name: expected a string, found an integer
        x.toml:2:8: mode: unknown value "enfroce"; did you mean "enforce"?
        x.toml:3:12: deadline: expected a time with a unit, like "250ms", "30s", "5m", "2h" or "30d"
        x.toml:4:8: body: expected a size with a unit, like "512KiB" or "20MiB"
        x.toml:6:16: ratios[1]: expected a number, found a string
        x.toml:7:15: words[1]: expected a string, found an integer
        x.toml:8:7: big: must be between 1 and 10
        x.toml:9:8: when: expected a string, found a date
        x.toml:12:1: nested.colour: unknown key; known here: "deep"
        x.toml:14:6: nested.deep.on: expected true or false, found a string
        x.toml:18:1: rule[1].name: missing; give the rule a name
        x.toml:19:1: rule[1].nam: unknown key; did you mean "name"?
        "#);
    }

    #[test]
    fn syntax_errors_have_a_place_each() {
        let errors = Document::parse("a = \nb = 1\nc = [1, 2\nd = \"x\"\n[t\n", Some("y.toml")).unwrap_err();
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert!(Document::parse("a = 1\na = 2\n", None).unwrap_err()[0].to_string().starts_with("2:1: "));
    }

    #[test]
    fn values_from_outside_override_the_file_and_say_where_they_came_from() {
        let mut document =
            Document::parse("[server]\nlisten = \"a\"\nport = 1\n[[upstream]]\nurl = \"u\"\n", Some("s.toml")).unwrap();
        document.overlay(&["server", "listen"], "b", "environment variable STEADFAST_SERVER__LISTEN");
        document.overlay(&["server", "port"], "many", "environment variable STEADFAST_SERVER__PORT");
        document.overlay(&["session", "key"], "header:x, conversation", "environment variable STEADFAST_SESSION__KEY");
        document.overlay(&["session", "on"], "true", "environment variable STEADFAST_SESSION__ON");
        document.overlay(&["session", "ttl"], "2h", "environment variable STEADFAST_SESSION__TTL");
        document.overlay(&["upstream", "0", "url"], "v", "--upstream");
        document.overlay(&["upstream", "7", "url"], "v", "--upstream");
        document.overlay(&["sevrer", "x"], "1", "environment variable STEADFAST_SEVRER__X");
        let root = document.root();
        let server = root.table("server").unwrap();
        assert_eq!(server.str("listen"), Some("b"));
        assert_eq!(server.integer("port", 0..=65535), None);
        server.finish();
        let session = root.table("session").unwrap();
        assert_eq!(session.strings("key"), Some(vec!["header:x", "conversation"]));
        assert_eq!(session.bool("on"), Some(true));
        assert_eq!(session.duration("ttl"), Some(std::time::Duration::from_secs(7200)));
        session.finish();
        let upstream = &root.tables("upstream")[0];
        assert_eq!(upstream.str("url"), Some("v"));
        root.finish();
        insta::assert_snapshot!(problems(document));
    }
}
