//! What the gateway costs, against two floors (`bare`, `inspect`), nginx (where it is installed) and the upstream itself: CPU, delay,
//! throughput, memory, start. Proxies run on one core, the load and the scripted upstream on another; every answer is checked to the byte.
//!
//!     scripts/fetch-runtime && cargo bench --bench gateway                  # all of it, about five minutes
//!     cargo bench --bench gateway -- --short                                # right, but too short to trust its figures
//!     cargo bench --bench gateway -- json streams                           # json, streams, model, many, start, overload
//!
//! It fails where an answer is wrong, never because one is slow.

mod floors;
mod load;
mod overload;
mod process;
mod subjects;
mod table;
mod upstream;
mod wire;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use load::{Seen, quantile};
use process::{Process, on_core};
use subjects::{Guard, Subject};
use table::{Row, Table, median};

const CHAT: &str = "/v1/chat/completions";

/// How much is measured.
struct Size {
    repeats: usize,
    requests: usize,
    streams: usize,
    many: usize,
    scored: usize,
    /// Seconds at each rate of `overload`.
    seconds: u64,
}

const FULL: Size = Size { repeats: 3, requests: 25_600, streams: 64, many: 2_000, scored: 400, seconds: 10 };
const SHORT: Size = Size { repeats: 1, requests: 640, streams: 16, many: 64, scored: 16, seconds: 2 };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match words.as_slice() {
        ["upstream", pace] => {
            runtime.block_on(upstream::serve(Duration::from_millis(pace.parse().expect("milliseconds")))).expect("it serves")
        }
        ["bare", to] => runtime.block_on(floors::serve(to.parse().expect("an address"), false)).expect("it serves"),
        ["inspect", to] => runtime.block_on(floors::serve(to.parse().expect("an address"), true)).expect("it serves"),
        _ if std::env::var_os("STEADFAST_BENCH_PINNED").is_none() => return pinned(&arguments),
        words => {
            let size = if words.contains(&"--short") { SHORT } else { FULL };
            let wanted: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("--")).collect();
            runtime.block_on(measure(&size, &wanted));
        }
    }
    ExitCode::SUCCESS
}

