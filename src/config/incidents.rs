//! `[incidents]`: whether and how verdicts are kept.

use std::path::PathBuf;
use std::time::Duration;

use super::documented::documented;
use super::{Reading, show};
use crate::document::Table;
use crate::incidents::KeepText;

const TEXTS: [(&str, KeepText); 3] = [("none", KeepText::None), ("excerpt", KeepText::Excerpt), ("full", KeepText::Full)];

documented! {
    /// Kept verdicts.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Incidents {
        /// An SQLite file; `"none"` turns it off.
        pub store: IncidentStore,
        /// How much of an answer is kept: `none`, `excerpt`, `full`.
        pub text: KeepText,
        /// How long an incident is kept.
        pub keep: Duration,
    }
}

/// Where incidents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentStore {
    /// Nowhere.
    None,
    /// In an SQLite file.
    File(PathBuf),
}

impl Incidents {
    pub(super) fn read(table: Option<Table<'_>>, cx: &Reading<'_>) -> Self {
        let mut incidents = Incidents {
            store: IncidentStore::File(cx.base.join("incidents.db")),
            text: KeepText::Excerpt,
            keep: Duration::from_secs(30 * 86_400),
        };
        let Some(table) = table else { return incidents };
        if let Some(item) = table.item("store") {
            if item.is_str() && item.str() == Some("none") {
                incidents.store = IncidentStore::None;
            } else if let Some(path) = cx.path(&item) {
                incidents.store = IncidentStore::File(path);
            }
        }
        if let Some(text) = table.choice("text", &TEXTS) {
            incidents.text = text;
        }
        if let Some(keep) = table.duration("keep") {
            incidents.keep = keep;
        }
        table.finish();
        incidents
    }

    pub(super) fn show(&self) -> serde_json::Value {
        let store = match &self.store {
            IncidentStore::None => "none".to_owned(),
            IncidentStore::File(path) => show::path(path),
        };
        let text = TEXTS.iter().find(|(_, value)| *value == self.text).map(|(name, _)| *name);
        serde_json::json!({ "store": store, "text": text, "keep": show::duration(self.keep) })
    }
}
