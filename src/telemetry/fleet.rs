//! Fleet drift: does a route as a whole collapse? Each route, model and persona has a chart over its answers, flagged or not; when it
//! goes over its limit there is an incident of its own kind, with the first answer of the change and what answered before and after.
//!
//! One answer that is flagged is an answer; one in fifty where there was one in two thousand is a bad push. Knows no policy's rules.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use super::Metrics;
use crate::drift::RateCusum;
use crate::guard::events::{Observe, Outcome};
use crate::policy::Mode;
use crate::text::Str;
use crate::verdict::{Action, Cause};

/// The rate of flagged answers that is usual, and the one to be found fast, where a stream has not shown another.
const USUAL: f64 = 0.0005;
const BAD: f64 = 0.02;
/// Answers for one false alarm on average.
const ANSWERS_PER_ALARM: f64 = 1e6;
/// Answers after which a stream's own usual rate is learned anew.
const BLOCK: u64 = 2000;
/// Streams that are told apart; models are named by clients. Beyond it a route's other models share one.
const STREAMS: usize = 500;

/// What answers are watched together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    route: Str,
    model: Option<Str>,
    persona: Option<Str>,
    /// The answers of the route's fallback upstream.
    spare: bool,
}

/// A fleet alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// The route.
    pub route: Str,
    /// Its policy.
    pub policy: Str,
    /// Whether the policy acts.
    pub mode: Mode,
    /// The model asked for; `None` where it is not told apart.
    pub model: Option<Str>,
    /// The persona.
    pub persona: Option<Str>,
    /// Answers since the change, and those of them that were flagged.
    pub answers: u64,
    /// See `answers`.
    pub flagged: u64,
    /// The usual rate.
    pub usual: f64,
    /// When the first answer after the change ended.
    pub since: SystemTime,
    /// The request of the first flagged answer after it.
    pub first: Str,
    /// What answered before the change (`model fingerprint`).
    pub before: Option<String>,
    /// What answers now.
    pub after: Option<String>,
}

impl Alarm {
    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a count of answers")]
        let rate = 100.0 * self.flagged as f64 / self.answers.max(1) as f64;
        let usual = 100.0 * self.usual;
        let mut text =
            format!("{} of the last {} answers were flagged ({rate:.1} %, usual: {usual:.2} %)", self.flagged, self.answers);
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before != after => {
                text.push_str(&format!("; answered by {after}, before by {before}"))
            }
            (_, Some(after)) => text.push_str(&format!("; answered by {after} as before")),
            _ => {}
        }
        text
    }
}

/// One stream of answers.
struct Stream {
    chart: RateCusum,
    usual: f64,
    limit: f64,
    sum: f64,
    /// Since the sum was last 0.
    answers: u64,
    flagged: u64,
    since: SystemTime,
    first: Option<Str>,
    alarmed: bool,
    /// What answers now, what answered before it, and for how many answers it has been so.
    current: Option<String>,
    previous: Option<String>,
    unchanged: u64,
    /// Of the block that is being learned from.
    block: (u64, u64),
}

/// Watches answers for fleets that collapse.
pub struct Fleet {
    metrics: Arc<Metrics>,
    streams: Mutex<HashMap<Key, Stream>>,
    usual: (RateCusum, f64),
    tell: Box<dyn Fn(&Alarm) + Send + Sync>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

/// A chart and its limit for a usual rate.
fn chart(usual: f64) -> Option<(RateCusum, f64)> {
    let chart = RateCusum::new(usual, (4.0 * usual).clamp(BAD, 0.9))?;
    Some((chart, chart.limit_for(ANSWERS_PER_ALARM)))
}

impl Stream {
    fn new((chart, limit): (RateCusum, f64)) -> Self {
        Stream {
            chart,
            usual: USUAL,
            limit,
            sum: 0.0,
            answers: 0,
            flagged: 0,
            since: SystemTime::UNIX_EPOCH,
            first: None,
            alarmed: false,
            current: None,
            previous: None,
            unchanged: 0,
            block: (0, 0),
        }
    }

