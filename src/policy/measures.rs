//! What is done about a conversation that drifts, from its next request on until it is calm. A set of four, small enough to be kept
//! with the conversation's numbers. Knows neither requests nor stores.

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
