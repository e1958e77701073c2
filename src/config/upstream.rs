//! `[[upstream]]`: an LLM API to send requests to.

use std::path::PathBuf;

use http::{HeaderName, Uri};

use super::documented::documented;
use super::{Reading, Secret, name_of, show};
use crate::dialect::Api;
use crate::document::{Item, Table};

documented! {
    /// An LLM API to send requests to.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Upstream {
        /// Its name in routes, logs and metrics.
        #[default = "required"]
        pub name: String,
        /// Scheme, host, port, and a path that all requests begin with.
        #[default = "required"]
        pub url: Uri,
        /// The wire format.
        #[default = "recognised"]
        #[see = "[wire formats](wire-formats.md)"]
        pub api: Option<Api>,
        /// What it is shown in place of the client's credential: `{ header = "…", env = "…", prefix = "…" }`, or `file` in place of `env`.
        #[default = "the client's own"]
        pub credential: Option<Credential>,
        /// `auto`: HTTP/2 where TLS agrees on it; `http1`; `http2`: in the clear too.
        pub protocol: Protocol,
        /// Authorities that may have signed its certificate, PEM.
        #[default = "the system's"]
        pub ca: Option<PathBuf>,
        /// Tell it of the client in `x-forwarded-for`, `-proto` and `-host`.
        pub forwarded: bool,
    }
}

/// A header that proves who calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// Its name.
    pub header: HeaderName,
    /// What stands before the secret: `"Bearer "`.
    pub prefix: String,
    /// The secret.
    pub secret: Secret,
}

/// Which HTTP an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; over `http://` with prior knowledge.
    Http2,
}

impl Protocol {
    const NAMES: [(&'static str, Protocol); 3] =
        [("auto", Protocol::Auto), ("http1", Protocol::Http1), ("http2", Protocol::Http2)];
}

impl Upstream {
    /// An upstream of which only the address is known.
    #[must_use]
    pub fn at(name: &str, url: Uri) -> Self {
        Upstream { name: name.to_owned(), url, api: None, credential: None, protocol: Protocol::Auto, ca: None, forwarded: true }
    }

    /// Whether it is shown a credential in place of the client's `authorization`, and with it of any signature of the client's.
    #[must_use]
    pub fn replaces_authorization(&self) -> bool {
        self.credential.as_ref().is_some_and(|credential| credential.header == http::header::AUTHORIZATION)
    }

    fn read(table: Table<'_>, cx: &Reading<'_>) -> Option<Self> {
        let name = table.require("name", "a name that routes refer to").and_then(|item| name_of(&item));
        let url = table.require("url", "like \"https://api.openai.com\"").and_then(|item| url(&item));
        let api = table.item("api").and_then(|item| api(&item));
        let protocol = table.choice("protocol", &Protocol::NAMES).unwrap_or(Protocol::Auto);
        let ca = table.item("ca").and_then(|item| cx.existing(&item));
        let forwarded = table.bool("forwarded").unwrap_or(true);
        let credential = table.table("credential").and_then(|table| Credential::read(table, cx));
        table.finish();
        Some(Upstream { name: name?, url: url?, api, credential, protocol, ca, forwarded })
    }

    pub(super) fn show(&self) -> serde_json::Value {
        let protocol = Protocol::NAMES.iter().find(|(_, value)| *value == self.protocol).map(|(name, _)| *name);
        serde_json::json!({
            "name": self.name,
            "url": self.url.to_string(),
            "api": self.api.map(Api::as_str),
            "credential": self.credential.as_ref().map(Credential::show),
            "protocol": protocol,
            "ca": self.ca.as_deref().map(show::path),
            "forwarded": self.forwarded,
        })
    }
}

impl Credential {
    fn read(table: Table<'_>, cx: &Reading<'_>) -> Option<Self> {
        let header = table.require("header", "like \"authorization\"").and_then(|item| header_name(&item));
        let prefix = table.str("prefix").unwrap_or_default().to_owned();
        let secret = cx.secret(&table);
        if let Some(secret) = &secret
            && http::HeaderValue::from_str(&format!("{prefix}{}", secret.expose())).is_err()
        {
            table.problem_here("holds characters that no header can", Some("check for line breaks inside the secret"));
        }
        table.finish();
        Some(Credential { header: header?, prefix, secret: secret? })
    }

    fn show(&self) -> serde_json::Value {
        let mut shown = self.secret.show();
        shown["header"] = self.header.as_str().into();
        shown["prefix"] = self.prefix.as_str().into();
        shown
    }
}

pub(super) fn read_all(root: &Table<'_>, cx: &Reading<'_>) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    for table in root.tables("upstream") {
        let item = table.item("name");
        let Some(upstream) = Upstream::read(table, cx) else { continue };
        if upstreams.iter().any(|other| other.name == upstream.name) {
            if let Some(item) = item {
                item.problem(format!("there are two upstreams named {:?}", upstream.name), None);
            }
            continue;
        }
        upstreams.push(upstream);
    }
    if !root.has("upstream") {
        root.problem_here("there is no upstream", Some("add [[upstream]] with name and url to the file, or pass --upstream URL"));
    }
    upstreams
}

/// `http://` or `https://`, an authority, perhaps a path.
fn url(item: &Item<'_>) -> Option<Uri> {
    let text = item.nonempty()?;
    let help = Some("write it like \"https://api.openai.com\"");
    let Ok(uri) = text.trim().parse::<Uri>() else {
        item.problem("is no URL", help);
        return None;
    };
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => {
            item.problem("must begin with http:// or https://", help);
            return None;
        }
    }
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        item.problem("must not hold a user or password", Some("use credential = { header, env }"));
        return None;
    }
    if authority.host().is_empty() {
        item.problem("names no host", help);
        return None;
    }
    if uri.query().is_some() {
        item.problem("must not have a query", None);
        return None;
    }
    Some(uri)
}

/// A wire format's name.
pub(super) fn api(item: &Item<'_>) -> Option<Api> {
    let word = item.nonempty()?;
    let api = Api::from_name(word);
    if api.is_none() {
        item.unknown_value(word, Api::ALL.iter().map(|api| api.as_str()));
    }
    api
}

pub(super) fn header_name(item: &Item<'_>) -> Option<HeaderName> {
    let text = item.nonempty()?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        item.problem("is no header name", None);
    }
    name
}