    /// Takes in an answer; whether the alarm is raised by it.
    fn take(&mut self, flagged: bool, request: &Str, fingerprint: Option<String>, now: SystemTime) -> bool {
        if self.sum == 0.0 {
            // Whatever changed, changed from here on.
            (self.answers, self.flagged, self.since, self.first, self.alarmed) = (0, 0, now, None, false);
        }
        self.unchanged += 1;
        if fingerprint.is_some() && fingerprint != self.current {
            self.previous = std::mem::replace(&mut self.current, fingerprint);
            self.unchanged = 0;
        }
        self.answers += 1;
        if flagged {
            self.flagged += 1;
            self.first.get_or_insert_with(|| request.clone());
        }
        // A chart that has alarmed is kept near its limit, so that good answers bring it down in as many as the bad ones took.
        self.sum = self.chart.next(self.sum, flagged).min(self.limit * 1.5);
        self.learn(flagged);
        let raised = self.sum >= self.limit && !self.alarmed;
        self.alarmed |= raised;
        raised
    }

    /// What answered before the change: the one before, where it left shortly before the sum began to rise.
    fn answered_before(&self) -> Option<String> {
        let recent = self.unchanged < self.answers + BLOCK;
        if recent { self.previous.clone() } else { self.current.clone() }
    }

    /// A route whose policy flags one answer in a hundred has another usual rate than the default; it is learned from whole blocks without
    /// an alarm, and only ever within what was seen to be quiet.
    fn learn(&mut self, flagged: bool) {
        self.block.0 += 1;
        self.block.1 += u64::from(flagged);
        if self.block.0 < BLOCK {
            return;
        }
        let (answers, bad) = std::mem::take(&mut self.block);
        if self.alarmed || self.sum > self.limit / 2.0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of answers")]
        let rate = (bad as f64 / answers as f64).max(USUAL);
        // Charts are made for rates in steps of a half more: a limit takes some milliseconds to find.
        let usual = 0.5 * (self.usual + rate);
        if (usual / self.usual).ln().abs() > 0.4
            && let Some((chart, limit)) = chart(usual)
        {
            (self.chart, self.limit, self.usual) = (chart, limit, usual);
        }
    }
}

impl Fleet {
    /// A watcher that shows the charts in `metrics` and tells alarms.
    ///
    /// # Panics
    /// Never: the rates above are in order.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, tell: impl Fn(&Alarm) + Send + Sync + 'static) -> Self {
        let usual = chart(USUAL).expect("the usual rate is below the bad one");
        Fleet { metrics, streams: Mutex::new(HashMap::new()), usual, tell: Box::new(tell) }
    }

    fn take(&self, outcome: &Outcome, flagged: bool, now: SystemTime) {
        let subject = &outcome.subject;
        let mut key = Key { route: subject.route.clone(), model: subject.model.clone(), persona: subject.persona.clone(), spare: outcome.spare };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() >= STREAMS && !streams.contains_key(&key) {
            key.model = None;
        }
        let stream = streams.entry(key.clone()).or_insert_with(|| Stream::new(self.usual));
        let facts = &outcome.facts;
        let fingerprint: Vec<&str> = facts.model.as_deref().into_iter().chain(facts.fingerprint.as_deref()).collect();
        let fingerprint = (!fingerprint.is_empty()).then(|| fingerprint.join(" "));
        let raised = stream.take(flagged, &subject.request_id, fingerprint, now).then(|| Alarm {
            route: key.route.clone(),
            policy: subject.policy.clone(),
            mode: subject.mode,
            model: key.model.clone(),
            persona: key.persona.clone(),
            answers: stream.answers,
            flagged: stream.flagged,
            usual: stream.usual,
            since: stream.since,
            first: stream.first.clone().unwrap_or_else(|| subject.request_id.clone()),
            before: stream.answered_before(),
            after: stream.current.clone(),
        });
        // The route's gauge is its worst stream's.
        let highest = |spare: bool| {
            let of_route = streams.iter().filter(|(other, _)| other.route == key.route && other.spare == spare);
            of_route.map(|(_, stream)| stream.sum).fold(0.0, f64::max)
        };
        let own = highest(false);
        let worst = own.max(highest(true));
        drop(streams);
        self.metrics.set_fleet_drift(&key.route, worst);
        if let Some(passage) = &outcome.passage
            && passage.circuit.fleet(own, &subject.request_id, Instant::now())
        {
            self.begin_anew(&key.route);
        }
        if let Some(alarm) = raised {
            tracing::warn!(
                route = &*alarm.route,
                model = alarm.model.as_deref(),
                persona = alarm.persona.as_deref(),
                first_request = &*alarm.first,
                "fleet drift: {}",
                alarm.sentence()
            );
            (self.tell)(&alarm);
        }
    }
}

