//! Results as Markdown, with ratios to the first row that stands for a floor.

use std::cell::Cell;

/// One line of a table.
pub struct Row {
    pub name: String,
    pub values: Vec<f64>,
}

/// A table of measured values.
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// The middle of a few values.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

thread_local!(static NOTED: Cell<u64> = const { Cell::new(0) });

/// Keeps the highest value of what is running.
pub fn note(value: u64) {
    NOTED.with(|noted| noted.set(noted.get().max(value)));
}

/// The highest value noted, which is forgotten.
pub fn noted() -> u64 {
    NOTED.with(|noted| noted.replace(0))
}

/// What was measured on.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown CPU", |(_, name)| name);
    let cores = super::process::cores();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    format!("{model}, {cores} cores, load average before: {load}. Medians of the repeats.")
}

fn shown(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

impl Table {
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Table { title: title.to_owned(), columns: columns.iter().map(|&column| column.to_owned()).collect(), rows: Vec::new() }
    }

    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Puts a row before all others, for them to be compared with.
    pub fn begin(&mut self, row: Row) {
        self.rows.insert(0, row);
    }

    /// Prints it; each value with its ratio to the first row, which is the least of what can be compared.
    pub fn print(&self) {
        let Some(first) = self.rows.first() else { return };
        println!("### {}\n\n| | {} |", self.title, self.columns.join(" | "));
        println!("| --- |{}", " --- |".repeat(self.columns.len()));
        for row in &self.rows {
            let cells = row.values.iter().zip(&first.values).map(|(value, first)| {
                let ratio = value / first;
                if std::ptr::eq(row, first_row(&self.rows)) || !ratio.is_finite() {
                    shown(*value)
                } else {
                    format!("{} ({ratio:.2} ×)", shown(*value))
                }
            });
            println!("| {} | {} |", row.name, cells.collect::<Vec<_>>().join(" | "));
        }
        println!("\nRatios are to {}.\n", first.name);
    }

    /// Prints it without ratios: its rows stand for themselves.
    pub fn print_plain(&self) {
        println!("### {}\n\n| | {} |", self.title, self.columns.join(" | "));
        println!("| --- |{}", " --- |".repeat(self.columns.len()));
        for row in &self.rows {
            let cells = row.values.iter().map(|value| if value.is_nan() { "–".to_owned() } else { shown(*value) });
            println!("| {} | {} |", row.name, cells.collect::<Vec<_>>().join(" | "));
        }
        println!();
    }
}

fn first_row(rows: &[Row]) -> &Row {
    &rows[0]
}
