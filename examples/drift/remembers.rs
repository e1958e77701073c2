//! A classifier that scores each window once, however often an answer is judged: under another voice the same text has the same scores.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use steadfast::infer::{BoxFuture, Context, Job, ScoreError, Scored, Scorer};
use steadfast::text::Str;

type Known = HashMap<(Arc<Context>, Str), Scored>;

pub struct Remembers {
    scorer: Arc<dyn Scorer>,
    known: Arc<Mutex<Known>>,
}

impl Remembers {
    pub fn new(scorer: Arc<dyn Scorer>) -> Self {
        Remembers { scorer, known: Arc::default() }
    }
}

impl Scorer for Remembers {
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        let (scorer, known) = (self.scorer.clone(), self.known.clone());
        Box::pin(async move {
            let key = (job.context.clone(), job.text.clone());
            let found = known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
            if let Some(scored) = found {
                return Ok(scored);
            }
            let scored = scorer.score(job).await?;
            known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, scored);
            Ok(scored)
        })
    }
}
