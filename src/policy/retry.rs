//! What a retry changes, and how a rule says it.

use crate::document::Table;
use crate::verdict::Action;

/// What a retry changes and what follows when retries are spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Further upstream calls at most.
    pub attempts: u32,
    /// Adds the persona's reminder to the request.
    pub reanchor: bool,
    /// Another temperature.
    pub temperature: Option<f32>,
    /// Goes to the route's fallback upstreams instead of the same one.
    pub fallback: bool,
    /// When attempts or budget are spent, or bytes have already left: `block`, `flag` or `allow`.
    pub then: Action,
}

/// Reads a rule's `retry`.
pub(super) fn read(table: &Table<'_>, action: Option<Action>) -> Option<Retry> {
    let item = table.item("retry");
    if let (Some(item), Some(action)) = (&item, action)
        && action != Action::Retry
    {
        item.problem(format!("the rule's action is {action}"), Some("write action = \"retry\", or remove this"));
    }
    let mut retry = Retry { attempts: 1, reanchor: true, temperature: None, fallback: false, then: Action::Block };
    if let Some(options) = item.and_then(|item| item.table()) {
        if let Some(attempts) = options.integer("attempts", 1..=10) {
            retry.attempts = u32::try_from(attempts).unwrap_or(1);
        }
        retry.reanchor = options.bool("reanchor").unwrap_or(retry.reanchor);
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 2")]
        let temperature = options.float("temperature", 0.0..=2.0).map(|value| value as f32);
        retry.temperature = temperature;
        retry.fallback = options.bool("fallback").unwrap_or(false);
        let ends = [("block", Action::Block), ("flag", Action::Flag), ("allow", Action::Allow)];
        retry.then = options.choice("then", &ends).unwrap_or(Action::Block);
        options.finish();
    }
    (action == Some(Action::Retry)).then_some(retry)
}
