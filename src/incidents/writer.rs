//! The incident store's thread, and the handle that exchanges and the admin API hold. Nothing here blocks an exchange.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded, select};
use tokio::sync::oneshot;

use super::quote::KeepText;
use super::record::Incident;
use super::store::{Query, Store, StoreError};
use super::time::{cutoff, unix_ms};
use crate::guard::events::{Observe, Outcome};
use crate::telemetry::dropped::Dropped;

/// Incidents that may wait to be written: some seconds of a fleet that has collapsed as a whole, a few MiB.
const QUEUE: usize = 4096;
/// Incidents written in one transaction.
const BATCH: usize = 256;
/// Questions that may wait.
const QUESTIONS: usize = 64;
/// How often old incidents are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Incidents forgotten in one go; more are taken up right after what waits has been done.
const PRUNE_MOST: usize = 2000;
/// How often a failing store is complained of.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// How incidents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The SQLite file.
    pub path: PathBuf,
    /// How much text.
    pub text: KeepText,
    /// How long.
    pub keep: Duration,
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub error: StoreError,
}

/// A handle to the store. Clones share it.
#[derive(Clone)]
pub struct Incidents {
    shared: Arc<Shared>,
}

struct Shared {
    text: KeepText,
    incidents: Sender<Incident>,
    questions: Sender<Question>,
    closed: AtomicBool,
    dropped: Arc<dyn Fn(Dropped) + Send + Sync>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Question {
    List(Query, Reply<Vec<Incident>>),
    Get(String, Reply<Option<Incident>>),
    Review(String, bool, Reply<Option<Incident>>),
    /// Everything sent before this has been written.
    Flush(Reply<()>),
    Stop,
}

impl Incidents {
    /// Opens the store and starts its thread. `dropped` is told of every incident that is not recorded. Blocking.
    ///
    /// # Errors
    /// Where the file cannot be opened, made or migrated, or no thread could be started.
    pub fn open(options: Options, dropped: impl Fn(Dropped) + Send + Sync + 'static) -> Result<Self, OpenError> {
        let Options { path, text, keep } = options;
        let store = Store::open(&path).map_err(|error| OpenError { path: path.clone(), error })?;
        let (incidents, incoming) = bounded(QUEUE);
        let (questions, asked) = bounded(QUESTIONS);
        let dropped: Arc<dyn Fn(Dropped) + Send + Sync> = Arc::new(dropped);
        let writer =
            Writer { store, path: path.clone(), keep, incoming, asked, dropped: dropped.clone(), complained: None, unsaid: 0 };
        let thread = std::thread::Builder::new()
            .name("incidents".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| OpenError { path, error: error.into() })?;
        let thread = Mutex::new(Some(thread));
        let shared = Shared { text, incidents, questions, closed: AtomicBool::new(false), dropped, thread };
        Ok(Incidents { shared: Arc::new(shared) })
    }

    /// Records an incident. Never waits: what does not fit is dropped and told.
    pub fn record(&self, incident: Incident) {
        let shared = &self.shared;
        if shared.closed.load(Ordering::Acquire) {
            return (shared.dropped)(Dropped::Closed);
        }
        match shared.incidents.try_send(incident) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => (shared.dropped)(Dropped::QueueFull),
            Err(TrySendError::Disconnected(_)) => (shared.dropped)(Dropped::Closed),
        }
    }

    /// The newest incidents first.
    ///
    /// # Errors
    /// Where the store is busy, closed or damaged.
    pub async fn list(&self, query: Query) -> Result<Vec<Incident>, StoreError> {
        self.ask(|reply| Question::List(query, reply)).await
    }

    /// One incident.
    ///
    /// # Errors
    /// As [`Incidents::list`].
    pub async fn get(&self, id: String) -> Result<Option<Incident>, StoreError> {
        self.ask(|reply| Question::Get(id, reply)).await
    }

