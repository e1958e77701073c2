//! AWS request signatures (Signature Version 4): whether a request has one, and which headers it covers.
//!
//! What a signature covers is the client's to write: with a covered header, the path or the body changed the provider refuses the
//! request. Only reads what the request says of itself; knows no key and checks nothing.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

/// A request's signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The names of the headers it covers.
    headers: Vec<HeaderName>,
}

impl Signature {
    /// The signature in the request's headers or, where it was signed ahead for others to send, in its query.
    #[must_use]
    pub fn of(headers: &HeaderMap, query: Option<&str>) -> Option<Signature> {
        let header = headers.get(AUTHORIZATION).filter(|value| value.as_bytes().starts_with(b"AWS4-"));
        if let Some(value) = header {
            let text = value.to_str().unwrap_or_default();
            let covered = text.split([',', ' ']).find_map(|part| part.strip_prefix("SignedHeaders="));
            return Some(Signature::covering(covered.unwrap_or_default().split(';')));
        }
        let pairs = || query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs().find(|(name, _)| *name == "X-Amz-Signature")?;
        let covered = pairs().find(|(name, _)| *name == "X-Amz-SignedHeaders").map(|(_, names)| names.replace("%3b", "%3B"));
        Some(Signature::covering(covered.unwrap_or_default().split("%3B").flat_map(|part| part.split(';'))))
    }

    fn covering<'n>(names: impl Iterator<Item = &'n str>) -> Signature {
        Signature { headers: names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok()).collect() }
    }

    /// Whether it covers that header.
    #[must_use]
    pub fn covers(&self, name: &HeaderName) -> bool {
        self.headers.contains(name)
    }

    /// The headers it covers.
    #[must_use]
    pub fn headers(&self) -> &[HeaderName] {
        &self.headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT_ENCODING, HOST, HeaderValue};

    fn of(authorization: &str) -> Option<Signature> {
        let headers = [(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())].into_iter().collect();
        Signature::of(&headers, None)
    }

    #[test]
    fn says_what_it_covers() {
        let signature = of(
            "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=Accept-Encoding;host;x-amz-date, Signature=ab",
        )
        .unwrap();
        assert!(signature.covers(&ACCEPT_ENCODING) && signature.covers(&HOST) && !signature.covers(&AUTHORIZATION));
        assert_eq!(signature.headers().len(), 3);
        assert!(of("AWS4-HMAC-SHA256 Credential=x,SignedHeaders=host,Signature=y").unwrap().covers(&HOST));
        assert_eq!(of("AWS4-HMAC-SHA256 broken"), Some(Signature::default()), "signed all the same");
        assert_eq!(of("Bearer AWS4-"), None);
    }

    #[test]
    fn may_be_in_the_query() {
        let of = |query| Signature::of(&HeaderMap::new(), Some(query));
        assert!(of("X-Amz-SignedHeaders=host%3Baccept-encoding&X-Amz-Signature=0").unwrap().covers(&ACCEPT_ENCODING));
        assert!(of("X-Amz-SignedHeaders=host%3baccept-encoding&X-Amz-Signature=0").unwrap().covers(&HOST));
        assert_eq!(of("a=b&X-Amz-Signature=0"), Some(Signature::default()));
        assert_eq!(of("x=X-Amz-Signature="), None);
    }
}
