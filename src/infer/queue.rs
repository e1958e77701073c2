//! A bounded queue that is fair between streams: each stream waits in its own line, and the lines are served in turn, so that one
//! stream with a hundred windows costs the next one a single window's wait. Knows nothing of threads, clocks or models.

use std::collections::{HashMap, VecDeque};

/// Items of type `T`, at most `capacity` in all.
#[derive(Debug)]
pub struct FairQueue<T> {
    lines: HashMap<u64, VecDeque<(u64, T)>>,
    /// The streams that have something waiting, in the order in which they are served.
    turns: VecDeque<u64>,
    len: usize,
    capacity: usize,
    number: u64,
}

/// Names a queued item, to take it out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    stream: u64,
    number: u64,
}

/// What became of an item that was offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer<T> {
    /// It waits.
    Queued(Ticket),
    /// It waits, and the newest item of the longest line had to go for it.
    Displaced(Ticket, T),
    /// There is no place for it: the queue is full and no line is longer than its own.
    Full(T),
}

impl<T> FairQueue<T> {
    /// An empty queue; a capacity of 0 is taken as 1.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        FairQueue { lines: HashMap::new(), turns: VecDeque::new(), len: 0, capacity: capacity.max(1), number: 0 }
    }

    /// Items waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many items of a stream wait, and how many other streams have something waiting.
    #[must_use]
    pub fn standing(&self, stream: u64) -> (usize, usize) {
        let own = self.lines.get(&stream).map_or(0, VecDeque::len);
        (own, self.lines.len() - usize::from(own > 0))
    }

    /// Offers an item of a stream. When the queue is full the longest line gives way, so a heavy stream sheds its own load and not
    /// that of the others.
    pub fn push(&mut self, stream: u64, item: T) -> Offer<T> {
        let displaced = if self.len < self.capacity {
            None
        } else {
            let own = self.lines.get(&stream).map_or(0, VecDeque::len);
            match self.lines.iter().max_by_key(|(_, line)| line.len()) {
                // Taking one from a line that is longer by one would only swap the two streams' places.
                Some((&longest, line)) if line.len() > own + 1 => self.take(longest, VecDeque::pop_back),
                _ => return Offer::Full(item),
            }
        };
        self.number += 1;
        let ticket = Ticket { stream, number: self.number };
        let line = self.lines.entry(stream).or_default();
        if line.is_empty() {
            self.turns.push_back(stream);
        }
        line.push_back((ticket.number, item));
        self.len += 1;
        match displaced {
            None => Offer::Queued(ticket),
            Some(out) => Offer::Displaced(ticket, out),
        }
    }

    /// The next item: the oldest of the stream whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let stream = *self.turns.front()?;
        let item = self.take(stream, VecDeque::pop_front);
        // A stream that has more goes to the back; one that has none was taken off by `take`.
        if self.turns.front() == Some(&stream) {
            self.turns.rotate_left(1);
        }
        item
    }

    /// Takes an item out; `None` if it is not there any more.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let place = self.lines.get(&ticket.stream)?.iter().position(|(number, _)| *number == ticket.number)?;
        self.take(ticket.stream, |line| line.remove(place))
    }

    fn take(&mut self, stream: u64, which: impl FnOnce(&mut VecDeque<(u64, T)>) -> Option<(u64, T)>) -> Option<T> {
        let line = self.lines.get_mut(&stream)?;
        let (_, item) = which(line)?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(&stream);
            self.turns.retain(|&turn| turn != stream);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket<T: std::fmt::Debug>(offer: Offer<T>) -> Ticket {
        match offer {
            Offer::Queued(ticket) | Offer::Displaced(ticket, _) => ticket,
            Offer::Full(item) => panic!("{item:?} was refused"),
        }
    }

    fn drain<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn streams_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::new(16);
        for item in ["a1", "a2", "a3", "a4"] {
            ticket(queue.push(1, item));
        }
        ticket(queue.push(2, "b1"));
        ticket(queue.push(2, "b2"));
        ticket(queue.push(3, "c1"));
        assert_eq!(queue.len(), 7);
        assert_eq!([1, 2, 3, 4].map(|stream| queue.standing(stream)), [(4, 2), (2, 2), (1, 2), (0, 3)]);
        assert_eq!(drain(&mut queue), ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_full_queue_sheds_from_the_longest_line() {
        let mut queue = FairQueue::new(3);
        for item in [1, 2, 3] {
            ticket(queue.push(1, item));
        }
        assert_eq!(queue.push(1, 4), Offer::Full(4), "a stream does not push out its own windows");
        assert!(matches!(queue.push(2, 10), Offer::Displaced(_, 3)));
        assert_eq!(queue.push(2, 11), Offer::Full(11), "two against one is as even as it gets");
        assert_eq!(queue.len(), 3);
        assert_eq!(drain(&mut queue), [1, 10, 2]);
    }

    #[test]
    fn a_removed_item_leaves_no_trace() {
        let mut queue = FairQueue::new(4);
        let one = ticket(queue.push(1, "one"));
        ticket(queue.push(2, "two"));
        assert_eq!(queue.remove(one), Some("one"));
        assert_eq!(queue.remove(one), None);
        ticket(queue.push(1, "three"));
        assert_eq!(drain(&mut queue), ["two", "three"]);
        assert_eq!(queue.remove(one), None);
        assert_eq!((queue.lines.len(), queue.turns.len(), queue.len()), (0, 0, 0));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_over_the_bound(steps in proptest::collection::vec((0u8..4, 0u64..5), 1..200)) {
            let mut queue = FairQueue::new(7);
            let mut waiting = std::collections::BTreeMap::new();
            for (n, (step, stream)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => match queue.push(stream, n) {
                        Offer::Queued(ticket) => { waiting.insert(n, ticket); }
                        Offer::Displaced(ticket, out) => {
                            proptest::prop_assert!(waiting.remove(&out).is_some());
                            waiting.insert(n, ticket);
                        }
                        Offer::Full(item) => proptest::prop_assert_eq!((item, waiting.len()), (n, 7)),
                    },
                    2 => match queue.pop() {
                        Some(out) => proptest::prop_assert!(waiting.remove(&out).is_some()),
                        None => proptest::prop_assert!(waiting.is_empty()),
                    },
                    _ => if let Some((&out, &ticket)) = waiting.iter().next() {
                        proptest::prop_assert_eq!(queue.remove(ticket), Some(out));
                        waiting.remove(&out);
                    },
                }
                proptest::prop_assert_eq!(queue.len(), waiting.len());
                proptest::prop_assert!(queue.len() <= 7);
                proptest::prop_assert_eq!(queue.turns.len(), queue.lines.len());
            }
        }
    }
}