    /// Notes whether a verdict was right; gives the incident back.
    ///
    /// # Errors
    /// As [`Incidents::list`].
    pub async fn review(&self, id: String, correct: bool) -> Result<Option<Incident>, StoreError> {
        self.ask(|reply| Question::Review(id, correct, reply)).await
    }

    /// Waits until everything recorded so far has been written (or dropped and told).
    ///
    /// # Errors
    /// Where the store is busy or closed.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.ask(Question::Flush).await
    }

    /// Writes what waits and closes the file. Blocking, for as long as that takes; later incidents are dropped and told.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Fails only where the thread is gone.
            let _ = self.shared.questions.send(Question::Stop);
            let _ = thread.join();
        }
    }

    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.shared.questions.try_send(question(reply)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl std::fmt::Debug for Incidents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incidents").field("text", &self.shared.text).field("waiting", &self.shared.incidents.len()).finish()
    }
}

impl Observe for Incidents {
    fn on_end(&self, outcome: &Outcome) {
        if let Some(incident) = Incident::of(outcome, self.shared.text, SystemTime::now()) {
            self.record(incident);
        }
    }
}

struct Writer {
    store: Store,
    path: PathBuf,
    keep: Duration,
    incoming: Receiver<Incident>,
    asked: Receiver<Question>,
    dropped: Arc<dyn Fn(Dropped) + Send + Sync>,
    complained: Option<Instant>,
    /// Failures since the last complaint.
    unsaid: usize,
}

impl Writer {
    fn run(mut self) {
        let mut prune_at = Instant::now();
        loop {
            let wait = prune_at.saturating_duration_since(Instant::now());
            select! {
                recv(self.incoming) -> incident => match incident {
                    Ok(incident) => self.write(incident),
                    // Every handle is gone, and what they sent has been written.
                    Err(_) => break,
                },
                recv(self.asked) -> question => match question {
                    Ok(Question::Stop) | Err(_) => break,
                    Ok(question) => self.answer(question),
                },
                default(wait) => {}
            }
            if Instant::now() >= prune_at {
                prune_at = Instant::now() + if self.prune() { PRUNE_EVERY } else { Duration::ZERO };
            }
        }
        self.drain();
    }

