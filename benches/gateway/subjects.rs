//! What is measured: how each proxy is started before an upstream, and the classifier alone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use steadfast::infer::Context;
use steadfast::infer::load::{Blueprint, Options};
use steadfast::persona::Persona;
use steadfast::policy::WindowSpec;
use steadfast::window::Windower;

use super::process::{Process, free, on_core};
use super::upstream;
use super::{CHAT, role};

/// The classifier that ships.
pub const CLASSIFIER: &str = "classifiers/collapse";

/// How steadfast is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// An endpoint that is in no wire format: passed on.
    Off,
    /// Judged by one pattern; no classifier.
    Free,
    /// Judged by the default policy and the shipped classifier.
    Model,
    /// The same with the classifier's first stage before its model.
    Staged,
}

/// A proxy to measure.
pub enum Subject {
    Nginx,
    Bare,
    Inspect,
    Steadfast(Guard),
}

impl Subject {
    pub fn name(&self) -> String {
        match self {
            Subject::Nginx => "nginx",
            Subject::Bare => "bare",
            Subject::Inspect => "inspect",
            Subject::Steadfast(Guard::Off) => "steadfast, passing on",
            Subject::Steadfast(Guard::Free) => "steadfast, one pattern",
            Subject::Steadfast(Guard::Model) => "steadfast, classifier",
            Subject::Steadfast(Guard::Staged) => "steadfast, first stage on",
        }
        .to_owned()
    }

