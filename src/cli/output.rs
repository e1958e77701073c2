//! What commands write: results to standard output, all else to standard error; tables, colours, progress. Knows no command.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::verdict::Action;

/// Standard output, buffered. Its errors go up to `main`, where a reader that has gone away is no error.
pub(super) fn results() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Says something beside the results. A standard error that nobody reads is no reason to stop.
pub(super) fn say(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Whether this is only a reader of ours that has gone away (`steadfast … | head`).
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

/// `1 row`, `2 rows`.
pub(super) fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Colours, where standard output is a terminal that wants them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// As the terminal and `NO_COLOR` say.
    pub(super) fn of_process() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint { on: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Less important.
    pub(super) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// More important.
    pub(super) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Good.
    pub(super) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bad.
    pub(super) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// An action or what stands in its place, in its colour.
    pub(super) fn action(self, word: &str, padded: &str) -> String {
        match word.parse() {
            Ok(Action::Allow) => self.good(padded),
            Ok(Action::Flag | Action::Reanchor) => self.paint("36", padded),
            Ok(Action::Retry) => self.paint("33", padded),
            Ok(Action::Block) => self.bad(padded),
            Err(()) => self.paint("35", padded),
        }
    }
}

/// Columns of text, the widest cell of each setting its width.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// A table with these column heads.
    pub(super) fn new(heads: &[&str]) -> Self {
        Table { rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()], right: Vec::new() }
    }

    /// Sets these columns flush right.
    pub(super) fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.right.extend(columns);
        self
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it. `paint` is given each cell's row (0: the heads), column, text and padded text.
    pub(super) fn write(&self, out: &mut dyn Write, paint: impl Fn(usize, usize, &str, String) -> String) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(String::as_str).map(wide).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let fill = " ".repeat(widths[column].saturating_sub(wide(cell)));
                let flush = self.right.contains(&column);
                let last = column + 1 == row.len();
                let padded = match (flush, last) {
                    (true, _) => format!("{fill}{cell}"),
                    (false, true) => cell.clone(),
                    (false, false) => format!("{cell}{fill}"),
                };
                if column > 0 {
                    line.push_str("  ");
                }
                line.push_str(&paint(number, column, cell, padded));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Columns on a terminal, by the rule that suffices for names: CJK and after take two.
fn wide(text: &str) -> usize {
    text.chars().map(|c| if (0x1100..0x1160).contains(&(c as u32)) || (c as u32) >= 0x2E80 { 2 } else { 1 }).sum()
}

/// A text on one line and no longer than `most` characters, without control characters: what a model said must not move the cursor.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    match line.char_indices().nth(most) {
        Some((end, _)) => {
            line.truncate(end);
            line + "…"
        }
        None => line,
    }
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Bytes to read; unknown for a pipe.
    Bytes(Option<u64>),
    /// Pieces of work.
    Pieces(usize),
}

/// A progress bar on standard error, if that is a terminal. `results_follow`: nothing is written to standard output meanwhile; else there
/// is no bar where that is the same terminal.
pub(super) fn progress(work: Work, results_follow: bool) -> ProgressBar {
    if !results_follow && io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match work {
        Work::Bytes(Some(total)) => {
            (ProgressBar::new(total), "{msg} [{bar:32}] {bytes}/{total_bytes} {percent}% {elapsed}, {eta} left")
        }
        Work::Bytes(None) => (ProgressBar::new_spinner(), "{spinner} {msg} {bytes} {elapsed}"),
        Work::Pieces(total) => (ProgressBar::new(total as u64), "{msg} [{bar:32}] {pos}/{len} {elapsed}, {eta} left"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A line on standard error, if that is a terminal, that says what is being done.
#[cfg(feature = "onnx")]
pub(super) fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let mut table = Table::new(&["name", "rows", "note"]).right([1]);
        table.row(["openai-chat", "7", ""].map(str::to_owned));
        table.row(["日本語", "1234", "two columns a character"].map(str::to_owned));
        let mut out = Vec::new();
        table.write(&mut out, |_, _, _, padded| padded).unwrap();
        let expected = "name         rows  note\nopenai-chat     7\n日本語       1234  two columns a character\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_models_text_stays_on_its_line() {
        assert_eq!(one_line("a\n\tb\x1b[31m c", 100), "a b[31m c");
        assert_eq!(one_line("日本語です", 3), "日本語…");
        assert_eq!(one_line("abc", 3), "abc");
    }

    #[test]
    fn a_closed_pipe_is_found_under_its_context() {
        use anyhow::Context as _;
        let closed = Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing").unwrap_err();
        assert!(is_closed_pipe(&closed));
        let full = Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull)).context("writing").unwrap_err();
        assert!(!is_closed_pipe(&full));
    }
}
