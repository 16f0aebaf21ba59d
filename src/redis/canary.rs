//! Whether what is published is heard: a publish of our own, which must come back.
//!
//! On one connection the push of a publish comes right before its answer, or right behind it (from Redis 7.2). So a canary
//! that was answered and is not heard soon is lost; one that is not even answered may only be slow, and then the
//! connection's silence decides.

use std::collections::VecDeque;

/// How often a canary flies. Three of them and a little more are the time in which a dead feed is found.
pub(super) const CANARY_INTERVAL_MS: u64 = 700;

/// How long a connection may say nothing while answers are awaited.
pub(super) const SILENCE_US_MAX: u64 = 3 * 1_000 * CANARY_INTERVAL_MS;

/// How long a canary may take while the connection says other things: a slow one must not be given up too early.
const FLIGHT_US_MAX: u64 = 10_000_000;

/// How long after its answer a canary may still be heard.
const AFTER_ANSWER_US_MAX: u64 = 500_000;

/// The canaries of one group of topics.
#[derive(Debug, Default)]
pub(super) struct Canary {
    last: u64,
    /// Those that are on their way, oldest first.
    flying: VecDeque<Flying>,
}

#[derive(Debug)]
struct Flying {
    number: u64,
    left_us: u64,
    answered_us: Option<u64>,
}

impl Canary {
    /// Sends the next one off, and returns its number.
    pub(super) fn fly(&mut self, now_us: u64) -> u64 {
        self.last += 1;
        self.flying.push_back(Flying { number: self.last, left_us: now_us, answered_us: None });
        self.last
    }

    /// One was heard. Returns how long it took in microseconds, if it was awaited.
    pub(super) fn hear(&mut self, number: u64, now_us: u64) -> Option<u64> {
        let place = self.flying.iter().position(|flying| flying.number == number)?;
        let left_us = self.flying[place].left_us;
        self.flying.drain(..=place);
        Some(now_us.saturating_sub(left_us))
    }

    /// One was answered.
    pub(super) fn answer(&mut self, number: u64, now_us: u64) {
        if let Some(flying) = self.flying.iter_mut().find(|flying| flying.number == number) {
            flying.answered_us = Some(now_us);
        }
    }

    /// Whether one does not come back any more.
    pub(super) fn is_lost(&self, now_us: u64) -> bool {
        let is_past = |since_us: u64, patience_us| now_us.saturating_sub(since_us) > patience_us;
        self.flying.iter().any(|flying| match flying.answered_us {
            Some(answered_us) => is_past(answered_us, AFTER_ANSWER_US_MAX),
            None => is_past(flying.left_us, FLIGHT_US_MAX),
        })
    }

    /// The connection is gone: none of them comes back.
    pub(super) fn forget(&mut self) {
        self.flying.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_that_is_answered_and_not_heard_is_lost() {
        let mut canary = Canary::default();
        let (first, second) = (canary.fly(0), canary.fly(10));
        assert_eq!(canary.hear(first, 30), Some(30));
        canary.answer(first, 31);
        assert!(!canary.is_lost(1_000_000));
        canary.answer(second, 32);
        assert!(!canary.is_lost(500_032) && canary.is_lost(500_033));
        assert_eq!(canary.hear(second, 40), Some(30), "it may come behind its answer");
        assert!(!canary.is_lost(u64::MAX));
        assert_eq!(canary.hear(first, 40), None, "it came twice");
    }

    #[test]
    fn a_slow_canary_is_waited_for() {
        let mut canary = Canary::default();
        canary.fly(0);
        assert!(!canary.is_lost(FLIGHT_US_MAX) && canary.is_lost(FLIGHT_US_MAX + 1));
        canary.forget();
        assert!(!canary.is_lost(u64::MAX));
    }
}
