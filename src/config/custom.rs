//! `[custom.NAME]`: wire formats that the operator describes. What the description means is the format's own to know.

use std::sync::Arc;

use crate::dialect::custom::{AnswerSpec, BlockSpec, Custom, Pointer, RequestSpec, Spec, StreamSpec, Template};
use crate::document::{Item, Table};
use crate::frame::Framing;

/// How streams may be framed.
const FRAMINGS: [(&str, Framing); 2] = [("sse", Framing::Sse), ("ndjson", Framing::Ndjson)];

/// Reads every described format; those that are wrong are noted and left out.
pub(super) fn read_all(root: &Table<'_>) -> Vec<Arc<Custom>> {
    let Some(formats) = root.table("custom") else { return Vec::new() };
    let entries = formats.entries();
    formats.finish();
    entries.into_iter().filter_map(|(name, item)| read(name, &item)).map(Arc::new).collect()
}

pub(super) fn show(format: &Custom) -> serde_json::Value {
    let spec = format.spec();
    serde_json::json!({
        "name": spec.name,
        "paths": spec.paths,
        "stream_paths": spec.stream_paths,
        "textless": spec.textless,
        "text": spec.answer.text.iter().map(Pointer::as_str).collect::<Vec<_>>(),
        "streams": spec.stream.is_some(),
    })
}

fn read(name: &str, item: &Item<'_>) -> Option<Custom> {
    name_of_key(name, item)?;
    let table = item.table()?;
    let paths = |key: &str| {
        let items = table.item(key).map(|item| item.each()).unwrap_or_default();
        items.iter().filter_map(path).collect::<Vec<_>>()
    };
    let spec = Spec {
        name: name.to_owned(),
        paths: paths("paths"),
        stream_paths: paths("stream_paths"),
        textless: paths("textless"),
        request: table.table("request").map(|table| request(&table)).unwrap_or_default(),
        answer: table.table("answer").map(|table| finished(&table, answer)).unwrap_or_default(),
        stream: table.table("stream").map(|table| finished(&table, stream)),
        block: table.table("block").map(|table| finished(&table, block)).unwrap_or_default(),
    };
    table.finish();
    match Custom::new(spec) {
        Ok(format) => Some(format),
        Err(faults) => {
            for fault in faults {
                note(&table, fault.key, fault.message, fault.help);
            }
            None
        }
    }
}

/// The name ends in logs: as short and plain as every other.
fn name_of_key(name: &str, item: &Item<'_>) -> Option<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
        item.problem("its name must be at most 64 letters, digits and -_.", None);
        return None;
    }
    Some(())
}

/// Notes a problem with a setting inside the format's table.
fn note(table: &Table<'_>, key: &str, message: String, help: &str) {
    match key.split_once('.') {
        Some((section, inner)) if table.item(section).is_some_and(|item| item.is_table()) => {
            if let Some(section) = table.table(section) {
                section.problem(inner, message, Some(help));
            }
        }
        Some((section, _)) => table.problem(section, format!("{key}: {message}"), Some(help)),
        None => table.problem(key, message, Some(help)),
    }
}

fn finished<'d, T>(table: &Table<'d>, read: impl FnOnce(&Table<'d>) -> T) -> T {
    let value = read(table);
    table.finish();
    value
}

fn request(table: &Table<'_>) -> RequestSpec {
    let spec = RequestSpec {
        model: place(table, "model"),
        system: place(table, "system"),
        user: place(table, "user"),
        stream: place(table, "stream"),
        temperature: place(table, "temperature"),
        conversation: place(table, "conversation"),
    };
    table.finish();
    spec
}

fn answer(table: &Table<'_>) -> AnswerSpec {
    AnswerSpec {
        text: places(table, "text"),
        reasoning: places(table, "reasoning"),
        tools: places(table, "tools"),
        finish: place(table, "finish"),
        id: place(table, "id"),
        model: place(table, "model"),
        error: place(table, "error"),
    }
}

fn stream(table: &Table<'_>) -> StreamSpec {
    StreamSpec {
        framing: table.choice("framing", &FRAMINGS).unwrap_or(Framing::Sse),
        event: answer(table),
        whole: places(table, "whole"),
        done: table.nonempty("done").map(|done| done.trim().to_owned()),
        ignore: table.strings("ignore").unwrap_or_default().into_iter().map(str::to_owned).collect(),
    }
}

fn block(table: &Table<'_>) -> BlockSpec {
    let template = |key: &str| table.nonempty(key).map(Template::new);
    BlockSpec { answer: template("answer"), stream: template("stream"), cut: template("cut"), error: template("error") }
}

fn place(table: &Table<'_>, key: &str) -> Option<Pointer> {
    table.item(key).and_then(|item| pointer(&item))
}

fn places(table: &Table<'_>, key: &str) -> Vec<Pointer> {
    let items = table.item(key).map(|item| item.each()).unwrap_or_default();
    items.iter().filter_map(pointer).collect()
}

fn pointer(item: &Item<'_>) -> Option<Pointer> {
    let text = item.str()?;
    match Pointer::parse(text) {
        Ok(pointer) => Some(pointer),
        Err(message) => {
            item.problem(message, Some("it is a JSON pointer, in which * is every element or member"));
            None
        }
    }
}

fn path(item: &Item<'_>) -> Option<String> {
    let text = item.nonempty()?;
    if !text.starts_with('/') {
        item.problem("must begin with /", None);
        return None;
    }
    Some(text.to_owned())
}
