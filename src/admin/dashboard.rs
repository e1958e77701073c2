//! `/`: the dashboard, one HTML file with its script and style inside. It asks the API for everything, so it holds nothing of anybody.
//!
//! What it shows was written by a model, and by an attacker at worst: its script sets text with `textContent` only, and the policy
//! below lets run nothing but that script (a nonce, new for every response) and lets it talk to nobody but this server.

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

const PAGE: &str = include_str!("dashboard.html");

/// Where the nonce goes.
const NONCE: &str = "{{nonce}}";

pub(super) async fn page() -> Response {
    // Two ULIDs' 160 random bits, hashed so that the time in them does not show.
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&Ulid::new().to_bytes());
    seed[16..].copy_from_slice(&Ulid::new().to_bytes());
    let nonce: String = Sha256::digest(seed).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = Html(PAGE.replace(NONCE, &nonce)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_self_contained_and_sets_no_markup_from_text() {
        assert_eq!(PAGE.matches(NONCE).count(), 2, "one script, one style");
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "src=",
            "http://",
            "https://",
            " style=\"",
            " onclick",
        ] {
            assert!(!PAGE.contains(forbidden), "the dashboard must not use {forbidden}");
        }
    }
}
