//! A fleet after a bad push: how many answers until its chart is over the limit.

use steadfast::drift::{Random, RateCusum};

use crate::assistants::Everyday;
use crate::mean;

/// As the gateway's watcher has it: the usual rate at least, and what is to be found fast.
const USUAL: f64 = 0.0005;
const BAD: f64 = 0.02;
const RUNS: usize = 2000;

#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
pub fn print(everyday: &Everyday) {
    let share = |judged: &[crate::judge::Judged]| {
        judged.iter().filter(|judged| judged.flagged).count() as f64 / judged.len().max(1) as f64
    };
    let (usual, found) = (share(&everyday.harmless), share(&everyday.drifting));
    println!(
        "\nFleet: the shipped policy flags {:.2} % of {} harmless answers and {:.1} % of {} collapses.\n",
        100.0 * usual,
        everyday.harmless.len(),
        100.0 * found,
        everyday.drifting.len()
    );
    println!("| answers | usually flagged | after the push | limit | answers to the alarm, mean | in nine cases of ten |");
    println!("| --- | --- | --- | --- | --- | --- |");
    row("2 % are flagged", USUAL, BAD);
    for bad in [0.02, 0.05, 0.1] {
        // What is not flagged usually (a policy of rules that are hit seldom), and what these scores say.
        let collapsed = format!("{:.0} % collapse", 100.0 * bad);
        row(
            &format!("{collapsed}, harmless ones are flagged at {:.2} %", 100.0 * USUAL),
            USUAL,
            (1.0 - bad) * USUAL + bad * found,
        );
        row(&format!("{collapsed}, harmless ones as these are"), usual.max(USUAL), (1.0 - bad) * usual + bad * found);
    }
}

fn row(answers: &str, usual: f64, bad: f64) {
    let chart = RateCusum::new(usual, (4.0 * usual).clamp(BAD, 0.9)).expect("rates in order");
    let limit = chart.limit_for(1e6);
    let mut random = Random::new(3);
    let mut delays: Vec<f64> = (0..RUNS)
        .map(|_| {
            let (mut sum, mut answers) = (0.0, 0.0);
            while sum < limit && answers < 1e6 {
                sum = chart.next(sum, random.unit() < bad);
                answers += 1.0;
            }
            answers
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    println!(
        "| {answers} | {:.2} % | {:.2} % | {limit:.2} | {:.0} | {:.0} |",
        100.0 * usual,
        100.0 * bad,
        mean(delays.iter().copied()),
        delays[RUNS * 9 / 10]
    );
}
