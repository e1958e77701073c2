//! Where a span hangs: W3C Trace Context's `traceparent`, read, written, and made up from the request id where a caller sends none. Pure.

use http::header::{HeaderName, HeaderValue};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// The header that a trace is continued by.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// One exchange's place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace: the caller's, or one of its own.
    pub trace: u128,
    /// The exchange's span.
    pub id: u64,
    /// The caller's span.
    pub parent: Option<u64>,
    /// Whether it is recorded: as the caller says, and always where the trace begins here.
    pub sampled: bool,
}

impl Context {
    /// The context of the exchange with this id, whose caller sent this `traceparent`. One that is malformed counts as none.
    #[must_use]
    pub fn of(request_id: &str, traceparent: Option<&str>) -> Self {
        let id = span_id(request_id, 0);
        match traceparent.and_then(parse) {
            Some((trace, parent, flags)) => Context { trace, id, parent: Some(parent), sampled: flags & 1 == 1 },
            None => {
                // The request id as the trace's: whoever has the one finds the other. 80 bits of it are random.
                let trace = ulid::Ulid::from_string(request_id).map_or_else(|_| xxh3_128(request_id.as_bytes()), |id| id.0);
                Context { trace: trace.max(1), id, parent: None, sampled: true }
            }
        }
    }

    /// The `traceparent` for whoever is called from the span `id`.
    #[must_use]
    pub fn header(&self, id: u64) -> HeaderValue {
        let text = format!("00-{:032x}-{id:016x}-{:02x}", self.trace, u8::from(self.sampled));
        HeaderValue::from_str(&text).expect("hexadecimal digits and dashes")
    }
}

/// The id of an exchange's span number `number`; 0 is the exchange itself.
pub(super) fn span_id(request_id: &str, number: u64) -> u64 {
    xxh3_64_with_seed(request_id.as_bytes(), number).max(1)
}

/// Trace, span and flags.
fn parse(text: &str) -> Option<(u128, u64, u8)> {
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    if !(hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2)) || version == "ff" {
        return None;
    }
    // Later versions may say more after the flags; this one may not.
    if version == "00" && parts.next().is_some() {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    let parent = u64::from_str_radix(parent, 16).ok().filter(|parent| *parent != 0)?;
    Some((trace, parent, u8::from_str_radix(flags, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01J00000000000000000000000";

    #[test]
    fn a_callers_trace_is_continued() {
        let context = Context::of(ID, Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert_eq!(context.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((context.parent, context.sampled), (Some(0xb7ad_6b71_6920_3331), true));
        assert_eq!(context.header(1), "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01");
        let later = Context::of(ID, Some("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02-more"));
        assert_eq!((later.trace, later.sampled), (context.trace, false), "a later version's trace is continued too");
        assert_eq!(later.id, context.id, "the span is the exchange's, whoever calls");
    }

    #[test]
    fn without_one_the_request_id_is_the_trace() {
        let context = Context::of(ID, None);
        assert_eq!(context.trace, ulid::Ulid::from_string(ID).unwrap().0);
        assert_eq!((context.parent, context.sampled), (None, true));
        assert_ne!(Context::of("a name of the library user's", None).trace, 0);
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert_eq!(Context::of(ID, Some(bad)), context, "{bad:?}");
        }
    }

    #[test]
    fn spans_of_an_exchange_have_ids_of_their_own() {
        let ids: std::collections::HashSet<u64> = (0..4).flat_map(|n| [span_id(ID, n), span_id("other", n)]).collect();
        assert_eq!(ids.len(), 8);
    }
}
