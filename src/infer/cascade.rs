//! The cascade: a first stage of microseconds that passes windows which are clearly clean, and the classifier for the others. The first
//! stage may say "clean" or "look closer", never "collapsed". It stands on the classifier's thread, where a window has been tokenised for
//! both. Knows no text and no file.

use std::sync::Arc;

use crate::infer::encode::Run;
use crate::infer::student::{Scratch, Student};

/// The first stage of one thread.
#[derive(Debug)]
pub struct FirstLook {
    student: Arc<Student>,
    /// The logit below which an input is clean.
    clean_below: f32,
    scratch: Scratch,
}

impl FirstLook {
    /// Takes inputs with a logit below `clean_below` for clean.
    #[must_use]
    pub fn new(student: Arc<Student>, clean_below: f32) -> Self {
        FirstLook { student, clean_below, scratch: Scratch::default() }
    }

    /// How much an input deserves a closer look.
    pub fn logit(&mut self, run: Run<'_>) -> f32 {
        self.student.logit(run, &mut self.scratch)
    }

    /// Whether an input is clearly clean. Not a number is not.
    pub fn clean(&mut self, run: Run<'_>) -> bool {
        self.logit(run) < self.clean_below
    }
}
