//! Identity: what the rules find, what the classifier finds, and what both together do, on answers that neither was fitted to.

use std::path::Path;

use steadfast::persona::Persona;
use steadfast::score::Label;

use crate::data::{Row, rows};
use crate::judge::Judge;

/// From which score on a rule-based finding counts.
const DETECTED: f32 = 0.9;

/// Right, found, to be found.
#[derive(Default)]
struct Tally([usize; 3]);

impl Tally {
    fn add(&mut self, found: bool, wanted: bool) {
        self.0[0] += usize::from(found && wanted);
        self.0[1] += usize::from(found);
        self.0[2] += usize::from(wanted);
    }

    fn show(&self) -> String {
        let [right, found, wanted] = self.0;
        #[expect(clippy::cast_precision_loss, reason = "counts of answers")]
        let share = |part: usize, whole: usize| {
            if whole == 0 { "–".to_owned() } else { format!("{:.2}", part as f64 / whole as f64) }
        };
        format!("{} of {found} ({}), {} of {wanted} ({})", right, share(right, found), right, share(right, wanted))
    }
}

pub async fn print(judge: &Judge, data: &Path) {
    println!("\nIdentity. In each cell what was rightly found of what was found (precision), and of what there is (recall):\n");
    println!("| answers | label | rules | classifier | both |");
    println!("| --- | --- | --- | --- | --- |");
    let held_out: Vec<Row> = rows(&data.join("authored/identity.jsonl")).into_iter().filter(Row::held_out).collect();
    let own = rows(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/drift/identity.jsonl")));
    for (name, rows) in [("authored, held out", held_out), ("one sentence, two personas", own)] {
        let mut tallies = [(Label::IdentitySwap, <[Tally; 3]>::default()), (Label::HumanClaim, Default::default())];
        for row in &rows {
            let persona = row.system.as_deref().map_or_else(Persona::default, Persona::from_system);
            let scores = judge.judge(&judge.persona(persona), row).await.answer.scores;
            for (label, [rules, classifier, both]) in &mut tallies {
                let wanted = row.labels.iter().any(|one| one == label.as_str());
                let by_rules = scores.detected(*label).get() >= DETECTED;
                let by_classifier = f64::from(scores.model(*label).get()) >= judge.thresholds[label.index()];
                rules.add(by_rules, wanted);
                classifier.add(by_classifier, wanted);
                both.add(by_rules || by_classifier, wanted);
            }
        }
        for (label, [rules, classifier, both]) in &tallies {
            println!(
                "| {name}: {} | `{}` | {} | {} | {} |",
                rows.len(),
                label.as_str(),
                rules.show(),
                classifier.show(),
                both.show()
            );
        }
    }
}
