//! Conversations in this process's memory: bounded in number, forgotten a while after their last turn. Gone with the process.

use std::collections::HashMap;
use std::future::ready;
use std::time::Duration;

use moka::ops::compute::Op;
use moka::sync::Cache;

use super::{Conversation, Place, Record, SessionError, SessionKey, Sessions, State};
use crate::infer::BoxFuture;
use crate::text::Str;

/// Turns remembered. A conversation that is known by its history takes one for each of them, about 200 bytes.
const CAPACITY: u64 = 200_000;

/// The store.
#[derive(Clone)]
pub struct MemorySessions {
    kept: Cache<SessionKey, Conversation>,
}

impl MemorySessions {
    /// A store that forgets a conversation so long after its last turn.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self::with_capacity(ttl, CAPACITY)
    }

    fn with_capacity(ttl: Duration, capacity: u64) -> Self {
        // Moka refuses more than a thousand years, and nobody waits that long.
        let ttl = ttl.min(Duration::from_secs(365 * 24 * 3600));
        MemorySessions { kept: Cache::builder().max_capacity(capacity).time_to_live(ttl).build() }
    }

    /// Conversations remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.latest().len()
    }

    /// The latest turn of each conversation.
    fn latest(&self) -> HashMap<Str, Conversation> {
        let mut latest: HashMap<Str, Conversation> = HashMap::new();
        for (_, conversation) in &self.kept {
            let known = latest.entry(conversation.name.clone()).or_insert_with(|| conversation.clone());
            if conversation.state.turns > known.state.turns {
                *known = conversation;
            }
        }
        latest
    }

    fn keep(&self, record: Record) -> Conversation {
        let Record { place, turn, charts, name, route, now } = record;
        let next = |before: Option<&Conversation>| Conversation {
            name: before.map_or_else(|| name.clone(), |before| before.name.clone()),
            route: route.clone(),
            state: before.map_or_else(State::default, |before| before.state).after(turn, &charts),
            updated: now,
        };
        match place {
            Place::At(key) => {
                let entry = self.kept.entry(key).and_compute_with(|entry| {
                    let before = entry.map(moka::Entry::into_value);
                    Op::Put(next(before.as_ref()))
                });
                match entry.into_entry() {
                    Some(entry) => entry.into_value(),
                    None => next(None),
                }
            }
            Place::After { before, keys } => {
                let conversation = next(before.as_ref());
                for key in keys {
                    self.kept.insert(key, conversation.clone());
                }
                conversation
            }
        }
    }
}

impl Sessions for MemorySessions {
    fn store(&self) -> &'static str {
        "memory"
    }

    fn recall(&self, keys: Vec<SessionKey>) -> BoxFuture<Result<Option<Conversation>, SessionError>> {
        let found = keys.into_iter().find_map(|key| self.kept.get(&key));
        Box::pin(ready(Ok(found)))
    }

    fn record(&self, record: Record) -> BoxFuture<Result<Conversation, SessionError>> {
        Box::pin(ready(Ok(self.keep(record))))
    }

    fn list(&self, most: usize) -> BoxFuture<Result<(Vec<Conversation>, u64), SessionError>> {
        let mut shown: Vec<Conversation> = self.latest().into_values().collect();
        let count = shown.len() as u64;
        super::worst_first(&mut shown, most);
        Box::pin(ready(Ok((shown, count))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Residuals;
    use crate::policy::Measures;
    use crate::session::{Caller, Charts, KeyPart, Request, Trail, Turn};
    use http::{HeaderMap, HeaderName};

    fn key(name: &str) -> SessionKey {
        let mut headers = HeaderMap::new();
        headers.insert("x-s", name.parse().unwrap());
        let exchange = crate::dialect::Exchange::unknown(crate::dialect::Api::OpenAiChat);
        let request = Request { caller: Caller::of(&headers), scope: "", headers: &headers, body: b"", exchange: &exchange };
        Trail::of(&[KeyPart::Header(HeaderName::from_static("x-s"))], &request).unwrap().named().unwrap()
    }

    fn record(place: Place, residual: f64) -> Record {
        let turn =
            Turn { residuals: Residuals::of_labels(residual), flagged: false, asked: Measures::NONE, held: Measures::NONE };
        Record { place, turn, charts: Charts::default(), name: "n".into(), route: "/".into(), now: 7 }
    }

    async fn recall(store: &MemorySessions, names: &[&str]) -> Option<Conversation> {
        store.recall(names.iter().map(|name| key(name)).collect()).await.unwrap()
    }

    #[tokio::test]
    async fn a_named_conversation_adds_up_from_many_threads() {
        let store = MemorySessions::new(Duration::from_secs(60));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        store.keep(record(Place::At(key("a")), 1.0));
                    }
                });
            }
        });
        let found = recall(&store, &["b", "a"]).await.unwrap();
        assert_eq!((found.state.turns, found.state.drift()), (1000, 250.0));
        assert_eq!(store.count(), 1);
        assert_eq!(recall(&store, &["b"]).await, None);
    }

    #[tokio::test]
    async fn a_history_forks_and_leaves_what_was_before() {
        let store = MemorySessions::new(Duration::from_secs(60));
        let first = Place::After { before: None, keys: vec![key("1"), key("1 trimmed")] };
        store.record(record(first, 2.5)).await.unwrap();
        let before = recall(&store, &["1 trimmed"]).await;
        for next in ["2a", "2b"] {
            let place = Place::After { before: before.clone(), keys: vec![key(next)] };
            assert_eq!(store.record(record(place, 2.5)).await.unwrap().state.drift(), 3.5);
        }
        assert_eq!(recall(&store, &["2b"]).await.unwrap().state.turns, 2);
        assert_eq!(recall(&store, &["1 trimmed"]).await.unwrap().state.turns, 1);
        let (listed, count) = store.list(1).await.unwrap();
        assert_eq!((listed.len(), listed[0].state.drift(), count), (1, 3.5, 1), "one conversation, however many branches");
    }

    #[tokio::test]
    async fn memory_is_bounded_and_forgets() {
        let store = MemorySessions::with_capacity(Duration::from_millis(20), 50);
        for number in 0..500 {
            store.keep(Record { name: number.to_string().into(), ..record(Place::At(key(&number.to_string())), 0.0) });
        }
        store.kept.run_pending_tasks();
        assert!(store.count() <= 50, "{}", store.count());
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(store.count(), 0);
    }
}
