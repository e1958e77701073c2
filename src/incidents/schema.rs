//! The incident store's tables and how an older file becomes a newer one. Each step is applied once, in order, in one transaction
//! with the version it leads to: a crash leaves the old schema or the new one.

use rusqlite::{Connection, TransactionBehavior};

use super::store::StoreError;

/// "STFD": marks the file as ours, so that nobody's other database is ever migrated.
const APPLICATION: i32 = 0x5354_4644;

/// Step `n` leads from version `n` to `n + 1`. Never change one that has been released: add another.
pub(super) const STEPS: &[&str] = &["
    CREATE TABLE incident (
        id       TEXT PRIMARY KEY,      -- ULID: sorts by time
        time     INTEGER NOT NULL,      -- milliseconds since 1970
        route    TEXT NOT NULL,
        action   TEXT NOT NULL,
        record   TEXT NOT NULL,         -- the incident as JSON, its review left out
        correct  INTEGER,               -- the review: 1 right, 0 wrong
        reviewed INTEGER                -- milliseconds since 1970
    ) STRICT;
    CREATE INDEX incident_by_time   ON incident (time);
    CREATE INDEX incident_by_route  ON incident (route, id);
    CREATE INDEX incident_by_action ON incident (action, id);
    CREATE TABLE incident_label (
        label    TEXT NOT NULL,
        incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
        PRIMARY KEY (label, incident)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX incident_label_by_incident ON incident_label (incident);
"];

/// Brings a file to the newest version.
///
/// # Errors
/// Where the file is another program's, comes from a newer steadfast, or cannot be written.
pub(super) fn migrate(db: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let newest = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    // Immediate: of two gateways that start on one file, the second waits and then finds nothing to do.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (application != 0 || tables > 0) {
        return Err(StoreError::NotOurs);
    }
    if version > newest {
        return Err(StoreError::Newer { found: version, known: newest });
    }
    for step in &steps[usize::try_from(version).unwrap_or(0)..] {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION)?;
    tx.pragma_update(None, "user_version", newest)?;
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_keeps_its_rows_and_gains_what_is_new() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, STEPS).unwrap();
        db.execute("INSERT INTO incident (id, time, route, action, record) VALUES ('A', 1, '/', 'block', '{}')", []).unwrap();
        let longer = [STEPS, &["ALTER TABLE incident ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'"]].concat();
        migrate(&mut db, &longer).unwrap();
        migrate(&mut db, &longer).unwrap();
        let row: (String, String) =
            db.query_row("SELECT id, colour FROM incident", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, ("A".to_owned(), "red".to_owned()));
        let error = migrate(&mut db, STEPS).unwrap_err().to_string();
        assert!(error.contains(&format!("version {}", longer.len())), "{error}");
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_schema() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, STEPS).unwrap();
        let broken = [STEPS, &["CREATE TABLE fine (x)", "CREATE TABLE incident (id)"]].concat();
        assert!(migrate(&mut db, &broken).is_err());
        let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        let fine: i64 = db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'fine'", [], |row| row.get(0)).unwrap();
        assert_eq!((version, fine), (STEPS.len(), 0));
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(migrate(&mut db, STEPS), Err(StoreError::NotOurs)));
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }
}
