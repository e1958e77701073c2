//! A guarded model in one process, with everything that watches it: metrics, incidents, the admin server. The model says what the
//! question tells it to, and the classifier thinks what the words say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use steadfast::admin::{Access, Admin, Check, Classifier, Gateway, Route};
use steadfast::document::Problem;
use steadfast::guard::events::Observers;
use steadfast::guard::{GuardLayer, Snapshot};
use steadfast::incidents::{Incidents, KeepText, Options};
use steadfast::infer::{BoxFuture, Job, ScoreError, Scored, Scorer, Stage};
use steadfast::policy::{Calibration, Policy};
use steadfast::score::{Label, Score, Scores, Source};
use steadfast::telemetry::Metrics;

/// The policy in force.
pub const POLICY: &str = r#"
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
retry = { attempts = 1, temperature = 0.3, then = "block" }

[[rule]]
name = "hijack"
labels = ["topic_hijack"]
at_least = 0.5
action = "flag"
"#;

struct Words;

impl Scorer for Words {
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        let mut scores = Scores::ZERO;
        let words = [("HATE", Label::Hate, 0.9375), ("DESPAIR", Label::Despair, 0.75), ("HIJACK", Label::TopicHijack, 0.625)];
        for (word, label, score) in words {
            if job.text.contains(word) {
                scores.raise(label, Score::new(score).unwrap(), Source::Model);
            }
        }
        let failed = job.text.contains("CRASH");
        let computed = Duration::from_millis(5);
        let scored = Scored { scores, stage: Stage::Second, cached: false, queued: Duration::ZERO, computed };
        Box::pin(async move { if failed { Err(ScoreError::Failed("as told".into())) } else { Ok(scored) } })
    }
}

/// The gateway as the admin server sees it.
pub struct Fixed {
    snapshot: Mutex<Arc<Snapshot>>,
    /// Whether the classifier is warm.
    pub warm: AtomicBool,
    /// What the next reload finds wrong.
    pub mistakes: Mutex<Vec<Problem>>,
}

fn read_policy(text: &str) -> Result<Policy, Vec<Problem>> {
    Policy::parse(text, None, &Calibration::new(|_| Some(0.5)))
}

impl Gateway for Fixed {
    fn checks(&self) -> Vec<Check> {
        let warm = self.warm.load(Ordering::SeqCst);
        vec![
            Check { name: "config", good: true, detail: "read".into() },
            Check { name: "classifier", good: warm, detail: if warm { "warm" } else { "warming up" }.into() },
        ]
    }

    fn classifier(&self) -> Option<Classifier> {
        Some(Classifier { name: "words".into(), version: "1".into(), runtime: "none".into() })
    }

    fn routes(&self) -> Vec<Route> {
        vec![Route { snapshot: self.snapshot.lock().unwrap().clone(), upstream: "model".into() }]
    }

    fn read_policy(&self, text: &str) -> Result<Policy, Vec<Problem>> {
        read_policy(text)
    }

    fn reload(&self) -> BoxFuture<Result<Vec<&'static str>, Vec<Problem>>> {
        let mistakes = self.mistakes.lock().unwrap().clone();
        Box::pin(async move { if mistakes.is_empty() { Ok(Vec::new()) } else { Err(mistakes) } })
    }

    fn config(&self) -> Value {
        json!({ "server": { "listen": "127.0.0.1:8080" }, "upstream": [{ "credential": { "env": "KEY" } }] })
    }
}

/// All of it.
pub struct Guarded {
    /// The guarded model.
    pub model: Router,
    /// The admin server.
    pub admin: Router,
    /// What the admin server asks.
    pub gateway: Arc<Fixed>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The incidents.
    pub incidents: Incidents,
    _folder: tempfile::TempDir,
}

impl Guarded {
    /// With [`POLICY`] after `settings` (lines of a policy file), and `access` to the admin API.
    pub fn new(settings: &str, access: Access) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new());
        metrics.set_build("0.0.0", "words 1", "none");
        let options =
            Options { path: folder.path().join("incidents.db"), text: KeepText::Excerpt, keep: Duration::from_secs(3600) };
        let counter = metrics.clone();
        let incidents = Incidents::open(options, move |reason| counter.incident_dropped(reason)).unwrap();
        let policy = read_policy(&format!("{settings}\n{POLICY}")).unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut snapshot = Snapshot::new(policy)
            .with_scorer(Arc::new(Words))
            .with_observer(Arc::new(Observers(vec![metrics.clone(), Arc::new(incidents.clone())])));
        snapshot.route = "/".into();
        let gateway = Arc::new(Fixed {
            snapshot: Mutex::new(Arc::new(snapshot.clone())),
            warm: AtomicBool::new(true),
            mistakes: Mutex::default(),
        });
        let admin = Admin {
            gateway: gateway.clone(),
            metrics: metrics.clone(),
            incidents: Some(incidents.clone()),
            access: Arc::new(access),
            started: SystemTime::now(),
        };
        let model = Router::new().route("/v1/chat/completions", post(answer)).layer(GuardLayer::new(snapshot));
        Guarded { model, admin: admin.router(), gateway, metrics, incidents, _folder: folder }
    }

    /// Has the model say `said`; on a second attempt it says `"All is well."`. Gives the response's headers and body.
    pub async fn say(&self, said: &str) -> (HeaderMap, String) {
        let body = json!({ "model": "m-1", "temperature": 1.0, "messages": [{ "role": "user", "content": said }] });
        let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
        let (parts, body) = ask(&self.model, request.body(Body::from(body.to_string())).unwrap()).await;
        self.incidents.flush().await.unwrap();
        (parts.headers, body)
    }

    /// `GET` from the admin server, by its address.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header("host", "127.0.0.1:9464").body(Body::empty()).unwrap();
        json_of(ask(&self.admin, request).await)
    }

    /// `POST` of JSON to the admin server, by its address.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::post(path).header("host", "127.0.0.1:9464").header("content-type", "application/json");
        json_of(ask(&self.admin, request.body(Body::from(body.to_string())).unwrap()).await)
    }
}

/// What the question says; after a retry (the temperature has been lowered) something better.
async fn answer(body: Bytes) -> impl IntoResponse {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let said = if asked["temperature"] == 0.3 { &json!("All is well.") } else { &asked["messages"][0]["content"] };
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": said }, "finish_reason": "stop" });
    let reply = json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m-1-0801", "system_fingerprint": "fp_7", "choices": [choice] });
    ([("content-type", "application/json")], reply.to_string())
}

/// One request to a router.
pub async fn ask(router: &Router, request: Request<Body>) -> (http::response::Parts, String) {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

fn json_of((parts, body): (http::response::Parts, String)) -> (StatusCode, Value) {
    (parts.status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("no JSON ({error}): {body}")))
}
