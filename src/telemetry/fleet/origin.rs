//! What answers came from, now and before: to say of a change what else changed then.

/// Answers within which a change of origin and a change of answers are one event.
const TOGETHER: u64 = 2000;

/// One property of where answers come from: the model and its fingerprint, the system prompt.
#[derive(Debug)]
pub(super) struct Origin {
    current: Option<String>,
    previous: Option<String>,
    /// Answers since it last changed.
    unchanged: u64,
    /// Another value, seen so many times in a row.
    next: Option<(String, u32)>,
    /// How many make it a change.
    needed: u32,
}

impl Origin {
    /// A value counts once it has been seen so many times in a row: one that is different in each request never does.
    pub(super) fn new(needed: u32) -> Self {
        Origin { current: None, previous: None, unchanged: 0, next: None, needed }
    }

    /// An answer's value, if it has one.
    pub(super) fn see(&mut self, value: Option<String>) {
        self.unchanged += 1;
        let Some(value) = value else { return };
        if self.current.as_ref() == Some(&value) {
            self.next = None;
            return;
        }
        let times = self.next.take().filter(|(next, _)| *next == value).map_or(1, |(_, times)| times + 1);
        if times < self.needed {
            self.next = Some((value, times));
        } else {
            self.previous = self.current.replace(value);
            self.unchanged = u64::from(times - 1);
        }
    }

    /// What it is now.
    pub(super) fn now(&self) -> Option<String> {
        self.current.clone()
    }

    /// What it was before a change of so many answers ago: the one before, where it left at about that time.
    pub(super) fn before(&self, answers: u64) -> Option<String> {
        if self.unchanged < answers + TOGETHER { self.previous.clone() } else { self.current.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_its_own_in_each_request_is_none() {
        let mut prompt = Origin::new(5);
        for number in 0..100 {
            prompt.see(Some(number.to_string()));
        }
        assert_eq!((prompt.now(), prompt.before(10)), (None, None));
        (0..5).for_each(|_| prompt.see(Some("a".into())));
        assert_eq!(prompt.now().as_deref(), Some("a"));
        for _ in 0..100 {
            prompt.see(Some("odd".into()));
            prompt.see(Some("a".into()));
            prompt.see(None);
        }
        assert_eq!(prompt.now().as_deref(), Some("a"));
        (0..5).for_each(|_| prompt.see(Some("b".into())));
        assert_eq!((prompt.before(3).as_deref(), prompt.now().as_deref()), (Some("a"), Some("b")));
        (0..10_000).for_each(|_| prompt.see(None));
        assert_eq!(prompt.before(3).as_deref(), Some("b"), "long before the change");
    }
}
