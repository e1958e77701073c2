//! Classifiers on their own OS threads behind one bounded, fair queue. Knows nothing of models: it is given a way to build a
//! [`Classifier`], and takes one window at a time (a batch gains nothing on a CPU and makes scores depend on their neighbours).
//!
//! A window leaves the queue by being scored, by its caller going away, by its deadline, or by giving way when the queue is full;
//! never silently. One whose turn cannot come before its deadline is refused when it comes: to wait in vain would only take the
//! classifier's time from answers that can be judged. A classifier that panics fails its window and is built anew; while a thread cannot rebuild its classifier the
//! others do its work, and when no thread has one, windows fail at once instead of waiting for their deadlines.

mod pace;

use std::fmt;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::pace::Pace;
use crate::infer::queue::{FairQueue, Offer, Ticket};
use crate::infer::{BoxFuture, Classifier, Job, ScoreError, Scored, Scorer, Stage};

/// How long a thread waits before it tries again to rebuild its classifier; doubled up to the second value.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Threads that score windows. Dropping it fails what waits, lets the windows being scored finish, and joins the threads, so the
/// drop takes up to one window's time.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a pool did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError<E> {
    /// The system gave no thread.
    #[error("cannot start a thread for the classifier: {0}")]
    Thread(#[from] std::io::Error),
    /// A classifier could not be built.
    #[error(transparent)]
    Build(E),
    /// Building a classifier panicked.
    #[error("building the classifier panicked: {0}")]
    Panic(String),
}

impl Pool {
    /// Starts `workers` threads (at least one), each of which builds its own classifier with `build(index)`; returns when all are
    /// built. At most `queue` windows wait. Blocking.
    ///
    /// # Errors
    /// The first classifier that could not be built, or the thread that could not be started.
    pub fn start<E, F>(workers: usize, queue: usize, build: F) -> Result<Pool, StartError<E>>
    where
        E: fmt::Display + Send + 'static,
        F: Fn(usize) -> Result<Box<dyn Classifier>, E> + Send + Sync + 'static,
    {
        let workers = workers.max(1);
        let state = State { queue: FairQueue::new(queue), pace: Pace::default(), closed: false, able: workers };
        let shared = Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), closing: Condvar::new() });
        let build = Arc::new(build);
        let (report, reports) = std::sync::mpsc::channel();
        let mut pool = Pool { shared, threads: Vec::with_capacity(workers) };
        for index in 0..workers {
            let (shared, build, report) = (pool.shared.clone(), build.clone(), report.clone());
            let thread = std::thread::Builder::new().name(format!("score-{index}")).spawn(move || {
                // Built here, not by the caller: the threads build at the same time, and what a thread allocates stays near it.
                let built = attempt(|| build(index));
                let classifier = match built {
                    Ok(Ok(classifier)) => classifier,
                    Ok(Err(error)) => return drop(report.send(Err(StartError::Build(error)))),
                    Err(panic) => return drop(report.send(Err(StartError::Panic(panic)))),
                };
                let _ = report.send(Ok(()));
                drop(report);
                let rebuild = || match attempt(|| build(index)) {
                    Ok(built) => built.map_err(|error| error.to_string()),
                    Err(panic) => Err(panic),
                };
                Worker { shared: &shared, classifier, rebuild }.run();
            })?;
            pool.threads.push(thread);
        }
        drop(report);
        for result in reports {
            result?;
        }
        Ok(pool)
    }
}

impl Scorer for Pool {
    /// Queues the window at once, not at the first poll. The future must be polled on a tokio runtime with its timer enabled: the
    /// deadline holds while the window waits, too.
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        let arrived = Instant::now();
        let deadline = job.deadline;
        let (reply, answer) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.closed || state.able == 0 {
            return Box::pin(ready(Err(ScoreError::Failed("no thread has a working classifier".into()))));
        }
        let (own, others) = state.queue.standing(job.stream);
        if !state.pace.is_in_time(own, others, state.able, deadline) {
            return Box::pin(ready(Err(ScoreError::Overloaded)));
        }
        let (ticket, displaced) = match state.queue.push(job.stream, Waiting { job, arrived, reply }) {
            Offer::Queued(ticket) => (ticket, None),
            Offer::Displaced(ticket, waiting) => (ticket, Some(waiting)),
            Offer::Full(_) => return Box::pin(ready(Err(ScoreError::Overloaded))),
        };
        drop(state);
        if let Some(waiting) = displaced {
            waiting.answer(Err(ScoreError::Overloaded));
        }
        self.shared.work.notify_one();
        let place = Place { shared: self.shared.clone(), ticket, answered: false };
        Box::pin(async move {
            // The whole of it, not the one field: its drop is what cancels.
            let mut place = place;
            let answer = tokio::time::timeout(deadline.saturating_sub(arrived.elapsed()), answer).await;
            place.answered = answer.is_ok();
            match answer {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(ScoreError::Failed("the classifier was shut down".into())),
                Err(_) => Err(ScoreError::Deadline(deadline)),
            }
        })
    }

    fn queue_length(&self) -> usize {
        self.shared.lock().queue.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let waiting: Vec<Waiting> = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::iter::from_fn(|| state.queue.pop()).collect()
        };
        self.shared.work.notify_all();
        self.shared.closing.notify_all();
        for waiting in waiting {
            waiting.answer(Err(ScoreError::Failed("the classifier was shut down".into())));
        }
        for thread in self.threads.drain(..) {
            // A worker catches its classifier's panics; anything else was printed by the panic hook.
            let _ = thread.join();
        }
    }
}

