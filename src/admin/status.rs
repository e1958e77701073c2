//! `GET /api/status`: what is running and what it has done, for the dashboard. Counts are the metrics' own, summed over routes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use prometheus::proto::{Metric, MetricFamily};
use serde_json::{Value, json};

use super::{Admin, Route, health};
use crate::incidents::time::{rfc3339, unix_ms};
use crate::policy::{Mode, StreamMode};
use crate::telemetry::catalogue as family;

pub(super) async fn status(State(admin): State<Admin>) -> Json<Value> {
    let now = SystemTime::now();
    let checks = admin.gateway.checks();
    let classifier = admin
        .gateway
        .classifier()
        .map(|classifier| json!({ "name": classifier.name, "version": classifier.version, "runtime": classifier.runtime }));
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": rfc3339(unix_ms(now)),
        "started": rfc3339(unix_ms(admin.started)),
        "ready": health::ready(&checks),
        "checks": health::shown(&checks),
        "classifier": classifier,
        "routes": admin.gateway.routes().iter().map(route).collect::<Vec<_>>(),
        "incidents": admin.incidents.is_some(),
        "counts": counts(&admin.metrics.gather()),
    }))
}

fn route(route: &Route) -> Value {
    let policy = &route.snapshot.policy;
    json!({
        "route": &*route.snapshot.route,
        "upstream": route.upstream,
        "persona": route.snapshot.persona.as_ref().map(|persona| &*persona.name),
        "policy": &*policy.name,
        "mode": match policy.mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
        },
        "stream": match policy.stream {
            StreamMode::Hold => "hold",
            StreamMode::Buffer => "buffer",
            StreamMode::Observe => "observe",
        },
        "rules": policy.rules.iter().map(|rule| json!({ "name": &*rule.name, "action": rule.action.as_str() })).collect::<Vec<_>>(),
    })
}

fn counts(families: &[MetricFamily]) -> Value {
    let find = |family: &family::Family| -> &[Metric] {
        let name = family.full_name();
        families.iter().find(|found| found.name() == name).map_or(&[], MetricFamily::get_metric)
    };
    // Counts are whole; as JSON numbers they should look it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole and not negative")]
    let whole = |value: f64| value as u64;
    let counter = |metric: &Metric| whole(metric.get_counter().get_value());
    let total = |family: &family::Family| find(family).iter().map(counter).sum::<u64>();
    let gauge =
        |family: &family::Family| find(family).iter().map(|metric| whole(metric.get_gauge().get_value().max(0.0))).sum::<u64>();
    let by = |family: &family::Family, label: &str, only: &dyn Fn(&Metric) -> bool| {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for metric in find(family).iter().filter(|metric| only(metric)) {
            *sums.entry(value(metric, label).to_owned()).or_default() += counter(metric);
        }
        sums
    };
    let all = |_: &Metric| true;
    json!({
        "requests": by(&family::REQUESTS, "code", &all),
        "verdicts": by(&family::VERDICTS, "action", &|metric| value(metric, "mode") == "enforce"),
        "shadow": by(&family::VERDICTS, "action", &|metric| value(metric, "mode") == "shadow"),
        "unscored": by(&family::UNSCORED, "reason", &all),
        "labels": by(&family::LABEL_HITS, "label", &all),
        "retries": by(&family::RETRIES, "outcome", &all),
        "windows": total(&family::WINDOWS_SCORED),
        "incidents_dropped": by(&family::INCIDENTS_DROPPED, "reason", &all),
        "reloads": by(&family::POLICY_RELOADS, "result", &all),
        "in_flight": gauge(&family::IN_FLIGHT),
        "queue": gauge(&family::CLASSIFIER_QUEUE),
        "guard": histogram(find(&family::GUARD_DURATION)),
        "first_text": histogram(find(&family::FIRST_TEXT_AFTER)),
    })
}

/// A histogram summed over its series: `[[upper bound in seconds, observations at or below it], …]`, and how many there are in all.
fn histogram(metrics: &[Metric]) -> Value {
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    let mut count = 0;
    for metric in metrics {
        let histogram = metric.get_histogram();
        count += histogram.get_sample_count();
        for (index, bucket) in histogram.get_bucket().iter().enumerate() {
            match buckets.get_mut(index) {
                Some((_, sum)) => *sum += bucket.cumulative_count(),
                None => buckets.push((bucket.upper_bound(), bucket.cumulative_count())),
            }
        }
    }
    json!({ "count": count, "buckets": buckets })
}

fn value<'m>(metric: &'m Metric, label: &str) -> &'m str {
    metric.get_label().iter().find(|pair| pair.name() == label).map_or("", |pair| pair.value())
}
