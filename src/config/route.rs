//! `[[route]]`: which requests go to which upstream, under which policy and persona.

use std::path::PathBuf;

use http::HeaderName;

use super::documented::documented;
use super::{Reading, Upstream, name_of, show, upstream};
use crate::dialect::Api;
use crate::document::{Item, Table};

documented! {
    /// Which requests go where. All of its conditions must hold.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Route {
        /// Its name in logs and metrics.
        #[default = "its conditions"]
        pub name: String,
        /// What the path begins with, in whole segments: `/v1` takes `/v1/chat` and not `/v1beta`.
        pub path: String,
        /// The host asked for, without its port: `api.example.com`, or `*.example.com` for any below it.
        #[default = "any"]
        pub host: Option<String>,
        /// Headers and the patterns of their values, in which `*` is anything: `{ x-team = "red-*" }`.
        pub headers: Vec<(HeaderName, String)>,
        /// The pattern of the model asked for: `grok-*`; case does not count. The request's body is read for it, and one that does not
        /// tell its model (compressed, no JSON, two of them) is a 400.
        #[default = "any"]
        pub model: Option<String>,
        /// The wire format, where requests do not say.
        #[default = "recognised"]
        pub api: Option<Api>,
        /// Leave `path` out of what the upstream is asked.
        pub strip_prefix: bool,
        /// The upstream's name; required where there are several.
        #[default = "the only one"]
        pub upstream: String,
        /// Names of others, in order, where it cannot be reached or a retry asks for another; of the same wire format.
        pub fallback: Vec<String>,
        /// The policy's file; without a classifier the default is `policies/without-classifier.toml`, then `policies/default.toml`
        /// beside the file, or the built-in copy of the former.
        #[default = "`policies/default.toml` beside the file, or the built-in copy"]
        pub policy: Part,
        /// The persona's file.
        #[default = "`policies/personas/assistant.toml` beside the file, or the built-in copy"]
        pub persona: Part,
    }
}

/// A policy or persona: a file, or the one that is built in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A file.
    File(PathBuf),
    /// The copy in the program of what `policies/` ships.
    Builtin,
}

impl Route {
    /// Everything to one upstream.
    #[must_use]
    pub fn to(upstream: &str) -> Self {
        Route {
            name: "/".to_owned(),
            path: "/".to_owned(),
            host: None,
            headers: Vec::new(),
            model: None,
            api: None,
            strip_prefix: false,
            upstream: upstream.to_owned(),
            fallback: Vec::new(),
            policy: Part::Builtin,
            persona: Part::Builtin,
        }
    }

    fn read(table: &Table<'_>, upstreams: &[Upstream], model: bool, cx: &Reading<'_>) -> Self {
        let name = table.item("name").and_then(|item| name_of(&item));
        let path = table.item("path").map_or(Some("/".to_owned()), |item| path(&item));
        let host = table.item("host").and_then(|item| item.nonempty().map(str::to_ascii_lowercase));
        let wanted = table.nonempty("model").map(str::to_owned);
        let api = table.item("api").and_then(|item| upstream::api(&item));
        let strip_prefix = table.bool("strip_prefix").unwrap_or(false);
        let mut headers = Vec::new();
        if let Some(table) = table.table("headers") {
            for (key, value) in table.entries() {
                let Ok(header) = HeaderName::from_bytes(key.as_bytes()) else {
                    value.problem("is no header name", None);
                    continue;
                };
                if let Some(pattern) = value.str() {
                    headers.push((header, pattern.to_owned()));
                }
            }
            table.finish();
        }
        let target = match upstreams {
            // The file need not say what goes without saying.
            [only] if !table.has("upstream") => Some(only.name.clone()),
            _ => table.require("upstream", "the name of an [[upstream]]").and_then(|item| known(&item, upstreams)),
        };
        let fallback = table.item("fallback").map(|item| fallbacks(&item, target.as_deref(), api, upstreams)).unwrap_or_default();
        // Where there are mistakes, what is left of the route still leads to the policy's and the persona's own.
        let mut route = Route {
            name: String::new(),
            path: path.unwrap_or_else(|| "/".to_owned()),
            host,
            headers,
            model: wanted,
            api,
            strip_prefix,
            upstream: target.unwrap_or_default(),
            fallback,
            policy: part(table, "policy", policies(model), cx),
            persona: part(table, "persona", PERSONAS, cx),
        };
        route.name = name.unwrap_or_else(|| route.describe());
        route
    }

    /// A name from its conditions.
    fn describe(&self) -> String {
        let mut name = self.host.clone().unwrap_or_default() + &self.path;
        if let Some(model) = &self.model {
            name = format!("{name} {model}");
        }
        for (header, value) in &self.headers {
            name = format!("{name} {header}={value}");
        }
        name
    }

