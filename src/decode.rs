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
    /// The coding that the values of `content-encoding` name, all lines of it; `None` for none and for `identity`. Several codings one
    /// after another are [`Encoding::Unknown`].
    #[must_use]
    pub fn from_headers<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Encoding> {
        let mut found = None;
        for name in values.into_iter().flat_map(|value| value.split(|byte| *byte == b',')) {
            let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Encoding::Gzip,
                b"deflate" => Encoding::Deflate,
                b"br" => Encoding::Brotli,
                b"zstd" => Encoding::Zstd,
                _ => Encoding::Unknown,
            };
            found = Some(if found.is_none() { coding } else { Encoding::Unknown });
        }
        found
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
        Encoding::Zstd => zstd(raw, limit),
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

/// A zstd body is one frame after another, those to be skipped among them; clients read them all.
fn zstd(mut raw: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    const MALFORMED: DecodeError = DecodeError::Malformed("zstd");
    let mut out = BytesMut::new();
    while let Some((magic, rest)) = raw.split_first_chunk::<4>() {
        if (0x184d_2a50..=0x184d_2a5f).contains(&u32::from_le_bytes(*magic)) {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
            raw = rest.get(u32::from_le_bytes(*length) as usize..).ok_or(MALFORMED)?;
            continue;
        }
        let decoder = ruzstd::decoding::StreamingDecoder::new(&mut raw).map_err(|_| MALFORMED)?;
        let frame = read(decoder, limit - out.len(), "zstd").map_err(|error| match error {
            DecodeError::TooLarge(_) => DecodeError::TooLarge(limit),
            other => other,
        })?;
        out.extend_from_slice(&frame);
    }
    if raw.is_empty() { Ok(out.freeze()) } else { Err(MALFORMED) }
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
        let named = |values: &[&str]| Encoding::from_headers(values.iter().map(|value| value.as_bytes()));
        assert_eq!(named(&["compress"]), Some(Encoding::Unknown));
        assert_eq!(named(&[" identity ", ""]), None);
        assert_eq!(named(&["identity", "GZIP"]), Some(Encoding::Gzip), "each line counts");
        assert_eq!(named(&["gzip, br"]), Some(Encoding::Unknown));
        assert_eq!(named(&["gzip", "gzip"]), Some(Encoding::Unknown));
        assert_eq!(Encoding::from_headers([&b"gz\xff"[..]]), Some(Encoding::Unknown));
        assert!(whole(Encoding::Unknown, &[], 100).is_err());
    }

    #[test]
    fn every_frame_of_a_zstd_body_is_read() {
        let frame = |text: &[u8]| ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest);
        let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..]].concat();
        let body = Bytes::from([frame(b"hello "), skipped, frame(b"world")].concat());
        assert_eq!(whole(Encoding::Zstd, std::slice::from_ref(&body), 11).unwrap(), "hello world");
        assert_eq!(whole(Encoding::Zstd, std::slice::from_ref(&body), 10), Err(DecodeError::TooLarge(10)));
        for wrong in [&b"x"[..], b"\x50\x2a\x4d\x18\x09\0\0\0abc", b"no frame"] {
            let body = Bytes::from([&body[..], wrong].concat());
            assert_eq!(whole(Encoding::Zstd, &[body], 100), Err(DecodeError::Malformed("zstd")));
        }
    }
}
