//! The guard as a `tower::Layer`: inside an axum router, and on a plain hyper-util client, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use steadfast::guard::events::{Observe, RetryOutcome, Subject};
use steadfast::guard::{GuardLayer, Snapshot};
use steadfast::infer::{BoxFuture, Job, ScoreError, Scored, Scorer, Stage};
use steadfast::policy::{Calibration, Policy};
use steadfast::score::{Label, Score, Scores, Source};

const POLICY: &str = r#"
name = "test"

[[rule]]
name = "hate"
labels = ["hate"]
at_least = 0.5
action = "block"

[[rule]]
name = "despair"
labels = ["despair"]
at_least = 0.5
action = "retry"
retry = { attempts = 2, temperature = 0.3, then = "block" }

[[rule]]
name = "hijack"
labels = ["topic_hijack"]
at_least = 0.5
action = "flag"

[block]
message = "I can't continue with that answer."
"#;

/// Scores by words, so that a test says in its text what the classifier would think.
struct Words;

impl Scorer for Words {
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if job.text.contains("ERR") {
                return Err(ScoreError::Failed("as told".into()));
            }
            let mut scores = Scores::ZERO;
            for (word, label) in [("HATE", Label::Hate), ("DESPAIR", Label::Despair), ("HIJACK", Label::TopicHijack)] {
                if job.text.contains(word) {
                    scores.raise(label, Score::ONE, Source::Model);
                }
            }
            Ok(Scored { scores, stage: Stage::Second, cached: false, queued: Duration::ZERO, computed: Duration::ZERO })
        })
    }
}

fn layer(policy: &str) -> GuardLayer {
    let policy =
        Policy::parse(policy, Some("test.toml"), &Calibration::new(|_| None)).unwrap_or_else(|problems| panic!("{problems:?}"));
    GuardLayer::new(Snapshot::new(policy).with_scorer(Arc::new(Words)))
}

fn completion(said: &str) -> String {
    json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]})
    .to_string()
}

fn chunks(words: &[&str]) -> String {
    let mut body = String::new();
    let chunk = |delta: Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        format!(
            "data: {}\n\n",
            json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices})
        )
    };
    body += &chunk(json!({"role": "assistant", "content": ""}), Value::Null);
    for word in words {
        body += &chunk(json!({"content": word}), Value::Null);
    }
    body + &chunk(json!({}), json!("stop")) + "data: [DONE]\n\n"
}

/// A model that says these things, one a call, the last again and again. Counts its calls; keeps the request bodies.
#[derive(Clone)]
struct Model {
    says: Arc<Vec<String>>,
    calls: Arc<AtomicUsize>,
    asked: Arc<std::sync::Mutex<Vec<Value>>>,
}

impl Model {
    fn new(says: &[&str]) -> Self {
        Model {
            says: Arc::new(says.iter().map(|said| (*said).to_owned()).collect()),
            calls: Arc::default(),
            asked: Arc::default(),
        }
    }

    fn router(&self) -> Router {
        let model = self.clone();
        Router::new().route(
            "/v1/chat/completions",
            post(move |body: Bytes| async move {
                let call = model.calls.fetch_add(1, Ordering::SeqCst);
                model.asked.lock().unwrap().push(serde_json::from_slice(&body).unwrap_or_default());
                let said = model.says[call.min(model.says.len() - 1)].clone();
                let kind = if said.starts_with("data:") { "text/event-stream" } else { "application/json" };
                ([("content-type", kind)], said).into_response()
            }),
        )
    }
}

fn question(stream: bool) -> Request<Body> {
    let body = json!({"model": "m", "stream": stream, "temperature": 1.0, "messages": [{"role": "user", "content": "hello"}]});
    Request::post("/v1/chat/completions").header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
}

