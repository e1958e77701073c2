//! A verdict for an exchange that was recorded: what the gateway would have said about it. The request is recognised, the answer decoded,
//! framed, read and judged as in traffic; nothing is cut short and no upstream is asked.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};

use super::assess::{Assessment, Judged, assessment, drive};
use super::events::{Excerpt, SessionTurn};
use super::follow::{Follow, Judged as Turned, told};
use super::report::excerpt;
use super::snapshot::Snapshot;
use crate::decode::{self, DecodeError, Encoding};
use crate::dialect::{Api, Exchange, Recognised, RequestHead};
use crate::policy::SessionFacts;
use crate::text::Str;
use crate::verdict::{Action, Unscored};

/// A request and the answer that came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request's method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Its query.
    pub query: Option<String>,
    /// Its headers.
    pub request_headers: HeaderMap,
    /// Its body.
    pub request: Bytes,
    /// The answer's status.
    pub status: StatusCode,
    /// Its headers.
    pub response_headers: HeaderMap,
    /// Its body, coded as `content-encoding` says.
    pub response: Bytes,
}

/// What the gateway would have said of it.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The wire format, where one is known.
    pub api: Option<Api>,
    /// The model asked for.
    pub model: Option<Str>,
    /// What would have become of the answer.
    pub fate: Fate,
    /// The text that caused the verdict.
    pub excerpt: Excerpt,
    /// Its conversation, where the snapshot follows them: its name, and what this turn did to it.
    pub session: Option<(Str, SessionTurn)>,
}

/// What would have become of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It would have been judged, like this.
    Judged(Box<Assessment>),
    /// An endpoint without text: it passes.
    Textless,
    /// An answer with this status, which is not a success: it passes.
    Failed(StatusCode),
    /// No wire format knows the request: `on_unknown` decides.
    Unknown,
}

/// Judges a recorded exchange with a route's policy, persona and classifier. `api`: the wire format, where the request does not say it.
pub async fn rejudge(snapshot: &Snapshot, recorded: &Recorded, api: Option<Api>) -> Replayed {
    let head = RequestHead {
        method: &recorded.method,
        path: &recorded.path,
        query: recorded.query.as_deref(),
        headers: &recorded.request_headers,
    };
    let mut replayed = Replayed { api: None, model: None, fate: Fate::Unknown, excerpt: Excerpt::default(), session: None };
    let found = match api.or(snapshot.api) {
        Some(api) => snapshot.dialects.recognise_as(api, &head),
        None => snapshot.dialects.recognise(&head),
    };
    let Some((dialect, recognised)) = found else { return replayed };
    replayed.api = Some(dialect.api());
    let exchange = dialect.read_request(&head, &recorded.request).unwrap_or_else(|_| Exchange::unknown(dialect.api()));
    replayed.model = exchange.model.clone();
    if recognised == Recognised::Textless {
        replayed.fate = Fate::Textless;
        return replayed;
    }
    if !recorded.status.is_success() {
        replayed.fate = Fate::Failed(recorded.status);
        return replayed;
    }
    let text = |name| recorded.response_headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let encodings = recorded.response_headers.get_all(CONTENT_ENCODING);
    let body = match Encoding::from_headers(encodings.iter().map(http::HeaderValue::as_bytes)) {
        None => Ok(recorded.response.clone()),
        Some(encoding) => {
            decode::whole(encoding, std::slice::from_ref(&recorded.response), snapshot.limits.held).map_err(|error| match error {
                DecodeError::TooLarge(_) => Unscored::TooLarge,
                DecodeError::Malformed(_) => Unscored::Unreadable,
            })
        }
    };
    let follow = follow(snapshot, recorded, &exchange).await;
    let session = match &follow {
        Some(follow) => follow.facts(snapshot.drift_limit),
        None => SessionFacts { limit: snapshot.drift_limit, ..SessionFacts::default() },
    };
    let judged =
        Judged { dialect: dialect.clone(), exchange: exchange.into(), session, content_type: text(CONTENT_TYPE).map(Str::from) };
    let (inspector, verdict) = drive(snapshot, judged, body).await;
    replayed.excerpt = excerpt(&inspector, &verdict);
    if let Some(mut follow) = follow {
        let answers = told(&inspector);
        let turn = Turned {
            scores: &verdict.scores,
            signals: &verdict.signals,
            measured: inspector.unscored().is_empty() && inspector.windows_cut() > 0,
            flagged: verdict.action > Action::Allow,
            rule: verdict.cause.rule(),
            id: inspector.facts().id.as_deref(),
        };
        follow.record(&turn, answers.iter().map(String::as_str));
        let after = std::future::poll_fn(|cx| follow.poll(cx)).await.map(|conversation| conversation.state);
        replayed.session = Some((follow.name().clone(), SessionTurn { before: session, after }));
    }
    replayed.fate = Fate::Judged(Box::new(assessment(&inspector, verdict)));
    replayed
}

