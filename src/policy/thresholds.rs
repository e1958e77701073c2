//! `at_least` of a rule: a number, the calibrated threshold, or the threshold for a share of false alarms.

use super::rule::DETECTED_LABELS;
use super::{Calibration, DETECTED, Threshold};
use crate::document::{Item, Table};
use crate::score::{Label, Score};

/// The labels that a rule asks for with their thresholds, and its signal with the score it must reach.
pub(super) type Conditions = (Vec<(Label, Threshold)>, Option<(&'static str, Score)>);

/// What a word in `at_least` asks the classifier for.
#[derive(Clone, Copy)]
enum Asked {
    Calibrated,
    /// The threshold for a false-positive rate.
    Rate(f64),
}

/// `at_least` and what it is about.
pub(super) fn read(table: &Table<'_>, labels: Vec<Label>, signal: Option<&'static str>, calibration: &Calibration) -> Conditions {
    let item = table.item("at_least");
    let (has_labels, has_signal) = (table.has("labels"), table.has("signal"));
    let of_all = |asked: Asked, key: &str| {
        let one = |label| of_model(label, asked, table, key, calibration);
        (labels.iter().copied().filter_map(one).collect(), None)
    };
    let Some(item) = item else {
        if has_signal {
            table.problem("at_least", "missing", Some("say from which value of the signal on the rule holds: at_least = 0.85"));
            return Conditions::default();
        }
        return of_all(Asked::Calibrated, "labels");
    };
    if !has_labels && !has_signal {
        item.problem("there is nothing to compare with it", Some("add labels or signal, or remove this"));
        return Conditions::default();
    }
    if item.is_str() {
        let Some(asked) = read_word(&item, calibration) else { return Conditions::default() };
        if has_signal {
            item.problem("a signal has no calibrated threshold", Some("write a number, like 0.85"));
        }
        return of_all(asked, "at_least");
    }
    let Some(value) = item.float(0.0..=1.0) else { return Conditions::default() };
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    let Some(score) = Score::new(value as f32).filter(|score| *score > Score::ZERO) else {
        item.problem("must be more than 0", Some("at 0 every answer would reach it"));
        return Conditions::default();
    };
    let labels = labels.into_iter().map(|label| (label, Threshold::both(score))).collect();
    (labels, signal.map(|name| (name, score)))
}

/// `"calibrated"`, or a percentage that there are thresholds for.
fn read_word(item: &Item<'_>, calibration: &Calibration) -> Option<Asked> {
    let word = item.str()?;
    if word == "calibrated" {
        return Some(Asked::Calibrated);
    }
    let Some(percent) = word.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()) else {
        if word.parse::<f64>().is_ok() {
            item.problem(
                format!("unknown value {word:?}"),
                Some("a probability is written without quotes, a false-positive rate with %"),
            );
        } else {
            item.unknown_value(word, ["calibrated", "0.5%"].into_iter());
        }
        return None;
    };
    if !(percent > 0.0 && percent <= 100.0) {
        item.problem(
            format!("{word:?} is no share of answers"),
            Some("a false-positive rate is more than \"0%\" and at most \"100%\""),
        );
        return None;
    }
    let rate = percent / 100.0;
    match calibration.rates() {
        Some((_, highest)) if rate > highest * (1.0 + 1e-6) => {
            let help = format!(
                "the highest rate that its manifest has thresholds for is \"{}%\"; a probability is a number, like 0.9",
                percentage(highest)
            );
            item.problem(format!("the classifier was not measured at a false-positive rate as high as {percent} %"), Some(&help));
            None
        }
        Some((lowest, _)) if rate < lowest * (1.0 - 1e-6) => {
            let help = format!("the lowest rate that its manifest has thresholds for is \"{}%\"", percentage(lowest));
            item.problem(format!("the classifier was not measured at a false-positive rate as low as {percent} %"), Some(&help));
            None
        }
        // Nothing was measured: the calibrated threshold, and the detectors have one for every rate.
        None => Some(Asked::Calibrated),
        Some(_) => Some(Asked::Rate(rate)),
    }
}

/// A rate in percent, without the dust of binary fractions: 0.003 is 0.3 and not 0.3 and a bit.
fn percentage(rate: f64) -> f64 {
    (rate * 1e8).round() / 1e6
}

fn of_model(label: Label, asked: Asked, table: &Table<'_>, key: &str, calibration: &Calibration) -> Option<(Label, Threshold)> {
    let detector = Score::new(DETECTED).unwrap_or(Score::ONE);
    let threshold = match asked {
        Asked::Calibrated => calibration.threshold(label),
        Asked::Rate(rate) => calibration.at_rate(rate, label),
    };
    let model = match threshold {
        Some(threshold) => threshold,
        // A classifier that never learnt the label (loops and word salad are gone after tokenizing) has no threshold for it.
        None if DETECTED_LABELS.contains(&label) => detector,
        None => {
            let help = "write a number, like at_least = 0.9, or calibrate the classifier";
            table.problem(key, format!("the classifier has no calibrated threshold for {label}"), Some(help));
            return None;
        }
    };
    Some((label, Threshold { model, detector }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, Rate};

    fn calibration() -> Calibration {
        let rate = |false_positive_rate, at| Rate { false_positive_rate, thresholds: [Score::new(at); Label::COUNT] };
        Calibration::new(|_| Some(0.9)).with_rates(vec![rate(0.01, 0.2), rate(0.003, 0.5), rate(0.001, 0.9)])
    }

    fn rule(at_least: &str) -> String {
        format!("[[rule]]\nname = \"doubtful\"\nlabels = [\"hate\"]\nat_least = {at_least}\naction = \"flag\"")
    }

    fn threshold(at_least: &str, calibration: &Calibration) -> Threshold {
        Policy::parse(&rule(at_least), None, calibration).unwrap().rules[0].labels[0].1
    }

    fn problem(at_least: &str, calibration: &Calibration) -> String {
        Policy::parse(&rule(at_least), Some("p.toml"), calibration).unwrap_err()[0].to_string()
    }

    #[test]
    fn a_percentage_is_the_threshold_for_that_share_of_false_alarms() {
        let detector = Score::new(DETECTED).unwrap();
        let known = [("1%", 0.2), ("0.3 %", 0.5), ("0.30%", 0.5), ("calibrated", 0.9)];
        // Never more false alarms than asked for.
        let between = [("0.99%", 0.5), ("0.2%", 0.9)];
        for (written, at) in known.into_iter().chain(between) {
            let wanted = Threshold { model: Score::new(at).unwrap(), detector };
            assert_eq!(threshold(&format!("\"{written}\""), &calibration()), wanted, "{written}");
        }
        // A classifier of which only the calibrated thresholds are known.
        let plain = Calibration::new(|_| Some(0.8));
        assert_eq!(threshold("\"1%\"", &plain).model, Score::new(0.8).unwrap());
        // A persona's own thresholds are those of one rate, and say nothing of others.
        let own = calibration().with(&[Score::new(0.7); Label::COUNT]);
        assert_eq!(threshold("\"1%\"", &own).model, Score::new(0.2).unwrap());
        assert_eq!(threshold("\"calibrated\"", &own).model, Score::new(0.7).unwrap());
        // But one that is higher than the classifier's says that its harmless answers score high.
        let high = calibration().with(&[Score::new(0.95); Label::COUNT]);
        assert_eq!(threshold("\"1%\"", &high).model, Score::new(0.95).unwrap());
        // A label that was measured at fewer rates.
        let mut fewer = [Score::new(0.2); Label::COUNT];
        fewer[Label::Hate.index()] = None;
        let fewer = Calibration::new(|_| Some(0.9)).with_rates(vec![Rate { false_positive_rate: 0.01, thresholds: fewer }]);
        assert_eq!(threshold("\"1%\"", &fewer).model, Score::new(0.9).unwrap());
    }

    #[test]
    fn a_rate_that_was_not_measured_names_the_lowest_that_was() {
        insta::assert_snapshot!(problem("\"0.05%\"", &calibration()), @r#"p.toml:4:12: rule[0].at_least: the classifier was not measured at a false-positive rate as low as 0.05 %; the lowest rate that its manifest has thresholds for is "0.1%""#);
        insta::assert_snapshot!(problem("\"90%\"", &calibration()), @r#"p.toml:4:12: rule[0].at_least: the classifier was not measured at a false-positive rate as high as 90 %; the highest rate that its manifest has thresholds for is "1%"; a probability is a number, like 0.9"#);
        insta::assert_snapshot!(problem("\"nan%\"", &calibration()), @r#"p.toml:4:12: rule[0].at_least: "nan%" is no share of answers; a false-positive rate is more than "0%" and at most "100%""#);
        insta::assert_snapshot!(problem("\"0.9\"", &calibration()), @r#"p.toml:4:12: rule[0].at_least: unknown value "0.9"; a probability is written without quotes, a false-positive rate with %"#);
        insta::assert_snapshot!(problem("\"often\"", &calibration()), @r#"p.toml:4:12: rule[0].at_least: unknown value "often"; must be "calibrated" or "0.5%""#);
    }
}
