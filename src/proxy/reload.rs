//! Reloading: on a change of the files, on SIGHUP, on request. One thread does them one after the other; a bad configuration keeps the
//! running one. Knows no policy.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::oneshot;

use super::live::{Bad, Basis, Live};
use crate::config::{Config, Files, Sources};
use crate::document::Problem;

/// Files change several at a time, and editors write one several times: a reload waits until nothing has happened for so long,
const QUIET: Duration = Duration::from_millis(150);
/// or at most so long.
const RESTLESS: Duration = Duration::from_secs(2);
/// How often files are looked at where the system cannot tell of changes,
const POLL: Duration = Duration::from_secs(5);
/// and where it can: a folder that is removed and made again takes its watch with it.
const DOUBT: Duration = Duration::from_secs(30);

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that are other ones than the program was started with, and only count after a restart.
    pub restart_needed: Vec<&'static str>,
}

/// A handle to the reloading thread, which ends with the last handle.
#[derive(Clone)]
pub struct Reloader {
    orders: Arc<Sender<Order>>,
}

type Reply = oneshot::Sender<Result<Reloaded, Vec<Problem>>>;

enum Order {
    /// Something has happened to a file.
    Look,
    /// Reload, whether or not anything has changed.
    Reload(Reply),
}

impl Reloader {
    /// Starts the thread. It replaces what is in `live`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(sources: Sources, basis: Basis, live: Arc<ArcSwap<Live>>) -> std::io::Result<Self> {
        let (orders, incoming) = mpsc::channel();
        // The watcher must not keep the thread alive: it has a way in only as long as some handle has one.
        let orders = Arc::new(orders);
        let events = Arc::downgrade(&orders);
        std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || Worker::new(sources, basis, live, events).run(&incoming))?;
        Ok(Reloader { orders })
    }

    /// Reloads now.
    ///
    /// # Errors
    /// Every mistake; the running configuration stays in force.
    pub async fn reload(&self) -> Result<Reloaded, Vec<Problem>> {
        let gone = || vec![Problem::of_file("reload", "the reloading thread has ended", Some("restart the gateway"))];
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Reload(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Worker {
    sources: Sources,
    basis: Basis,
    live: Arc<ArcSwap<Live>>,
    /// What the program was started with: some of it stays until it ends.
    started: Arc<Config>,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    /// The files of a configuration that was refused since the last good one, as they were then.
    refused: Option<Files>,
}

impl Worker {
    fn new(sources: Sources, basis: Basis, live: Arc<ArcSwap<Live>>, events: Weak<Sender<Order>>) -> Self {
        let told = move |event: notify::Result<notify::Event>| {
            // Reading a file is no change of it.
            if !event.as_ref().is_ok_and(|event| event.kind.is_access())
                && let Some(orders) = events.upgrade()
            {
                let _ = orders.send(Order::Look);
            }
        };
        let watcher = notify::recommended_watcher(told)
            .map_err(|error| tracing::warn!(%error, "files cannot be watched; they are looked at every {POLL:?}"))
            .ok();
        let started = live.load().config.clone();
        let mut worker = Worker { sources, basis, live, started, watcher, watched: Vec::new(), refused: None };
        worker.watch();
        // Something may have happened since the program read them.
        worker.look_unasked();
        worker
    }

    fn run(mut self, incoming: &Receiver<Order>) {
        loop {
            match incoming.recv_timeout(if self.watcher.is_some() { DOUBT } else { POLL }) {
                Ok(Order::Reload(reply)) => {
                    let _ = reply.send(self.reload("request"));
                }
                Ok(Order::Look) => self.settle(incoming),
                Err(RecvTimeoutError::Timeout) => {
                    self.watched.clear();
                    self.watch();
                    self.look_unasked();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits for quiet, then looks.
    fn settle(&mut self, incoming: &Receiver<Order>) {
        let begun = Instant::now();
        while begun.elapsed() < RESTLESS {
            match incoming.recv_timeout(QUIET) {
                Ok(Order::Look) => {}
                Ok(Order::Reload(reply)) => {
                    let _ = reply.send(self.reload("request"));
                    return;
                }
                Err(_) => break,
            }
        }
        self.look();
    }

    /// Looks where no event has told of a change, and so none will tell that it is over: what is there may be half of it, and an empty file is
    /// a policy without rules.
    fn look_unasked(&mut self) {
        let known = self.known();
        let (begun, mut seen) = (Instant::now(), known.now());
        while seen != known && begun.elapsed() < RESTLESS {
            std::thread::sleep(QUIET);
            let again = known.now();
            if again == seen {
                break;
            }
            seen = again;
        }
        self.look();
    }

    /// What was refused, which is not read again as long as it stays the same, or what is in force.
    fn known(&self) -> Files {
        self.refused.as_ref().unwrap_or(&self.live.load().files).clone()
    }

    /// Reloads if the files say something else than before.
    fn look(&mut self) {
        let files = self.known();
        if files.now() != files {
            let _ = self.reload("files changed");
        }
    }

    fn reload(&mut self, why: &'static str) -> Result<Reloaded, Vec<Problem>> {
        let before = self.live.load_full();
        // Before reading: what changes in the meantime is then a change.
        let files = before.files.now();
        let result = match self.sources.load() {
            Ok(config) => Live::build(config, &self.basis, Some(&before)),
            // What it was read from is not known; the files of the one in force are.
            Err(problems) => Err(Bad { problems, files }),
        };
        self.basis.metrics.reloaded(result.is_ok());
        match result {
            Ok(live) => {
                let restart_needed = restart_needed(&self.started, &live.config);
                self.live.store(Arc::new(live));
                self.refused = None;
                self.watch_on();
                tracing::info!(why, "the configuration was reloaded");
                if !restart_needed.is_empty() {
                    tracing::warn!(settings = restart_needed.join(", "), "some settings have changed that need a restart");
                }
                Ok(Reloaded { restart_needed })
            }
            Err(Bad { problems, files }) => {
                for problem in &problems {
                    tracing::error!(why, "{problem}");
                }
                let count = problems.len();
                tracing::error!(why, problems = count, "the configuration was not reloaded; the running one stays in force");
                self.refused = Some(files);
                self.watch_on();
                Err(problems)
            }
        }
    }

    /// After a reload: watches what it has read, and looks again where it only now does.
    fn watch_on(&mut self) {
        if self.watch() {
            self.look_unasked();
        }
    }

    /// Watches the folders of the files in force: files are replaced by others of the same name, and a Kubernetes ConfigMap replaces a
    /// link beside them.
    ///
    /// Returns whether there are folders among them that were not watched before: what is in them may have changed meanwhile.
    fn watch(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let live = self.live.load();
        let files = live.files.paths().chain(self.refused.iter().flat_map(Files::paths));
        let mut folders: Vec<PathBuf> = files.flat_map(folders).collect();
        folders.sort();
        folders.dedup();
        for folder in self.watched.iter().filter(|folder| !folders.contains(folder)) {
            let _ = watcher.unwatch(folder);
        }
        let mut watched = Vec::new();
        let mut lost = false;
        for folder in folders {
            let watching = self.watched.contains(&folder)
                || match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::warn!(folder = %folder.display(), %error, "a folder cannot be watched; files are looked at every {POLL:?}");
                        false
                    }
                };
            lost |= !watching;
            if watching {
                watched.push(folder);
            }
        }
        let more = watched.iter().any(|folder| !self.watched.contains(folder));
        self.watched = watched;
        if lost {
            self.watcher = None;
            self.watched.clear();
        }
        more
    }
}

/// The folders in which something happens when a file is replaced: its own, and those of the links on the way to it.
fn folders(file: &Path) -> Vec<PathBuf> {
    const LINKS: usize = 40;
    let folder = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders = vec![folder(file)];
    let mut path = file.to_owned();
    for _ in 0..LINKS {
        // The first part of the path that is a link.
        let link = path.ancestors().filter_map(|part| Some((part.to_owned(), std::fs::read_link(part).ok()?))).last();
        let Some((part, target)) = link else { break };
        folders.push(folder(&part));
        let rest = path.strip_prefix(&part).map(Path::to_owned).unwrap_or_default();
        let target = folder(&part).join(target);
        path = if rest.as_os_str().is_empty() { target } else { target.join(rest) };
        folders.push(folder(&path));
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

/// What has changed that a reload cannot put into force.
fn restart_needed(before: &Config, after: &Config) -> Vec<&'static str> {
    let shown = |config: &Config| config.redacted();
    let (old, new) = (shown(before), shown(after));
    let paths = [
        ("server.listen", "/server/listen"),
        ("server.admin", "/server/admin"),
        ("server.ext_proc", "/server/ext_proc"),
        ("server.shutdown_grace", "/server/shutdown_grace"),
        ("server.drain_delay", "/server/drain_delay"),
        ("limits.header_read", "/limits/header_read"),
        ("limits.client_idle", "/limits/client_idle"),
        ("classifier", "/classifier"),
        ("session", "/session"),
        ("incidents", "/incidents"),
        ("telemetry", "/telemetry"),
    ];
    let mut needed: Vec<_> =
        paths.into_iter().filter(|(_, path)| old.pointer(path) != new.pointer(path)).map(|(name, _)| name).collect();
    // Certificates are renewed without a restart, but a port that spoke plain text goes on to.
    if before.server.tls.is_some() != after.server.tls.is_some() {
        needed.push("server.tls");
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_folders_of_a_config_map_hold_its_link() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let mount = root.path().join("mount");
        std::fs::create_dir_all(mount.join("..2026_1")).unwrap();
        std::fs::write(mount.join("..2026_1/policy.toml"), "").unwrap();
        symlink("..2026_1", mount.join("..data")).unwrap();
        symlink("..data/policy.toml", mount.join("policy.toml")).unwrap();
        symlink("mount", root.path().join("alias")).unwrap();
        let found = folders(&root.path().join("alias/policy.toml"));
        for folder in ["alias", "", "mount"] {
            let folder = root.path().join(folder);
            assert!(found.iter().any(|found| found.components().eq(folder.components())), "{folder:?} in {found:?}");
        }
        assert_eq!(folders(Path::new("Cargo.toml")), [PathBuf::from(".")]);
    }
}
