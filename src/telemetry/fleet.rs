//! Fleet drift: does a route as a whole collapse, or move? Each route, model and persona has a chart over its answers, flagged or not, and
//! the distributions of their scores; when the chart goes over its limit or a distribution has moved there is an incident of its own
//! kind, with the first answer of the change and what answered before and after.
//!
//! One answer that is flagged is an answer; one in fifty where there was one in two thousand is a bad push. Knows no policy's rules.

mod origin;
mod shift;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use self::shift::{Shift, Shifts};
use self::stream::{Chart, Stream};
use super::Metrics;
use crate::guard::events::{Observe, Outcome};
use crate::policy::Mode;
use crate::text::Str;
use crate::verdict::{Action, Cause};

/// Streams that are told apart; models are named by clients. Beyond it a route's other models share one.
const STREAMS: usize = 500;
/// Streams whose distributions are watched as well: about 70 kB each.
const SHIFTS: usize = 100;

/// What answers are watched together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    route: Str,
    model: Option<Str>,
    persona: Option<Str>,
    /// Answers of another upstream or model than was asked for.
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
    /// What was found.
    pub found: Found,
    /// Answers since the change.
    pub answers: u64,
    /// When the first answer after the change ended.
    pub since: SystemTime,
    /// The request of the first answer after it that shows it.
    pub first: Str,
    /// What answered before the change (`model fingerprint`).
    pub before: Option<String>,
    /// What answers now.
    pub after: Option<String>,
    /// The system prompt before the change and now, each a hash, where most requests have the same.
    pub prompts: (Option<String>, Option<String>),
}

/// What a fleet alarm is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Too many answers were flagged.
    Rate {
        /// Answers since the change that were flagged.
        flagged: u64,
        /// The usual rate.
        usual: f64,
    },
    /// A distribution has moved.
    Shift(Shift),
}

impl Alarm {
    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = match &self.found {
            Found::Rate { flagged, usual } => {
                #[expect(clippy::cast_precision_loss, reason = "a count of answers")]
                let rate = 100.0 * *flagged as f64 / self.answers.max(1) as f64;
                let usual = 100.0 * usual;
                format!("{flagged} of the last {} answers were flagged ({rate:.1} %, usual: {usual:.2} %)", self.answers)
            }
            Found::Shift(Shift { quantity, moved }) => format!(
                "{quantity} has moved over the last {} answers: from {:.3} to {:.3} in the middle (stability index {:.2})",
                self.answers, moved.before, moved.after, moved.index
            ),
        };
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before != after => {
                text.push_str(&format!("; answered by {after}, before by {before}"))
            }
            (_, Some(after)) => text.push_str(&format!("; answered by {after} as before")),
            _ => {}
        }
        match &self.prompts {
            (Some(before), Some(after)) if before != after => {
                text.push_str(&format!("; the system prompt is another one ({after}, before {before})"));
            }
            (_, Some(after)) => text.push_str(&format!("; the system prompt is the same ({after})")),
            _ => {}
        }
        text
    }

    /// What stands in place of a rule's name in the incident.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self.found {
            Found::Rate { .. } => "fleet drift",
            Found::Shift(_) => "fleet shift",
        }
    }
}

/// Watches answers for fleets that collapse.
pub struct Fleet {
    metrics: Arc<Metrics>,
    streams: Mutex<HashMap<Key, Stream>>,
    usual: Chart,
    tell: Box<dyn Fn(&Alarm) + Send + Sync>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl Fleet {
    /// A watcher that shows the charts in `metrics` and tells alarms.
    ///
    /// # Panics
    /// Never: the rates above are in order.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, tell: impl Fn(&Alarm) + Send + Sync + 'static) -> Self {
        let usual = Chart::usual().expect("the usual rate is below the bad one");
        Fleet { metrics, streams: Mutex::new(HashMap::new()), usual, tell: Box::new(tell) }
    }