impl Fleet {
    /// The route's circuit has closed: what was added up before that says nothing of what answers now.
    fn begin_anew(&self, route: &Str) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, stream) in streams.iter_mut().filter(|(key, _)| key.route == *route && !key.spare) {
            stream.sum = 0.0;
        }
    }
}

impl Observe for Fleet {
    fn on_end(&self, outcome: &Outcome) {
        // What was not judged, or could not be scored, says nothing of the model.
        let Some(verdict) = outcome.verdict.as_ref().filter(|_| outcome.unscored.is_empty()) else { return };
        if matches!(verdict.cause, Cause::Unscored(_) | Cause::Circuit) {
            return;
        }
        let flagged = verdict.action > Action::Allow || !outcome.retried.is_empty();
        self.take(outcome, flagged, SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;
    use crate::telemetry::{Format, samples};

    struct Told(Arc<Mutex<Vec<Alarm>>>, Fleet, Arc<Metrics>);

    fn fleet() -> Told {
        let told = Arc::new(Mutex::new(Vec::new()));
        let metrics = Arc::new(Metrics::new());
        let sink = told.clone();
        Told(told, Fleet::new(metrics.clone(), move |alarm| sink.lock().unwrap().push(alarm.clone())), metrics)
    }

    fn answer(bad: bool, fingerprint: &str) -> Outcome {
        let mut outcome = if bad { samples::blocked("x", "y") } else { samples::allowed() };
        outcome.facts.fingerprint = Some(fingerprint.into());
        outcome
    }

    #[test]
    fn a_bad_push_is_told_once_with_its_beginning_and_what_answers_now() {
        let Told(told, fleet, metrics) = fleet();
        let mut random = Random::new(2);
        for _ in 0..5000 {
            fleet.on_end(&answer(random.unit() < USUAL, "fp_old"));
        }
        assert!(told.lock().unwrap().is_empty());
        let mut answers = 0;
        while told.lock().unwrap().is_empty() {
            answers += 1;
            fleet.on_end(&answer(random.unit() < 0.03, "fp_new"));
            assert!(answers < 1500, "not found");
        }
        for _ in 0..200 {
            fleet.on_end(&answer(random.unit() < 0.03, "fp_new"));
        }
        let told = told.lock().unwrap();
        let [alarm] = &told[..] else { panic!("told {} times", told.len()) };
        assert_eq!((&*alarm.route, alarm.model.as_deref()), ("/", Some("gpt-5")));
        assert!(alarm.before.as_deref().is_some_and(|before| before.ends_with("fp_old")), "{alarm:?}");
        assert!(alarm.after.as_deref().is_some_and(|after| after.ends_with("fp_new")), "{alarm:?}");
        assert!(alarm.sentence().contains("before by gpt-5-0801 fp_old"), "{}", alarm.sentence());
        let page = Format::Text.render(&metrics.gather());
        let gauge = page.lines().find_map(|line| line.strip_prefix("steadfast_fleet_drift{route=\"/\"} ")).unwrap();
        assert!(gauge.parse::<f64>().unwrap() > 5.0, "{gauge}");
    }

    #[test]
    fn a_route_that_always_flags_one_in_a_hundred_is_not_a_collapse() {
        let Told(told, fleet, _) = fleet();
        let mut random = Random::new(3);
        for _ in 0..30_000 {
            fleet.on_end(&answer(random.unit() < 0.006, "fp"));
        }
        let early = told.lock().unwrap().len();
        assert!(early <= 2, "{early} alarms while it was learned");
        for _ in 0..30_000 {
            fleet.on_end(&answer(random.unit() < 0.006, "fp"));
        }
        assert_eq!(told.lock().unwrap().len(), early, "known by then");
    }

    #[test]
    fn outages_say_nothing_of_the_model() {
        let Told(told, fleet, _) = fleet();
        for _ in 0..2000 {
            let mut outage = samples::blocked("x", "y");
            outage.verdict.as_mut().unwrap().cause = Cause::Unscored(crate::verdict::Unscored::Error);
            fleet.on_end(&outage);
        }
        assert!(told.lock().unwrap().is_empty());
    }

    #[test]
    fn streams_are_bounded() {
        let Told(_, fleet, _) = fleet();
        for number in 0..STREAMS + 100 {
            let mut outcome = samples::allowed();
            outcome.subject.model = Some(number.to_string().into());
            fleet.on_end(&outcome);
        }
        assert!(fleet.streams.lock().unwrap().len() <= STREAMS + 1);
    }
}
