//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Before the first attempt after a loss, at most.
const FIRST_MS: u64 = 100;
/// Before any attempt, at most.
const LONGEST_MS: u64 = 3_000;
/// A connection that lived for less counts as a failure.
const LIVED_MS: u64 = 1_000;

/// Counts failures in a row. Each doubles the wait; half of it is left to chance, so that many clients do not come at
/// once: 50 to 100 ms, 100 to 200 ms, and so on to 1.5 to 3 s.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A connection was lost after it was up for so long.
    pub(super) fn lost(&mut self, lived: Duration) {
        if lived >= Duration::from_millis(LIVED_MS) {
            self.failures = 0;
        }
    }

    /// How long to wait now, by a number that is any.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let longest_ms = (FIRST_MS << self.failures.min(10)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(longest_ms / 2 + random % (longest_ms / 2 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_three_seconds() {
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..8).map(|_| backoff.next(u64::MAX / 2).as_millis()).collect();
        assert!(longest.is_sorted() && longest[7] <= 3_000 && longest[0] <= 100, "{longest:?}");
        assert!((0..100).all(|random| backoff.next(random) >= Duration::from_millis(1_500)));
    }

    #[test]
    fn a_connection_that_fails_at_once_every_time_is_never_tried_ten_times_a_second() {
        let mut backoff = Backoff::default();
        let (mut waited, mut attempts) = (Duration::ZERO, 0);
        while waited < Duration::from_secs(1) {
            backoff.lost(Duration::from_millis(999));
            waited += backoff.next(0);
            attempts += 1;
        }
        assert!(attempts < 10, "{attempts}");
    }

    #[test]
    fn a_connection_that_lived_is_made_anew_soon() {
        let mut backoff = Backoff::default();
        assert!((0..9).all(|random| backoff.next(random) >= Duration::from_millis(50)));
        backoff.lost(Duration::from_secs(1));
        assert!(backoff.next(7) <= Duration::from_millis(100));
    }
}
