//! What the client is told: statuses and headers. With the program's server this is the only place that knows status codes.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};

use super::body::GuardedBody;
use super::report::Report;
use crate::dialect::{ApiError, Dialect, Exchange, Facts, Refusal, Reply};
use crate::policy::Policy;
use crate::score::Label;
use crate::text::Str;
use crate::verdict::{Action, Cause, Verdict};

/// `x-steadfast-verdict`.
pub(super) const VERDICT: HeaderName = HeaderName::from_static("x-steadfast-verdict");
/// `x-steadfast-rule`.
const RULE: HeaderName = HeaderName::from_static("x-steadfast-rule");
/// `x-steadfast-labels`.
const LABELS: HeaderName = HeaderName::from_static("x-steadfast-labels");
/// `x-steadfast-attempts`.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-steadfast-attempts");
/// `x-steadfast-request-id`.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-steadfast-request-id");

/// Response extension: the inner service could not get an answer. The guard writes it in the caller's wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status (502, 504, 404, …).
    pub status: StatusCode,
    /// A machine-readable code: `upstream_unreachable`, `upstream_timeout`, …
    pub code: &'static str,
    /// A sentence for people, without anything secret.
    pub message: String,
}

/// Also an error of a body: the server's request body (too slow, incomplete) or the upstream's answer (silent for too long) may end
/// with one, and then the guard answers with it while nothing has left.
impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Failure {
    /// This failure in the caller's wire format, or as plain JSON where that is unknown.
    #[must_use]
    pub fn reply(&self, dialect: Option<&dyn Dialect>, request_id: &str) -> Reply {
        error(dialect, self.status, self.code, &self.message, request_id)
    }

    /// The failure that an error is or that caused it.
    #[must_use]
    pub fn find<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Failure> {
        std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
    }
}

/// An error in the caller's wire format, or as plain JSON where that is unknown.
pub(super) fn error(dialect: Option<&dyn Dialect>, status: StatusCode, code: &str, message: &str, request_id: &str) -> Reply {
    match dialect {
        Some(dialect) => dialect.error(&ApiError { status, code, message, request_id }),
        None => Reply {
            status,
            content_type: "application/json",
            body: Bytes::from(
                serde_json::json!({"error": {"message": message, "type": "steadfast_error", "code": code, "request_id": request_id}}).to_string(),
            ),
        },
    }
}

/// What a withheld answer is replaced by.
pub(super) fn refusal(
    dialect: &dyn Dialect,
    policy: &Policy,
    exchange: &Exchange,
    facts: &Facts,
    stream: bool,
    request_id: &str,
) -> Reply {
    match StatusCode::from_u16(policy.block.status) {
        Ok(status) if status.is_client_error() => {
            error(Some(dialect), status, "content_filter", &policy.block.message, request_id)
        }
        _ => dialect.refusal(&Refusal {
            exchange,
            facts,
            stream,
            message: &policy.block.message,
            request_id,
            now: super::unix_now(),
        }),
    }
}

/// A response of the gateway's own.
pub(super) fn own(reply: Reply, mut report: Box<Report>) -> Response<GuardedBody> {
    let mut response = Response::new(GuardedBody::full(Bytes::new()));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if reply.content_type.starts_with("text/event-stream") {
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    report.set_status(reply.status);
    report.decorate(headers);
    *response.body_mut() = GuardedBody::own(reply.body, report);
    response
}

/// The word for `x-steadfast-verdict` once an answer is judged.
pub(super) fn verdict_word(verdict: &Verdict, unscored: bool, retried: bool) -> &'static str {
    match verdict.action {
        Action::Block => "block",
        Action::Flag => "flag",
        Action::Reanchor => "reanchor",
        _ if unscored => "unscored",
        _ if retried => "retry",
        _ => "allow",
    }
}

/// Writes the verdict's headers. `reason`: the verdict whose rule and labels explain it (after a retry, the one retried).
pub(super) fn verdict_headers(headers: &mut HeaderMap, word: &'static str, reason: Option<&Verdict>, attempts: u32) {
    headers.insert(VERDICT, HeaderValue::from_static(word));
    if let Some(reason) = reason {
        if let Some(rule) = reason.rule.as_deref().and_then(header_text) {
            headers.insert(RULE, rule);
        }
        if let Some(labels) = labels_text(reason) {
            headers.insert(LABELS, labels);
        }
    }
    if attempts > 1 {
        headers.insert(ATTEMPTS, HeaderValue::from(attempts));
    }
}

/// The request id's header.
pub(super) fn request_id_header(headers: &mut HeaderMap, request_id: &Str) {
    // Nearly always a ULID, which needs no look at its characters.
    if let Some(value) = HeaderValue::from_str(request_id).ok().or_else(|| header_text(request_id)) {
        headers.insert(REQUEST_ID, value);
    }
}

/// `hate=0.97, hostility=0.41`: the labels that fired, or for a rule without labels the highest ones.
fn labels_text(verdict: &Verdict) -> Option<HeaderValue> {
    if !matches!(verdict.cause, Cause::Rule(_)) {
        return None;
    }
    let mut labels: Vec<(Label, f32)> = verdict.scores.iter().map(|(label, score, _)| (label, score.get())).collect();
    labels.retain(|(label, score)| verdict.labels.contains(label) || *score >= 0.1);
    labels.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut text = String::new();
    for (label, score) in labels {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let _ = write!(text, "{label}={score:.2}");
    }
    (!text.is_empty()).then(|| header_text(&text)).flatten()
}

/// A header value; characters that headers cannot carry become `?`.
fn header_text(text: &str) -> Option<HeaderValue> {
    let safe: String = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    HeaderValue::from_str(&safe).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Score, Source};

    #[test]
    fn headers_explain_a_block_without_quoting_anything() {
        let mut verdict = Verdict::allow();
        verdict.action = Action::Block;
        verdict.cause = Cause::Rule(0);
        verdict.rule = Some("hateful persönlichkeit\r\nx: y".into());
        verdict.labels = vec![Label::Hate];
        verdict.scores.raise(Label::Hate, Score::new(0.973).unwrap(), Source::Model);
        verdict.scores.raise(Label::Hostility, Score::new(0.41).unwrap(), Source::Model);
        verdict.scores.raise(Label::Despair, Score::new(0.01).unwrap(), Source::Model);
        verdict.evidence = Some("quoted".into());
        let mut headers = HeaderMap::new();
        verdict_headers(&mut headers, verdict_word(&verdict, false, false), Some(&verdict), 2);
        assert_eq!(headers["x-steadfast-verdict"], "block");
        assert_eq!(headers["x-steadfast-rule"], "hateful pers?nlichkeit??x: y");
        assert_eq!(headers["x-steadfast-labels"], "hate=0.97, hostility=0.41");
        assert_eq!(headers["x-steadfast-attempts"], "2");
    }
}
