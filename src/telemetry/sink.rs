//! Where log lines go: many of them in one write. A system call for each exchange's line would cost more than making the line. Lines of
//! `info` and below wait a few milliseconds for others; a warning leaves at once, and what stands before it with it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others: what is lost, at most, when the process is killed.
const WAIT: Duration = Duration::from_millis(10);

/// Bytes that do not wait any longer.
const FULL: usize = 32 << 10;

/// Gathers lines and writes them out from a thread of its own.
pub(super) struct Sink<W: Write>(Arc<Shared<W>>);

/// Writes what is left when it is dropped: keep it to the end of the program.
#[must_use = "dropped at once, it writes each line at once"]
pub struct Flush(Option<Box<dyn FnOnce() + Send>>);

struct Shared<W> {
    lines: Mutex<Lines<W>>,
    /// The first line has come, or the last.
    first: Condvar,
}

struct Lines<W> {
    out: W,
    waiting: Vec<u8>,
    /// Nobody writes out later what waits now.
    over: bool,
}

/// One line's way in.
pub(super) struct Line<W: Write> {
    shared: Arc<Shared<W>>,
    at_once: bool,
}

impl<W: Write + Send + 'static> Sink<W> {
    /// A sink before `out`.
    ///
    /// # Errors
    /// Where there can be no more threads.
    pub(super) fn new(out: W) -> io::Result<(Self, Flush)> {
        let lines = Mutex::new(Lines { out, waiting: Vec::new(), over: false });
        let shared = Arc::new(Shared { lines, first: Condvar::new() });
        let (writer, last) = (shared.clone(), shared.clone());
        std::thread::Builder::new().name("log".to_owned()).stack_size(128 << 10).spawn(move || writer.write_out())?;
        let flush = move || {
            let mut lines = last.lock();
            lines.over = true;
            lines.write_out();
            last.first.notify_one();
        };
        Ok((Sink(shared), Flush(Some(Box::new(flush)))))
    }
}

impl<W: Write> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, Lines<W>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does.
    fn write_out(&self) {
        loop {
            let begun = self.first.wait_while(self.lock(), |lines| lines.waiting.is_empty() && !lines.over);
            if begun.unwrap_or_else(PoisonError::into_inner).over {
                return;
            }
            std::thread::sleep(WAIT);
            self.lock().write_out();
        }
    }
}

impl<W: Write> Lines<W> {
    fn write_out(&mut self) {
        // Whoever reads the log has gone: there is nobody to tell.
        let _ = self.out.write_all(&self.waiting).and_then(|()| self.out.flush());
        self.waiting.clear();
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.shared.lock();
        let first = lines.waiting.is_empty();
        lines.waiting.extend_from_slice(bytes);
        if self.at_once || lines.over || lines.waiting.len() >= FULL {
            lines.write_out();
        } else if first {
            self.shared.first.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w, W: Write + Send + 'static> MakeWriter<'w> for Sink<W> {
    type Writer = Line<W>;

    fn make_writer(&'w self) -> Line<W> {
        Line { shared: self.0.clone(), at_once: true }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Line<W> {
        Line { shared: self.0.clone(), at_once: *event.level() <= Level::WARN }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if let Some(flush) = self.0.take() {
            flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Tells of each write.
    struct Out(Sender<String>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink() -> (Sink<Out>, Flush, Receiver<String>) {
        let (sender, receiver) = channel();
        let (sink, flush) = Sink::new(Out(sender)).unwrap();
        (sink, flush, receiver)
    }

    fn line(sink: &Sink<Out>, at_once: bool, text: &str) {
        Line { shared: sink.0.clone(), at_once }.write_all(text.as_bytes()).unwrap();
    }

    /// The writes so far and those to come in a while.
    fn soon(receiver: &Receiver<String>) -> Vec<String> {
        let first = receiver.recv_timeout(Duration::from_secs(20)).expect("it is written without being asked");
        std::iter::once(first).chain(receiver.try_iter()).collect()
    }

    #[test]
    fn lines_wait_for_each_other_and_not_for_long() {
        let (sink, _flush, receiver) = sink();
        line(&sink, false, "a\n");
        line(&sink, false, "b\n");
        let mut written = soon(&receiver).concat();
        while written.len() < 4 {
            written.extend(soon(&receiver));
        }
        assert_eq!(written, "a\nb\n");
        line(&sink, false, "c\n");
        assert_eq!(soon(&receiver), ["c\n"], "the thread goes on");
    }

    #[test]
    fn a_warning_leaves_at_once_behind_what_came_before_it() {
        let (sink, _flush, receiver) = sink();
        line(&sink, false, "before\n");
        line(&sink, true, "warning\n");
        assert_eq!(receiver.try_iter().collect::<String>(), "before\nwarning\n");
    }

    #[test]
    fn much_does_not_wait() {
        let (sink, _flush, receiver) = sink();
        line(&sink, false, &"x".repeat(FULL));
        assert_eq!(receiver.try_iter().map(|text| text.len()).sum::<usize>(), FULL);
    }

    #[test]
    fn the_end_writes_what_is_left_and_later_lines_are_written_at_once() {
        let (sink, flush, receiver) = sink();
        line(&sink, false, "last\n");
        drop(flush);
        line(&sink, false, "after\n");
        assert_eq!(receiver.try_iter().collect::<String>(), "last\nafter\n");
    }
}
