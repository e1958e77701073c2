//! What is done about a conversation that drifts, from its next request on until it is calm. A set of four, small enough to be kept
//! with the conversation's numbers, how a rule names it, and which of a policy's rules ask for it. Knows no stores.

use super::disguised::Readings;
use super::{Action, Evidence, Fallback, Policy, Rule, SessionFacts};
use crate::dialect::Exchange;
use crate::document::{Item, Table};
use crate::score::{Scores, Signals};
use crate::text::{Channel, Str};

/// A set of measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Measures {
    /// The persona's reminder is added to the request.
    pub remind: bool,
    /// Nothing of a streamed answer leaves before all of it is judged.
    pub buffer: bool,
    /// The request goes to the route's first fallback upstream.
    pub fallback: bool,
    /// Another model is asked.
    pub model: bool,
}

impl Measures {
    /// Nothing is done.
    pub const NONE: Measures = Measures { remind: false, buffer: false, fallback: false, model: false };

    /// What either of two sets does.
    #[must_use]
    pub const fn and(self, other: Measures) -> Measures {
        Measures {
            remind: self.remind || other.remind,
            buffer: self.buffer || other.buffer,
            fallback: self.fallback || other.fallback,
            model: self.model || other.model,
        }
    }

    /// Whether nothing is done.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.bits() == 0
    }

    /// The set as a number from 0 to 15, for stores.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.remind as u8 | (self.buffer as u8) << 1 | (self.fallback as u8) << 2 | (self.model as u8) << 3
    }

    /// The set of a number. Bits that mean nothing (a newer replica wrote them) are left out.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Measures {
        Measures { remind: bits & 1 != 0, buffer: bits & 2 != 0, fallback: bits & 4 != 0, model: bits & 8 != 0 }
    }

    /// The names of what is done, as in metrics and on the dashboard.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [(self.remind, "reminder"), (self.buffer, "buffer"), (self.fallback, "fallback"), (self.model, "model")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
    }
}

impl Policy {
    /// What is done about a conversation before its answer is known, by the first rule that says so. `kept`: what is still being done since
    /// an earlier turn. Only rules whose `when` asks about nothing but the request and its conversation can be asked here; the others act
    /// from the next request on. One without a value counts as [`Policy::judge`] says.
    #[must_use]
    pub fn measures(&self, exchange: &Exchange, session: &SessionFacts, kept: Measures) -> Option<(Measures, &Rule)> {
        let evidence = Evidence {
            scores: &Scores::ZERO,
            signals: &Signals::default(),
            channel: Channel::Answer,
            text: "",
            seen: 0,
            last: false,
            exchange,
            session,
        };
        let mut all = Measures::NONE;
        let mut first = None;
        for rule in &self.rules {
            let Some(measures) = rule.measures else { continue };
            let asked = rule.is_about_the_conversation()
                && rule
                    .fires(&evidence, &Readings::new("", 0, 0))
                    .is_some_and(|fired| !fired.undecided || self.on_error == Fallback::Block);
            if asked {
                all = all.and(measures);
                first = first.or(Some(rule));
            }
        }
        // What was begun is carried on only while the policy (another one, after a reload) still knows a rule for it.
        let known = self.rules.iter().find(|rule| rule.measures.is_some());
        if let Some(known) = known.filter(|_| !kept.is_none()) {
            all = all.and(kept);
            first = first.or(Some(known));
        }
        first.map(|rule| (all, rule))
    }
}

/// Reads a rule's `reanchor`: the measures, and the model that is asked instead.
pub(super) fn read(table: &Table<'_>, action: Option<Action>) -> (Option<Measures>, Option<Str>) {
    let item = table.item("reanchor");
    if let (Some(item), Some(action)) = (&item, action)
        && action != Action::Reanchor
    {
        item.problem(format!("the rule's action is {action}"), Some("write action = \"reanchor\", or remove this"));
    }
    let mut measures = Measures { remind: true, ..Measures::NONE };
    let mut model = None;
    if let Some(options) = item.as_ref().and_then(Item::table) {
        measures.remind = options.bool("reminder").unwrap_or(measures.remind);
        measures.buffer = options.bool("buffer").unwrap_or(false);
        measures.fallback = options.bool("fallback").unwrap_or(false);
        model = options.nonempty("model").map(Str::from);
        measures.model = model.is_some();
        options.finish();
    }
    if let Some(item) = item.filter(|_| measures.is_none()) {
        item.problem("does nothing", Some("set reminder, buffer or fallback to true, or name a model"));
    }
    ((action == Some(Action::Reanchor)).then_some(measures), model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_its_number() {
        for bits in 0..16 {
            let set = Measures::from_bits(bits);
            assert_eq!((set.bits(), set.is_none()), (bits, bits == 0));
            assert_eq!(set.and(Measures::NONE), set);
            assert_eq!(set.names().count(), bits.count_ones() as usize);
        }
        let both = Measures::from_bits(1).and(Measures::from_bits(4));
        assert_eq!(both.names().collect::<Vec<_>>(), ["reminder", "fallback"]);
        assert_eq!(Measures::from_bits(0xF1), Measures::from_bits(1));
    }
}