    /// What is asked for.
    pub fn path(&self) -> &'static str {
        if matches!(self, Subject::Steadfast(Guard::Off)) { "/v1/unknown/thing" } else { CHAT }
    }

    /// Starts it on core 0; none where it is not installed.
    pub fn start(&self, to: SocketAddr) -> Option<Process> {
        match self {
            Subject::Nginx => nginx(to),
            Subject::Bare => Some(role(0, &["bare", &to.to_string()])),
            Subject::Inspect => Some(role(0, &["inspect", &to.to_string()])),
            Subject::Steadfast(guard) => Some(steadfast(*guard, to)),
        }
    }

    /// Waits until it says that it is ready.
    pub fn ready(&self, process: &Process) {
        if !matches!(self, Subject::Steadfast(_)) {
            return;
        }
        let start = Instant::now();
        while !is_ready(admin(process.addr)) {
            assert!(start.elapsed() < Duration::from_secs(20), "it never got ready");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The admin port of the gateway at `addr`.
fn admin(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::from([127, 0, 0, 2]), addr.port())
}

fn is_ready(admin: SocketAddr) -> bool {
    let Ok(mut socket) = TcpStream::connect(admin) else { return false };
    let mut answer = String::new();
    let sent = socket.write_all(format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").as_bytes());
    sent.is_ok() && socket.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// What a policy does with what cannot be judged in time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    Block,
    Allow,
}

impl Fallback {
    pub fn word(self) -> &'static str {
        match self {
            Fallback::Block => "block",
            Fallback::Allow => "allow",
        }
    }
}

/// The default policy with the shipped classifier and one choice made.
pub fn overloaded(fallback: Fallback, to: SocketAddr) -> Process {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/default.toml");
    let text = std::fs::read_to_string(&default).expect("the default policy");
    let mut text = text.parse::<toml_edit::DocumentMut>().expect("TOML");
    text["on_overload"] = toml_edit::value(fallback.word());
    let policy = folder().join(format!("overload-{}.toml", fallback.word()));
    std::fs::write(&policy, text.to_string()).expect("a policy");
    gateway(&shipped(), false, &policy, to)
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn shipped() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(CLASSIFIER).display().to_string()
}

fn steadfast(guard: Guard, to: SocketAddr) -> Process {
    let (classifier, policy) = match guard {
        Guard::Off | Guard::Free => {
            let policy = folder().join("one-pattern.toml");
            let text = "name = \"one pattern\"\n[[rule]]\nname = \"house words\"\npatterns = ['project nightfall']\naction = \"block\"\n";
            std::fs::write(&policy, text).expect("a policy");
            ("none".to_owned(), policy)
        }
        Guard::Model | Guard::Staged => (shipped(), Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/default.toml")),
    };
    gateway(&classifier, guard == Guard::Staged, &policy, to)
}

/// The gateway on core 0, ready.
fn gateway(classifier: &str, first_stage: bool, policy: &Path, to: SocketAddr) -> Process {
    let (addr, folder) = (free(), folder());
    let config = folder.join(format!("{}.toml", addr.port()));
    let text = format!(
        "[server]\nlisten = \"{addr}\"\nadmin = \"{}\"\n[limits]\nin_flight = 8192\n[[upstream]]\nname = \"bench\"\nurl = \"http://{to}\"\n\
         [[route]]\npolicy = \"{}\"\n[classifier]\npath = \"{classifier}\"\nworkers = 1\nfirst_stage = \"{}\"\n[incidents]\nstore = \"none\"\n",
        admin(addr),
        policy.display(),
        if first_stage { "on" } else { "off" }
    );
    std::fs::write(&config, text).expect("a configuration");
    let mut command = on_core(0, Path::new(env!("CARGO_BIN_EXE_steadfast")));
    command.args(["serve", "--config"]).arg(&config).stderr(std::process::Stdio::null()).current_dir(&folder);
    let process = Process::at(command, addr);
    Subject::Steadfast(Guard::Model).ready(&process);
    process
}

/// nginx as a plain reverse proxy on one core: kept connections, no buffering, no log.
fn nginx(to: SocketAddr) -> Option<Process> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].iter().map(Path::new).find(|path| path.exists());
    let Some(program) = program else {
        eprintln!("nginx is not installed and not measured (Debian: apt install nginx-light)");
        return None;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nginx");
    std::fs::create_dir_all(&folder).expect("a folder");
    let addr = free();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {}/{name};\n", folder.display()))
        .collect();
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {0}/pid;\nerror_log stderr crit;\nevents {{ worker_connections 16384; }}\n\
         http {{\n{temporary}access_log off;\ntcp_nodelay on;\nkeepalive_requests 1000000000;\n\
         upstream bench {{ server {to}; keepalive 512; keepalive_requests 1000000000; }}\n\
         server {{ listen {addr}; location / {{ proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header connection \"\"; \
         proxy_buffering off; }} }} }}\n",
        folder.display()
    );
    let config = folder.join(format!("{}.conf", addr.port()));
    std::fs::write(&config, text).expect("a configuration");
    let mut command = on_core(0, program);
    command.arg("-c").arg(&config).arg("-p").arg(&folder).arg("-e").arg("/dev/null");
    Some(Process::at(command, addr))
}

/// The classifier without a gateway.
pub struct Raw {
    /// Windows of the answer.
    pub windows: usize,
    /// Seconds of CPU for one answer's windows.
    pub cpu: f64,
    /// Seconds for one answer's windows.
    pub wall: f64,
}

/// The windows of a text that comes at once, as the default policy cuts them.
fn windows(text: &str) -> Vec<&str> {
    let mut windower = Windower::new(WindowSpec { tokens: 128, stride: 48 });
    windower.push(text);
    std::iter::from_fn(|| windower.cut()).map(|range| &text[range]).collect()
}

/// CPU time of this thread in nanoseconds.
fn thread_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Scores the windows of as many answers as the gateway is asked for in a loop; none where there is no classifier.
pub fn raw(count: usize) -> Option<Raw> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(CLASSIFIER);
    if !directory.join("manifest.toml").exists() {
        return None;
    }
    let blueprint = Blueprint::new(&directory, &Options { workers: 1, ..Options::default() }).expect("the classifier loads");
    let mut classifier = blueprint.build(0).expect("the classifier is built");
    // The line of the persona that the gateway has without a file: seven tokens in front of each window.
    let persona = Persona::parse(include_str!("../../policies/personas/assistant.toml"), None).expect("a persona");
    let context = Context { persona: persona.line.to_string(), user: "Tell me about the lighthouse.".to_owned() };
    // What the upstream answers: no two texts are of one length in tokens, which costs the runtime something.
    let texts: Vec<String> = (0..count as u64).map(|number| upstream::numbered(number, 0)).collect();
    let answers: Vec<Vec<&str>> = texts.iter().map(|text| windows(text)).collect();
    let (start, before) = (Instant::now(), thread_cpu());
    for window in answers.iter().flatten() {
        std::hint::black_box(classifier.classify(&context, window).expect("it is scored"));
    }
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of seconds")]
    let each = |nanos: u64| nanos as f64 / 1e9 / count as f64;
    Some(Raw {
        windows: answers.iter().map(Vec::len).max().unwrap_or(0),
        cpu: each(thread_cpu() - before),
        wall: start.elapsed().as_secs_f64() / f64::from(u32::try_from(count).unwrap_or(1)),
    })
}
