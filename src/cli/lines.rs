//! Lines of a file or of standard input, compressed or not, read on a thread of their own: a row is worked on while the next is read, and
//! a slow writer at the other end of a pipe does not hold up the results of what it has written. Memory is bounded whatever the input.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use indicatif::ProgressBar;
use tokio::sync::mpsc;

/// Bytes of one line at most.
pub(super) const LONGEST: usize = 64 << 20;

/// Lines that are read ahead.
const AHEAD: usize = 16;

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// `-`, or no file.
    Stdin,
    /// A file; gzip is known by its first bytes.
    File(PathBuf),
}

/// A line, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number in the input.
    pub(super) number: usize,
    /// Its text, or why it cannot be used.
    pub(super) text: Result<String, LineError>,
}

/// Why a line cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// Not UTF-8.
    #[error("the line is not UTF-8")]
    Encoding,
    /// Too long.
    #[error("the line is over {LONGEST} bytes")]
    Length,
}

impl Input {
    /// From an argument: `-` is standard input.
    pub(super) fn new(argument: Option<&str>) -> Self {
        match argument {
            None | Some("-") => Input::Stdin,
            Some(path) => Input::File(PathBuf::from(path)),
        }
    }

    /// Bytes to read, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Input::Stdin => None,
            Input::File(path) => std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|data| data.len()),
        }
    }

    /// Opens it, decompressing what is compressed. `bar` is told of each byte.
    ///
    /// # Errors
    /// That it cannot be opened or read, with its name.
    pub(super) fn open(&self, bar: &ProgressBar) -> anyhow::Result<Box<dyn BufRead + Send>> {
        let cannot = |error: io::Error| anyhow::anyhow!("{self}: cannot be read: {error}");
        let raw: Box<dyn Read + Send> = match self {
            Input::Stdin => Box::new(io::stdin()),
            Input::File(path) => {
                let file = File::open(path).map_err(cannot)?;
                if file.metadata().is_ok_and(|data| data.is_dir()) {
                    anyhow::bail!("{self}: is a folder; name a file, or - for standard input");
                }
                Box::new(file)
            }
        };
        let mut reader = BufReader::with_capacity(64 << 10, bar.wrap_read(raw));
        let gzip = reader.fill_buf().map_err(cannot)?.starts_with(&[0x1f, 0x8b]);
        Ok(if gzip { Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(reader))) } else { Box::new(reader) })
    }

    /// Reads the whole of it as one text.
    ///
    /// # Errors
    /// As [`Input::open`]; that it is not UTF-8.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        let mut reader = self.open(&ProgressBar::hidden())?.take(LONGEST as u64 + 1);
        reader.read_to_end(&mut bytes).map_err(|error| anyhow::anyhow!("{self}: cannot be read: {error}"))?;
        anyhow::ensure!(bytes.len() <= LONGEST, "{self}: is over {LONGEST} bytes");
        String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{self}: is not UTF-8"))
    }

    /// Its lines that are not blank, as they come. The last item may be an error of the input.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub(super) fn lines(&self, bar: &ProgressBar) -> anyhow::Result<mpsc::Receiver<io::Result<Line>>> {
        let lines = Lines::new(self.open(bar)?, LONGEST);
        let (send, receive) = mpsc::channel(AHEAD);
        std::thread::Builder::new().name("input".to_owned()).spawn(move || {
            for line in lines {
                if send.blocking_send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(receive)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("standard input"),
            Input::File(path) => path.display().fmt(f),
        }
    }
}

struct Lines<R> {
    reader: R,
    longest: usize,
    number: usize,
    over: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, longest: usize) -> Self {
        Lines { reader, longest, number: 0, over: false }
    }

    /// The next line's bytes; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Result<Vec<u8>, LineError>>> {
        let mut bytes = Vec::new();
        // One more than the longest tells "too long" from "just long enough", the line feed one more.
        let most = self.longest as u64 + 2;
        if (&mut self.reader).take(most).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if bytes.len() as u64 == most {
            self.skip()?;
        }
        Ok(Some(if bytes.len() > self.longest { Err(LineError::Length) } else { Ok(bytes) }))
    }

    /// To the end of the line.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            match memchr::memchr(b'\n', buffer) {
                Some(end) => {
                    self.reader.consume(end + 1);
                    return Ok(());
                }
                None => {
                    let all = buffer.len();
                    self.reader.consume(all);
                }
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            let read = match self.read() {
                Ok(Some(read)) => read,
                Ok(None) => break,
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            };
            self.number += 1;
            let first = self.number == 1;
            let text = read.and_then(|bytes| {
                let text = String::from_utf8(bytes).map_err(|_| LineError::Encoding)?;
                Ok(match text.strip_prefix('\u{feff}').filter(|_| first) {
                    Some(rest) => rest.to_owned(),
                    None => text,
                })
            });
            if !text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                return Some(Ok(Line { number: self.number, text }));
            }
        }
        self.over = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], longest: usize) -> Vec<(usize, Result<String, LineError>)> {
        Lines::new(BufReader::with_capacity(4, bytes), longest)
            .map(|line| line.unwrap())
            .map(|line| (line.number, line.text))
            .collect()
    }

    #[test]
    fn lines_keep_their_numbers_and_blank_ones_are_left_out() {
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(read("\u{feff}one\n\n \r\ntwo".as_bytes(), 100), [(1, text("one")), (4, text("two"))]);
        assert_eq!(read(b"a\n\xff\nb\n", 100), [(1, text("a")), (2, Err(LineError::Encoding)), (3, text("b"))]);
        assert_eq!(read(b"", 100), []);
    }

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(
            read(b"12345\n123456\n1234567890\n1\n", 5),
            [(1, text("12345")), (2, Err(LineError::Length)), (3, Err(LineError::Length)), (4, text("1"))]
        );
        assert_eq!(read(b"1234567", 5), [(1, Err(LineError::Length))]);
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes() {
        use std::io::Write;
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file.as_file(), flate2::Compression::fast());
        encoder.write_all(b"one\ntwo\n").unwrap();
        encoder.finish().unwrap();
        let input = Input::File(file.path().to_owned());
        let mut lines = input.lines(&ProgressBar::hidden()).unwrap();
        let texts: Vec<_> = std::iter::from_fn(|| lines.blocking_recv()).map(|line| line.unwrap().text.unwrap()).collect();
        assert_eq!(texts, ["one", "two"]);
        assert_eq!(input.text().unwrap(), "one\ntwo\n");
    }
}
