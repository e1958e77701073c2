//! A chart calibrated on some conversations and tried on others: false alarms and delays.

use steadfast::drift::{Baseline, BlockBootstrap, Cusum, Random, Residuals, Sums, false_alarm_rate, limit_for};
use steadfast::persona::calibrate::{Answer, Wanted, calibrate};
use steadfast::score::{Label, Signals};

/// One false alarm in 10,000 turns.
pub const RATE: f64 = 1e-4;
/// Turns drawn to count false alarms: a hundred alarms at the rate wanted.
const TURNS: usize = 1_000_000;
/// Conversations begun to measure a delay.
const RUNS: usize = 2000;

/// What calibration found.
pub struct Calibrated {
    pub baseline: Baseline,
    pub chart: Cusum,
    pub limit: f64,
    /// The limit that is right on the turns learned from.
    pub plain: f64,
}

impl Calibrated {
    /// As `steadfast calibrate` does it. `None`: there are too few turns.
    pub fn of(conversations: &[Vec<Answer>], chart: Cusum, thresholds: [f64; Label::COUNT]) -> Option<Self> {
        let wanted = Wanted { false_positive_rate: 0.01, drift_rate: RATE, classifier: Some(thresholds), chart };
        let drift = calibrate(conversations, &wanted).ok()?.thresholds.drift?;
        let (margin, voice, register, prompt, spread) = (drift.margin, drift.voice, drift.register, drift.prompt, drift.spread);
        let baseline = Baseline { thresholds, margin, voice, register, prompt, spread };
        let learned = residuals(&baseline, conversations);
        let plain = limit_for(&chart, BlockBootstrap::new(&learned, 1).ok()?, TURNS, RATE);
        Some(Calibrated { baseline, chart, limit: drift.limit, plain })
    }
}

pub fn residuals(by: &Baseline, conversations: &[Vec<Answer>]) -> Vec<Vec<Residuals>> {
    let residuals = |answer: &Answer| by.residuals(&answer.scores, &answer.signals, &answer.asked);
    conversations.iter().map(|turns| turns.iter().map(residuals).collect()).collect()
}

/// Answers without their signals.
pub fn labels_only(conversations: &[Vec<Answer>]) -> Vec<Vec<Answer>> {
    let silent = |answer: &Answer| Answer { signals: Signals::default(), ..*answer };
    conversations.iter().map(|turns| turns.iter().map(silent).collect()).collect()
}

/// False alarms in 10,000 turns.
pub fn false_alarms(chart: &Cusum, limit: f64, harmless: &[Vec<Residuals>]) -> f64 {
    let turns = BlockBootstrap::new(harmless, 2).expect("two hundred turns or more");
    1e4 * false_alarm_rate(chart, turns, TURNS, limit)
}

/// Turns until the limit is reached, on average (at most 1000 each), by residuals drawn in blocks, of which one quantity is moved by `shift`.
pub fn delay(chart: &Cusum, limit: f64, (quantity, shift): (usize, f64), turns: &[Vec<Residuals>]) -> f64 {
    let mut residuals = BlockBootstrap::new(turns, 4).expect("two hundred turns or more");
    crate::mean((0..RUNS).map(|_| {
        let (mut sums, mut turns) = (Sums::default(), 0.0);
        while sums.drift() < limit && turns < 1000.0 {
            let mut turn = residuals.next().expect("it never ends");
            turn.0[quantity] += shift;
            sums = sums.after(&turn, chart);
            turns += 1.0;
        }
        turns
    }))
}

/// Turns from which on another speaker answers until the limit is reached; infinite where it is not within 40. A conversation's first 5 to 20
/// turns are the speaker's own, as they came, from any place on; then one other speaker's answers follow in their order, again from
/// the first where they end. A conversation that alarms before the swap is a false alarm, and is left out here.
pub fn delays_of_swaps(chart: &Cusum, limit: f64, own: &[Residuals], others: &[Vec<Residuals>]) -> Vec<f64> {
    let mut random = Random::new(5);
    let mut delays = Vec::with_capacity(RUNS);
    while delays.len() < RUNS {
        let (start, turns) = (random.below(own.len()), 5 + random.below(16));
        let other = &others[random.below(others.len())];
        let mut sums = Sums::default();
        let mut alarmed = false;
        for residuals in own.iter().cycle().skip(start).take(turns) {
            sums = sums.after(residuals, chart);
            alarmed |= sums.drift() >= limit;
        }
        if alarmed {
            continue;
        }
        let mut delay = f64::INFINITY;
        for (turn, residuals) in other.iter().cycle().take(40).enumerate() {
            sums = sums.after(residuals, chart);
            if sums.drift() >= limit {
                #[expect(clippy::cast_precision_loss, reason = "at most 40")]
                let turns = (turn + 1) as f64;
                delay = turns;
                break;
            }
        }
        delays.push(delay);
    }
    delays
}
