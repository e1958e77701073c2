//! Content codings: decoding a whole compressed body under a size cap, so that it can be judged. What is forwarded is what came.

use std::io::Read;

use bytes::{Bytes, BytesMut};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: zlib, or bare deflate as some servers send.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
    /// A coding that cannot be undone here.
    Unknown,
}

impl Encoding {
    /// The coding that `content-encoding` names; `None` for none and for `identity`.
    #[must_use]
    pub fn from_header(value: &str) -> Option<Encoding> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => None,
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            "br" => Some(Encoding::Brotli),
            "zstd" => Some(Encoding::Zstd),
            _ => Some(Encoding::Unknown),
        }
    }
}

/// A body that could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It would be larger than the limit.
    #[error("the decoded body is over {0} bytes")]
    TooLarge(usize),
    /// It is not in its coding.
    #[error("malformed {0} body")]
    Malformed(&'static str),
}

/// Decodes a body that has come whole.
///
/// # Errors
/// [`DecodeError`]; nothing of the body is in it.
pub fn whole(encoding: Encoding, chunks: &[Bytes], limit: usize) -> Result<Bytes, DecodeError> {
    let mut joined = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    chunks.iter().for_each(|chunk| joined.extend_from_slice(chunk));
    let raw = &joined[..];
    match encoding {
        Encoding::Gzip => read(flate2::read::MultiGzDecoder::new(raw), limit, "gzip"),
        Encoding::Deflate => match read(flate2::read::ZlibDecoder::new(raw), limit, "deflate") {
            Err(DecodeError::Malformed(_)) => read(flate2::read::DeflateDecoder::new(raw), limit, "deflate"),
            done => done,
        },
        Encoding::Brotli => read(brotli::Decompressor::new(raw, 4096), limit, "br"),
        Encoding::Zstd => match ruzstd::decoding::StreamingDecoder::new(raw) {
            Ok(decoder) => read(decoder, limit, "zstd"),
            Err(_) => Err(DecodeError::Malformed("zstd")),
        },
        Encoding::Unknown => Err(DecodeError::Malformed("content-encoding")),
    }
}

fn read(decoder: impl Read, limit: usize, name: &'static str) -> Result<Bytes, DecodeError> {
    let mut out = Vec::new();
    // One byte more than the limit tells "over" from "just full".
    match decoder.take(limit as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() > limit => Err(DecodeError::TooLarge(limit)),
        Ok(_) => Ok(out.into()),
        Err(_) => Err(DecodeError::Malformed(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn decodes_in_pieces_and_stops_at_the_cap() {
        let body = gzip(&[b'a'; 5000]);
        let halves = [body.slice(..10), body.slice(10..)];
        assert_eq!(whole(Encoding::Gzip, &halves, 5000).unwrap().len(), 5000);
        assert_eq!(whole(Encoding::Gzip, &halves, 4999), Err(DecodeError::TooLarge(4999)));
        assert_eq!(whole(Encoding::Gzip, &halves[..1], 5000), Err(DecodeError::Malformed("gzip")));
    }

    #[test]
    fn deflate_may_be_zlib_or_bare() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"hello").unwrap();
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(b"hello").unwrap();
        for body in [zlib.finish().unwrap(), bare.finish().unwrap()] {
            assert_eq!(whole(Encoding::Deflate, &[body.into()], 100).unwrap(), "hello");
        }
    }

    #[test]
    fn brotli_round_trips_and_unknown_codings_are_refused() {
        let mut body = Vec::new();
        brotli::CompressorWriter::new(&mut body, 4096, 3, 20).write_all(b"hello").unwrap();
        assert_eq!(whole(Encoding::Brotli, &[body.into()], 100).unwrap(), "hello");
        assert_eq!(Encoding::from_header("compress"), Some(Encoding::Unknown));
        assert_eq!(Encoding::from_header(" identity "), None);
        assert!(whole(Encoding::Unknown, &[], 100).is_err());
    }
}
