//! Remembers the scores of windows by their content, so that repeated answers (retries, several candidates, canned text) are scored
//! once. Knows nothing of models; it must not outlive the classifier whose scores it holds.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use xxhash_rust::xxh3::{Xxh3, Xxh3Builder};

use crate::infer::{BoxFuture, Context, Job, ScoreError, Scored, Scorer, Stage};
use crate::score::Scores;

/// A [`Scorer`] that answers from memory what it has seen before. Errors are not remembered.
pub struct Cached {
    inner: Arc<dyn Scorer>,
    verdicts: Cache<u128, (Scores, Stage)>,
    key: Xxh3,
}

impl Cached {
    /// Keeps the scores of the `capacity` windows used last (about 150 bytes each); at 0 it is `inner` itself.
    #[must_use]
    pub fn wrap(inner: Arc<dyn Scorer>, capacity: u64) -> Arc<dyn Scorer> {
        if capacity == 0 {
            return inner;
        }
        Arc::new(Cached { inner, verdicts: Cache::new(capacity), key: Xxh3Builder::new().with_secret(secret()).build() })
    }

    fn key(&self, context: &Context, text: &str) -> u128 {
        let mut hash = self.key.clone();
        // Lengths first, or text could move from one part to the next unseen.
        for part in [&context.persona, &context.user, text] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.digest128()
    }
}

impl Scorer for Cached {
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        let key = self.key(&job.context, &job.text);
        if let Some((scores, stage)) = self.verdicts.get(&key) {
            let scored = Scored { scores, stage, cached: true, queued: Duration::ZERO, computed: Duration::ZERO };
            return Box::pin(std::future::ready(Ok(scored)));
        }
        let scoring = self.inner.score(job);
        let verdicts = self.verdicts.clone();
        Box::pin(async move {
            let scored = scoring.await?;
            verdicts.insert(key, (scored.scores, scored.stage));
            Ok(scored)
        })
    }

    fn queue_length(&self) -> usize {
        self.inner.queue_length()
    }
}

/// Random for each process: the hash is fast, not cryptographic, and with a known secret two texts with one hash can be made, a
/// harmless one to be scored and another to be let through on its score.
fn secret() -> [u8; 192] {
    let mut secret = [0; 192];
    for chunk in secret.chunks_mut(8) {
        chunk.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Label, Score, Source};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Counting {
        calls: AtomicUsize,
        failing: std::sync::atomic::AtomicBool,
    }

    impl Scorer for Counting {
        fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            if self.failing.load(Ordering::Relaxed) {
                return Box::pin(std::future::ready(Err(ScoreError::Overloaded)));
            }
            let mut scores = Scores::ZERO;
            scores.raise(Label::Hate, Score::clamped(job.text.len() as f32 / 100.0).unwrap(), Source::Model);
            let computed = Duration::from_millis(7 + call as u64);
            Box::pin(std::future::ready(Ok(Scored { scores, stage: Stage::First, cached: false, queued: computed, computed })))
        }

        fn queue_length(&self) -> usize {
            3
        }
    }

    fn job(persona: &str, user: &str, text: &str) -> Job {
        let context = Arc::new(Context { persona: persona.into(), user: user.into() });
        Job { context, text: text.into(), stream: 1, deadline: Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn a_repeated_window_is_answered_from_memory() {
        let counting = Arc::new(Counting::default());
        let scorer = Cached::wrap(counting.clone(), 10);
        let first = scorer.score(job("p", "u", "text")).await.unwrap();
        let again = scorer.score(job("p", "u", "text")).await.unwrap();
        assert_eq!((first.cached, again.cached), (false, true));
        assert_eq!((first.scores, first.stage), (again.scores, again.stage));
        assert_eq!((again.queued, again.computed), (Duration::ZERO, Duration::ZERO));
        assert_eq!(counting.calls.load(Ordering::Relaxed), 1);
        assert_eq!(scorer.queue_length(), 3);
    }

    #[tokio::test]
    async fn the_context_is_part_of_the_content() {
        let counting = Arc::new(Counting::default());
        let scorer = Cached::wrap(counting.clone(), 10);
        for (n, (persona, user, text)) in
            [("ab", "c", "d"), ("a", "bc", "d"), ("a", "b", "cd"), ("", "ab", "cd"), ("abcd", "", "")].into_iter().enumerate()
        {
            assert!(!scorer.score(job(persona, user, text)).await.unwrap().cached);
            assert_eq!(counting.calls.load(Ordering::Relaxed), n + 1);
        }
    }

    #[tokio::test]
    async fn errors_are_not_remembered() {
        let counting = Arc::new(Counting::default());
        let scorer = Cached::wrap(counting.clone(), 10);
        counting.failing.store(true, Ordering::Relaxed);
        assert_eq!(scorer.score(job("", "", "x")).await, Err(ScoreError::Overloaded));
        counting.failing.store(false, Ordering::Relaxed);
        assert!(!scorer.score(job("", "", "x")).await.unwrap().cached);
        assert!(scorer.score(job("", "", "x")).await.unwrap().cached);
    }

    #[tokio::test]
    async fn it_is_bounded_and_can_be_off() {
        let counting = Arc::new(Counting::default());
        let off = Cached::wrap(counting.clone(), 0);
        for _ in 0..2 {
            assert!(!off.score(job("", "", "x")).await.unwrap().cached);
        }
        let cached = Cached { inner: counting, verdicts: Cache::new(8), key: Xxh3Builder::new().with_secret(secret()).build() };
        for n in 0..200 {
            cached.score(job("", "", &n.to_string())).await.unwrap();
        }
        cached.verdicts.run_pending_tasks();
        assert!(cached.verdicts.entry_count() <= 8);
    }

    #[test]
    fn the_secret_differs_from_one_cache_to_the_next() {
        assert_ne!(secret(), secret());
    }
}