async fn ask(app: Router, request: Request<Body>) -> (http::response::Parts, String) {
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn an_allowed_answer_passes_byte_for_byte() {
    for said in [completion("All is well."), chunks(&["All ", "is ", "well."])] {
        let model = Model::new(&[&said]);
        let (parts, body) = ask(model.router().layer(layer(POLICY)), question(said.starts_with("data"))).await;
        assert_eq!((parts.status.as_u16(), &body), (200, &said));
        let word = if said.starts_with("data") { "streaming" } else { "allow" };
        assert_eq!(parts.headers["x-steadfast-verdict"], word);
        assert!(parts.headers.contains_key("x-steadfast-request-id"));
    }
}

#[tokio::test]
async fn a_bad_answer_is_replaced_in_its_own_format() {
    let model = Model::new(&[&completion("HATE speech")]);
    let (parts, body) = ask(model.router().layer(layer(POLICY)), question(false)).await;
    assert_eq!(parts.headers["x-steadfast-verdict"], "block");
    assert_eq!(parts.headers["x-steadfast-rule"], "hate");
    assert_eq!(parts.headers["x-steadfast-labels"], "hate=1.00");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(body["choices"][0]["message"]["content"], "I can't continue with that answer.");
}

#[tokio::test]
async fn a_late_collapse_is_cut_with_the_formats_own_ending() {
    let mut words = vec!["fine "; 40];
    words.extend(["HATE "; 20]);
    let model = Model::new(&[&chunks(&words)]);
    let (parts, body) = ask(model.router().layer(layer(POLICY)), question(true)).await;
    assert_eq!(parts.headers["x-steadfast-verdict"], "streaming");
    assert!(body.contains("fine ") && !body.contains("HATE"), "{body}");
    assert!(body.contains("\"finish_reason\":\"content_filter\""), "{body}");
    assert!(body.contains("data: [DONE]") && body.ends_with(": steadfast verdict=block rule=\"hate\"\n\n"), "{body}");
}

#[tokio::test]
async fn a_retry_asks_again_with_another_temperature_and_no_trace_of_the_first_answer() {
    let good = completion("Let us try once more.");
    let model = Model::new(&[&completion("DESPAIR"), &good]);
    let (parts, body) = ask(model.router().layer(layer(POLICY)), question(false)).await;
    assert_eq!(body, good);
    assert_eq!(parts.headers["x-steadfast-verdict"], "retry");
    assert_eq!(parts.headers["x-steadfast-rule"], "despair");
    assert_eq!(parts.headers["x-steadfast-attempts"], "2");
    let asked = model.asked.lock().unwrap();
    assert_eq!(
        (asked[0]["temperature"].as_f64(), asked[1]["temperature"].as_f64().map(|t| (t * 100.0).round())),
        (Some(1.0), Some(30.0))
    );
    assert_eq!(asked[0]["messages"], asked[1]["messages"]);
}

#[tokio::test]
async fn retries_end_and_then_the_rule_decides() {
    let model = Model::new(&[&completion("DESPAIR")]);
    let (parts, _) = ask(model.router().layer(layer(POLICY)), question(false)).await;
    assert_eq!(parts.headers["x-steadfast-verdict"], "block");
    assert_eq!(parts.headers["x-steadfast-attempts"], "3");
    assert_eq!(model.calls.load(Ordering::SeqCst), 3);
}

#[derive(Default)]
struct Retries(std::sync::Mutex<Vec<RetryOutcome>>);

impl Observe for Retries {
    fn on_retry(&self, _: &Subject, outcome: RetryOutcome) {
        self.0.lock().unwrap().push(outcome);
    }
}

/// The operator who wonders why a stream was cut and not retried finds the answer in `retries_total`.
#[tokio::test]
async fn a_retry_that_comes_too_late_is_told() {
    let mut words = vec!["fine "; 40];
    words.extend(["DESPAIR "; 20]);
    let (first, rest) = {
        let body = chunks(&words);
        let at = body.len() / 2;
        (body[..at].to_owned(), body[at..].to_owned())
    };
    let router = Router::new().route(
        "/v1/chat/completions",
        post(move || async move {
            // The second half comes when the first has left.
            let halves = futures_util::stream::unfold(vec![rest, first], |mut halves| async move {
                let half = halves.pop()?;
                tokio::time::sleep(Duration::from_millis(if halves.is_empty() { 400 } else { 0 })).await;
                Some((Ok::<_, std::convert::Infallible>(half), halves))
            });
            ([("content-type", "text/event-stream")], Body::from_stream(halves)).into_response()
        }),
    );
    let retries = Arc::new(Retries::default());
    let policy =
        Policy::parse(POLICY, Some("test.toml"), &Calibration::new(|_| None)).unwrap_or_else(|problems| panic!("{problems:?}"));
    let guard = GuardLayer::new(Snapshot::new(policy).with_scorer(Arc::new(Words)).with_observer(retries.clone()));
    let (_, body) = ask(router.layer(guard), question(true)).await;
    assert!(body.contains("fine ") && body.contains("content_filter") && !body.contains("DESPAIR"), "{body}");
    assert_eq!(*retries.0.lock().unwrap(), [RetryOutcome::Committed]);
}

#[tokio::test]
async fn a_flag_changes_headers_only() {
    let said = completion("HIJACK");
    let (parts, body) = ask(Model::new(&[&said]).router().layer(layer(POLICY)), question(false)).await;
    assert_eq!(body, said);
    assert_eq!(parts.headers["x-steadfast-verdict"], "flag");
}

#[tokio::test]
async fn a_failing_classifier_follows_on_error() {
    let said = completion("ERR");
    let (parts, body) = ask(Model::new(&[&said]).router().layer(layer(POLICY)), question(false)).await;
    assert_eq!(
        (parts.headers["x-steadfast-verdict"].to_str().unwrap(), parts.headers["x-steadfast-rule"].to_str().unwrap()),
        ("block", "on_error")
    );
    assert!(!body.contains("ERR"));
    let open = POLICY.replace("name = \"test\"", "name = \"test\"\non_error = \"allow\"");
    let (parts, body) = ask(Model::new(&[&said]).router().layer(layer(&open)), question(false)).await;
    assert_eq!((parts.headers["x-steadfast-verdict"].to_str().unwrap(), body), ("unscored", said));
}

#[tokio::test]
async fn shadow_changes_nothing() {
    let shadow = POLICY.replace("name = \"test\"", "name = \"test\"\nmode = \"shadow\"");
    let said = completion("HATE");
    let (parts, body) = ask(Model::new(&[&said]).router().layer(layer(&shadow)), question(false)).await;
    assert_eq!(body, said);
    assert!(!parts.headers.contains_key("x-steadfast-verdict"));
}

#[tokio::test]
async fn a_swapped_snapshot_counts_from_the_next_exchange() {
    let guard = layer(POLICY);
    let said = completion("HATE");
    let app = Model::new(&[&said]).router().layer(guard.clone());
    assert_ne!(ask(app.clone(), question(false)).await.1, said);
    let calm = Policy::parse(
        "name = \"calm\"\n[[rule]]\nname = \"r\"\npatterns = ['zzz']\naction = \"flag\"",
        Some("calm.toml"),
        &Calibration::new(|_| None),
    )
    .unwrap();
    guard.swap(Snapshot::new(calm));
    assert_eq!(ask(app, question(false)).await.1, said);
}

async fn served(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

#[tokio::test]
async fn the_layer_wraps_a_plain_hyper_client() {
    let good = completion("Better.");
    let addr = served(Model::new(&[&completion("DESPAIR"), &good]).router()).await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let guarded = layer(POLICY).layer(client);
    let request = Request::post(format!("http://{addr}/v1/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).to_string())))
        .unwrap();
    let response: Response<_> = guarded.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-steadfast-verdict"], "retry");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), good);
}