    pub(super) fn show(&self) -> serde_json::Value {
        let part = |part: &Part| match part {
            Part::File(path) => show::path(path),
            Part::Builtin => "built in".to_owned(),
        };
        let headers: serde_json::Map<_, _> =
            self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_str().into())).collect();
        serde_json::json!({
            "name": self.name,
            "path": self.path,
            "host": self.host,
            "headers": headers,
            "model": self.model,
            "api": self.api.map(Api::as_str),
            "strip_prefix": self.strip_prefix,
            "upstream": self.upstream,
            "fallback": self.fallback,
            "policy": part(&self.policy),
            "persona": part(&self.persona),
        })
    }
}

/// `model`: whether there is a classifier, which the default policy depends on.
pub(super) fn read_all(root: &Table<'_>, upstreams: &[Upstream], model: bool, cx: &Reading<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for table in root.tables("route") {
        let mut route = Route::read(&table, upstreams, model, cx);
        if routes.iter().any(|other| other.name == route.name) {
            if let Some(item) = table.item("name") {
                item.problem(format!("there are two routes named {:?}", route.name), None);
            } else {
                route.name = format!("{} {}", route.name, routes.len());
            }
        }
        routes.push(route);
        table.finish();
    }
    if !root.has("route") {
        match upstreams {
            [only] => routes.push(Route {
                policy: shipped(policies(model), cx),
                persona: shipped(PERSONAS, cx),
                ..Route::to(&only.name)
            }),
            [] => {}
            _ => root.problem_here("there are several upstreams and no route", Some("add [[route]] with path and upstream")),
        }
    }
    routes
}

/// Fallbacks speak the same wire format, for the request is sent to them as it is.
fn fallbacks(item: &Item<'_>, target: Option<&str>, api: Option<Api>, upstreams: &[Upstream]) -> Vec<String> {
    let primary = target.and_then(|name| upstreams.iter().find(|upstream| upstream.name == name));
    let mut names = Vec::new();
    for item in item.each() {
        let Some(name) = known(&item, upstreams) else { continue };
        if Some(name.as_str()) == target || names.contains(&name) {
            item.problem(format!("{name:?} is already an upstream of this route"), None);
            continue;
        }
        let Some(fallback) = upstreams.iter().find(|upstream| upstream.name == name) else { continue };
        let mine = api.or(primary.and_then(|upstream| upstream.api));
        match (mine, fallback.api) {
            (Some(mine), Some(theirs)) if mine != theirs => {
                let message = format!("{name:?} speaks {}, this route {}", theirs.as_str(), mine.as_str());
                item.problem(message, Some("a fallback is sent the same request, so it must speak the same api"));
                continue;
            }
            (None, Some(theirs)) => {
                let message = format!("{name:?} speaks {} only, and this route takes any api", theirs.as_str());
                let help = format!("give the route api = \"{0}\", if all of its requests are {0}", theirs.as_str());
                item.problem(message, Some(&help));
                continue;
            }
            _ => {}
        }
        names.push(name);
    }
    names
}

fn known(item: &Item<'_>, upstreams: &[Upstream]) -> Option<String> {
    let name = item.nonempty()?;
    if !upstreams.iter().any(|upstream| upstream.name == name) {
        item.unknown_value(name, upstreams.iter().map(|upstream| upstream.name.as_str()));
        return None;
    }
    Some(name.to_owned())
}

fn path(item: &Item<'_>) -> Option<String> {
    let text = item.nonempty()?;
    if !text.starts_with('/') {
        item.problem("must begin with /", None);
        return None;
    }
    Some(text.to_owned())
}

/// What a route names, or what the folder ships, or what is built in.
fn part(table: &Table<'_>, key: &str, defaults: &[&str], cx: &Reading<'_>) -> Part {
    match table.item(key) {
        Some(item) => cx.existing(&item).map_or(Part::Builtin, Part::File),
        None => shipped(defaults, cx),
    }
}

/// Where the policy of routes that name none is looked for, in this order. Without a classifier a `default.toml` is not passed over either:
/// what it forbids must not be let through by the built-in policy.
fn policies(model: bool) -> &'static [&'static str] {
    if model { &["policies/default.toml"] } else { &["policies/without-classifier.toml", "policies/default.toml"] }
}

/// Where the persona of routes that name none is looked for.
const PERSONAS: &[&str] = &["policies/personas/assistant.toml"];

fn shipped(defaults: &[&str], cx: &Reading<'_>) -> Part {
    defaults.iter().map(|default| cx.base.join(default)).find(|path| (cx.exists)(path)).map_or(Part::Builtin, Part::File)
}