/// The conversation that a recorded request belongs to.
async fn follow(snapshot: &Snapshot, recorded: &Recorded, exchange: &Exchange) -> Option<Follow> {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.headers = recorded.request_headers.clone();
    // The names of conversations that are known by what was said need only differ.
    let id = Str::from(ulid::Ulid::new().to_string());
    Follow::begin(snapshot, &head, &recorded.request, exchange, &id).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Calibration, Policy};
    use crate::verdict::Action;

    fn snapshot() -> Snapshot {
        let text = "[[rule]]\nname = \"words\"\npatterns = [\"nightfall\"]\naction = \"block\"\n";
        Snapshot::new(Policy::parse(text, None, &Calibration::NONE).unwrap())
    }

    fn recorded(path: &str, response: &str) -> Recorded {
        Recorded {
            method: Method::POST,
            path: path.to_owned(),
            query: None,
            request_headers: HeaderMap::new(),
            request: Bytes::from_static(b"{\"model\":\"m\",\"messages\":[]}"),
            status: StatusCode::OK,
            response_headers: HeaderMap::new(),
            response: Bytes::copy_from_slice(response.as_bytes()),
        }
    }

    const CHAT: &str = "/v1/chat/completions";

    async fn assessed(recorded: &Recorded) -> (Replayed, Assessment) {
        let replayed = rejudge(&snapshot(), recorded, None).await;
        match replayed.fate.clone() {
            Fate::Judged(assessment) => (replayed, *assessment),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_in_its_own_format_and_judged() {
        let json = r#"{"choices":[{"index":0,"message":{"content":"the plan is nightfall, then"}}]}"#;
        let (replayed, assessment) = assessed(&recorded(CHAT, json)).await;
        assert_eq!((replayed.api, replayed.model.as_deref()), (Some(Api::OpenAiChat), Some("m")));
        assert_eq!((assessment.verdict.action, assessment.onset_token), (Action::Block, Some(3)));
        assert_eq!((replayed.excerpt.matched.as_str(), replayed.excerpt.before.as_str()), ("nightfall", "the plan is "));
        let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"night\"}}]}\n\n\
                      data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"fall\"}}]}\n\ndata: [DONE]\n\n";
        let (_, assessment) = assessed(&recorded(CHAT, stream)).await;
        assert_eq!(assessment.verdict.action, Action::Block, "a match across events");
    }

    #[tokio::test]
    async fn a_coded_answer_is_decoded_and_a_broken_one_is_unscored() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(br#"{"choices":[{"index":0,"message":{"content":"nightfall"}}]}"#).unwrap();
        let mut coded = recorded(CHAT, "");
        coded.response = encoder.finish().unwrap().into();
        coded.response_headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(assessed(&coded).await.1.verdict.action, Action::Block);
        coded.response = Bytes::from_static(b"no gzip");
        assert_eq!(assessed(&coded).await.1.unscored, [Unscored::Unreadable]);
    }

    #[tokio::test]
    async fn what_is_not_judged_says_why() {
        let fate = async |recorded: Recorded| rejudge(&snapshot(), &recorded, None).await.fate;
        assert_eq!(fate(recorded("/v2/elsewhere", "")).await, Fate::Unknown);
        let failed = Recorded { status: StatusCode::TOO_MANY_REQUESTS, ..recorded(CHAT, "nightfall") };
        assert_eq!(fate(failed).await, Fate::Failed(StatusCode::TOO_MANY_REQUESTS));
        let named = rejudge(&snapshot(), &recorded("/v2/elsewhere", "{\"choices\":[]}"), Some(Api::OpenAiChat)).await;
        assert_eq!(named.api, Some(Api::OpenAiChat), "the caller may know the format");
    }
}
