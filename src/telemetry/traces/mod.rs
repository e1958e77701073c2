//! Traces: one span an exchange, under it one for each upstream call and each window scored. Knows no exporter: spans go into a bounded
//! queue, and what finds no place there is counted and forgotten. No span holds message text, matched text or a secret.
//!
//! Nothing is shared between those who make a trace's spans. The trace's id and the exchange's span id follow from the request id and the
//! caller's `traceparent`, so the proxy, the guard's watcher and the caller's log lines agree without a table of exchanges under way.

mod context;
mod exchange;
#[cfg(feature = "otel")]
mod export;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use super::dropped::SpanDropped;
use super::metrics::Metrics;
use crate::guard::events::{Observe, Outcome, Subject};
use crate::infer::Scored;
use crate::text::Str;

pub use context::{Context, TRACEPARENT};
#[cfg(feature = "otel")]
pub use export::{Exporter, StartError};
pub use span::{Event, Kind, Span, Value};

/// Spans that may wait for the exporter: some seconds of busy traffic, a few MiB.
pub const QUEUE: usize = 4096;

/// Makes spans of what the guard and the proxy tell.
pub struct Tracer {
    spans: mpsc::Sender<Span>,
    metrics: Arc<Metrics>,
    /// Numbers windows: their span ids must differ.
    windows: AtomicU64,
}

impl Tracer {
    /// A tracer, and where its spans come out. `metrics` counts those that found no place.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, queue: usize) -> (Self, mpsc::Receiver<Span>) {
        let (spans, receiver) = mpsc::channel(queue);
        (Tracer { spans, metrics, windows: AtomicU64::new(1) }, receiver)
    }

    /// The trace of an exchange that the proxy is about to run; `None` where its caller does not want it recorded.
    #[must_use]
    pub fn exchange(self: &Arc<Self>, request_id: &Str, headers: &HeaderMap) -> Option<Exchange> {
        let traceparent = headers.get(&TRACEPARENT).and_then(|value| value.to_str().ok());
        let context = Context::of(request_id, traceparent);
        context.sampled.then(|| Exchange { tracer: self.clone(), context, request_id: request_id.clone() })
    }

    fn send(&self, span: Span) {
        use mpsc::error::TrySendError;
        match self.spans.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.metrics.spans_dropped(SpanDropped::QueueFull, 1),
            Err(TrySendError::Closed(_)) => self.metrics.spans_dropped(SpanDropped::Closed, 1),
        }
    }
}

impl Observe for Tracer {
    fn on_window(&self, subject: &Subject, scored: &Scored) {
        let context = Context::of(&subject.request_id, subject.traceparent.as_deref());
        if context.sampled {
            // Numbers of upstream calls are small; windows begin far above them.
            let id = context::span_id(&subject.request_id, self.windows.fetch_add(1, Ordering::Relaxed) << 32);
            self.send(exchange::window(&context, id, subject, scored, SystemTime::now()));
        }
    }

    fn on_end(&self, outcome: &Outcome) {
        let context = Context::of(&outcome.subject.request_id, outcome.subject.traceparent.as_deref());
        if context.sampled {
            // As if it had been told at once: a span that began after its upstream calls would be no parent of theirs.
            self.send(exchange::exchange(&context, outcome, SystemTime::now() - outcome.ended.elapsed()));
        }
    }
}

/// An exchange whose upstream calls are traced.
#[derive(Clone)]
pub struct Exchange {
    tracer: Arc<Tracer>,
    context: Context,
    request_id: Str,
}

/// Which upstream call of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The guard's attempt, from 1.
    pub attempt: u32,
    /// Which of the route's upstreams, as one after another could not be reached, from 0.
    pub target: u32,
}

impl Exchange {
    /// A call begins.
    #[must_use]
    pub fn call(&self, number: Number, upstream: &Str) -> Call {
        let id = context::span_id(&self.request_id, u64::from(number.attempt) << 8 | u64::from(number.target.min(255)));
        Call { exchange: self.clone(), id, number, upstream: upstream.clone(), started: SystemTime::now() }
    }
}

