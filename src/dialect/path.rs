//! The path of a request as servers read it: decoded, without empty and dot segments, in lower case.
//!
//! Formats are told apart by the tail of the path. An upstream that decodes `%6d` or folds `//` would otherwise answer a request
//! that no format here knew, and so unjudged. A backslash is a slash to those that read paths as browsers do, and what follows a semicolon
//! in a segment is no part of its name to those that know matrix parameters. For telling apart only: what is forwarded stays as it came.
//! Knows no format.

use std::borrow::Cow;

use http::Method;
use smallvec::SmallVec;

/// A path as the functions here read it, with a slash before each segment. Borrowed where it is that already but for empty segments, as nearly
/// every path is: each format looks at it, so this is on the way of every request.
#[must_use]
pub fn canonical(path: &str) -> Cow<'_, str> {
    let mut before = b'/';
    let plain = path.bytes().all(|byte| {
        let dots = byte == b'.' && before == b'/';
        before = byte;
        !dots && !matches!(byte, b'%' | b'\\' | b';' | b'A'..=b'Z')
    });
    if plain { Cow::Borrowed(path) } else { Cow::Owned(segments(path).iter().flat_map(|segment| ["/", segment]).collect()) }
}

/// The segments of a [`canonical`] path.
#[must_use]
pub fn split(canonical: &str) -> SmallVec<[&str; 8]> {
    canonical.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// The segments of a path, percent-decoded, in lower case, without parameters, `.` and `..` resolved. An encoded slash counts as a slash.
#[must_use]
pub fn segments(path: &str) -> Vec<String> {
    let decoded = decode(path);
    let mut segments: Vec<String> = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name.to_ascii_lowercase()),
        }
    }
    segments
}

/// Whether a request of that method gets no answer with text wherever it goes. Of all others the upstream decides: there are servers
/// that do not look at the method.
#[must_use]
pub fn textless(method: &Method) -> bool {
    [Method::OPTIONS, Method::HEAD, Method::DELETE].contains(method)
}

/// The value of a query's parameter, undecoded; the last one where it is repeated.
#[must_use]
pub fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.rev().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Percent-decoding, lenient: a stray `%` stays, bytes that are no UTF-8 become U+FFFD.
#[must_use]
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match bytes[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_path_are_one() {
        let plain = segments("/v1/messages");
        for other in [
            "/v1//messages/",
            "/v1/./messages",
            "/v1/x/../messages",
            "/V1/Messages",
            "/v1/m%65ssages",
            "/v1%2fmessages",
            "../v1/messages",
            "/x/..\\v1\\messages",
            "/v1%5Cmessages",
            "/v1;a=b/messages;c",
            "/v1/x/..;/messages",
        ] {
            assert_eq!(segments(other), plain, "{other}");
            assert_eq!(split(&canonical(other))[..], plain, "{other}");
        }
        assert!(matches!(canonical("/v1//messages.json/"), Cow::Borrowed(_)), "an ordinary path is not copied");
        assert_ne!(segments("/v1/messages%20"), plain);
    }

    #[test]
    fn stray_escapes_stay() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%ff"), "\u{fffd}");
        assert_eq!(decode("%C3%A9"), "é");
    }

    #[test]
    fn the_last_of_repeated_parameters_counts() {
        assert_eq!(parameter(Some("stream=false&x&stream=true"), "stream"), Some("true"));
        assert_eq!(parameter(Some("x"), "x"), Some(""));
        assert_eq!(parameter(Some("stream2=1"), "stream"), None);
        assert_eq!(parameter(None, "stream"), None);
    }

    proptest! {
        #[test]
        fn decoding_is_total(text in any::<String>()) {
            let _ = segments(&text);
        }

        #[test]
        fn a_canonical_path_has_the_same_segments(path in "[/.;%2fFeaAé\\\\]{0,16}|\\PC{0,16}") {
            let canonical = canonical(&path);
            prop_assert_eq!(&split(&canonical)[..], segments(&path));
        }
    }
}
