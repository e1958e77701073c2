//! Which route a request takes: the first of which every condition holds. Pure: knows neither upstreams nor bodies.

use http::{HeaderMap, HeaderName};

use crate::config::Route;
use crate::dialect::path;

/// A route's conditions.
#[derive(Clone, Debug)]
pub struct Matcher {
    path: String,
    /// The path as servers fold it; `None` where the route takes its path off, which it can from that spelling alone.
    segments: Option<Vec<String>>,
    host: Option<String>,
    headers: Vec<(HeaderName, String)>,
    model: Option<String>,
}

/// The route of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This one, whatever the model.
    Route(usize),
    /// It depends on the model, which only the body tells.
    NeedsModel,
    /// None.
    None,
}

/// What of a request routes look at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The path without its query.
    pub path: &'a str,
    /// The host with or without its port.
    pub host: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl Matcher {
    /// The conditions of a configured route.
    #[must_use]
    pub fn new(route: &Route) -> Self {
        Matcher {
            path: route.path.trim_end_matches('/').to_owned(),
            segments: (!route.strip_prefix).then(|| path::segments(&route.path)),
            host: route.host.clone(),
            headers: route.headers.clone(),
            model: route.model.clone(),
        }
    }

    fn matches_head(&self, asked: &Asked<'_>) -> bool {
        let path = asked.path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // The same path in another spelling, which the upstream may well fold: it must not choose a laxer route.
        let folded = || match &self.segments {
            Some(segments) if !path && foldable(asked.path) => path::segments(asked.path).starts_with(segments),
            _ => path,
        };
        folded()
            && self.host.as_deref().is_none_or(|host| matches_host(host, asked.host))
            && self.headers.iter().all(|(name, pattern)| {
                asked.headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| glob(pattern, value, false)))
            })
    }

    fn matches_model(&self, model: Option<&str>) -> bool {
        match (&self.model, model) {
            (None, _) => true,
            (Some(pattern), Some(model)) => glob(pattern, model, true),
            (Some(_), None) => false,
        }
    }
}

/// Picks a route before the body is read.
#[must_use]
pub fn pick<'m>(matchers: impl Iterator<Item = &'m Matcher>, asked: &Asked<'_>) -> Pick {
    for (index, matcher) in matchers.enumerate() {
        if matcher.matches_head(asked) {
            return if matcher.model.is_some() { Pick::NeedsModel } else { Pick::Route(index) };
        }
    }
    Pick::None
}

/// Picks a route once the model is known (`None`: the request names none).
#[must_use]
pub fn pick_with_model<'m>(
    mut matchers: impl Iterator<Item = &'m Matcher>,
    asked: &Asked<'_>,
    model: Option<&str>,
) -> Option<usize> {
    matchers.position(|matcher| matcher.matches_head(asked) && matcher.matches_model(model))
}

/// Whether a path may have another spelling.
fn foldable(path: &str) -> bool {
    path.bytes().any(|byte| matches!(byte, b'%' | b'\\' | b';' | b'A'..=b'Z')) || path.contains("//") || path.contains("/.")
}

fn matches_host(pattern: &str, host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    glob(pattern, host.trim_end_matches('.'), true)
}

/// `*` is any run of characters, `?` is one. Linear in the text for each star.
fn glob(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let same = |a: char, b: char| a == b || (ignore_case && a.to_lowercase().eq(b.to_lowercase()));
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || same(c, text[t]) => {
                p += 1;
                t += 1;
            }
            // The last star takes one character more.
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, host: Option<&str>, model: Option<&str>, headers: &[(&str, &str)]) -> Matcher {
        Matcher::new(&Route {
            path: path.to_owned(),
            host: host.map(str::to_owned),
            model: model.map(str::to_owned),
            headers: headers
                .iter()
                .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), (*value).to_owned()))
                .collect(),
            ..Route::to("x")
        })
    }

    fn asked<'a>(path: &'a str, host: Option<&'a str>, headers: &'a HeaderMap) -> Asked<'a> {
        Asked { path, host, headers }
    }

    #[test]
    fn paths_match_by_whole_segments() {
        let none = HeaderMap::new();
        for (pattern, path, matches) in [
            ("/", "/", true),
            ("/", "/v1/chat/completions", true),
            ("/v1", "/v1", true),
            ("/v1", "/v1/chat", true),
            ("/v1/", "/v1/chat", true),
            ("/v1", "/v1beta/models", false),
            ("/v1", "/V1/chat", true),
            ("/v1/chat", "/v1//%63hat/completions", true),
            ("/v1/chat", "/x/../v1/chat", true),
            ("/v1/chat", "/v1/chat;x/completions", true),
            ("/v1", "/V1beta/models", false),
            ("/a/b", "/a", false),
        ] {
            let routes = [route(pattern, None, None, &[])];
            assert_eq!(pick(routes.iter(), &asked(path, None, &none)) == Pick::Route(0), matches, "{pattern} {path}");
        }
        assert_eq!(pick([route("/", None, None, &[])].iter(), &asked("*", None, &none)), Pick::None);
    }

    #[test]
    fn the_first_match_wins_and_the_model_may_decide() {
        let none = HeaderMap::new();
        let routes = [
            route("/admin", None, None, &[]),
            route("/", None, Some("grok-*"), &[]),
            route("/", Some("*.example.com"), None, &[]),
            route("/", None, None, &[]),
        ];
        let on = |path, host, headers| pick(routes.iter(), &asked(path, host, headers));
        assert_eq!(on("/admin/x", None, &none), Pick::Route(0), "the body is not needed for a route before those with a model");
        assert_eq!(on("/v1", None, &none), Pick::NeedsModel);
        let with = |host, model| pick_with_model(routes.iter(), &asked("/v1", host, &none), model);
        assert_eq!(with(None, Some("Grok-4")), Some(1));
        assert_eq!(with(None, Some("gpt-4")), Some(3));
        assert_eq!(with(Some("API.example.com:8080"), None), Some(2));
        assert_eq!(with(Some("example.com"), None), Some(3));
    }

    #[test]
    fn headers_match_by_pattern() {
        let routes = [route("/", None, None, &[("x-team", "red-*"), ("x-on", "*")])];
        let mut headers = HeaderMap::new();
        headers.insert("x-team", "red-1".parse().unwrap());
        assert_eq!(pick(routes.iter(), &asked("/", None, &headers)), Pick::None);
        headers.insert("x-on", "".parse().unwrap());
        assert_eq!(pick(routes.iter(), &asked("/", None, &headers)), Pick::Route(0));
        headers.insert("x-team", "blue".parse().unwrap());
        assert_eq!(pick(routes.iter(), &asked("/", None, &headers)), Pick::None);
    }

    #[test]
    fn globs() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("*mini*", "gpt-4o-mini-2024", true),
            ("g?t", "gpt", true),
            ("g?t", "gt", false),
            ("é*", "É1", true),
        ] {
            assert_eq!(glob(pattern, text, true), matches, "{pattern} {text}");
        }
        assert!(!glob("a", "A", false));
        let long = "a".repeat(20_000);
        assert!(!glob("*a*a*a*b", &long, true), "and in no time");
    }
}