    /// Writes this incident and those that wait, up to a batch.
    fn write(&mut self, first: Incident) {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match self.incoming.try_recv() {
                Ok(incident) => batch.push(incident),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        if let Err(error) = self.store.insert(&batch) {
            batch.iter().for_each(|_| (self.dropped)(Dropped::WriteFailed));
            self.complain(batch.len(), &error);
        }
    }

    /// Writes all that waits.
    fn drain(&mut self) {
        while let Ok(incident) = self.incoming.recv_timeout(Duration::ZERO).map_err(|_: RecvTimeoutError| ()) {
            self.write(incident);
        }
    }

    fn answer(&mut self, question: Question) {
        // A reply that nobody waits for any more is no failure.
        match question {
            Question::List(query, reply) => drop(reply.send(self.store.list(&query))),
            Question::Get(id, reply) => drop(reply.send(self.store.get(&id))),
            Question::Review(id, correct, reply) => {
                // The incident may still be on its way here.
                self.drain();
                drop(reply.send(self.store.review(&id, correct, unix_ms(SystemTime::now()))));
            }
            Question::Flush(reply) => {
                self.drain();
                drop(reply.send(Ok(())));
            }
            Question::Stop => {}
        }
    }

    /// Forgets a piece of what is old; whether that was all of it.
    fn prune(&mut self) -> bool {
        match self.store.prune(cutoff(SystemTime::now(), self.keep), PRUNE_MOST) {
            Ok(gone) => gone < PRUNE_MOST,
            Err(error) => {
                self.complain(0, &error);
                true
            }
        }
    }

    /// Says that the store fails, but not for every incident.
    fn complain(&mut self, lost: usize, error: &StoreError) {
        self.unsaid += lost;
        if self.complained.is_none_or(|when| when.elapsed() >= COMPLAIN_EVERY) {
            tracing::error!(store = %self.path.display(), lost = self.unsaid, %error, "incidents cannot be written");
            self.complained = Some(Instant::now());
            self.unsaid = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::telemetry::samples;

    fn options(folder: &tempfile::TempDir) -> Options {
        Options { path: folder.path().join("incidents.db"), text: KeepText::Excerpt, keep: Duration::from_secs(3600) }
    }

    fn counted() -> (Arc<AtomicUsize>, impl Fn(Dropped) + Send + Sync) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        (count, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[tokio::test]
    async fn what_the_guard_tells_is_there_after_a_flush_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (dropped, count) = counted();
        let incidents = Incidents::open(options(&folder), count).unwrap();
        incidents.on_end(&samples::allowed());
        incidents.on_end(&samples::blocked("matched", "why"));
        incidents.flush().await.unwrap();
        let found = incidents.list(Query::default()).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(incidents.get(found[0].id.clone()).await.unwrap().as_ref(), Some(&found[0]));
        let reviewed = incidents.review(found[0].id.clone(), false).await.unwrap().unwrap();
        assert!(!reviewed.review.unwrap().correct);
        // Ids sort by the millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
        // Not flushed: closing writes it.
        incidents.on_end(&samples::blocked("another", "why"));
        incidents.close();
        incidents.on_end(&samples::blocked("too late", "why"));
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert!(matches!(incidents.list(Query::default()).await, Err(StoreError::Closed)));

        let again = Incidents::open(options(&folder), |_| {}).unwrap();
        let found = again.list(Query::default()).await.unwrap();
        assert_eq!(found.iter().map(|i| &*i.excerpt.as_ref().unwrap().matched).collect::<Vec<_>>(), ["another", "matched"]);
        assert!(found[1].review.is_some());
    }

    #[tokio::test]
    async fn a_store_that_stands_still_drops_and_counts_and_never_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let (dropped, count) = counted();
        let incidents = Incidents::open(options(&folder), count).unwrap();
        // Another process holds the file: the writer waits for it, and the queue fills up.
        let mut other = rusqlite::Connection::open(folder.path().join("incidents.db")).unwrap();
        let hold = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        let incident = Incident::of(&samples::blocked("m", "w"), KeepText::None, SystemTime::now()).unwrap();
        let begun = Instant::now();
        let sent = QUEUE + 2 * BATCH;
        for _ in 0..sent {
            incidents.record(Incident { id: ulid::Ulid::new().to_string(), ..incident.clone() });
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        let lost = dropped.load(Ordering::SeqCst);
        assert!(lost >= BATCH, "only {lost} dropped");
        drop(hold);
        incidents.flush().await.unwrap();
        let store = Store::open(&folder.path().join("incidents.db")).unwrap();
        assert_eq!(store.count().unwrap(), (sent - lost) as u64, "all others were written");
    }

    #[test]
    fn a_store_that_cannot_be_opened_says_which_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { path: folder.path().join("no/such/folder/incidents.db"), ..options(&folder) };
        let error = Incidents::open(options, |_| {}).unwrap_err().to_string();
        assert!(error.contains("incidents.db: ") && error.contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn old_incidents_are_forgotten_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&options(&folder).path).unwrap();
        let old = SystemTime::now() - Duration::from_secs(7200);
        let incident = |when| Incident::of(&samples::blocked("m", "w"), KeepText::None, when).unwrap();
        store.insert(&[incident(old), incident(SystemTime::now())]).unwrap();
        drop(store);
        let incidents = Incidents::open(options(&folder), |_| {}).unwrap();
        let begun = Instant::now();
        loop {
            incidents.flush().await.unwrap();
            if incidents.list(Query::default()).await.unwrap().len() == 1 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "never forgotten");
        }
    }
}
