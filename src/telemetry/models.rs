//! Which models have a name of their own in metrics. Clients name models, so only so many get one, and only plain names: whoever asks for
//! a thousand models makes one more series and not a thousand.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::text::Str;

/// Models that are told apart; answers of all others are counted together.
pub const MAX_MODELS: usize = 50;

/// Where the answers of models without a name of their own are counted.
pub const OTHER: &str = "other";

/// Where answers are counted whose request names no model.
pub const NONE: &str = "none";

/// Bytes of a name.
const LONGEST: usize = 100;

/// The names that have been given.
#[derive(Debug, Default)]
pub(super) struct Models {
    known: ArcSwap<HashSet<Str>>,
    /// Serialises the growth of `known`.
    growing: Mutex<()>,
}

impl Models {
    /// The name under which a model's judged answer is counted. Ask for answers only: a name that no upstream answers to shall not take a place.
    pub(super) fn name<'m>(&self, model: Option<&'m str>) -> &'m str {
        let Some(model) = model else { return NONE };
        if self.known.load().contains(model) {
            return model;
        }
        let plain = !model.is_empty() && model.len() <= LONGEST && model.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || model == OTHER || model == NONE {
            return OTHER;
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load();
        if known.contains(model) {
            return model;
        }
        if known.len() >= MAX_MODELS {
            return OTHER;
        }
        let mut grown = HashSet::clone(&known);
        grown.insert(model.into());
        self.known.store(Arc::new(grown));
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_plain_names_are_told_apart() {
        let models = Models::default();
        assert_eq!(models.name(None), NONE);
        assert_eq!(models.name(Some("meta-llama/Llama-3.1-8B-Instruct:free")), "meta-llama/Llama-3.1-8B-Instruct:free");
        let long = "x".repeat(LONGEST + 1);
        for odd in ["", "a b", "modèle", "a\nb", "none", "other", &long] {
            assert_eq!(models.name(Some(odd)), OTHER, "{odd:?}");
        }
        for number in 1..MAX_MODELS {
            let name = format!("model-{number}");
            assert_eq!(models.name(Some(&name)), name);
        }
        assert_eq!(models.name(Some("one-too-many")), OTHER);
        assert_eq!(models.name(Some("model-7")), "model-7", "who has a name keeps it");
    }
}
