//! The metrics page: what it holds after real exchanges, in both formats, and that its documentation is complete.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use http::Request;

use steadfast::admin::Access;
use steadfast::dialect::Api;
use steadfast::guard::Phase;
use steadfast::policy::Measures;
use steadfast::telemetry::catalogue::{self, Kind};

use crate::support::guarded::{Guarded, ask};

async fn page(guarded: &Guarded, accept: &str) -> (String, String) {
    let request = Request::get("/metrics").header("host", "steadfast.monitoring.svc:9464").header("accept", accept);
    let (parts, page) = ask(&guarded.admin, request.body(Body::empty()).unwrap()).await;
    assert_eq!(parts.status, 200);
    (parts.headers["content-type"].to_str().unwrap().to_owned(), page)
}

/// Every family has a sample: real exchanges where the guard feeds it, its handle where the proxy or a later part does.
async fn busy() -> Guarded {
    let guarded = Guarded::new("on_error = \"allow\"", Access::default());
    for said in ["Good day.", "HATE", "DESPAIR", "HIJACK", "CRASH", "Good night."] {
        guarded.say(said).await;
    }
    let metrics = &guarded.metrics;
    metrics.answered(steadfast::telemetry::metrics::NO_ROUTE, None, 404);
    metrics.answered("/", Some(Api::OpenAiChat), 503);
    metrics.upstream("model", Some(200), Duration::from_millis(700));
    metrics.upstream("model", None, Duration::from_secs(5));
    metrics.reloaded(true);
    metrics.reloaded(false);
    metrics.session_drift("/", 1.25);
    metrics.set_session_probe("memory", || 3);
    metrics.set_fleet_drift("/", 0.5);
    metrics.set_fleet_shift("/", "voice", 0.04);
    metrics.measured(
        "/",
        Measures { remind: true, fallback: true, ..Measures::NONE },
        Measures { remind: true, ..Measures::NONE },
    );
    metrics.set_circuit("/", Some(Phase::HalfOpen));
    metrics.set_calibration("Aria", 1_795_600_408);
    metrics.set_queue_probe(|| 2);
    guarded
}

#[tokio::test]
async fn every_family_is_named_before_it_has_values() {
    let guarded = Guarded::new("", Access::default());
    for accept in ["*/*", "application/openmetrics-text; version=1.0.0"] {
        let (kind, page) = page(&guarded, accept).await;
        for family in catalogue::ALL {
            let open = kind.starts_with("application/openmetrics-text");
            let name = family.full_name();
            let name = if open { name.trim_end_matches("_total") } else { &name };
            let types = page.matches(&format!("# TYPE {name} {}\n", family.kind.as_str())).count();
            assert_eq!(types, 1, "{accept}: {name}");
        }
    }
}

#[tokio::test]
async fn the_page_after_real_exchanges() {
    let guarded = busy().await;
    let (kind, page) = page(&guarded, "*/*").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    // Bucket lines are many and those of durations differ from run to run.
    let lines: Vec<&str> = page.lines().filter(|line| !line.contains("_bucket{") && !line.ends_with(" 0")).collect();
    insta::with_settings!({ filters => vec![(r"(?m)(_seconds_sum\S*) \S+$", "$1 [seconds]")] }, {
        insta::assert_snapshot!("metrics_page", lines.join("\n"));
    });
}

/// The samples of a page, names and labels and values, in a form that both formats share.
fn samples(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').unwrap().trim_end_matches(',');
            let labels: BTreeSet<String> = labels
                .split("\",")
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (label, value) = pair.strip_suffix('"').unwrap_or(pair).split_once("=\"").unwrap();
                    value.parse::<f64>().map_or_else(|_| format!("{label}={value}"), |number| format!("{label}={number}"))
                })
                .collect();
            format!("{name}{labels:?} {}", value.parse::<f64>().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn both_formats_say_the_same_and_openmetrics_is_well_formed() {
    let guarded = busy().await;
    let (_, text) = page(&guarded, "text/plain").await;
    let (kind, open) = page(&guarded, "application/openmetrics-text; version=1.0.0").await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.ends_with("\n# EOF\n") && open.matches("# EOF").count() == 1);
    assert_eq!(samples(&open), samples(&text));
    for line in open.lines().filter(|line| line.starts_with("# TYPE ") && line.ends_with(" counter")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(!name.ends_with("_total"), "a counter's family has no suffix: {line}");
        assert!(open.contains(&format!("\n{name}_total{{")), "its samples have: {name}");
    }
}

/// `promtool check metrics` is the referee: `STEADFAST_PROMTOOL=/usr/bin/promtool cargo test --test it -- --ignored promtool`.
#[tokio::test]
#[ignore = "needs promtool (Debian: package prometheus), its path in STEADFAST_PROMTOOL"]
async fn promtool_has_nothing_to_complain_of() {
    let promtool = std::env::var_os("STEADFAST_PROMTOOL").expect("STEADFAST_PROMTOOL is the path of promtool");
    let guarded = busy().await;
    let (_, text) = page(&guarded, "text/plain").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page"), text).unwrap();
    let stdin = std::fs::File::open(folder.path().join("page")).unwrap();
    let output = std::process::Command::new(promtool).args(["check", "metrics"]).stdin(stdin).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn every_family_is_documented_and_every_documented_family_is_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let documented: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `steadfast_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            format!("{} {} [{}]", cells[0].trim_end_matches('`'), cells[1], cells[2])
        })
        .collect();
    let known: BTreeSet<String> = catalogue::ALL
        .iter()
        .map(|family| format!("{} {} [{}]", family.name, family.kind.as_str(), family.labels.join(", ")))
        .collect();
    assert_eq!(documented, known, "docs/metrics.md and src/telemetry/catalogue.rs differ");

    // What the registry really holds: each family once it has a sample, with these labels and no others.
    let families = busy().await.metrics.gather();
    let held: BTreeSet<String> = families
        .iter()
        .map(|family| {
            let kind = format!("{:?}", family.get_field_type()).to_lowercase();
            let labels: BTreeSet<&str> = family.get_metric()[0].get_label().iter().map(|pair| pair.name()).collect();
            format!("{} {kind} {labels:?}", family.name())
        })
        .collect();
    let expected: BTreeSet<String> = catalogue::ALL
        .iter()
        .map(|family| {
            let labels: BTreeSet<&str> = family.labels.iter().copied().collect();
            format!("{} {} {labels:?}", family.full_name(), family.kind.as_str())
        })
        .collect();
    assert_eq!(held, expected);
    assert!(catalogue::ALL.iter().any(|family| matches!(family.kind, Kind::Histogram(_))));
}
