//! Header hygiene in both directions: what belongs to one hop stays there, what is ours stays with us. Pure: knows no body and no socket.

use http::header::{
    CONNECTION, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use std::net::IpAddr;

use crate::config::Credential;
use crate::guard::signature::Signature;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The prefix of headers that are between callers and this gateway.
const OURS: &str = "x-steadfast-";

/// Headers that say how a message is delimited or to whom it goes: naming them in `connection` must not remove them.
const ESSENTIAL: [&str; 3] = ["host", "content-length", "content-type"];

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The other side's address, as [`shown`].
    pub ip: HeaderValue,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The host it asked for.
    pub host: Option<HeaderValue>,
}

/// Makes a request's headers ready for an upstream.
///
/// A signed request keeps its `host` and every other header that the signature covers as the client sent it.
pub fn to_upstream(
    headers: &mut HeaderMap,
    origin: Option<&Origin>,
    credential: Option<&Credential>,
    signature: Option<&Signature>,
) {
    let covered = signature.map(|signature| covered(headers, signature)).unwrap_or_default();
    let trailers = headers.get_all(TE).iter().any(|value| has_token(value, "trailers"));
    strip_hop_by_hop(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    // This server has already asked for the body.
    strip(headers, |name| name.starts_with(OURS) || matches!(name, "expect" | "http2-settings"));
    join_cookies(headers);
    if let Some(origin) = origin {
        forwarded(headers, origin);
    }
    if signature.is_none() {
        // The client library writes the upstream's own.
        headers.remove(HOST);
    }
    for (name, values) in covered {
        headers.remove(&name);
        for value in values {
            headers.append(&name, value);
        }
    }
    if let Some(credential) = credential {
        let value = HeaderValue::from_str(&format!("{}{}", credential.prefix, credential.secret.expose()));
        match value {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.insert(credential.header.clone(), value);
            }
            // Checked when the configuration was read; without it the upstream refuses, and the client's own must not go instead.
            Err(_) => {
                headers.remove(&credential.header);
            }
        }
    }
}

/// Makes an answer's headers ready for the client.
pub fn to_client(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    // `alt-svc` names another way to the upstream, past this gateway.
    strip(headers, |name| name.starts_with(OURS) || name == "alt-svc");
}

/// An address as `x-forwarded-for` has it.
#[must_use]
pub fn shown(ip: IpAddr) -> HeaderValue {
    HeaderValue::from_str(&ip.to_canonical().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

/// The host asked for: HTTP/2's `:authority` or the `host` header.
#[must_use]
pub fn host(authority: Option<&Authority>, headers: &HeaderMap) -> Option<HeaderValue> {
    match authority {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => headers.get(HOST).cloned(),
    }
}

/// The protocol that a request asks to switch to, if it is one that cannot be ignored. `h2c` and TLS upgrades are only offers, which a
/// server may pass over.
#[must_use]
pub fn wants_upgrade(headers: &HeaderMap) -> bool {
    let asked = headers.get_all(CONNECTION).iter().any(|value| has_token(value, "upgrade"));
    asked
        && headers.get_all(UPGRADE).iter().any(|value| {
            value.to_str().unwrap_or_default().split(',').any(|protocol| {
                let protocol = protocol.trim().to_ascii_lowercase();
                !protocol.is_empty() && protocol != "h2c" && !protocol.starts_with("tls/") && !protocol.starts_with("http/")
            })
        })
}

/// The headers that a signature covers, but for those of this hop alone, whose signature no proxy could keep.
fn covered(headers: &HeaderMap, signature: &Signature) -> Vec<(HeaderName, Vec<HeaderValue>)> {
    let of_this_hop = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, EXPECT];
    let names = signature.headers().iter().filter(|name| !of_this_hop.contains(name) && headers.contains_key(*name));
    names.map(|name| (name.clone(), headers.get_all(name).iter().cloned().collect())).collect()
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .filter(|name| !ESSENTIAL.contains(&name.as_str()))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    strip(headers, |name| {
        matches!(
            name,
            "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "te"
                | "transfer-encoding"
                | "upgrade"
        )
    });
}

/// Removes the headers that are between callers and this gateway.
#[cfg(feature = "extproc")]
pub(super) fn strip_ours(headers: &mut HeaderMap) {
    strip(headers, |name| name.starts_with(OURS));
}

/// Removes headers by name. One look at those that are there costs less than asking for each that might be, and what is sought is seldom
/// there.
fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name.as_str())).cloned() {
        headers.remove(name);
    }
}

/// HTTP/2 may send cookies in several fields, HTTP/1.1 must not.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let mut joined = first.as_bytes().to_vec();
        for cookie in std::iter::once(second).chain(cookies) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(cookie.as_bytes());
        }
        if let Ok(value) = HeaderValue::from_bytes(&joined) {
            headers.insert(COOKIE, value);
        }
    }
}

