//! `[session]`: how requests are tied into conversations and where their state is kept.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::documented::documented;
use super::{Reading, show};
use crate::document::{Item, Table};
pub use crate::session::KeyPart;

documented! {
    /// Conversations.
    #[derive(Clone, Debug)]
    pub struct Session {
        /// `memory`, or `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]` for several replicas, `rediss://…` over TLS.
        #[see = "[what it keeps](drift.md#a-conversation)"]
        pub store: SessionStore,
        /// Authorities that may have signed the certificate of a `rediss://` store, PEM.
        #[default = "the system's"]
        pub ca: Option<PathBuf>,
        /// How long a conversation is remembered after its last turn.
        pub ttl: Duration,
        /// What names a conversation, the first that is there.
        pub key: Vec<KeyPart>,
    }
}

/// Where conversations' state is kept.
#[derive(Clone, Debug)]
pub enum SessionStore {
    /// In this process.
    Memory,
    /// In Redis, for several replicas. The URL may hold a password.
    Redis(SecretString),
}

impl Default for Session {
    fn default() -> Self {
        Session {
            store: SessionStore::Memory,
            ca: None,
            ttl: Duration::from_secs(7200),
            key: vec![
                KeyPart::Header(HeaderName::from_static("x-steadfast-session")),
                KeyPart::Body("user".to_owned()),
                KeyPart::Conversation,
            ],
        }
    }
}

impl Session {
    pub(super) fn read(table: Option<Table<'_>>, cx: &Reading<'_>) -> Self {
        let mut session = Session::default();
        let Some(table) = table else { return session };
        if let Some(store) = table.item("store").and_then(|item| store(&item)) {
            session.store = store;
        }
        session.ca = table.item("ca").and_then(|item| cx.existing(&item));
        let tls = matches!(&session.store, SessionStore::Redis(url) if url.expose_secret().starts_with("rediss://"));
        if session.ca.is_some() && !tls {
            table.problem("ca", "is for a store at a rediss:// URL", Some("remove it, or write rediss:// in store"));
        }
        if let Some(ttl) = table.duration("ttl") {
            if ttl.is_zero() {
                table.problem("ttl", "must not be 0", None);
            } else {
                session.ttl = ttl;
            }
        }
        if let Some(item) = table.item("key") {
            session.key = item.each().iter().filter_map(key_part).collect();
        }
        table.finish();
        session
    }

    pub(super) fn show(&self) -> serde_json::Value {
        let key = |part: &KeyPart| match part {
            KeyPart::Header(name) => format!("header:{name}"),
            KeyPart::Body(field) => format!("body:{field}"),
            KeyPart::Conversation => "conversation".to_owned(),
        };
        let store = match &self.store {
            SessionStore::Memory => "memory".to_owned(),
            SessionStore::Redis(url) => without_password(url.expose_secret()),
        };
        serde_json::json!({
            "store": store,
            "ca": self.ca.as_deref().map(show::path),
            "ttl": show::duration(self.ttl),
            "key": self.key.iter().map(key).collect::<Vec<_>>(),
        })
    }
}

fn store(item: &Item<'_>) -> Option<SessionStore> {
    let text = item.nonempty()?;
    if text == "memory" {
        return Some(SessionStore::Memory);
    }
    if text.starts_with("redis://") || text.starts_with("rediss://") {
        return Some(SessionStore::Redis(SecretString::from(text.to_owned())));
    }
    item.problem("must be \"memory\" or a redis:// or rediss:// URL", None);
    None
}

fn key_part(item: &Item<'_>) -> Option<KeyPart> {
    let text = item.nonempty()?;
    match text.split_once(':') {
        Some(("header", name)) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(KeyPart::Header(name)),
            Err(_) => {
                item.problem("is no header name", None);
                None
            }
        },
        Some(("body", field)) if !field.is_empty() => Some(KeyPart::Body(field.to_owned())),
        None if text == "conversation" => Some(KeyPart::Conversation),
        _ => {
            item.problem(format!("unknown value {text:?}"), Some("must be \"header:NAME\", \"body:FIELD\" or \"conversation\""));
            None
        }
    }
}

/// `redis://user:pass@host/0` → `redis://host/0`.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}
