//! Moments as people and programs write them: RFC 3339, seconds since 1970, or how long ago. Pure: the caller says what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_MS: u64 = 86_400_000;

/// Milliseconds since 1970; 0 for clocks set before it.
#[must_use]
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `2026-11-25T10:13:28.123Z`.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let (year, month, day) = civil(i64::try_from(unix_ms / DAY_MS).unwrap_or(i64::MAX / 2));
    let ms = unix_ms % DAY_MS;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

/// A moment, in milliseconds since 1970, written as `2026-11-25`, `2026-11-25T10:13:28Z`, `2026-11-25T19:13:28.5+09:00`,
/// `1795600408` (seconds since 1970), or how long before `now`: `15m`, `24h`, `7d`.
///
/// # Errors
/// What is accepted, where `text` is none of these.
pub fn moment(text: &str, now: SystemTime) -> Result<u64, String> {
    let text = text.trim();
    let parsed = if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000))
    } else if let Ok(ago) = crate::document::duration(text) {
        now.checked_sub(ago).or(Some(UNIX_EPOCH)).map(unix_ms)
    } else {
        parse_rfc3339(text)
    };
    parsed.ok_or_else(|| {
        format!("{text:?} is no moment; write 2026-11-25T10:13:28Z, seconds since 1970, or how long ago (15m, 24h, 7d)")
    })
}

fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let days = days(i64::try_from(year).ok()?, month, day);
    if civil(days) != (i64::try_from(year).ok()?, month, day) {
        return None;
    }
    let midnight = u64::try_from(days).ok()? * DAY_MS;
    if rest.is_empty() {
        return Some(midnight);
    }
    // A `+` that nobody escaped arrives from a query as a space.
    let (clock, offset) = rest.split_at(rest.rfind(['Z', 'z', '+', '-', ' ']).filter(|at| *at > 0)?);
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if hour > 23 || minute > 59 || second > 60 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}")[..3].parse::<u64>().ok()?;
    let local = midnight + ((hour * 60 + minute) * 60 + second) * 1000 + thousandths;
    if offset.eq_ignore_ascii_case("z") {
        return Some(local);
    }
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset_ms = (hours * 60 + minutes) * 60_000;
    if offset.starts_with('-') { Some(local + offset_ms) } else { local.checked_sub(offset_ms) }
}

/// Exactly `digits` digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Days since 1970 of a Gregorian date. Counts from March, so that the leap day is a year's last.
fn days(year: i64, month: u64, day: u64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = i64::try_from((month + 9) % 12).unwrap_or(0);
    let day_of_year = (153 * from_march + 2) / 5 + i64::try_from(day).unwrap_or(0) - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// The Gregorian date of a day since 1970.
fn civil(days: i64) -> (i64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}

/// How long before `now` a kept thing may have happened, in milliseconds since 1970.
#[must_use]
pub fn cutoff(now: SystemTime, keep: Duration) -> u64 {
    now.checked_sub(keep).map_or(0, unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_764_065_608_123, "2025-11-25T10:13:28.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
            assert_eq!(parse_rfc3339(text), Some(ms));
        }
        // Every day of four centuries, there and back.
        for day in 0..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
    }

    #[test]
    fn moments_are_read_in_every_form_people_write() {
        let now = UNIX_EPOCH + Duration::from_secs(1_764_065_608);
        for (text, ms) in [
            ("2025-11-25T19:13:28+09:00", 1_764_065_608_000),
            ("2025-11-25T19:13:28 09:00", 1_764_065_608_000),
            ("2025-11-25T05:13:28.5-05:00", 1_764_065_608_500),
            ("2025-11-25", 1_764_028_800_000),
            ("1764065608", 1_764_065_608_000),
            ("15m", 1_764_064_708_000),
            ("7d", 1_763_460_808_000),
        ] {
            assert_eq!(moment(text, now), Ok(ms), "{text}");
        }
        for text in
            ["", "yesterday", "2025-13-01", "2025-02-30", "2025-11-25T25:00:00Z", "2025-11-25T10:13", "25-11-2025", "2025-11-2é"]
        {
            assert!(moment(text, now).unwrap_err().contains("is no moment"), "{text}");
        }
    }
}