fn forwarded(headers: &mut HeaderMap, origin: &Origin) {
    let earlier: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let ip = origin.ip.to_str().unwrap_or_default();
    let chain =
        if earlier.is_empty() { Ok(origin.ip.clone()) } else { HeaderValue::from_str(&format!("{}, {ip}", earlier.join(", "))) };
    if let Ok(value) = chain {
        headers.insert(FORWARDED_FOR, value);
    }
    // A proxy before this one knows better how the client came.
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(if origin.tls { "https" } else { "http" }));
    if let Some(host) = &origin.host {
        headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
    }
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|value| {
        value.split(',').any(|part| part.split(';').next().is_some_and(|part| part.trim().eq_ignore_ascii_case(token)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, SecretSource};

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_belongs_to_one_hop_stays_there() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Secret-Hop"),
            ("connection", "te, content-length"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip, trailers;q=0.5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAA"),
            ("expect", "100-continue"),
            ("content-length", "3"),
            ("authorization", "Bearer k"),
            ("x-request-id", "abc"),
            ("x-steadfast-session", "s"),
            ("x-steadfast-verdict", "allow"),
            ("trailer", "x-checksum"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("host", "gateway"),
        ]);
        to_upstream(&mut headers, None, None, None);
        assert_eq!(
            lines(&headers),
            [
                "authorization: Bearer k",
                "content-length: 3",
                "cookie: a=1; b=2",
                "te: trailers",
                "trailer: x-checksum",
                "x-request-id: abc"
            ]
        );
    }

    #[test]
    fn the_upstream_learns_where_the_request_came_from() {
        let mut headers = map(&[("x-forwarded-for", "1.1.1.1"), ("connection", "x-forwarded-for"), ("host", "gateway:8080")]);
        let origin = Origin {
            ip: shown("::ffff:10.0.0.1".parse().unwrap()),
            tls: true,
            host: Some(HeaderValue::from_static("gateway:8080")),
        };
        to_upstream(&mut headers, Some(&origin), None, None);
        assert_eq!(
            lines(&headers),
            ["x-forwarded-for: 10.0.0.1", "x-forwarded-host: gateway:8080", "x-forwarded-proto: https"],
            "a chain that the client had removed is not revived"
        );
        let mut headers = map(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "http")]);
        to_upstream(&mut headers, Some(&origin), None, None);
        assert_eq!(
            lines(&headers),
            ["x-forwarded-for: 1.1.1.1, 10.0.0.1", "x-forwarded-host: gateway:8080", "x-forwarded-proto: http"]
        );
    }

    #[test]
    fn the_credential_takes_the_place_of_the_clients() {
        let credential = Credential {
            header: http::header::AUTHORIZATION,
            prefix: "Bearer ".to_owned(),
            secret: Secret::new(SecretSource::Env("K".to_owned()), "upstream-key".to_owned()),
        };
        let mut headers = map(&[("authorization", "Bearer client"), ("authorization", "Bearer client2")]);
        to_upstream(&mut headers, None, Some(&credential), None);
        assert_eq!(lines(&headers), ["authorization: Bearer upstream-key"]);
        assert!(!format!("{headers:?}").contains("upstream-key"));
    }

    #[test]
    fn signed_requests_keep_their_host_and_what_else_was_signed() {
        let mut headers = map(&[
            ("host", "bedrock"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("x-steadfast-session", "s"),
            ("x-steadfast-verdict", "allow"),
            ("x-forwarded-for", "1.1.1.1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host;te;x-forwarded-for;x-hop;x-steadfast-session, Signature=y",
            ),
        ]);
        let signature = Signature::of(&headers, None);
        let origin = Origin { ip: shown("10.0.0.1".parse().unwrap()), tls: true, host: None };
        let authorization = format!("authorization: {}", headers["authorization"].to_str().unwrap());
        to_upstream(&mut headers, Some(&origin), None, signature.as_ref());
        let expected = [
            authorization.as_str(),
            "host: bedrock",
            "te: trailers",
            "x-forwarded-for: 1.1.1.1",
            "x-forwarded-proto: https",
            "x-hop: 1",
            "x-steadfast-session: s",
        ];
        assert_eq!(lines(&headers), expected);
    }

    #[test]
    fn answers_do_not_lead_past_the_gateway() {
        let mut headers = map(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("alt-svc", "h3=\":443\""),
            ("x-steadfast-verdict", "allow"),
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        to_client(&mut headers);
        assert_eq!(lines(&headers), ["content-type: text/plain", "set-cookie: a=1", "set-cookie: b=2"]);
    }

    #[test]
    fn only_real_upgrades_are_noticed() {
        assert!(wants_upgrade(&map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])));
        assert!(!wants_upgrade(&map(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")])));
        assert!(!wants_upgrade(&map(&[("upgrade", "websocket")])));
    }
}