    fn take(&self, outcome: &Outcome, flagged: bool, now: SystemTime) {
        let subject = &outcome.subject;
        let mut key = Key {
            route: subject.route.clone(),
            model: subject.model.clone(),
            persona: subject.persona.clone(),
            spare: outcome.spare,
        };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() >= STREAMS && !streams.contains_key(&key) {
            key.model = None;
        }
        let watched = streams.len() < SHIFTS;
        let stream = streams.entry(key.clone()).or_insert_with(|| Stream::new(self.usual, watched.then(Shifts::default)));
        let found = stream.take(outcome, flagged, now);
        let shown = if stream.compared() { stream.indices() } else { Vec::new() };
        let raised: Vec<Alarm> = found
            .into_iter()
            .map(|change| Alarm {
                route: key.route.clone(),
                policy: subject.policy.clone(),
                mode: subject.mode,
                model: key.model.clone(),
                persona: key.persona.clone(),
                before: stream.origin.before(change.answers),
                after: stream.origin.now(),
                prompts: (stream.prompt.before(change.answers), stream.prompt.now()),
                found: change.found,
                answers: change.answers,
                since: change.since,
                first: change.first,
            })
            .collect();
        // Of a route's streams, the one that has moved furthest speaks for it.
        let indices: Vec<(&'static str, f64)> = shown
            .into_iter()
            .map(|(quantity, index)| {
                let others = streams.iter().filter(|(other, _)| other.route == key.route);
                (quantity, others.filter_map(|(_, stream)| stream.index(quantity)).fold(index, f64::max))
            })
            .collect();
        // The route's gauge is its worst stream's.
        let highest = |spare: bool| {
            let of_route = streams.iter().filter(|(other, _)| other.route == key.route && other.spare == spare);
            of_route.map(|(_, stream)| stream.sum).fold(0.0, f64::max)
        };
        let own = highest(false);
        let worst = own.max(highest(true));
        drop(streams);
        self.metrics.set_fleet_drift(&key.route, worst);
        for (quantity, index) in indices {
            self.metrics.set_fleet_shift(&key.route, quantity, index);
        }
        if let Some(passage) = &outcome.passage
            && passage.circuit.fleet(own, &subject.request_id, Instant::now())
        {
            self.begin_anew(&key.route);
        }
        for alarm in raised {
            tracing::warn!(
                route = &*alarm.route,
                model = alarm.model.as_deref(),
                persona = alarm.persona.as_deref(),
                first_request = &*alarm.first,
                "{}: {}",
                alarm.rule(),
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
            stream.begin_anew();
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
    use crate::score::{Label, Score, Source};
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
            fleet.on_end(&answer(random.unit() < stream::USUAL, "fp_old"));
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
        let page = metrics.page(Format::Text);
        let gauge = page.lines().find_map(|line| line.strip_prefix("steadfast_fleet_drift{route=\"/\"} ")).unwrap();
        assert!(gauge.parse::<f64>().unwrap() > 5.0, "{gauge}");
    }

    #[test]
    fn a_model_whose_scores_move_is_told_before_any_answer_is_bad() {
        let Told(told, fleet, metrics) = fleet();
        let mut random = Random::new(7);
        let mut say = |number: u64, shift: f64, prompt: u64| {
            let mut outcome = samples::allowed();
            outcome.subject.request_id = number.to_string().into();
            outcome.subject.prompt = Some(prompt);
            let score = 1.0 / (1.0 + (4.0 - shift - random.normal()).exp());
            #[expect(clippy::cast_possible_truncation, reason = "a score")]
            let score = Score::new(score as f32).unwrap();
            outcome.verdict.as_mut().unwrap().scores.raise(Label::Hostility, score, Source::Model);
            fleet.on_end(&outcome);
        };
        (0..3000).for_each(|number| say(number, 0.0, 1));
        assert!(told.lock().unwrap().is_empty());
        (3000..3600).for_each(|number| say(number, 1.0, 2));
        let told = told.lock().unwrap();
        let [alarm] = &told[..] else { panic!("told {} times", told.len()) };
        let Found::Shift(shift) = &alarm.found else { panic!("{alarm:?}") };
        assert_eq!((shift.quantity, alarm.rule()), ("hostility", "fleet shift"));
        let first: u64 = alarm.first.parse().unwrap();
        assert!(first.abs_diff(3000) < 30, "the first answer of the change: {first}");
        let prompts = (alarm.prompts.0.as_deref(), alarm.prompts.1.as_deref());
        assert_eq!(prompts, (Some("0000000000000001"), Some("0000000000000002")));
        let sentence = alarm.sentence();
        assert!(
            sentence.starts_with("hostility has moved") && sentence.contains("the system prompt is another one"),
            "{sentence}"
        );
        let page = metrics.page(Format::Text);
        let gauge = |quantity: &str| -> f64 {
            let name = format!("steadfast_fleet_shift{{quantity=\"{quantity}\",route=\"/\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
        };
        assert!(gauge("hostility") > 0.25 && gauge("hate") < 0.05, "{page}");
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
