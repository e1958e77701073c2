//! Incidents in SQLite: insert, look up, review, prune. Synchronous; it lives on the writer's thread.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use ulid::Ulid;

use super::record::{Incident, Review};
use super::schema;
use super::time::rfc3339;
use crate::score::Label;
use crate::verdict::Action;

/// The most incidents that one query gives.
pub const MOST: usize = 500;

/// Which incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// A label that fired.
    pub label: Option<Label>,
    /// The route.
    pub route: Option<String>,
    /// The action.
    pub action: Option<Action>,
    /// At or after this moment, milliseconds since 1970.
    pub since: Option<u64>,
    /// Older than the incident with this id: the next page.
    pub before: Option<String>,
    /// At most this many (at most [`MOST`]); 50 if not said.
    pub limit: Option<usize>,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is another program's database.
    #[error("the file is another program's database; give [incidents] store another name")]
    NotOurs,
    /// The file was written by a newer steadfast.
    #[error(
        "the file has schema version {found}, and this steadfast knows {known}; run the newer one, or give [incidents] store another name"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// SQLite says no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A record is not what this version writes.
    #[error("an incident's record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    /// Too many questions wait.
    #[error("the incident store is busy; try again")]
    Busy,
    /// The store has been closed.
    #[error("the incident store is closed")]
    Closed,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    db: Connection,
}

