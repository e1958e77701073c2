//! Which conversation a request belongs to. By a name that the client gives, or by the history that it re-sends: the state after each
//! answer is kept under a hash of everything said so far, so a longer history finds it, and two users who have said the same until now
//! share nothing from the first word on that differs. Pure.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::{Api, Exchange};
use crate::text::Str;

/// Something that names a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// A request header.
    Header(HeaderName),
    /// A field of the request's body; dots lead into objects. `user` is also found where the format keeps it.
    Body(String),
    /// The format's own conversation id, the answer that the request continues, or the history that the client sends along.
    Conversation,
}

/// Where a conversation is kept: 128 bits of a hash of who calls and what names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 16]);

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Request extension: who calls. A gateway sets it that takes the caller's key out of the headers; without it the headers tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Caller([u8; 32]);

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caller(…)")
    }
}

/// Headers that say who calls.
const CREDENTIALS: [&str; 4] = ["x-steadfast-key", "x-api-key", "api-key", "x-goog-api-key"];

impl Caller {
    /// By the credentials that a request shows; all who show none are one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut hash = Hash::new("caller");
        for value in headers.get_all(AUTHORIZATION) {
            let value = value.as_bytes();
            // A signed request's signature is another one each time; who signed is in its scope.
            let signer =
                value.strip_prefix(b"AWS4-HMAC-SHA256 Credential=").and_then(|rest| rest.split(|byte| *byte == b'/').next());
            hash.add(signer.unwrap_or(value));
        }
        for name in CREDENTIALS {
            for value in headers.get_all(name) {
                hash.add(name.as_bytes());
                hash.add(value.as_bytes());
            }
        }
        Caller(hash.0.finalize().into())
    }
}

/// A request, as far as it says which conversation it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who calls.
    pub caller: Caller,
    /// What keeps conversations apart that clients call by one name: the persona.
    pub scope: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// What it says.
    pub exchange: &'a Exchange,
}

/// How a request's conversation is found, and where it is kept after the answer.
#[derive(Clone)]
pub enum Trail {
    /// By a name.
    Named(SessionKey),
    /// By what was said.
    Said(Box<Said>),
}

/// A conversation known by what was said in it.
#[derive(Clone)]
pub struct Said {
    scope: Hash,
    /// The keys of the history up to each of the last answers, the latest first.
    before: Vec<SessionKey>,
    /// The history with the question that is asked now.
    history: Hash,
    /// The answers' ids lead back here.
    by_id: bool,
}

/// Answers that a history is looked back over: the last of them may have come by another way, or be written by the client.
const BACK: usize = 8;

impl Trail {
    /// By the first of `parts` that the request has. `None`: nothing ties it to others.
    #[must_use]
    pub fn of(parts: &[KeyPart], request: &Request<'_>) -> Option<Trail> {
        let mut scope = Hash::new("session 1");
        scope.add(request.scope.as_bytes());
        scope.add(&request.caller.0);
        parts.iter().find_map(|part| match part {
            KeyPart::Header(name) => {
                let value = request.headers.get(name).map(http::HeaderValue::as_bytes).filter(|value| !value.is_empty())?;
                Some(Trail::Named(scope.named("header", value)))
            }
            KeyPart::Body(field) => Some(Trail::Named(scope.named("body", in_body(field, request)?.as_bytes()))),
            KeyPart::Conversation => conversation(&scope, request.exchange),
        })
    }

    /// Where the conversation may be found, the likeliest first.
    #[must_use]
    pub fn before(&self) -> Vec<SessionKey> {
        match self {
            Trail::Named(key) => vec![*key],
            Trail::Said(said) => said.before.clone(),
        }
    }

    /// The key of a conversation that clients name; `None` for one that is known by what was said.
    #[must_use]
    pub fn named(&self) -> Option<SessionKey> {
        if let Trail::Named(key) = self { Some(*key) } else { None }
    }
}

