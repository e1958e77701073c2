//! `steadfast health`: asks a running gateway whether it is ready, for health checks of containers without a shell. Knows the admin
//! port's `/readyz` and nothing of the gateway inside.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::{NO, output};

/// Longer than a ready gateway ever takes, shorter than the time-outs of those who ask.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of the answer that is read: a handful of checks.
const ANSWER: usize = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  steadfast health
  steadfast health --admin http://127.0.0.1:9464
  HEALTHCHECK CMD [\"/usr/local/bin/steadfast\", \"health\"]

Exit status:
  0  ready
  1  not ready, or nothing answers there
  2  it could not ask";

/// Arguments of `health`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Health {
    /// The gateway's admin address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    admin: String,
}

impl Health {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = ready_page(&self.admin)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(page)).await }) {
            Ok(Ok((ready, text))) => {
                let mut out = output::results();
                writeln!(out, "{text}")?;
                out.flush()?;
                Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(NO) })
            }
            Ok(Err(error)) => {
                output::say(format!("steadfast: {}: {error:#}", self.admin));
                Ok(ExitCode::from(NO))
            }
            Err(_) => {
                output::say(format!("steadfast: {}: no answer within {} s", self.admin, PATIENCE.as_secs()));
                Ok(ExitCode::from(NO))
            }
        }
    }
}

/// The page to ask for. Takes the address with or without `http://`.
fn ready_page(admin: &str) -> anyhow::Result<Uri> {
    let whole = if admin.contains("://") { admin.to_owned() } else { format!("http://{admin}") };
    let wanted = || format!("--admin {admin}: not an address; give one such as http://127.0.0.1:9464");
    let uri: Uri = whole.parse().with_context(wanted)?;
    if uri.scheme_str() != Some("http") {
        bail!("--admin {admin}: must begin with http://, since the admin port has no TLS");
    }
    format!("http://{}/readyz", uri.authority().with_context(wanted)?).parse().with_context(wanted)
}

/// Whether it is ready, and what it says of its checks, a line.
async fn ask(page: Uri) -> anyhow::Result<(bool, String)> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.get(page).await.context("nothing answers there; is the gateway running, and is this server.admin?")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    let page: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(ready) = page["ready"].as_bool() else {
        bail!("status {status}, and no answer of a gateway's /readyz; is this server.admin?");
    };
    Ok((ready && status.is_success(), shown(ready, &page)))
}

fn shown(ready: bool, page: &Value) -> String {
    let checks = page["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = checks.iter().map(|check| {
        let sign = if check["ok"] == true { "" } else { "not good: " };
        format!("{}: {sign}{}", check["name"].as_str().unwrap_or("?"), check["detail"].as_str().unwrap_or_default())
    });
    let parts: Vec<String> = parts.collect();
    format!("{}; {}", if ready { "ready" } else { "not ready" }, parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_scheme_and_path() {
        for given in ["http://127.0.0.1:9464", "127.0.0.1:9464", "http://127.0.0.1:9464/", "http://127.0.0.1:9464/metrics"] {
            assert_eq!(ready_page(given).unwrap(), "http://127.0.0.1:9464/readyz", "{given}");
        }
        assert_eq!(ready_page("http://[::1]:9464").unwrap(), "http://[::1]:9464/readyz");
        for wrong in ["https://127.0.0.1:9464", "http://", "a b", ""] {
            assert!(ready_page(wrong).unwrap_err().to_string().starts_with(&format!("--admin {wrong}: ")), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_good_is_said() {
        let page = serde_json::json!({"ready": false, "checks": [
            {"name": "classifier", "ok": false, "detail": "warming up"}, {"name": "config", "ok": true, "detail": "good"}]});
        assert_eq!(shown(false, &page), "not ready; classifier: not good: warming up; config: good");
    }
}