impl Store {
    /// Opens or makes the file, and brings it to this version's schema. Only the owner may read it: it quotes answers.
    ///
    /// # Errors
    /// Where it cannot be opened, or is not an incident store of this version or an older one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        private_file(path)?;
        Self::set_up(Connection::open(path)?)
    }

    /// A store that is gone when it is dropped.
    ///
    /// # Errors
    /// Where SQLite has no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::set_up(Connection::open_in_memory()?)
    }

    fn set_up(mut db: Connection) -> Result<Self, StoreError> {
        // Another gateway, a backup or a person with a shell may hold the file for a moment.
        db.busy_timeout(Duration::from_secs(5))?;
        // Takes effect in a new file only, and must come before its first table.
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        schema::migrate(&mut db, schema::STEPS)?;
        // WAL: readers (sqlite3, backups) do not stop the writer. NORMAL: a power cut may lose the last moments, never the file.
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        Ok(Store { db })
    }

    /// Writes incidents, all or none.
    ///
    /// # Errors
    /// Where SQLite cannot write.
    pub fn insert(&mut self, incidents: &[Incident]) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        {
            let mut insert = tx
                .prepare_cached("INSERT OR IGNORE INTO incident (id, time, route, action, record) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            let mut label = tx.prepare_cached("INSERT OR IGNORE INTO incident_label (label, incident) VALUES (?1, ?2)")?;
            for incident in incidents {
                let time = Ulid::from_string(&incident.id).map_or(0, |id| id.timestamp_ms());
                let record = serde_json::to_string(&Incident { review: None, ..incident.clone() })?;
                insert.execute(params![incident.id, signed(time), incident.route, incident.action, record])?;
                for fired in incident.fired() {
                    label.execute(params![fired.label, incident.id])?;
                }
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// The newest incidents first.
    ///
    /// # Errors
    /// Where SQLite cannot read, or a record is damaged.
    pub fn list(&self, query: &Query) -> Result<Vec<Incident>, StoreError> {
        let mut sql = "SELECT record, correct, reviewed FROM incident".to_owned();
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut word = " WHERE ";
        let mut condition = |clause: &str, value: Box<dyn ToSql>| {
            values.push(value);
            let _ = write!(sql, "{word}{clause} ?{}", values.len());
            word = " AND ";
        };
        if let Some(route) = &query.route {
            condition("route =", Box::new(route.clone()));
        }
        if let Some(action) = query.action {
            condition("action =", Box::new(action.as_str()));
        }
        if let Some(since) = query.since {
            // By id, which sorts by time: the scan goes down the primary key and ends there.
            condition("id >=", Box::new(Ulid::from_parts(since, 0).to_string()));
        }
        if let Some(before) = &query.before {
            condition("id <", Box::new(before.clone()));
        }
        if let Some(label) = query.label {
            condition("id IN (SELECT incident FROM incident_label WHERE label =", Box::new(label.as_str()));
            sql.push(')');
        }
        let limit = query.limit.unwrap_or(50).min(MOST);
        let _ = write!(sql, " ORDER BY id DESC LIMIT {limit}");
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(values), columns)?;
        rows.map(|row| assemble(row?)).collect()
    }

    /// One incident.
    ///
    /// # Errors
    /// Where SQLite cannot read, or the record is damaged.
    pub fn get(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        let mut statement = self.db.prepare_cached("SELECT record, correct, reviewed FROM incident WHERE id = ?1")?;
        statement.query_row([id], columns).optional()?.map(assemble).transpose()
    }

    /// Notes what a person said; the last word counts. `None`: there is no such incident.
    ///
    /// # Errors
    /// Where SQLite cannot write.
    pub fn review(&mut self, id: &str, correct: bool, now_ms: u64) -> Result<Option<Incident>, StoreError> {
        self.db.execute("UPDATE incident SET correct = ?2, reviewed = ?3 WHERE id = ?1", params![id, correct, signed(now_ms)])?;
        self.get(id)
    }

    /// Forgets what happened before this moment, at most `most` incidents at a time; says how many those were.
    ///
    /// # Errors
    /// Where SQLite cannot write.
    pub fn prune(&mut self, before_ms: u64, most: usize) -> Result<usize, StoreError> {
        let gone = self.db.execute(
            "DELETE FROM incident WHERE id IN (SELECT id FROM incident WHERE time < ?1 ORDER BY time LIMIT ?2)",
            params![signed(before_ms), signed(most as u64)],
        )?;
        if gone > 0 {
            // Gives the pages back to the file system, a bounded number of them.
            let mut vacuum = self.db.prepare("PRAGMA incremental_vacuum(2000)")?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(gone)
    }

    /// How many incidents are kept.
    ///
    /// # Errors
    /// Where SQLite cannot read.
    pub fn count(&self) -> Result<u64, StoreError> {
        let count: i64 = self.db.query_row("SELECT count(*) FROM incident", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

type Columns = (String, Option<bool>, Option<i64>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn assemble((record, correct, reviewed): Columns) -> Result<Incident, StoreError> {
    let mut incident: Incident = serde_json::from_str(&record)?;
    incident.review = correct.zip(reviewed).map(|(correct, reviewed)| Review { correct, time: rfc3339(reviewed.unsigned_abs()) });
    Ok(incident)
}

/// SQLite's integers are signed.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Makes the file if it is not there, for its owner alone; SQLite gives its WAL the same rights.
fn private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::incidents::KeepText;
    use crate::telemetry::samples;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn incident(seconds: u64, change: impl FnOnce(&mut crate::guard::events::Outcome)) -> Incident {
        let mut outcome = samples::blocked("matched", "why");
        change(&mut outcome);
        Incident::of(&outcome, KeepText::Excerpt, at(seconds)).unwrap()
    }

    fn ids(found: &[Incident]) -> Vec<&str> {
        found.iter().map(|incident| incident.id.as_str()).collect()
    }

    #[test]
    fn incidents_come_back_as_they_went_in_and_are_found_by_each_filter() {
        let mut store = Store::in_memory().unwrap();
        let plain = incident(10, |_| {});
        let chat = incident(20, |outcome| outcome.subject.route = "/chat".into());
        let flag = incident(30, |outcome| {
            let verdict = outcome.verdict.as_mut().unwrap();
            (verdict.action, verdict.labels) = (Action::Flag, vec![Label::TopicHijack]);
        });
        store.insert(&[plain.clone(), chat.clone(), flag.clone()]).unwrap();
        let list = |query: Query| store.list(&query).unwrap();
        assert_eq!(list(Query::default()), [flag.clone(), chat.clone(), plain.clone()]);
        assert_eq!(ids(&list(Query { route: Some("/chat".into()), ..Query::default() })), [&chat.id]);
        assert_eq!(ids(&list(Query { action: Some(Action::Flag), ..Query::default() })), [&flag.id]);
        assert_eq!(ids(&list(Query { label: Some(Label::Hate), ..Query::default() })), [&chat.id, &plain.id]);
        assert_eq!(ids(&list(Query { label: Some(Label::Hostility), ..Query::default() })), [""; 0], "it did not fire");
        assert_eq!(ids(&list(Query { since: Some(20_000), ..Query::default() })), [&flag.id, &chat.id]);
        assert_eq!(ids(&list(Query { limit: Some(1), ..Query::default() })), [&flag.id]);
        assert_eq!(ids(&list(Query { before: Some(flag.id.clone()), limit: Some(1), ..Query::default() })), [&chat.id]);
        let all = Query {
            label: Some(Label::Hate),
            route: Some("/".into()),
            action: Some(Action::Block),
            since: Some(1),
            before: Some(flag.id),
            limit: Some(9),
        };
        assert_eq!(ids(&list(all)), [&plain.id]);
        assert_eq!(store.get(&chat.id).unwrap(), Some(chat));
        assert_eq!(store.get("nothing").unwrap(), None);
    }

    #[test]
    fn a_filter_is_a_value_and_never_sql() {
        let mut store = Store::in_memory().unwrap();
        store.insert(&[incident(10, |_| {})]).unwrap();
        let query =
            Query { route: Some("' OR 1=1 --".into()), before: Some("x'; DROP TABLE incident".into()), ..Query::default() };
        assert!(store.list(&query).unwrap().is_empty());
        assert_eq!(store.count().unwrap(), 1);
    }

    #[test]
    fn the_last_review_counts() {
        let mut store = Store::in_memory().unwrap();
        let one = incident(10, |_| {});
        store.insert(std::slice::from_ref(&one)).unwrap();
        store.review(&one.id, true, 11_000).unwrap();
        let reviewed = store.review(&one.id, false, 12_000).unwrap().unwrap();
        assert_eq!(reviewed.review, Some(Review { correct: false, time: "1970-01-01T00:00:12.000Z".into() }));
        assert_eq!(store.review("nothing", true, 1).unwrap(), None);
    }

    #[test]
    fn old_incidents_are_forgotten_with_their_labels_and_the_file_shrinks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incidents.db");
        let mut store = Store::open(&path).unwrap();
        let incidents: Vec<_> = (0..200).map(|n| incident(n, |outcome| outcome.excerpt.matched = "long ".repeat(500))).collect();
        store.insert(&incidents).unwrap();
        let size = |store: &Store| {
            store.db.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
            std::fs::metadata(&path).unwrap().len()
        };
        let before = size(&store);
        assert_eq!(store.prune(150_000, 100).unwrap(), 100, "a bounded piece at a time");
        assert_eq!(store.prune(150_000, 100).unwrap(), 50);
        assert_eq!(store.prune(150_000, 100).unwrap(), 0);
        assert_eq!(store.count().unwrap(), 50);
        let labels: i64 = store.db.query_row("SELECT count(*) FROM incident_label", [], |row| row.get(0)).unwrap();
        assert_eq!(labels, 50);
        assert!(size(&store) < before / 2, "{} of {before}", size(&store));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incidents.db");
        let mut store = Store::open(&path).unwrap();
        store.insert(&[incident(1, |_| {})]).unwrap();
        for name in ["incidents.db", "incidents.db-wal"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "dear diary, ".repeat(100)).unwrap();
        let error = Store::open(&path).unwrap_err().to_string();
        assert!(error.contains("not a database"), "{error}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("dear diary"));
    }
}
