//! Ways to start the real gateway: in this process, from a configuration as a user would write it, or as the program itself.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use steadfast::config::Sources;
use steadfast::proxy::program::{Parts, Program, StartError};
use tempfile::TempDir;

use super::PATIENCE;

/// A folder with a configuration and whatever else it names.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    /// A folder with this `steadfast.toml`.
    pub fn new(config: &str) -> Self {
        let folder = Folder { dir: tempfile::tempdir().unwrap() };
        folder.write("steadfast.toml", config);
        folder
    }

    /// A configuration with one upstream, no classifier, free ports and no incidents, and `more` after it.
    pub fn before(upstream: &str, more: &str) -> Self {
        Folder::new(&config(upstream, more))
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// A file's path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }
}

/// A policy that nothing violates.
pub const LENIENT: &str = "name = \"lenient\"\n";

/// A configuration with one upstream, no classifier, free ports and no incidents, and `more` after it. The policy is `policy.toml`, which
/// has no rules where the test writes none.
pub fn config(upstream: &str, more: &str) -> String {
    let route = if more.contains("[[route]]") { "" } else { "[[route]]\npolicy = \"policy.toml\"\n" };
    let section = |name: &str, text: &str| if more.contains(&format!("[{name}]")) { String::new() } else { text.to_owned() };
    format!(
        "{}{}{}[[upstream]]\nname = \"main\"\nurl = \"{upstream}\"\n{route}{more}\n",
        section("server", "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n"),
        section("classifier", "[classifier]\npath = \"none\"\n"),
        section("incidents", "[incidents]\nstore = \"none\"\n"),
    )
}

/// The gateway in this process. Dropped, it is cut off.
pub struct Gateway {
    program: Option<Program>,
    /// Its folder.
    pub folder: Folder,
    /// The data port.
    pub addr: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts before `upstream`, with `more` in the configuration.
    pub async fn before(upstream: &str, more: &str) -> Self {
        let folder = Folder::before(upstream, more);
        folder.write("policy.toml", LENIENT);
        Gateway::start(folder).await
    }

    /// Starts before `upstream` with this policy.
    pub async fn with_policy(upstream: &str, policy: &str) -> Self {
        let folder = Folder::before(upstream, "");
        folder.write("policy.toml", policy);
        Gateway::start(folder).await
    }

    /// Starts from a folder.
    pub async fn start(folder: Folder) -> Self {
        match Gateway::try_start(folder).await {
            Ok(gateway) => gateway,
            Err(error) => panic!("the gateway did not start: {error}"),
        }
    }

    /// Starts from a folder, or says why not.
    pub async fn try_start(folder: Folder) -> Result<Self, StartError> {
        let sources =
            Sources { file: Some(folder.path("steadfast.toml")), env: std::env::vars().collect(), ..Sources::default() };
        let program = Program::start(sources).await?;
        let (addr, admin) = (program.listen, program.admin.expect("an admin port"));
        Ok(Gateway { program: Some(program), folder, addr, admin })
    }

    /// Its parts.
    pub fn parts(&self) -> &Parts {
        &self.program.as_ref().unwrap().parts
    }

    /// Stops it as a signal would, and waits until it has stopped.
    pub async fn stop(mut self) {
        self.program.take().unwrap().stop(std::future::pending()).await;
    }

    /// Stops it as a signal would, in the background. What is dropped with the gateway's folder stays until then.
    pub fn stopping(mut self) -> tokio::task::JoinHandle<()> {
        let program = self.program.take().unwrap();
        tokio::spawn(async move {
            program.stop(std::future::pending()).await;
            drop(self);
        })
    }

    /// The value of a metric's sample, summed over those whose line contains all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.parts().metrics.page(steadfast::telemetry::Format::Text);
        page.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}

/// The program itself, as a process. Dropped, it is killed.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    /// The data port.
    pub addr: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
}

/// What a command said.
pub struct Said {
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The program with these arguments, in this folder, without the test's own settings.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steadfast"));
    command.args(args).current_dir(folder).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(folder: &Path, args: &[&str]) -> Said {
    let output = command(folder, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { status: output.status, out: text(output.stdout), err: text(output.stderr) }
}

impl Process {
    /// Starts `steadfast serve` with these further arguments, on free ports unless the arguments say otherwise.
    pub fn serve(folder: &Path, args: &[&str]) -> Self {
        let mut all = vec!["serve"];
        all.extend(args);
        Process::of(command(folder, &all))
    }

    /// Starts a command that becomes `steadfast serve`.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let listening = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                let status = child.wait().unwrap();
                panic!("steadfast serve ended ({status}) before it listened:\n{log}");
            }
            log.push_str(&line);
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&line)
                && value["message"] == "listening"
            {
                break value;
            }
        };
        let addr = |key: &str| listening[key].as_str().unwrap_or_else(|| panic!("no {key} in {listening}")).parse().unwrap();
        let (addr, admin) = (addr("listen"), addr("admin"));
        let log = Arc::new(Mutex::new(log));
        let shared = log.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = lines.read(&mut bytes) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Process { child, log, addr, admin }
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal by its name (`TERM`, `HUP`).
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the program did not end:\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