impl Said {
    /// The keys under which the next request may look for the conversation: the history with each of `answers` (one of which the
    /// client will send back, perhaps without the white space around it), and the answer's id.
    #[must_use]
    pub fn after<'t>(&self, answers: impl IntoIterator<Item = &'t str>, id: Option<&str>) -> Vec<SessionKey> {
        let mut keys = Vec::new();
        for answer in answers {
            let trimmed = Some(answer.trim()).filter(|trimmed| trimmed.len() < answer.len());
            for text in std::iter::once(answer).chain(trimmed) {
                let key = self.history.clone().turn(true, xxh3_64(text.as_bytes())).key();
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys.extend(id.filter(|_| self.by_id).map(|id| self.scope.named("answer", id.as_bytes())));
        keys
    }
}

fn conversation(scope: &Hash, exchange: &Exchange) -> Option<Trail> {
    let hints = &exchange.hints;
    if let Some(conversation) = hints.conversation.as_deref().filter(|name| !name.is_empty()) {
        // One name given to several users' conversations (a cache key) must not make them one.
        let mut scope = scope.clone();
        scope.add(hints.user.as_deref().unwrap_or_default().as_bytes());
        return Some(Trail::Named(scope.named("conversation", conversation.as_bytes())));
    }
    let by_id = exchange.api == Api::OpenAiResponses;
    let mut history = scope.clone();
    history.add(b"history");
    history.add(hints.user.as_deref().unwrap_or_default().as_bytes());
    let mut before = Vec::new();
    for turn in &exchange.history {
        history = history.turn(turn.assistant, turn.digest);
        if turn.assistant {
            before.push(history.key());
        }
    }
    before.reverse();
    before.truncate(BACK);
    if let Some(previous) = hints.previous.as_deref().filter(|_| by_id) {
        before.insert(0, scope.named("answer", previous.as_bytes()));
    } else if exchange.history.is_empty() {
        return None;
    }
    Some(Trail::Said(Box::new(Said { scope: scope.clone(), before, history, by_id })))
}

/// A field of the body that is a text or a number.
fn in_body(field: &str, request: &Request<'_>) -> Option<Str> {
    let found = || {
        let mut value: serde_json::Value = serde_json::from_slice(request.body).ok()?;
        for name in field.split('.') {
            value = value.get_mut(name)?.take();
        }
        match value {
            serde_json::Value::String(text) => Some(Str::from(text)),
            serde_json::Value::Number(number) => Some(number.to_string().into()),
            _ => None,
        }
    };
    // The format's reader has read the usual one already; only what it does not know is looked for in the body again.
    let known = if field == "user" { request.exchange.hints.user.clone() } else { found() };
    known.filter(|text| !text.is_empty())
}

/// A hash over parts with their lengths, so that no two lists of parts are alike.
#[derive(Clone)]
struct Hash(Sha256);

impl Hash {
    fn new(domain: &str) -> Self {
        let mut hash = Hash(Sha256::new());
        hash.add(domain.as_bytes());
        hash
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn named(&self, kind: &str, name: &[u8]) -> SessionKey {
        let mut hash = self.clone();
        hash.add(kind.as_bytes());
        hash.add(name);
        hash.key()
    }

    fn turn(mut self, assistant: bool, digest: u64) -> Self {
        self.add(&[u8::from(assistant)]);
        self.add(&digest.to_le_bytes());
        self
    }

    fn key(&self) -> SessionKey {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        SessionKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Turn;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn exchange(turns: &[(bool, &str)]) -> Exchange {
        let mut exchange = Exchange::unknown(Api::OpenAiChat);
        exchange.history =
            turns.iter().map(|(assistant, text)| Turn { assistant: *assistant, digest: xxh3_64(text.as_bytes()) }).collect();
        exchange
    }

    fn trail(parts: &[KeyPart], headers: &HeaderMap, body: &str, exchange: &Exchange) -> Option<Trail> {
        Trail::of(parts, &Request { caller: Caller::of(headers), scope: "Aria", headers, body: body.as_bytes(), exchange })
    }

    fn said(exchange: &Exchange) -> Said {
        match trail(&[KeyPart::Conversation], &HeaderMap::new(), "", exchange) {
            Some(Trail::Said(said)) => *said,
            _ => panic!("no history"),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_history_is_found_again_as_it_grows() {
        let first = said(&exchange(&[(false, "hi")]));
        assert!(first.before.is_empty());
        let kept = first.after(["Hello! "], None);
        for answer in ["Hello! ", "Hello!"] {
            let next = said(&exchange(&[(false, "hi"), (true, answer), (false, "how are you?")]));
            assert!(kept.contains(&next.before[0]), "{answer:?}");
        }
        // A last answer that is not known (a tool call written otherwise) leaves the one before it.
        let next = said(&exchange(&[(false, "hi"), (true, "Hello!"), (false, "sum?"), (true, "{}"), (false, "4")]));
        assert!(kept.contains(&next.before[1]));
    }

    #[test]
    fn users_who_began_alike_part_where_they_differ() {
        let kept = said(&exchange(&[(false, "hi"), (true, "Hello!"), (false, "I am A")])).after(["Hi A"], None);
        let other = said(&exchange(&[(false, "hi"), (true, "Hello!"), (false, "I am B"), (true, "Hi A"), (false, "?")]));
        assert!(!other.before.iter().any(|key| kept.contains(key)));
    }

    #[test]
    fn names_are_the_callers_own() {
        let parts = [KeyPart::Header(HeaderName::from_static("x-steadfast-session")), KeyPart::Body("user".into())];
        let key = |pairs: &[(&'static str, &'static str)]| trail(&parts, &headers(pairs), "", &exchange(&[])).unwrap().named();
        let one = key(&[("x-steadfast-session", "1"), ("authorization", "Bearer a")]);
        assert_eq!(one, key(&[("authorization", "Bearer a"), ("x-steadfast-session", "1"), ("accept", "*/*")]));
        assert_ne!(one, key(&[("x-steadfast-session", "1"), ("authorization", "Bearer b")]));
        assert_ne!(one, key(&[("x-steadfast-session", "2"), ("authorization", "Bearer a")]));
        let mut user = exchange(&[]);
        user.hints.user = Some("1".into());
        let by_user = trail(&parts, &headers(&[("authorization", "Bearer a")]), "", &user).unwrap().named();
        assert_ne!(by_user, one, "a user named as a session is another thing");
        let signed = |scope: &'static str| Caller::of(&headers(&[("authorization", scope)]));
        assert_eq!(
            signed("AWS4-HMAC-SHA256 Credential=AKIA1/20261125/eu/bedrock/aws4_request, Signature=1"),
            signed("AWS4-HMAC-SHA256 Credential=AKIA1/20261126/eu/bedrock/aws4_request, Signature=2"),
        );
    }

    #[test]
    fn fields_of_the_body_are_found() {
        let parts = [KeyPart::Body("metadata.chat".into())];
        let none = HeaderMap::new();
        let key = |body: &str| trail(&parts, &none, body, &exchange(&[])).and_then(|trail| trail.named());
        assert!(key(r#"{"metadata":{"chat":"7"}}"#).is_some());
        assert_eq!(key(r#"{"metadata":{"chat":"7"}}"#), key(r#"{"metadata":{"chat":7}}"#));
        for body in ["", "{}", r#"{"metadata":{"chat":[7]}}"#, r#"{"metadata":{"chat":""}}"#, r#"{"metadata":"chat"}"#] {
            assert_eq!(key(body), None, "{body}");
        }
    }

    #[test]
    fn a_named_conversation_and_an_answers_id() {
        let mut named = exchange(&[(false, "hi")]);
        named.hints.conversation = Some("c1".into());
        let (one, mut other) = (named.clone(), named);
        other.hints.user = Some("u".into());
        let key = |exchange: &Exchange| trail(&[KeyPart::Conversation], &HeaderMap::new(), "", exchange).unwrap().named();
        assert!(key(&one).is_some() && key(&one) != key(&other));

        let mut first = exchange(&[(false, "hi")]);
        first.api = Api::OpenAiResponses;
        let kept = said(&first).after(["Hello"], Some("resp_1"));
        let mut next = exchange(&[(false, "more")]);
        next.api = Api::OpenAiResponses;
        next.hints.previous = Some("resp_1".into());
        assert!(kept.contains(&said(&next).before[0]));
        assert!(trail(&[KeyPart::Conversation], &HeaderMap::new(), "", &exchange(&[])).is_none());
    }

    proptest! {
        /// Whatever two histories are: one finds the other's state only if it begins with it.
        #[test]
        fn only_a_history_that_goes_on_finds_a_state(
            one in prop::collection::vec((any::<bool>(), 0u64..3), 1..6),
            other in prop::collection::vec((any::<bool>(), 0u64..3), 1..9),
        ) {
            let make = |turns: &[(bool, u64)]| {
                let mut exchange = Exchange::unknown(Api::OpenAiChat);
                exchange.history = turns
                    .iter()
                    .map(|(assistant, text)| Turn { assistant: *assistant, digest: xxh3_64(text.to_string().as_bytes()) })
                    .collect();
                exchange
            };
            let kept = said(&make(&one)).after(["2"], None);
            let mut whole = one.clone();
            whole.push((true, 2));
            let found = said(&make(&other)).before.iter().any(|key| kept.contains(key));
            prop_assert_eq!(found, other.starts_with(&whole));
        }
    }
}
