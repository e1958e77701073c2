//! The metrics page: Prometheus text 0.0.4 and OpenMetrics 1.0 of the same families, chosen by `Accept`. Knows no metric by name.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, TextEncoder};

/// A format of the metrics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4: what everything reads.
    Text,
    /// OpenMetrics 1.0: what Prometheus asks for first.
    OpenMetrics,
}

impl Format {
    /// The format a client prefers, by its `Accept` header: OpenMetrics where it is named and weighs no less than text, else text.
    /// An `Accept` that names neither gets text too: a person with a browser is better served by it than by a 406.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let (mut open, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let (mut quality, mut version) = (1.0_f32, None);
            for part in parts {
                match part.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value),
                    _ => {}
                }
            }
            if media.eq_ignore_ascii_case("application/openmetrics-text") && version.is_none_or(|version| version == "1.0.0") {
                open = open.max(quality);
            } else if media.eq_ignore_ascii_case("text/plain") {
                text = text.max(quality);
            }
        }
        if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::Text }
    }

    /// The page's `content-type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The page. `silent`: names, types and help of families that have no values yet, so that who reads the page knows that they are
    /// there.
    #[must_use]
    pub fn render<N: AsRef<str>>(
        self,
        families: &[MetricFamily],
        silent: impl IntoIterator<Item = (N, &'static str, &'static str)>,
    ) -> String {
        let mut page = String::with_capacity(16 * 1024);
        match self {
            Format::Text => text(families, &mut page),
            Format::OpenMetrics => open_metrics(families, &mut page),
        }
        for (name, kind, help) in silent {
            let name = name.as_ref();
            match self {
                Format::Text => {
                    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
                    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
                }
                Format::OpenMetrics => declare(&mut page, name, kind, help),
            }
        }
        if self == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }
}

fn text(families: &[MetricFamily], page: &mut String) {
    let mut bytes = Vec::with_capacity(page.capacity());
    match TextEncoder::new().encode(families, &mut bytes) {
        Ok(()) => page.push_str(&String::from_utf8_lossy(&bytes)),
        // Only a family without samples or a failing writer errs, and `gather` leaves the one out and a `Vec` is not the other.
        Err(error) => tracing::error!(%error, "the metrics page could not be written"),
    }
}

fn open_metrics(families: &[MetricFamily], page: &mut String) {
    for family in families {
        let kind = family.get_field_type();
        let word = match kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY => "summary",
            MetricType::UNTYPED => "unknown",
        };
        declare(page, family.name(), word, family.help());
        for metric in family.get_metric() {
            sample(page, of_family(family.name(), word), kind, metric);
        }
    }
}

/// In OpenMetrics a counter's family has no suffix; its sample has.
fn of_family<'n>(name: &'n str, kind: &str) -> &'n str {
    if kind == "counter" { name.strip_suffix("_total").unwrap_or(name) } else { name }
}

fn declare(page: &mut String, name: &str, kind: &str, help: &str) {
    let name = of_family(name, kind);
    let _ = writeln!(page, "# TYPE {name} {kind}");
    if name.ends_with("_seconds") {
        let _ = writeln!(page, "# UNIT {name} seconds");
    }
    let _ = writeln!(page, "# HELP {name} {}", escaped(help));
}

fn sample(page: &mut String, name: &str, kind: MetricType, metric: &Metric) {
    let labels = metric.get_label();
    match kind {
        MetricType::COUNTER => line(page, name, "_total", labels, None, &float(metric.get_counter().get_value())),
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let count = histogram.get_sample_count();
            for bucket in histogram.get_bucket() {
                let bound = float(bucket.upper_bound());
                line(page, name, "_bucket", labels, Some(&bound), &bucket.cumulative_count().to_string());
            }
            line(page, name, "_bucket", labels, Some("+Inf"), &count.to_string());
            line(page, name, "_sum", labels, None, &float(histogram.get_sample_sum()));
            line(page, name, "_count", labels, None, &count.to_string());
        }
        // The catalogue has no summaries.
        MetricType::GAUGE | MetricType::UNTYPED | MetricType::SUMMARY => {
            line(page, name, "", labels, None, &float(metric.get_gauge().get_value()));
        }
    }
}

fn line(page: &mut String, name: &str, suffix: &str, labels: &[LabelPair], bound: Option<&str>, value: &str) {
    page.push_str(name);
    page.push_str(suffix);
    let pairs = labels.iter().map(|label| (label.name(), label.value())).chain(bound.map(|bound| ("le", bound)));
    let mut separator = '{';
    for (label, value) in pairs {
        let _ = write!(page, "{separator}{label}=\"{}\"", escaped(value));
        separator = ',';
    }
    if separator == ',' {
        page.push('}');
    }
    page.push(' ');
    page.push_str(value);
    page.push('\n');
}

/// OpenMetrics escapes backslash, line feed and quote, in labels and help alike.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

/// A number in OpenMetrics' canonical form: `1.0`, not `1`, so that bucket bounds are the same series for every scraper.
fn float(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    #[test]
    fn scrapers_get_what_they_prefer() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::negotiate(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::negotiate(Some("application/openmetrics-text; version=1.0.0; charset=utf-8")), Format::OpenMetrics);
        for accept in [
            None,
            Some("*/*"),
            Some("text/html,application/xhtml+xml,*/*;q=0.8"),
            Some("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;version=1.0.0;q=0.5"),
            Some("application/openmetrics-text;version=0.0.1"),
            Some("application/openmetrics-text;q=0"),
            Some("application/openmetrics-text;q=rubbish"),
        ] {
            assert_eq!(Format::negotiate(accept), Format::Text, "{accept:?}");
        }
    }

    #[test]
    fn openmetrics_names_escapes_and_ends_as_it_should() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("x_total", "Says \"hi\"\nand \\."), &["rule"]).unwrap();
        let histogram = HistogramVec::new(HistogramOpts::new("y_seconds", "Y.").buckets(vec![0.5, 1.0]), &["route"]).unwrap();
        let gauge = IntGauge::new("z", "Z.").unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        registry.register(Box::new(histogram.clone())).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        counter.with_label_values(&["a \"b\" \\ c\nd"]).inc();
        histogram.with_label_values(&["/"]).observe(0.7);
        let silent = [("s_total", "counter", "None yet.")];
        assert!(Format::Text.render(&registry.gather(), silent).ends_with("# HELP s_total None yet.\n# TYPE s_total counter\n"));
        let page = Format::OpenMetrics.render(&registry.gather(), silent);
        insta::assert_snapshot!(page, @r#"
        # TYPE x counter
        # HELP x Says \"hi\"\nand \\.
        x_total{rule="a \"b\" \\ c\nd"} 1.0
        # TYPE y_seconds histogram
        # UNIT y_seconds seconds
        # HELP y_seconds Y.
        y_seconds_bucket{route="/",le="0.5"} 0
        y_seconds_bucket{route="/",le="1.0"} 1
        y_seconds_bucket{route="/",le="+Inf"} 1
        y_seconds_sum{route="/"} 0.7
        y_seconds_count{route="/"} 1
        # TYPE z gauge
        # HELP z Z.
        z 0.0
        # TYPE s counter
        # HELP s None yet.
        # EOF
        "#);
    }
}
