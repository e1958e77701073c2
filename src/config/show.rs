//! Times, sizes and paths as people write them in the configuration. The way back from [`crate::document`]'s readers.

use std::path::Path;
use std::time::Duration;

/// `250ms`, `30s`, `2h`, `30d`.
pub(super) fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    for (size, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if millis.is_multiple_of(size) && (unit == "s" || millis / size < 1000) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// `20MiB`.
pub(super) fn bytes(size: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if size >= unit && size.is_multiple_of(unit) {
            return format!("{}{name}", size / unit);
        }
    }
    format!("{size}B")
}

pub(super) fn path(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for text in ["0s", "1ms", "250ms", "30s", "90s", "2h", "30d", "1500ms"] {
            let time = crate::document::duration(text).unwrap();
            assert_eq!(crate::document::duration(&duration(time)), Ok(time), "{text}");
        }
        assert_eq!(duration(Duration::from_secs(30)), "30s");
        assert_eq!(duration(Duration::from_secs(7200)), "2h");
        for size in [0, 1, 1023, 1024, 20 << 20, 3 << 30, (1 << 20) + 1] {
            assert_eq!(crate::document::bytes(&bytes(size)), Ok(size));
        }
        assert_eq!(bytes(20 << 20), "20MiB");
    }
}
