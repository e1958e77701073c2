//! `steadfast.toml`: every setting of the program, with its default. Layers: defaults < file < environment < flags; every mistake is
//! reported at once. Knows no policy's or persona's content: it only names their files.

mod classifier;
mod custom;
mod documented;
mod files;
mod fit;
mod incidents;
mod limits;
mod load;
mod parts;
mod reference;
mod route;
mod secret;
mod server;
mod session;
mod show;
mod telemetry;
mod upstream;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use classifier::{Classifier, ClassifierPath, Runtime};
pub use files::Files;
pub use fit::{idle, unfit};
pub use incidents::{IncidentStore, Incidents};
pub use limits::Limits;
pub use load::{Flags, Sources, Survey};
pub use parts::{Character, Parts, character};
pub use reference::reference;
pub use route::{Part, Route};
pub use secret::{Secret, SecretSource};
pub use server::{Server, Tls};
pub use session::{KeyPart, Session, SessionStore};
pub use telemetry::{Otlp, Telemetry};
pub use upstream::{Credential, Protocol, Upstream};

use crate::dialect::Dialects;
use crate::dialect::custom::Custom;
use crate::document::{Document, Item, Table};

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from, if any.
    pub file: Option<PathBuf>,
    /// Every file that was read for it.
    pub files: Files,
    /// Listeners and who may call.
    pub server: Server,
    /// Sizes, times and counts.
    pub limits: Limits,
    /// Where requests go. Never empty.
    pub upstreams: Vec<Upstream>,
    /// Which requests go where, first match wins. Never empty.
    pub routes: Vec<Route>,
    /// The scorer.
    pub classifier: Classifier,
    /// Wire formats that the operator describes.
    pub custom: Vec<Arc<Custom>>,
    /// Conversations.
    pub session: Session,
    /// Kept verdicts.
    pub incidents: Incidents,
    /// Logs and traces.
    pub telemetry: Telemetry,
}

impl Config {
    /// The upstream of that name.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// These formats and the described ones, which are asked first.
    #[must_use]
    pub fn dialects(&self, builtin: &Arc<Dialects>) -> Arc<Dialects> {
        if self.custom.is_empty() {
            return builtin.clone();
        }
        let custom = self.custom.iter().rev();
        Arc::new(custom.fold((**builtin).clone(), |dialects, format| dialects.with(format.clone())))
    }

    /// The configuration as JSON for people to read: secrets are left out.
    #[must_use]
    pub fn redacted(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file.as_deref().map(show::path),
            "server": self.server.show(),
            "limits": self.limits.show(),
            "upstream": self.upstreams.iter().map(Upstream::show).collect::<Vec<_>>(),
            "route": self.routes.iter().map(Route::show).collect::<Vec<_>>(),
            "classifier": self.classifier.show(),
            "custom": self.custom.iter().map(|format| custom::show(format)).collect::<Vec<_>>(),
            "session": self.session.show(),
            "incidents": self.incidents.show(),
            "telemetry": self.telemetry.show(),
        })
    }

    /// Reads a document. Problems are noted in it.
    fn read(document: &Document, cx: &Reading<'_>, file: Option<PathBuf>) -> Config {
        let root = document.root();
        let section = |name: &str| root.table(name);
        let upstreams = upstream::read_all(&root, cx);
        let classifier = Classifier::read(&root, cx);
        let model = classifier.path != ClassifierPath::None;
        let mut config = Config {
            file,
            files: Files::default(),
            server: Server::read(section("server"), cx),
            limits: Limits::read(section("limits")),
            routes: route::read_all(&root, &upstreams, model, cx),
            upstreams,
            classifier,
            custom: custom::read_all(&root),
            session: Session::read(section("session"), cx),
            incidents: Incidents::read(section("incidents"), cx),
            telemetry: Telemetry::read(section("telemetry")),
        };
        root.finish();
        config.files = cx.files.take();
        config
    }
}

/// What reading needs beside the document.
struct Reading<'a> {
    /// The folder that paths in the file start from.
    base: &'a Path,
    /// The environment.
    env: &'a dyn Fn(&str) -> Option<String>,
    /// Looks into the file system.
    exists: &'a dyn Fn(&Path) -> bool,
    /// The files that were read.
    files: RefCell<Files>,
    /// Fetches secrets; else they are left empty, and it does not matter whether they are there.
    secrets: bool,
}

impl Reading<'_> {
    /// A path: from the file's folder, or from the working directory where it came from the environment or a flag.
    fn path(&self, item: &Item<'_>) -> Option<PathBuf> {
        let text = item.nonempty()?;
        Some(if item.line() == 0 { PathBuf::from(text) } else { self.base.join(text) })
    }

    /// A path to something that must be there.
    fn existing(&self, item: &Item<'_>) -> Option<PathBuf> {
        let path = self.path(item)?;
        if !(self.exists)(&path) {
            item.problem(format!("{} does not exist", path.display()), None);
            return None;
        }
        Some(path)
    }

    /// A secret given as `{ env = "…" }` or `{ file = "…" }`.
    fn secret(&self, table: &Table<'_>) -> Option<Secret> {
        secret::read(table, self)
    }
}

/// A name that ends in logs and metrics: short, and nothing that needs escaping.
fn name_of(item: &Item<'_>) -> Option<String> {
    let name = item.nonempty()?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '*' | ' ');
    if name.len() > 64 || !name.chars().all(fine) {
        item.problem("must be at most 64 letters, digits, spaces and -_./*", Some("it becomes a metric label"));
        return None;
    }
    Some(name.to_owned())
}
