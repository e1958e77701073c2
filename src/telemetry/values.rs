//! What metric labels say of things that are no text.

use crate::dialect::Api;

pub(super) fn api_name(api: Option<Api>) -> &'static str {
    api.map_or("unknown", Api::as_str)
}

pub(super) const fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

pub(super) const fn result(good: bool) -> &'static str {
    if good { "success" } else { "failure" }
}

/// A status as a label: itself where it is a registered one, else its class. An upstream can send any of 900 numbers, and each
/// would be a series for ever.
pub(super) fn code(status: u16) -> &'static str {
    macro_rules! known {
        ($($code:literal)*) => {
            match status {
                $($code => stringify!($code),)*
                100..=199 => "1xx",
                200..=299 => "2xx",
                300..=399 => "3xx",
                400..=499 => "4xx",
                500..=599 => "5xx",
                _ => "none",
            }
        };
    }
    known!(101 200 201 202 203 204 206 207 301 302 303 304 307 308 400 401 402 403 404 405 406 408 409 410 411 412 413 414 415 416
        417 421 422 424 425 426 428 429 431 451 499 500 501 502 503 504 505 507 520 521 522 523 524 529)
}
