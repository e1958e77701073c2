//! Who may use the dashboard and its API. Two attacks come through the operator's own browser, past any firewall: a foreign page that
//! posts to the admin port (CSRF), and a foreign name that is made to resolve to it (DNS rebinding).
//!
//! Against the first: a change must be JSON, which a page of another site cannot send unasked, or have no body at all, and must not say
//! that it comes from one, which browsers say of every request that is no reading.
//! Against the second: the `Host` must be an address, `localhost` or a configured name; no attacker can make a browser send those for a
//! page of theirs. With an admin token, the API wants it in every request, and whoever has it may use any name.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Body as _;
use sha2::{Digest as _, Sha256};

use super::error::{Error, Result};

/// Who may use the dashboard and its API.
#[derive(Clone, Default)]
pub struct Access {
    hosts: Vec<String>,
    /// The token's hash: comparing hashes takes the same time wherever they differ, and the token itself is kept nowhere.
    token: Option<[u8; 32]>,
}

impl Access {
    /// `hosts`: names, beside `localhost` and addresses, under which the admin port is reached. `token`: what the API wants as
    /// `authorization: Bearer …`; without one, whoever can connect may use it.
    #[must_use]
    pub fn new(hosts: Vec<String>, token: Option<&str>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect();
        Access { hosts, token: token.map(hash) }
    }

    /// Whether the API wants a token.
    #[must_use]
    pub fn wants_token(&self) -> bool {
        self.token.is_some()
    }

    fn shows_token(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // Gateways that ask for verdicts send their key as x-api-key.
        let key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
        let shown = shown.map(|(_, shown)| shown).or(key);
        shown.zip(self.token).is_some_and(|(shown, token)| hash(shown.trim()) == token)
    }

    fn knows_host(&self, host: &str) -> bool {
        let name = host_name(host).trim_end_matches('.').to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
            || self.hosts.contains(&name)
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<()> {
        let Some(host) = host(uri, headers) else {
            return Err(Error::bad_request("the request names no host"));
        };
        if self.knows_host(host) {
            return Ok(());
        }
        Err(Error::new(
            StatusCode::FORBIDDEN,
            "unknown_host",
            "this name is not known to be the gateway's; use its address or localhost, or add the name to server.admin_hosts",
        ))
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("hosts", &self.hosts).field("token", &self.token.is_some()).finish()
    }
}

/// For the dashboard's page, which holds nothing of anybody: the host alone.
pub(super) async fn page(State(access): State<Arc<Access>>, request: Request, next: Next) -> Result<Response> {
    access.check_host(request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

/// For the API: the token where one is set, else the host; and that a change comes from no other site.
pub(super) async fn api(State(access): State<Arc<Access>>, request: Request, next: Next) -> Result<Response> {
    let headers = request.headers();
    if access.wants_token() {
        if !access.shows_token(headers) {
            return Err(Error::new(
                StatusCode::UNAUTHORIZED,
                "token_wanted",
                "the admin API wants its token; send authorization: Bearer <token>",
            ));
        }
    } else {
        access.check_host(request.uri(), headers)?;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        check_change(request.uri(), headers, request.body().is_end_stream())?;
    }
    Ok(next.run(request).await)
}

/// `empty`: there is no body, so that nothing need be said of what it is.
fn check_change(uri: &Uri, headers: &HeaderMap, empty: bool) -> Result<()> {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or_default());
    let media = text(header::CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or_default().trim());
    if !media.map_or(empty, |media| media.eq_ignore_ascii_case("application/json")) {
        return Err(Error::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "json_wanted",
            "send content-type: application/json (an empty body is {})",
        ));
    }
    let foreign = || Error::new(StatusCode::FORBIDDEN, "foreign_origin", "a page of another site may change nothing here");
    if text(header::HeaderName::from_static("sec-fetch-site")).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(foreign());
    }
    if let Some(origin) = text(header::ORIGIN) {
        let origin = origin.split_once("://").map(|(_, authority)| authority);
        if origin.is_none() || !origin.zip(host(uri, headers)).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host)) {
            return Err(foreign());
        }
    }
    Ok(())
}

/// The host that the request names, with its port.
fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let named = headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    named.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

/// Without the port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_names_that_no_attacker_can_own_are_known() {
        let access = Access::new(vec!["Steadfast.Internal".into()], None);
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "localhost.:9464",
            "steadfast.localhost",
            "127.0.0.1:9464",
            "10.1.2.3",
            "[::1]:9464",
            "[fd00::1]",
            "steadfast.internal:9464",
        ] {
            assert!(access.knows_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "evil.example#localhost",
            "localhost@evil.example",
            "steadfast.internal.evil.example",
            "1.2.3.4.5",
        ] {
            assert!(!access.knows_host(host), "{host}");
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_change_is_json_from_here() {
        let uri = Uri::from_static("/api/reload");
        let code = |pairs: &[(&'static str, &str)]| check_change(&uri, &headers(pairs), false).is_ok();
        let json = ("content-type", "application/json; charset=utf-8");
        let host = ("host", "127.0.0.1:9464");
        assert!(code(&[host, json]), "curl");
        assert!(code(&[host, json, ("origin", "http://127.0.0.1:9464"), ("sec-fetch-site", "same-origin")]), "the dashboard");
        assert!(!code(&[host]), "a form without a type");
        assert!(!code(&[host, ("content-type", "text/plain")]), "what a foreign form can send");
        assert!(!code(&[host, ("content-type", "text/plain; application/json")]));
        assert!(!code(&[host, json, ("origin", "http://evil.example")]));
        assert!(!code(&[host, json, ("origin", "null")]), "a sandboxed frame");
        assert!(!code(&[host, json, ("origin", "http://127.0.0.1:8080")]), "another port is another site");
        assert!(!code(&[host, json, ("sec-fetch-site", "cross-site")]));
        assert!(!code(&[host, json, ("sec-fetch-site", "same-site")]), "another port again");

        let empty = |pairs: &[(&'static str, &str)]| check_change(&uri, &headers(pairs), true).is_ok();
        assert!(empty(&[host]), "curl -X POST");
        assert!(!empty(&[host, ("content-type", "application/x-www-form-urlencoded")]), "a foreign form with no fields");
        assert!(!empty(&[host, ("origin", "http://evil.example")]), "a foreign script");
    }

    #[test]
    fn the_token_must_be_the_token() {
        let access = Access::new(Vec::new(), Some("s3cret"));
        assert!(access.shows_token(&headers(&[("authorization", "Bearer s3cret")])));
        assert!(access.shows_token(&headers(&[("authorization", "bearer s3cret")])));
        for wrong in ["Bearer s3cre", "Bearer", "Basic s3cret", "s3cret", "Bearer  "] {
            assert!(!access.shows_token(&headers(&[("authorization", wrong)])), "{wrong}");
        }
        assert!(!access.shows_token(&HeaderMap::new()));
        assert!(!Access::default().shows_token(&headers(&[("authorization", "Bearer ")])), "no token is nobody's token");
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
