//! What is done to a request of a conversation that drifts, before it goes out: the persona's reminder in the format's own place, an
//! answer that is held as a whole, another upstream. What cannot be done is said, counted, and leaves the request as it was.

use bytes::Bytes;

use super::events::Steered;
use super::snapshot::Snapshot;
use crate::dialect::{Amendment, Dialect, DialectError, Exchange};
use crate::policy::{Measures, Mode, SessionFacts};

/// Takes the measures that the policy asks for. `kept`: those that are in force since an earlier turn. `signed`: the client signed the
/// request, so it can only be sent as it is. `None`: nothing was to be done, or the policy only watches.
pub(super) fn steer(
    snapshot: &Snapshot,
    dialect: &dyn Dialect,
    exchange: &Exchange,
    session: &SessionFacts,
    kept: Measures,
    signed: bool,
    body: &mut Bytes,
) -> Option<Steered> {
    if snapshot.policy.mode == Mode::Shadow {
        return None;
    }
    let (wished, rule) = snapshot.policy.measures(exchange, session, kept)?;
    let mut steered =
        Steered { rule: rule.name.clone(), wished, taken: Measures::NONE, changed: String::new(), failed: String::new() };
    let reminder = snapshot.persona.as_ref().and_then(|persona| persona.reminder.as_deref()).filter(|_| wished.remind);
    // Kept from an earlier turn, it is the model that the policy names now.
    let model = snapshot.policy.rules.iter().find_map(|rule| rule.model.as_deref()).filter(|_| wished.model);
    // One at a time: a format that has no place for the one may have it for the other.
    for (what, amendment, words) in [
        (
            "reminder",
            Amendment { reminder, ..Amendment::default() },
            reminder.map(|reminder| format!("reminder added: {reminder}")),
        ),
        ("model", Amendment { model, ..Amendment::default() }, model.map(|model| format!("model {model}"))),
    ] {
        let Some(words) = words else { continue };
        let amended = if signed { Err(DialectError::Unsupported("a signed request")) } else { dialect.amend(body, &amendment) };
        match amended {
            Ok(amended) => {
                *body = amended.into();
                match what {
                    "reminder" => steered.taken.remind = true,
                    _ => steered.taken.model = true,
                }
                note(&mut steered.changed, &words);
            }
            Err(error) => note(&mut steered.failed, &format!("no {what}: {error}")),
        }
    }
    if wished.buffer {
        steered.taken.buffer = true;
        note(&mut steered.changed, "answer held until all of it was judged");
    }
    if wished.fallback {
        if snapshot.limits.fallbacks > 0 && !signed {
            steered.taken.fallback = true;
            note(&mut steered.changed, "fallback upstream 1");
        } else {
            let why = if signed { "the request is signed" } else { "the route has none" };
            note(&mut steered.failed, &format!("no fallback upstream: {why}"));
        }
    }
    Some(steered)
}

fn note(words: &mut String, more: &str) {
    if !words.is_empty() {
        words.push_str("; ");
    }
    words.push_str(more);
}
