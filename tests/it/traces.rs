//! Traces as an OTLP receiver gets them, over gRPC and HTTP: ids, parents, attributes, the verdict's event. And a receiver that is away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::{Client, Folder, Gateway, Script, Upstream, eventually};

const POLICY: &str = r#"
name = "test"
[[rule]]
name = "forbidden"
patterns = ["FORBIDDEN"]
action = "retry"
retry = { attempts = 1, then = "block" }
"#;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Received {
    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    fn resource(&self) -> Value {
        attributes(&self.0.lock().unwrap()[0].resource_spans[0].resource.as_ref().unwrap().attributes)
    }
}

/// A receiver of OTLP over both protocols; gives its address.
async fn receiver() -> (Received, String) {
    async fn http(State(received): State<Received>, body: Bytes) -> Response {
        received.0.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        ([("content-type", "application/x-protobuf")], ExportTraceServiceResponse::default().encode_to_vec()).into_response()
    }
    /// A unary gRPC call: one message of one byte (not compressed), four of length, and the bytes; the status follows in the trailers.
    async fn grpc(State(received): State<Received>, body: Bytes) -> Response {
        assert_eq!((body[0], u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize), (0, body.len() - 5));
        received.0.lock().unwrap().push(ExportTraceServiceRequest::decode(&body[5..]).unwrap());
        let trailers = http::HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), "0".parse().unwrap())]);
        let body = Full::new(BytesMut::zeroed(5).freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
        ([("content-type", "application/grpc")], Body::new(body)).into_response()
    }
    let received = Received::default();
    let router = Router::new()
        .route("/v1/traces", post(http))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(grpc))
        .with_state(received.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (received, url)
}

fn attributes(pairs: &[KeyValue]) -> Value {
    use any_value::Value as Any;
    fn plain(value: &Any) -> Value {
        match value {
            Any::StringValue(text) => json!(text),
            Any::IntValue(value) => json!(value),
            Any::DoubleValue(value) => json!(value),
            Any::BoolValue(value) => json!(value),
            Any::ArrayValue(values) => values.values.iter().filter_map(|value| value.value.as_ref()).map(plain).collect(),
            other => panic!("{other:?}"),
        }
    }
    let pair = |pair: &KeyValue| (pair.key.clone(), plain(pair.value.as_ref().unwrap().value.as_ref().unwrap()));
    Value::Object(pairs.iter().map(pair).collect())
}

fn chat(said: &str) -> Script {
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": said }, "finish_reason": "stop" });
    let usage = json!({ "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 });
    let answer = json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m-1-0801", "choices": [choice], "usage": usage });
    Script::json(200, &answer.to_string())
}

async fn ask(gateway: &Gateway) -> crate::support::Answer {
    let body = json!({ "model": "m-1", "messages": [{ "role": "user", "content": "the question" }] }).to_string();
    let headers = ["content-type: application/json", &format!("traceparent: {PARENT}")];
    Client::request(gateway.addr, "POST", "/v1/chat/completions", &headers, body).await
}

/// One exchange that is retried once, told to the receiver at `otlp`.
async fn an_exchange_is_told(received: Received, otlp: &str) {
    let upstream = Upstream::in_turn(vec![chat("This is FORBIDDEN indeed."), chat("All is well.")]).await;
    let classifier = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier");
    let more = format!("[classifier]\npath = \"{classifier}\"\nworkers = 1\n[telemetry]\notlp = \"{otlp}\"\n");
    let folder = Folder::before(&upstream.url(), &more);
    folder.write("policy.toml", POLICY);
    let gateway = Gateway::start(folder).await;
    let answer = ask(&gateway).await;
    assert_eq!((answer.status(), answer.header("x-steadfast-attempts").as_deref()), (200, Some("2")));
    let request_id = answer.header("x-steadfast-request-id").unwrap();
    gateway.stop().await;

    let spans = received.spans();
    let [exchange] = &spans.iter().filter(|span| span.kind == 2).collect::<Vec<_>>()[..] else { panic!("{spans:#?}") };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c"), "the caller's trace goes on");
    assert_eq!(hex(&exchange.parent_span_id), "b7ad6b7169203331");
    assert_eq!(exchange.name, "chat m-1");
    let told = attributes(&exchange.attributes);
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openai")),
        ("gen_ai.request.model", json!("m-1")),
        ("gen_ai.response.model", json!("m-1-0801")),
        ("gen_ai.response.id", json!("c1")),
        ("gen_ai.usage.input_tokens", json!(11)),
        ("gen_ai.usage.output_tokens", json!(7)),
        ("http.response.status_code", json!(200)),
        ("steadfast.request_id", json!(request_id)),
        ("steadfast.attempts", json!(2)),
        ("steadfast.verdict", json!("allow")),
    ] {
        assert_eq!(told[name], value, "{name} in {told}");
    }
    let events: Vec<Value> = exchange.events.iter().map(|event| attributes(&event.attributes)).collect();
    assert!(exchange.events.iter().all(|event| event.name == "gen_ai.evaluation.result"));
    let labels: Vec<&Value> = events.iter().map(|event| &event["gen_ai.evaluation.score.label"]).collect();
    assert_eq!(labels, ["retry", "allow"]);
    assert_eq!(events[0]["steadfast.rule"], "forbidden");

    // One span for each call, and the upstream was told of it.
    let mut calls: Vec<&Span> = spans.iter().filter(|span| span.kind == 3).collect();
    calls.sort_by_key(|span| span.start_time_unix_nano);
    let told: Vec<String> = upstream.seen().iter().map(|seen| seen.header("traceparent").unwrap()).collect();
    let of_spans: Vec<String> =
        calls.iter().map(|span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))).collect();
    assert_eq!(told, of_spans);
    for (call, attempt) in calls.iter().zip(1..) {
        assert_eq!(call.parent_span_id, exchange.span_id);
        let told = attributes(&call.attributes);
        assert_eq!((&told["steadfast.attempt"], &told["steadfast.upstream"]), (&json!(attempt), &json!("main")));
        assert_eq!((&told["http.response.status_code"], &told["server.address"]), (&json!(200), &json!("127.0.0.1")));
        assert!(
            exchange.start_time_unix_nano <= call.start_time_unix_nano && call.end_time_unix_nano <= exchange.end_time_unix_nano
        );
    }

    // The good answer's window was scored; the bad one's pattern needed no score.
    let windows: Vec<&Span> = spans.iter().filter(|span| span.name == "score window").collect();
    assert!(!windows.is_empty() && windows.iter().all(|window| window.parent_span_id == exchange.span_id), "{spans:#?}");
    let resource = received.resource();
    assert_eq!(
        (&resource["service.name"], &resource["service.version"]),
        (&json!("steadfast"), &json!(env!("CARGO_PKG_VERSION")))
    );
    let all = format!("{:?}", received.0.lock().unwrap());
    for text in ["FORBIDDEN", "All is well", "the question"] {
        assert!(!all.contains(text), "{text:?} left with the trace");
    }
}