/// What the threads and the callers share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something was queued, or the pool closed.
    work: Condvar,
    /// The pool closed. Apart from `work`, so that a thread without a classifier takes no wake-up from one that has one.
    closing: Condvar,
}

#[derive(Debug)]
struct State {
    queue: FairQueue<Waiting>,
    pace: Pace,
    closed: bool,
    /// Threads that have a classifier, or have just lost it and are making their first attempt at another.
    able: usize,
}

#[derive(Debug)]
struct Waiting {
    job: Job,
    arrived: Instant,
    reply: oneshot::Sender<Result<Scored, ScoreError>>,
}

/// A caller's place in the queue: given up when the caller's future is dropped before the answer.
struct Place {
    shared: Arc<Shared>,
    ticket: Ticket,
    answered: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next window; `None` when the pool closes.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(waiting) = state.queue.pop() {
                return Some(waiting);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits out `pause`; `false` when the pool closes.
    fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let (state, _) =
            self.closing.wait_timeout_while(state, pause, |state| !state.closed).unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// One thread less has a classifier; the last one fails what waits.
    fn disable(&self) {
        let waiting: Vec<Waiting> = {
            let mut state = self.lock();
            state.able -= 1;
            if state.able > 0 { Vec::new() } else { std::iter::from_fn(|| state.queue.pop()).collect() }
        };
        for waiting in waiting {
            waiting.answer(Err(ScoreError::Failed("no thread has a working classifier".into())));
        }
    }
}

impl Waiting {
    fn answer(self, result: Result<Scored, ScoreError>) {
        // The caller may have left meanwhile.
        let _ = self.reply.send(result);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.answered {
            let removed = self.shared.lock().queue.remove(self.ticket);
            drop(removed);
        }
    }
}

/// One thread's loop.
struct Worker<'a, F> {
    shared: &'a Shared,
    classifier: Box<dyn Classifier>,
    rebuild: F,
}

impl<F: Fn() -> Result<Box<dyn Classifier>, String>> Worker<'_, F> {
    fn run(mut self) {
        while let Some(waiting) = self.shared.next() {
            if !self.serve(waiting) && !self.recover() {
                return;
            }
        }
    }

    /// Scores a window; `false` if the classifier panicked.
    fn serve(&mut self, waiting: Waiting) -> bool {
        let begun = Instant::now();
        let queued = begun.duration_since(waiting.arrived);
        if waiting.reply.is_closed() {
            return true;
        }
        if queued >= waiting.job.deadline {
            let deadline = waiting.job.deadline;
            waiting.answer(Err(ScoreError::Deadline(deadline)));
            return true;
        }
        let classifier = &mut self.classifier;
        match attempt(|| classifier.classify(&waiting.job.context, &waiting.job.text)) {
            Ok(result) => {
                let computed = begun.elapsed();
                let stage = result.as_ref().map_or(Stage::Second, |(_, stage)| *stage);
                self.shared.lock().pace.took(stage, computed);
                waiting.answer(result.map(|(scores, stage)| Scored { scores, stage, cached: false, queued, computed }));
                true
            }
            Err(panic) => {
                tracing::error!(%panic, "the classifier panicked: it is built anew");
                waiting.answer(Err(ScoreError::Failed("the classifier panicked".into())));
                false
            }
        }
    }

    /// Builds the classifier anew, however often it takes; `false` when the pool closes first.
    fn recover(&mut self) -> bool {
        let mut pause = PAUSE.0;
        let mut disabled = false;
        loop {
            match (self.rebuild)() {
                Ok(classifier) => {
                    let broken = std::mem::replace(&mut self.classifier, classifier);
                    let _ = attempt(|| drop(broken));
                    if disabled {
                        self.shared.lock().able += 1;
                    }
                    return true;
                }
                Err(error) => tracing::error!(%error, "the classifier cannot be built anew"),
            }
            if !std::mem::replace(&mut disabled, true) {
                self.shared.disable();
            }
            if !self.shared.pause(pause) {
                return false;
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// Runs `action`; a panic's message instead of its unwinding. What a panicking classifier leaves behind is thrown away by the
/// callers, so no broken state is seen.
fn attempt<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        text.unwrap_or("no message").to_owned()
    })
}

#[cfg(test)]
mod tests;
