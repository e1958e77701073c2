//! Scores a window's normal form. It stands before everything else: a first stage would be led past a disguised word, and a cache would
//! take each disguise for a new text. The window itself stays with the caller, so spans, patterns and what is sent on know the original.

use std::borrow::Cow;
use std::sync::Arc;

use crate::infer::{BoxFuture, Job, ScoreError, Scored, Scorer};
use crate::normalize::normalize;

/// A [`Scorer`] that gives `inner` normalised windows. Persona and user turn are the encoder's business: it remembers them.
pub struct Normalized {
    inner: Arc<dyn Scorer>,
}

impl Normalized {
    /// Puts the normalisation before `inner`.
    #[must_use]
    pub fn wrap(inner: Arc<dyn Scorer>) -> Arc<dyn Scorer> {
        Arc::new(Normalized { inner })
    }
}

impl Scorer for Normalized {
    fn score(&self, mut job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        let normal = match normalize(&job.text).into_text() {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        };
        if let Some(text) = normal {
            job.text = text.into();
        }
        self.inner.score(job)
    }

    fn queue_length(&self) -> usize {
        self.inner.queue_length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::Stage;
    use crate::infer::cache::Cached;
    use crate::score::Scores;
    use std::sync::Mutex;
    use std::time::Duration;

    /// Keeps what it is asked.
    #[derive(Default)]
    struct Asked(Mutex<Vec<crate::text::Str>>);

    impl Scorer for Asked {
        fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
            self.0.lock().unwrap().push(job.text);
            let (queued, computed) = (Duration::ZERO, Duration::ZERO);
            Box::pin(std::future::ready(Ok(Scored {
                scores: Scores::ZERO,
                stage: Stage::Second,
                cached: false,
                queued,
                computed,
            })))
        }

        fn queue_length(&self) -> usize {
            2
        }
    }

    #[tokio::test]
    async fn disguises_are_one_text_to_what_stands_behind() {
        let asked = Arc::new(Asked::default());
        let scorer = Normalized::wrap(Cached::wrap(asked.clone(), 10));
        for (n, text) in ["I hate you", "I h4te you", "I hаte you", "I h.a.t.e you", "I ha\u{200b}te you"].into_iter().enumerate()
        {
            let job = Job { context: Arc::default(), text: text.into(), stream: 1, deadline: Duration::from_secs(1) };
            assert_eq!(scorer.score(job).await.unwrap().cached, n > 0, "{text}");
        }
        assert_eq!(*asked.0.lock().unwrap(), [crate::text::Str::from("I hate you")]);
        assert_eq!(scorer.queue_length(), 2);
    }

    #[tokio::test]
    async fn a_plain_window_is_passed_on_as_it_is() {
        let asked = Arc::new(Asked::default());
        let text: crate::text::Str = "version 1.2.3 of mp3".into();
        let job = Job { context: Arc::default(), text: text.clone(), stream: 1, deadline: Duration::from_secs(1) };
        Normalized::wrap(asked.clone()).score(job).await.unwrap();
        assert!(Arc::ptr_eq(&asked.0.lock().unwrap()[0], &text));
    }
}