#[tokio::test]
async fn over_grpc() {
    let (received, url) = receiver().await;
    an_exchange_is_told(received, &url).await;
}

#[tokio::test]
async fn over_http() {
    let (received, url) = receiver().await;
    an_exchange_is_told(received, &format!("{url}/v1/traces")).await;
}

#[tokio::test]
async fn each_window_of_an_answer_has_a_span() {
    let (received, url) = receiver().await;
    let said: Vec<String> = (0..20).map(|number| format!("Parcel {number} is on its way.")).collect();
    let upstream = Upstream::always(chat(&said.join(" "))).await;
    let classifier = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier");
    let more = format!("[classifier]\npath = \"{classifier}\"\nworkers = 1\n[telemetry]\notlp = \"{url}\"\n");
    let gateway = Gateway::before(&upstream.url(), &more).await;
    assert_eq!(ask(&gateway).await.status(), 200);
    gateway.stop().await;
    let spans = received.spans();
    let exchange = spans.iter().find(|span| span.kind == 2).expect("the exchange's span");
    let windows: Vec<&Span> = spans.iter().filter(|span| span.name == "score window").collect();
    assert_eq!(attributes(&exchange.attributes)["steadfast.windows"], windows.len(), "{spans:#?}");
    assert_eq!(windows.len(), 2, "{spans:#?}");
    assert!(windows.iter().all(|window| window.parent_span_id == exchange.span_id));
    assert_ne!(windows[0].span_id, windows[1].span_id);
}

#[tokio::test]
async fn spans_leave_while_the_gateway_runs_and_a_callers_wish_not_to_be_traced_is_kept() {
    let (received, url) = receiver().await;
    let upstream = Upstream::always(chat("All is well.")).await;
    let gateway = Gateway::before(&upstream.url(), &format!("[telemetry]\notlp = \"{url}\"\n")).await;
    let body = json!({ "model": "m-1", "messages": [] }).to_string();
    let unwanted = PARENT.replace("-01", "-00");
    let headers = ["content-type: application/json", &format!("traceparent: {unwanted}")];
    Client::request(gateway.addr, "POST", "/v1/chat/completions", &headers, &body).await;
    assert_eq!(upstream.seen()[0].header("traceparent"), Some(unwanted), "passed on as it came");
    let answer = Client::post(gateway.addr, "/v1/chat/completions", &body).await;
    eventually("a span comes", || !received.spans().is_empty()).await;
    let request_id: ulid::Ulid = answer.header("x-steadfast-request-id").unwrap().parse().unwrap();
    assert!(received.spans().iter().all(|span| span.trace_id == request_id.to_bytes()), "{:#?}", received.spans());
}

#[tokio::test]
async fn a_receiver_that_is_away_or_silent_holds_nobody_up_and_what_is_lost_is_counted() {
    // Nobody listens at the first; the second takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::always(chat("All is well.")).await;
    for url in ["http://127.0.0.1:1".to_owned(), format!("http://{}/v1/traces", silent.local_addr().unwrap())] {
        let gateway = Gateway::before(&upstream.url(), &format!("[telemetry]\notlp = \"{url}\"\n")).await;
        let asking = Instant::now();
        for _ in 0..20 {
            assert_eq!(ask(&gateway).await.status(), 200);
        }
        // Were one of them to wait for the receiver, it would be for a call's whole time limit.
        assert!(asking.elapsed() < Duration::from_secs(2), "{url}: {:?}", asking.elapsed());
        let metrics = gateway.parts().metrics.clone();
        let stopping = Instant::now();
        gateway.stop().await;
        assert!(stopping.elapsed() < Duration::from_secs(9), "the last spans have a time limit of their own");
        let page = metrics.page(steadfast::telemetry::Format::Text);
        // One span for each exchange and one for its call.
        assert!(page.contains("steadfast_spans_dropped_total{reason=\"export_failed\"} 40\n"), "{url}: {page}");
    }
}
