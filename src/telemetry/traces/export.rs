//! Sends spans to an OTLP receiver with OpenTelemetry's own exporter, in batches, on a task of its own. Knows no exchange: it is given
//! finished spans. A receiver that is away costs spans, which are counted, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::span::{Event, Kind, Span, Value};
use crate::config::Otlp;
use crate::telemetry::dropped::SpanDropped;
use crate::telemetry::metrics::Metrics;

/// Spans in one message.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// How long one message may take, its retries included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last spans may take when the program stops.
const LAST: Duration = Duration::from_secs(5);

/// The exporter cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// The running exporter.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Exports what comes out of `spans`. Nobody is asked before there is a span.
    ///
    /// # Errors
    /// Where the transport cannot be set up.
    pub fn start(otlp: &Otlp, spans: mpsc::Receiver<Span>, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        let mut exporter = exporter(otlp)?;
        exporter.set_resource(&resource());
        let (stop, stopped) = oneshot::channel();
        let worker = Worker { exporter, spans, metrics, failing: false, until: None };
        Ok(Exporter { stop, task: tokio::spawn(worker.run(stopped)) })
    }

    /// Sends what is waiting, within a few seconds, and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// The exporter for an address. Headers (a vendor's key, say) come from OpenTelemetry's own `OTEL_EXPORTER_OTLP_HEADERS`.
fn exporter(otlp: &Otlp) -> Result<SpanExporter, StartError> {
    let bad = |error: &dyn std::fmt::Display| StartError(error.to_string());
    match otlp {
        Otlp::Grpc(url) => {
            let mut builder = SpanExporter::builder().with_tonic().with_endpoint(url).with_timeout(TIMEOUT);
            if url.starts_with("https:") {
                builder = builder.with_tls_config(ClientTlsConfig::new().with_native_roots());
            }
            builder.build().map_err(|error| bad(&error))
        }
        Otlp::Http(url) => {
            let connector = hyper_rustls::HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|error| bad(&error))?
                .https_or_http()
                .enable_http1()
                .build();
            let client = opentelemetry_http::hyper::HyperClient::new(connector, TIMEOUT, None);
            let builder = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(url).with_timeout(TIMEOUT);
            builder.build().map_err(|error| bad(&error))
        }
    }
}

/// What sends: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before our own words.
fn resource() -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    let builder = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if named { builder.build() } else { builder.with_service_name("steadfast").build() }
}

struct Worker {
    exporter: SpanExporter,
    spans: mpsc::Receiver<Span>,
    metrics: Arc<Metrics>,
    /// Whether the last message failed: a receiver that is away is told of once.
    failing: bool,
    /// When stopping must be done.
    until: Option<Instant>,
}

impl Worker {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let mut ends = Instant::now() + Duration::from_secs(86_400);
            // Once stopping, nothing new comes in, so nothing is waited for: what is there goes out until the channel is empty.
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    biased;
                    _ = &mut stopped, if self.until.is_none() => {
                        self.until = Some(Instant::now() + LAST);
                        self.spans.close();
                    }
                    count = self.spans.recv_many(&mut batch, room) => {
                        if count == 0 {
                            self.send(&mut batch).await;
                            return;
                        }
                        if batch.len() == count {
                            ends = Instant::now() + GATHER;
                        }
                    }
                    () = tokio::time::sleep_until(ends), if !batch.is_empty() => break,
                }
            }
            self.send(&mut batch).await;
        }
    }

    async fn send(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len();
        let export = self.exporter.export(batch.drain(..).map(data).collect());
        let limit = self.until.unwrap_or_else(|| Instant::now() + TIMEOUT);
        let failure = match tokio::time::timeout_at(limit, export).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        match failure {
            None => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("traces are taken again (telemetry.otlp)");
                }
            }
            Some(error) => {
                self.metrics.spans_dropped(SpanDropped::ExportFailed, count as u64);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "traces cannot be sent (telemetry.otlp); they are dropped and counted until they can");
                }
            }
        }
    }
}

fn data(span: Span) -> SpanData {
    let trace = TraceId::from_bytes(span.trace.to_be_bytes());
    let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    let mut events = SpanEvents::default();
    events.events.extend(span.events.into_iter().map(|Event { name, time, attributes }| {
        opentelemetry::trace::Event::new(name, time, attributes.into_iter().map(key_value).collect(), 0)
    }));
    SpanData {
        span_context: SpanContext::new(trace, id(span.id), TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: span.parent.map_or(SpanId::INVALID, id),
        parent_span_is_remote: span.remote,
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        },
        name: span.name,
        start_time: span.start,
        end_time: span.end,
        attributes: span.attributes.into_iter().map(key_value).collect(),
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("steadfast").with_version(env!("CARGO_PKG_VERSION")).build(),
    }
}

fn key_value((name, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, StringValue::from(text)),
        Value::Int(value) => KeyValue::new(name, value),
        Value::Float(value) => KeyValue::new(name, value),
        Value::Bool(value) => KeyValue::new(name, value),
        Value::Texts(texts) => {
            KeyValue::new(name, opentelemetry::Value::Array(Array::String(texts.into_iter().map(StringValue::from).collect())))
        }
    }
}
