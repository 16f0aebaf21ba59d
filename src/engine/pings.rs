//! How many WebSocket pings of one client are answered: each costs a turn, and nobody needs many.

use super::settings::{PINGS_BURST_MAX, PINGS_PER_SECOND_MAX};

/// What one ping uses up.
const PING_MS: u64 = 1_000 / PINGS_PER_SECOND_MAX;

/// The pings of one session.
#[derive(Debug, Default)]
pub(super) struct Pings {
    /// When those so far would have come at the highest rate, in monotonic milliseconds.
    level_ms: u64,
}

impl Pings {
    /// Counts one. `false` if it is one too many.
    #[must_use]
    pub(super) fn count(&mut self, now_ms: u64) -> bool {
        self.level_ms = self.level_ms.max(now_ms) + PING_MS;
        self.level_ms - now_ms <= PINGS_BURST_MAX * PING_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_answered_and_a_steady_flow_and_nothing_beyond() {
        let mut pings = Pings::default();
        for _ in 0..PINGS_BURST_MAX {
            assert!(pings.count(5_000));
        }
        for step in 1..1_000 {
            assert!(pings.count(5_000 + step * PING_MS));
        }
        assert!(!pings.count(5_000 + 999 * PING_MS));
        assert!((0..PINGS_BURST_MAX).all(|_| pings.count(60_000)));
        assert!(!pings.count(60_000));
    }
}