/// Runs this program again on the load's core.
fn pinned(arguments: &[String]) -> ExitCode {
    let program = std::env::current_exe().expect("this program");
    let status = on_core(1, &program).args(arguments).env("STEADFAST_BENCH_PINNED", "1").status().expect("it runs again");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// This program in one of its other roles.
fn role(core: usize, words: &[&str]) -> Process {
    let mut command: Command = on_core(core, &std::env::current_exe().expect("this program"));
    command.args(words);
    Process::announced(command)
}

async fn measure(size: &Size, wanted: &[&str]) {
    let part = |name: &str| wanted.is_empty() || wanted.contains(&name);
    println!("{}\n", table::machine());
    let paced = role(1, &["upstream", "5"]);
    if part("json") {
        let subjects =
            [Subject::Nginx, Subject::Bare, Subject::Inspect, Subject::Steadfast(Guard::Off), Subject::Steadfast(Guard::Free)];
        json(size, &subjects, &paced).await;
    }
    if part("streams") {
        let subjects =
            [Subject::Nginx, Subject::Bare, Subject::Inspect, Subject::Steadfast(Guard::Off), Subject::Steadfast(Guard::Free)];
        streams(size, &subjects, &paced).await;
    }
    if part("model") {
        model(size, &paced).await;
    }
    if part("many") {
        many(size).await;
    }
    if part("start") {
        start(size, &paced);
    }
    if part("overload") {
        overload::measure(size, &paced).await;
    }
}

/// Measures `once` a few times for each subject, in turns, so that what else the machine does falls on all alike.
async fn repeat<const N: usize>(
    size: &Size,
    subjects: &[Subject],
    to: &Process,
    title: &str,
    columns: [&str; N],
    once: impl AsyncFn(&Process, &str) -> [f64; N],
) -> Table {
    let running: Vec<(&Subject, Process)> =
        subjects.iter().filter_map(|subject| Some((subject, subject.start(to.addr)?))).collect();
    let mut samples = vec![Vec::new(); running.len()];
    for round in 0..size.repeats {
        for (index, (subject, process)) in running.iter().enumerate() {
            eprintln!("{title}: {}, {} of {}", subject.name(), round + 1, size.repeats);
            samples[index].push(once(process, subject.path()).await);
        }
    }
    let mut table = Table::new(title, &columns);
    for ((subject, _), samples) in running.iter().zip(samples) {
        table.push(Row {
            name: subject.name(),
            values: (0..N).map(|at| median(samples.iter().map(|sample| sample[at]))).collect(),
        });
    }
    table
}

/// Microseconds of CPU for each of `count`.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds of seconds")]
fn micros_each(process: &Process, before: u64, count: usize) -> f64 {
    (process.cpu() - before) as f64 / 1e3 / count as f64
}

fn right(result: std::io::Result<Seen>, expected: usize) -> Seen {
    let seen = result.unwrap_or_else(|error| panic!("a wrong answer: {error}"));
    assert_eq!(seen.done, expected, "every answer came");
    seen
}

async fn json(size: &Size, subjects: &[Subject], to: &Process) {
    let columns = ["CPU µs/request, 16 conn.", "requests/s, 64 conn.", "p50 µs, 1 conn.", "p99 µs, 16 conn."];
    repeat(size, subjects, to, "JSON answers of 1.2 KB", columns, async |process, path| {
        let count = size.requests / 64 * 64;
        right(load::json(process.addr, path, 16, count / 8, false).await, count / 8);
        let before = process.cpu();
        let sixteen = right(load::json(process.addr, path, 16, count, false).await, count);
        let cpu = micros_each(process, before, count);
        let many = right(load::json(process.addr, path, 64, count, false).await, count);
        let one = right(load::json(process.addr, path, 1, count / 8, false).await, count / 8);
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        let rate = many.done as f64 / many.wall.as_secs_f64();
        [cpu, rate, quantile(&one.delays, 0.5) * 1e6, quantile(&sixteen.delays, 0.99) * 1e6]
    })
    .await
    .print();
}

async fn streams(size: &Size, subjects: &[Subject], to: &Process) {
    let columns = ["CPU ms/stream", "token delay p50 µs", "p99 µs", "first token p50 ms", "longest gap p99 ms"];
    let title = format!("Streams of {} tokens at 5 ms, {} at once", upstream::TOKENS, size.streams);
    repeat(size, subjects, to, &title, columns, async |process, path| {
        let before = process.cpu();
        let seen = right(load::streams(process.addr, path, size.streams).await, size.streams);
        let cpu = micros_each(process, before, size.streams) / 1e3;
        [
            cpu,
            quantile(&seen.delays, 0.5) * 1e6,
            quantile(&seen.delays, 0.99) * 1e6,
            quantile(&seen.first, 0.5) * 1e3,
            quantile(&seen.gaps, 0.99) * 1e3,
        ]
    })
    .await
    .print();
}

/// With the real classifier: what judging costs over the classifier's own time.
async fn model(size: &Size, to: &Process) {
    let Some(raw) = subjects::raw(size.scored) else {
        println!("With the classifier: not measured, {} is missing\n", subjects::CLASSIFIER);
        return;
    };
    let subjects = [Subject::Steadfast(Guard::Model), Subject::Steadfast(Guard::Staged)];
    let columns = ["CPU ms/answer", "answers/s, 8 conn.", "p50 ms, 1 conn."];
    let title = format!("JSON answers of 1.2 KB, {} windows each, all of them new", raw.windows);
    let mut table = repeat(size, &subjects, to, &title, columns, async |process, path| {
        let before = process.cpu();
        let seen = right(load::json(process.addr, path, 8, size.scored, true).await, size.scored);
        let cpu = micros_each(process, before, size.scored) / 1e3;
        let one = right(load::json(process.addr, path, 1, size.scored / 8, true).await, size.scored / 8);
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        let rate = seen.done as f64 / seen.wall.as_secs_f64();
        [cpu, rate, quantile(&one.delays, 0.5) * 1e3]
    })
    .await;
    let values = vec![raw.cpu * 1e3, 1.0 / raw.wall, raw.wall * 1e3];
    table.begin(Row { name: "the same windows in a loop".to_owned(), values });
    table.print();
    let subjects = [Subject::Bare, Subject::Steadfast(Guard::Model)];
    let columns = ["CPU ms/stream", "first token p50 ms", "longest gap p99 ms"];
    let count = size.streams.min(16);
    repeat(size, &subjects, to, &format!("Streams with the classifier, {count} at once"), columns, async |process, path| {
        let before = process.cpu();
        let seen = right(load::streams(process.addr, path, count).await, count);
        [micros_each(process, before, count) / 1e3, quantile(&seen.first, 0.5) * 1e3, quantile(&seen.gaps, 0.99) * 1e3]
    })
    .await
    .print();
}

/// Very many slow streams: all complete, and what each holds in memory.
async fn many(size: &Size) {
    let slow = role(1, &["upstream", "50"]);
    let mut table = Table::new(
        &format!("{} streams at once, a token each 50 ms", size.many),
        &["complete", "KiB/stream", "CPU ms/stream", "longest gap p99 ms"],
    );
    for subject in [Subject::Bare, Subject::Steadfast(Guard::Off), Subject::Steadfast(Guard::Free)] {
        let Some(process) = subject.start(slow.addr) else { continue };
        right(load::json(process.addr, subject.path(), 16, 320, false).await, 320);
        let (before, idle) = (process.cpu(), process.resident());
        let peak = async {
            let mut peak = idle;
            loop {
                tokio::time::sleep(Duration::from_millis(250)).await;
                peak = peak.max(process.resident());
                table::note(peak);
            }
        };
        let streams = load::streams(process.addr, subject.path(), size.many);
        let seen = tokio::select! { seen = streams => right(seen, size.many), () = peak => unreachable!("it goes on for ever") };
        #[allow(clippy::cast_precision_loss, reason = "bytes")]
        let each = (table::noted().max(idle) - idle) as f64 / 1024.0 / size.many as f64;
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        let done = seen.done as f64;
        table.push(Row {
            name: subject.name(),
            values: vec![done, each, micros_each(&process, before, size.many) / 1e3, quantile(&seen.gaps, 0.99) * 1e3],
        });
    }
    table.print();
}

/// From start to ready, and what an idle process holds.
fn start(size: &Size, to: &Process) {
    let mut table = Table::new("Start and idle", &["ms to ready", "resident MiB"]);
    for subject in
        [Subject::Bare, Subject::Steadfast(Guard::Off), Subject::Steadfast(Guard::Free), Subject::Steadfast(Guard::Model)]
    {
        let mut samples = Vec::new();
        for _ in 0..size.repeats {
            let begun = std::time::Instant::now();
            let Some(process) = subject.start(to.addr) else { continue };
            subject.ready(&process);
            let ready = begun.elapsed();
            std::thread::sleep(Duration::from_millis(300));
            #[allow(clippy::cast_precision_loss, reason = "bytes")]
            samples.push((ready.as_secs_f64() * 1e3, process.resident() as f64 / f64::from(1 << 20)));
        }
        if samples.is_empty() {
            continue;
        }
        let values = vec![median(samples.iter().map(|sample| sample.0)), median(samples.iter().map(|sample| sample.1))];
        table.push(Row { name: subject.name(), values });
    }
    table.print();
    let size_of = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    #[allow(clippy::cast_precision_loss, reason = "bytes")]
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let program = Path::new(env!("CARGO_BIN_EXE_steadfast"));
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(subjects::CLASSIFIER).join("model.onnx");
    println!("The program is {:.1} MiB, the classifier's model {:.1} MiB.", mib(size_of(program)), mib(size_of(&model)));
}
