//! `GET /api/sessions`: the conversations that drift most. Names are hashes; no text is kept of any of them.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::incidents::time::{rfc3339, unix_ms};
use crate::session::{Conversation, Sessions};

/// Conversations shown.
const MOST: usize = 100;

/// A store's conversations as the API shows them: how many there are, and those with the highest drift.
pub async fn sessions(store: &dyn Sessions) -> Value {
    match store.list(MOST).await {
        Ok((conversations, count)) => json!({
            "store": store.store(),
            "reachable": true,
            "count": count,
            "sessions": conversations.iter().map(shown).collect::<Vec<_>>(),
        }),
        Err(error) => {
            json!({ "store": store.store(), "reachable": false, "error": error.to_string(), "count": null, "sessions": [] })
        }
    }
}

fn shown(conversation: &Conversation) -> Value {
    let Conversation { name, route, state, updated } = conversation;
    let round = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "session": &**name,
        "route": &**route,
        "drift": round(state.drift()),
        "mean": round(state.mean),
        "by": state.sums.leading(),
        "turns": state.turns,
        "flags": state.flags,
        "measures": state.measures.names().collect::<Vec<_>>(),
        "since": (state.drift() > 0.0).then_some(state.calm + 1),
        "updated": rfc3339(unix_ms(UNIX_EPOCH + Duration::from_secs(*updated))),
    })
}
