//! A proxy as a process of its own: started on one core, and asked what it has used of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running process. Killed when dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The machine's cores, whichever of them this process may use.
pub fn cores() -> usize {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpus.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// A command that runs on one core where the machine has a tool for that (`taskset`, Debian's util-linux) and more than one core.
pub fn on_core(core: usize, program: &Path) -> Command {
    let cores = cores();
    if cores < 2 || Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &(core % cores).to_string()]).arg(program);
    command
}

impl Process {
    /// Starts a command that prints its address as the first line of its output.
    pub fn announced(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let addr = line.trim().parse().unwrap_or_else(|_| panic!("no address but {line:?}"));
        Process { child, addr }
    }

    /// Starts a command and waits until something listens at `addr`.
    pub fn at(mut command: Command, addr: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program starts");
        let start = Instant::now();
        let process = Process { child, addr };
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "nothing listens at {addr}");
            std::thread::sleep(Duration::from_millis(2));
        }
        process
    }

    /// Its process and those it started.
    fn ids(&self) -> Vec<u32> {
        let mut ids = vec![self.child.id()];
        let mut index = 0;
        while let Some(id) = ids.get(index).copied() {
            let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            ids.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            index += 1;
        }
        ids
    }

    /// CPU time used so far by all of its threads, in nanoseconds.
    pub fn cpu(&self) -> u64 {
        let threads = self.ids().into_iter().flat_map(|id| std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten());
        threads
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
            .filter_map(|stat| stat.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = |id| std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let kib = |text: String| {
            text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        };
        self.ids().into_iter().filter_map(|id| kib(status(id))).sum::<u64>() * 1024
    }
}

/// A port that nobody has just now.
pub fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}
