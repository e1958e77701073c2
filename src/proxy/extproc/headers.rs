//! Envoy's header lists and `http`'s maps: reading heads, and the changes that turn one map into another. Pure.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode, Uri, request};

use super::messages;

/// A request's head; `None` where it is none.
pub(super) fn request(list: &messages::HeaderMap) -> Option<request::Parts> {
    let method = Method::from_bytes(pseudo(list, ":method")?).ok()?;
    let path = std::str::from_utf8(pseudo(list, ":path")?).ok()?;
    let mut uri = Uri::builder().path_and_query(path);
    if let Some(authority) = pseudo(list, ":authority").and_then(|authority| std::str::from_utf8(authority).ok()) {
        let scheme = pseudo(list, ":scheme").and_then(|scheme| std::str::from_utf8(scheme).ok()).unwrap_or("http");
        uri = uri.scheme(scheme).authority(authority);
    }
    let (mut head, ()) = Request::builder().method(method).uri(uri.build().ok()?).body(()).ok()?.into_parts();
    head.headers = fields(list);
    Some(head)
}

/// An answer's status and headers; `None` where it is no head.
pub(super) fn response(list: &messages::HeaderMap) -> Option<(StatusCode, HeaderMap)> {
    Some((StatusCode::from_bytes(pseudo(list, ":status")?).ok()?, fields(list)))
}

/// The fields that are no pseudo headers. One that is malformed is left out: Envoy has read it and will send it on.
pub(super) fn fields(list: &messages::HeaderMap) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(list.headers.len());
    for field in &list.headers {
        let name = HeaderName::from_bytes(field.key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(bytes(field))) {
            map.append(name, value);
        }
    }
    map
}

/// The changes that make `before` into `after`. How a body is delimited is Envoy's to say.
pub(super) fn changes(before: &HeaderMap, after: &HeaderMap) -> messages::HeaderMutation {
    let framing = |name: &HeaderName| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING;
    let mut changes = messages::HeaderMutation::default();
    for name in before.keys().filter(|name| !after.contains_key(*name) && !framing(name)) {
        changes.remove_headers.push(name.as_str().to_owned());
    }
    for name in after.keys().filter(|name| !framing(name)) {
        if !before.get_all(name).iter().eq(after.get_all(name)) {
            changes.set_headers.extend(set(name, after));
        }
    }
    changes
}

/// All of a map, for an answer of our own. Envoy counts its length itself.
pub(super) fn all(map: &HeaderMap) -> messages::HeaderMutation {
    let names = map.keys().filter(|name| **name != CONTENT_LENGTH);
    messages::HeaderMutation { set_headers: names.flat_map(|name| set(name, map)).collect(), remove_headers: Vec::new() }
}

fn set(name: &HeaderName, map: &HeaderMap) -> impl Iterator<Item = messages::HeaderValueOption> {
    map.get_all(name).iter().enumerate().map(|(index, value)| messages::HeaderValueOption {
        header: Some(messages::HeaderValue {
            key: name.as_str().to_owned(),
            value: String::new(),
            raw_value: Bytes::copy_from_slice(value.as_bytes()),
        }),
        append_action: if index == 0 { messages::OVERWRITE } else { messages::APPEND },
    })
}

fn pseudo<'l>(list: &'l messages::HeaderMap, name: &str) -> Option<&'l [u8]> {
    list.headers.iter().find(|field| field.key == name).map(bytes)
}

fn bytes(field: &messages::HeaderValue) -> &[u8] {
    if field.raw_value.is_empty() { field.value.as_bytes() } else { &field.raw_value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[(&str, &str)]) -> messages::HeaderMap {
        let field = |(index, (key, value)): (usize, &(&str, &str))| {
            let (text, raw) = if index % 2 == 0 { ("", *value) } else { (*value, "") };
            messages::HeaderValue {
                key: (*key).to_owned(),
                value: text.to_owned(),
                raw_value: Bytes::copy_from_slice(raw.as_bytes()),
            }
        };
        messages::HeaderMap { headers: pairs.iter().enumerate().map(field).collect() }
    }

    #[test]
    fn heads_are_read() {
        let list = list(&[
            (":method", "POST"),
            (":path", "/v1/chat/completions?a=b"),
            (":authority", "api.example.com"),
            (":scheme", "https"),
            ("x-a", "1"),
            ("x-a", "2"),
        ]);
        let head = request(&list).unwrap();
        assert_eq!(
            (head.method, head.uri.to_string().as_str()),
            (Method::POST, "https://api.example.com/v1/chat/completions?a=b")
        );
        assert_eq!(head.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.headers.len(), 2, "pseudo headers are no fields");
        assert!(response(&list).is_none());
        assert_eq!(response(&super::tests::list(&[(":status", "204")])).unwrap().0, 204);
    }

    #[test]
    fn only_what_differs_is_changed() {
        let map = |pairs: &[(&str, &str)]| fields(&list(pairs));
        let before = map(&[("kept", "1"), ("gone", "1"), ("other", "1"), ("content-length", "5"), ("many", "1"), ("many", "2")]);
        let after = map(&[("kept", "1"), ("other", "2"), ("new", "1"), ("many", "1"), ("many", "3")]);
        let changes = changes(&before, &after);
        assert_eq!(changes.remove_headers, ["gone"]);
        let mut set: Vec<String> = changes
            .set_headers
            .iter()
            .map(|set| {
                let header = set.header.as_ref().unwrap();
                format!("{}={} {}", header.key, String::from_utf8_lossy(&header.raw_value), set.append_action)
            })
            .collect();
        set.sort();
        assert_eq!(set, ["many=1 2", "many=3 0", "new=1 2", "other=2 2"]);
    }
}
