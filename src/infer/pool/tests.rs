//! The pool with scripted classifiers: fairness, overload, deadlines, cancelling, panics, shutting down.

use super::*;
use crate::infer::Context;
use crate::score::{Label, Score, Scores, Source};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

const LONG: Duration = Duration::from_secs(20);

/// Does what the text says, and writes down what it was given.
struct Scripted {
    log: Arc<Mutex<Vec<String>>>,
    gate: Option<Arc<Mutex<mpsc::Receiver<()>>>>,
}

impl Classifier for Scripted {
    fn classify(&mut self, _: &Context, text: &str) -> Result<(Scores, Stage), ScoreError> {
        self.log.lock().unwrap().push(text.to_owned());
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().recv_timeout(LONG).unwrap();
        }
        match text {
            "panic" => panic!("as told"),
            "fail" => Err(ScoreError::Failed("as told".into())),
            _ => {
                let mut scores = Scores::ZERO;
                scores.raise(Label::Hate, Score::ONE, Source::Model);
                Ok((scores, if text == "clean" { Stage::First } else { Stage::Second }))
            }
        }
    }
}

/// One thread whose classifier waits for a token from `open` before each answer.
fn gated(queue: usize) -> (Pool, Arc<Mutex<Vec<String>>>, mpsc::Sender<()>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (open, gate) = mpsc::channel();
    let gate = Arc::new(Mutex::new(gate));
    let kept = log.clone();
    let build =
        move |_| Ok::<_, String>(Box::new(Scripted { log: log.clone(), gate: Some(gate.clone()) }) as Box<dyn Classifier>);
    (Pool::start(1, queue, build).unwrap(), kept, open)
}

fn job(stream: u64, text: &str, deadline: Duration) -> Job {
    Job { context: Arc::default(), text: text.into(), stream, deadline }
}

async fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_light_stream_does_not_wait_behind_a_heavy_one() {
    let (pool, log, open) = gated(100);
    let first = pool.score(job(1, "a0", LONG));
    until(|| log.lock().unwrap().len() == 1).await;
    let heavy: Vec<_> = (1..20).map(|n| pool.score(job(1, &format!("a{n}"), LONG))).collect();
    let light = pool.score(job(2, "b0", LONG));
    assert_eq!(pool.queue_length(), 20);
    for _ in 0..21 {
        open.send(()).unwrap();
    }
    let scored = light.await.unwrap();
    assert!(scored.queued > Duration::ZERO && !scored.cached && scored.scores.get(Label::Hate) == Score::ONE);
    first.await.unwrap();
    for window in heavy {
        window.await.unwrap();
    }
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 21);
    assert!(log.iter().position(|text| text == "b0").unwrap() <= 2, "{log:?}");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_the_longest_line_gives_way() {
    let (pool, log, open) = gated(2);
    let running = pool.score(job(1, "a0", LONG));
    until(|| log.lock().unwrap().len() == 1).await;
    let kept = pool.score(job(1, "a1", LONG));
    let displaced = pool.score(job(1, "a2", LONG));
    assert_eq!(pool.score(job(1, "a3", LONG)).await, Err(ScoreError::Overloaded));
    let light = pool.score(job(2, "b0", LONG));
    assert_eq!(displaced.await, Err(ScoreError::Overloaded));
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    for window in [running, kept, light] {
        window.await.unwrap();
    }
}

#[tokio::test]
async fn a_window_whose_turn_cannot_come_in_time_is_refused_at_once() {
    const SECOND: Duration = Duration::from_secs(1);
    let (pool, log, open) = gated(99);
    let running = pool.score(job(1, "a0", LONG));
    until(|| log.lock().unwrap().len() == 1).await;
    // As if each window took a second: twenty seconds, less a tenth, are eighteen windows.
    pool.shared.lock().pace.took(Stage::Second, SECOND);
    let waiting: Vec<_> = (2..=18).map(|stream| pool.score(job(stream, "one", LONG))).collect();
    assert_eq!(pool.queue_length(), 17);
    let last = pool.score(job(19, "last", LONG));
    assert_eq!(pool.score(job(20, "late", LONG)).await, Err(ScoreError::Overloaded));
    assert_eq!(
        pool.score(job(2, "second", LONG)).await,
        Err(ScoreError::Overloaded),
        "another round is more than there is time for"
    );
    assert_eq!(pool.queue_length(), 18);
    drop(waiting);
    let second = pool.score(job(19, "second", LONG));
    assert_eq!(pool.queue_length(), 2, "those that have left are not before it");
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    for window in [running, last, second] {
        window.await.unwrap();
    }
    assert_eq!(*log.lock().unwrap(), ["a0", "last", "second"]);
}

