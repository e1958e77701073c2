//! A limit that keeps its promise although it was measured on a sample. What harmless turns look like is estimated, and so is the limit;
//! a limit that is right on the sample raises more alarms than it says on half of all samples. This one is set so that on nine samples
//! of ten it does not: the bootstrap of Gandy and Kvaløy (Scandinavian Journal of Statistics 40, 2013).

use super::bootstrap::{BlockBootstrap, BootstrapError, limit_for};
use super::{Cusum, FEWEST_TURNS, Random, Residuals};

/// The share of samples on which the limit may turn out too low.
const RISK: f64 = 0.1;
/// Samples drawn from the sample.
const SAMPLES: usize = 100;
/// Turns that are drawn to find a limit, in multiples of what one false alarm takes: for the sample itself, and for those drawn from it,
/// whose error only widens the margin a little.
const ALARMS: [f64; 2] = [100.0, 20.0];
/// Conversations are drawn in runs of so many turns, so that one long conversation is not the whole sample.
const RUN: usize = 20;

/// The limit that harmless conversations exceed at no more than `rate` of their turns, with 90 % confidence.
///
/// `learn` finds what harmless turns look like from runs of them (`None`: there are too few), `residuals` measures a run by that, in
/// standard deviations. Runs are drawn with replacement to a new sample; how much too low the limit of the new sample's estimate is
/// on the sample it was drawn from, is how much too low the sample's limit may be on the turns to come.
///
/// # Errors
/// Fewer than 200 turns, or one whose labels were not measured.
pub fn guaranteed_limit<T, B>(
    chart: &Cusum,
    conversations: &[Vec<T>],
    rate: f64,
    learn: impl Fn(&[&[T]]) -> Option<B>,
    residuals: impl Fn(&B, &[T]) -> Vec<Residuals>,
) -> Result<f64, BootstrapError> {
    let runs: Vec<&[T]> = conversations.iter().flat_map(|turns| turns.chunks(RUN)).collect();
    let turns = runs.iter().map(|run| run.len()).sum();
    let few = BootstrapError::TooFew { turns, needed: FEWEST_TURNS };
    let limit = |runs: &[&[T]], taught: &B, seed: u64, alarms: f64| -> Result<f64, BootstrapError> {
        let measured: Vec<Vec<Residuals>> = runs.iter().map(|run| residuals(taught, run)).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of turns to draw")]
        let draws = (alarms / rate).min(5e7) as usize;
        Ok(limit_for(chart, BlockBootstrap::new(&measured, seed)?, draws, rate))
    };
    let own = limit(&runs, &learn(&runs).ok_or(few)?, 1, ALARMS[0])?;
    let mut random = Random::new(2);
    let mut ratios = Vec::with_capacity(SAMPLES);
    for seed in 0..SAMPLES as u64 {
        let (mut drawn, mut count) = (Vec::with_capacity(runs.len()), 0);
        while count < turns {
            let run = runs[random.below(runs.len())];
            count += run.len();
            drawn.push(run);
        }
        // One whose turns happen to be all alike may say nothing.
        let Some(taught) = learn(&drawn) else { continue };
        let Ok(believed) = limit(&drawn, &taught, 10 + seed, ALARMS[1]) else { continue };
        ratios.push(believed / limit(&runs, &taught, 1000 + seed, ALARMS[1])?);
    }
    if ratios.len() < SAMPLES / 2 {
        return Err(few);
    }
    ratios.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a hundred samples")]
    let worst = ratios[(RISK * ratios.len() as f64) as usize];
    Ok(own / worst.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::false_alarm_rate;

    /// Standardised by an estimated mean and deviation.
    fn learn(runs: &[&[f64]]) -> Option<(f64, f64)> {
        let values: Vec<f64> = runs.iter().copied().flatten().copied().collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (values.len() >= 100).then(|| (mean, variance.sqrt()))
    }

    fn residuals(by: &(f64, f64), run: &[f64]) -> Vec<Residuals> {
        run.iter().map(|value| Residuals::of_labels((value - by.0) / by.1)).collect()
    }

    fn sample(turns: usize, random: &mut Random) -> Vec<Vec<f64>> {
        (0..turns / 10).map(|_| (0..10).map(|_| 3.0 + 2.0 * random.normal()).collect()).collect()
    }

    #[test]
    fn most_samples_give_a_limit_that_keeps_the_rate_and_without_the_guarantee_half_do_not() {
        let (chart, rate) = (Cusum::default(), 1e-2);
        let mut random = Random::new(7);
        let (mut kept, mut kept_plain) = (0, 0);
        for round in 0..30 {
            let turns = sample(400, &mut random);
            let limit = guaranteed_limit(&chart, &turns, rate, learn, residuals).unwrap();
            let runs: Vec<&[f64]> = turns.iter().map(Vec::as_slice).collect();
            let by = learn(&runs).unwrap();
            let measured: Vec<Vec<Residuals>> = runs.iter().map(|run| residuals(&by, run)).collect();
            let plain = limit_for(&chart, BlockBootstrap::new(&measured, round).unwrap(), 10_000, rate);
            assert!(limit > plain * 0.95, "{limit} {plain}");
            let fresh: Vec<Residuals> = sample(40_000, &mut random).iter().flat_map(|run| residuals(&by, run)).collect();
            let alarms = |limit| false_alarm_rate(&chart, fresh.iter().copied(), 40_000, limit);
            kept += usize::from(alarms(limit) <= rate);
            kept_plain += usize::from(alarms(plain) <= rate);
        }
        assert!(kept >= 25 && kept_plain <= 21, "{kept} and {kept_plain} of 30");
    }

    #[test]
    fn what_cannot_be_learned_has_no_limit() {
        let chart = Cusum::default();
        let few = vec![vec![0.0; 10]; 15];
        let error = BootstrapError::TooFew { turns: 150, needed: 200 };
        assert_eq!(guaranteed_limit(&chart, &few, 1e-2, learn, residuals), Err(error));
        let odd = vec![vec![f64::NAN; 10]; 30];
        assert_eq!(guaranteed_limit(&chart, &odd, 1e-2, learn, residuals), Err(BootstrapError::NotANumber));
    }
}
