//! "Did you mean": the known name nearest to a mistyped one. Knows nothing of documents.

/// The candidate that a typist most likely meant by `name`: at most a third of its letters wrong (two neighbours swapped count as one
/// mistake), case and `-`/`_` apart. `None` if nothing is near enough to be helpful.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = fold(name);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let folded = fold(candidate);
            let allowed = (name.len().max(folded.len()) / 3).max(1);
            let distance = distance(&name, &folded);
            (distance <= allowed && distance < folded.len()).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Names as a sentence lists them: `"a", "b" or "c"`.
#[must_use]
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

fn fold(name: &str) -> Vec<char> {
    // Keys longer than this are no typing mistakes, and the distance is quadratic.
    name.chars().take(64).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitution = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitution.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = ["at_least", "action", "labels", "on_error", "on_overload", "mode"];

    #[test]
    fn finds_what_was_meant() {
        for (typed, meant) in [
            ("at_lest", Some("at_least")),
            ("at-least", Some("at_least")),
            ("At_Least", Some("at_least")),
            ("atcion", Some("action")),
            ("label", Some("labels")),
            ("on_eror", Some("on_error")),
            ("moed", Some("mode")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, KEYS), meant, "{typed}");
        }
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed([]), "");
        assert_eq!(listed(["a"]), "\"a\"");
        assert_eq!(listed(["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
    }
}
