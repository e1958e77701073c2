//! Who may call: keys that clients must show. Compared in constant time, by digest; never logged, never sent upstream.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::config::Secret;

/// Where clients show their key, in the order they are asked. The first is ours alone, for callers whose other headers hold the
/// provider's key.
const HEADERS: [HeaderName; 5] = [
    HeaderName::from_static("x-steadfast-key"),
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The keys of those who may call.
#[derive(Clone)]
pub struct ClientKeys {
    digests: Vec<[u8; 32]>,
}

impl ClientKeys {
    /// Keys separated by commas or white space.
    #[must_use]
    pub fn new(keys: &Secret) -> Self {
        let keys = keys.expose().split(|c: char| c == ',' || c.is_whitespace()).filter(|key| !key.is_empty());
        ClientKeys { digests: keys.map(|key| Sha256::digest(key).into()).collect() }
    }

    /// Whether a request shows one of the keys. The header that does is removed: it is for this gateway and nobody else.
    #[must_use]
    pub fn admit(&self, headers: &mut HeaderMap) -> bool {
        let shown = HEADERS.into_iter().find(|name| headers.get(name).is_some_and(|value| self.knows(name, value)));
        match shown {
            Some(name) => {
                headers.remove(name);
                true
            }
            None => false,
        }
    }

    fn knows(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        let mut key = value.as_bytes();
        if *name == AUTHORIZATION {
            let Some((scheme, rest)) = key.split_at_checked(7) else { return false };
            if !scheme.eq_ignore_ascii_case(b"bearer ") {
                return false;
            }
            key = rest.trim_ascii();
        }
        let digest: [u8; 32] = Sha256::digest(key).into();
        let known = self.digests.iter().fold(Choice::from(0), |known, other| known | other.ct_eq(&digest));
        known.into()
    }
}

impl std::fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientKeys({})", self.digests.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSource;

    fn admits(name: &'static str, value: &str) -> bool {
        let keys = ClientKeys::new(&Secret::new(SecretSource::Env("K".into()), "alpha, beta\ngamma,,".into()));
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let admitted = keys.admit(&mut headers);
        assert_eq!(headers.is_empty(), admitted, "a key that was used goes no further, another header does");
        admitted
    }

    #[test]
    fn keys_are_taken_where_clients_put_them() {
        assert!(admits("authorization", "Bearer alpha"));
        assert!(admits("authorization", "bearer  beta"));
        assert!(admits("x-api-key", "gamma"));
        assert!(admits("x-steadfast-key", "alpha"));
        assert!(admits("x-goog-api-key", "alpha"));
        assert!(!admits("authorization", "alpha"));
        assert!(!admits("authorization", "Basic alpha"));
        assert!(!admits("x-api-key", "alph"));
        assert!(!admits("x-api-key", ""));
        assert!(!admits("cookie", "alpha"));
    }
}