/// An upstream call under way. Its span ends with [`Call::end`].
pub struct Call {
    exchange: Exchange,
    id: u64,
    number: Number,
    upstream: Str,
    started: SystemTime,
}

impl Call {
    /// What the upstream is told: this span is the parent of whatever it records.
    #[must_use]
    pub fn traceparent(&self) -> (HeaderName, HeaderValue) {
        (TRACEPARENT, self.exchange.context.header(self.id))
    }

    /// The call is over. `status`: `None` where no answer came.
    pub fn end(self, method: &http::Method, host: &str, status: Option<u16>, took: Duration) {
        let span = exchange::call(&self, method, host, status, self.started + took);
        self.exchange.tracer.send(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::samples;

    fn tracer(queue: usize) -> (Arc<Tracer>, mpsc::Receiver<Span>, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        let (tracer, spans) = Tracer::new(metrics.clone(), queue);
        (Arc::new(tracer), spans, metrics)
    }

    fn dropped(metrics: &Metrics) -> String {
        let page = metrics.page(crate::telemetry::Format::Text);
        let lines = page.lines().filter(|line| line.starts_with("steadfast_spans_dropped_total") && !line.ends_with(" 0"));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (tracer, mut spans, metrics) = tracer(2);
        for _ in 0..5 {
            tracer.on_end(&samples::allowed());
        }
        assert_eq!(dropped(&metrics), r#"steadfast_spans_dropped_total{reason="queue_full"} 3"#);
        assert!(spans.try_recv().is_ok() && spans.try_recv().is_ok() && spans.try_recv().is_err());
        drop(spans);
        tracer.on_end(&samples::allowed());
        assert!(dropped(&metrics).contains(r#"{reason="closed"} 1"#));
    }

    #[test]
    fn an_exchange_ended_when_it_ended_and_not_when_it_was_told() {
        let (tracer, mut spans, _) = tracer(9);
        let late = Duration::from_secs(5);
        let ended = std::time::Instant::now().checked_sub(late).expect("the machine runs for longer");
        tracer.on_end(&Outcome { ended, ..samples::allowed() });
        let span = spans.try_recv().unwrap();
        assert!(span.end <= SystemTime::now() - late);
        assert_eq!(span.end.duration_since(span.start).unwrap(), samples::allowed().total);
    }

    #[test]
    fn everyone_who_knows_the_request_comes_to_the_same_trace() {
        let (tracer, mut spans, _) = tracer(9);
        let mut outcome = samples::allowed();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        outcome.subject.traceparent = Some(parent.into());
        tracer.on_end(&outcome);
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(parent));
        let exchange = tracer.exchange(&outcome.subject.request_id, &headers).unwrap();
        let call = exchange.call(Number { attempt: 2, target: 0 }, &"main".into());
        let (_, told) = call.traceparent();
        call.end(&http::Method::POST, "api.example.com", Some(200), Duration::from_millis(5));
        let (whole, call) = (spans.try_recv().unwrap(), spans.try_recv().unwrap());
        assert_eq!(whole.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((whole.parent, whole.remote), (Some(0xb7ad_6b71_6920_3331), true));
        assert_eq!((call.trace, call.parent, call.remote), (whole.trace, Some(whole.id), false));
        assert_eq!(told, format!("00-{:032x}-{:016x}-01", call.trace, call.id));
    }

    #[test]
    fn what_the_caller_does_not_want_recorded_is_not() {
        let (tracer, mut spans, metrics) = tracer(9);
        let mut outcome = samples::allowed();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        outcome.subject.traceparent = Some(parent.into());
        tracer.on_end(&outcome);
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(parent));
        assert!(tracer.exchange(&outcome.subject.request_id, &headers).is_none());
        assert!(spans.try_recv().is_err());
        assert_eq!(dropped(&metrics), "");
    }
}