#[tokio::test]
async fn what_windows_take_is_measured() {
    let (pool, log, open) = gated(9);
    open.send(()).unwrap();
    pool.score(job(1, "a", LONG)).await.unwrap();
    let running = pool.score(job(1, "b", LONG));
    until(|| log.lock().unwrap().len() == 2).await;
    let waiting = pool.score(job(2, "c", LONG));
    // However little it was: behind another nothing is possible in no time at all.
    assert_eq!(pool.score(job(3, "d", Duration::ZERO)).await, Err(ScoreError::Overloaded));
    for _ in 0..2 {
        open.send(()).unwrap();
    }
    running.await.unwrap();
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_pause_of_the_machine_does_not_close_the_pool_for_ever() {
    let (pool, _, open) = gated(9);
    pool.shared.lock().pace.took(Stage::Second, Duration::from_secs(3600));
    for _ in 0..2 {
        open.send(()).unwrap();
        pool.score(job(1, "a", LONG)).await.unwrap();
    }
}

#[tokio::test]
async fn a_deadline_holds_while_waiting_and_spares_the_classifier() {
    let (pool, log, open) = gated(9);
    let running = pool.score(job(1, "a0", LONG));
    until(|| log.lock().unwrap().len() == 1).await;
    let deadline = Duration::from_millis(30);
    let polled = pool.score(job(2, "late", deadline));
    let unpolled = pool.score(job(3, "later", deadline));
    let begun = Instant::now();
    assert_eq!(polled.await, Err(ScoreError::Deadline(deadline)));
    assert!((deadline..LONG).contains(&begun.elapsed()));
    assert_eq!(pool.queue_length(), 1, "the late window left the queue");
    open.send(()).unwrap();
    running.await.unwrap();
    until(|| pool.queue_length() == 0).await;
    assert_eq!(unpolled.await, Err(ScoreError::Deadline(deadline)));
    assert_eq!(*log.lock().unwrap(), ["a0"]);
}

#[tokio::test]
async fn a_dropped_future_cancels_its_window() {
    let (pool, log, open) = gated(9);
    let running = pool.score(job(1, "a0", LONG));
    until(|| log.lock().unwrap().len() == 1).await;
    drop(pool.score(job(2, "unwanted", LONG)));
    assert_eq!(pool.queue_length(), 0);
    let wanted = pool.score(job(2, "wanted", LONG));
    open.send(()).unwrap();
    open.send(()).unwrap();
    running.await.unwrap();
    wanted.await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["a0", "wanted"]);
}

#[tokio::test]
async fn a_panic_fails_its_window_and_the_classifier_is_built_anew() {
    let built = Arc::new(AtomicUsize::new(0));
    let count = built.clone();
    let build = move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok::<_, String>(Box::new(Scripted { log: Arc::default(), gate: None }) as Box<dyn Classifier>)
    };
    let pool = Pool::start(1, 9, build).unwrap();
    assert_eq!(pool.score(job(1, "fail", LONG)).await, Err(ScoreError::Failed("as told".into())));
    assert_eq!(built.load(Ordering::SeqCst), 1, "an error is no panic");
    assert_eq!(pool.score(job(1, "panic", LONG)).await, Err(ScoreError::Failed("the classifier panicked".into())));
    pool.score(job(1, "fine", LONG)).await.unwrap();
    assert_eq!(built.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn without_a_classifier_windows_fail_at_once_until_there_is_one_again() {
    let broken = Arc::new(AtomicBool::new(false));
    let seen = broken.clone();
    let build = move |_| match seen.load(Ordering::SeqCst) {
        true => Err("the file is gone".to_owned()),
        false => Ok(Box::new(Scripted { log: Arc::default(), gate: None }) as Box<dyn Classifier>),
    };
    let pool = Pool::start(2, 9, build).unwrap();
    broken.store(true, Ordering::SeqCst);
    assert!(pool.score(job(1, "panic", LONG)).await.is_err());
    until(|| pool.shared.lock().able == 1).await;
    pool.score(job(1, "fine", LONG)).await.expect("the other thread does the work");
    assert!(pool.score(job(1, "panic", LONG)).await.is_err());
    until(|| pool.shared.lock().able == 0).await;
    let begun = Instant::now();
    assert!(matches!(pool.score(job(1, "fine", LONG)).await, Err(ScoreError::Failed(_))));
    assert!(begun.elapsed() < Duration::from_secs(1));
    broken.store(false, Ordering::SeqCst);
    until(|| pool.shared.lock().able == 2).await;
    pool.score(job(1, "fine", LONG)).await.unwrap();
}

#[tokio::test]
async fn shutting_down_answers_everyone_and_joins() {
    let (pool, log, open) = gated(9);
    let running = pool.score(job(1, "a0", LONG));
    until(|| log.lock().unwrap().len() == 1).await;
    let waiting = pool.score(job(1, "a1", LONG));
    let shared = pool.shared.clone();
    let dropping = std::thread::spawn(move || drop(pool));
    until(|| shared.lock().closed).await;
    open.send(()).unwrap();
    dropping.join().unwrap();
    assert_eq!(*log.lock().unwrap(), ["a0"]);
    assert_eq!(Arc::strong_count(&log), 1, "the thread and its classifier are gone");
    running.await.expect("what was being scored is finished");
    assert!(matches!(waiting.await, Err(ScoreError::Failed(_))));
}

#[test]
fn a_classifier_that_cannot_be_built_stops_the_start() {
    let build = |index| match index {
        1 => Err("no such file".to_owned()),
        _ => Ok(Box::new(Scripted { log: Arc::default(), gate: None }) as Box<dyn Classifier>),
    };
    assert_eq!(Pool::start(2, 9, build).unwrap_err().to_string(), "no such file");
    let panicking = |_| -> Result<Box<dyn Classifier>, String> { panic!("library missing") };
    assert!(Pool::start(1, 9, panicking).unwrap_err().to_string().ends_with("panicked: library missing"));
}
