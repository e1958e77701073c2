//! The demo: the real gateway before a scripted model that collapses on cue, and what it let through. Everything runs in this process on
//! the loopback interface and ends by itself.

mod client;
mod scenes;
mod table;
mod upstream;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

pub use scenes::{SCENES, Scene, Wire};
pub use table::{Result as SceneResult, Style};
pub use upstream::Upstream;

use crate::guard::events::{Observe, Outcome};

/// Keeps what the guard tells, by request id.
#[derive(Debug, Default)]
pub struct Outcomes(Mutex<HashMap<String, Outcome>>);

impl Outcomes {
    /// The outcome of a request, once it is over.
    pub async fn wait(&self, request_id: &str) -> Option<Outcome> {
        // The body's end reaches the client a moment before it is told here.
        for _ in 0..200 {
            if let Some(outcome) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(request_id) {
                return Some(outcome);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }
}

impl Observe for Outcomes {
    fn on_end(&self, outcome: &Outcome) {
        let id = outcome.subject.request_id.to_string();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, outcome.clone());
    }
}

/// Starts the scripted model.
///
/// # Errors
/// Where the loopback interface cannot be bound.
pub async fn start_model(reminder: &str) -> std::io::Result<Upstream> {
    upstream::start(reminder.to_owned()).await
}

/// Plays every scene through the gateway at `gateway`; `print` gets each card as it is done.
///
/// # Errors
/// Where the gateway cannot be reached or tells nothing of an exchange.
pub async fn play(
    gateway: SocketAddr,
    outcomes: &Arc<Outcomes>,
    style: Style,
    mut print: impl FnMut(&str),
) -> anyhow::Result<Vec<(SceneResult, Duration)>> {
    let asker = client::Asker::new(gateway);
    let mut results = Vec::with_capacity(SCENES.len());
    for (index, scene) in SCENES.iter().enumerate() {
        let received = asker.ask(scene).await.with_context(|| format!("scene {} ({})", index + 1, scene.title))?;
        let outcome = outcomes.wait(&received.request_id).await.context("the gateway told nothing of the exchange")?;
        let result = SceneResult::of(scene, &outcome);
        print(&style.card(index + 1, scene, &received, &outcome, outcome.guard));
        results.push((result, outcome.guard));
    }
    Ok(results)
}
