//! Whether a client still lives: one ping an interval, a pong within the timeout, counted from when
//! the ping was due, so that a coarse clock does not add up.

/// By how much of the timeout a ping may be late without moving the deadline of its pong, as a
/// divisor: 25 of 200 ms. A core that was held up longer does not make its clients pay for it.
const LATENESS_SHARE: u32 = 8;

/// One session's heartbeat. Times are monotonic milliseconds modulo 2^32.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heartbeat {
    /// When the last byte came.
    heard_ms: u32,
    /// When the last ping was due, or the next one is.
    ping_ms: u32,
    /// By how much later than it was due the last ping was sent.
    late_ms: u16,
    is_awaiting_pong: bool,
}

/// What to make of a session from which no pong has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing is overdue.
    Fine,
    /// The pong is overdue, but something else came: it may be queued behind a long upload.
    Busy,
    /// The pong is overdue, and nothing has come since the ping.
    Gone,
}

impl Heartbeat {
    /// The heartbeat of a session that says something now.
    pub(super) fn begin(now_ms: u64) -> Self {
        Self { heard_ms: wrapped(now_ms), ..Self::default() }
    }

    /// Bytes came.
    pub(super) fn hear(&mut self, now_ms: u64) {
        self.heard_ms = wrapped(now_ms);
    }

    /// The next ping is to be sent at `due_ms`.
    pub(super) fn plan_ping(&mut self, due_ms: u64) {
        self.ping_ms = wrapped(due_ms);
        self.is_awaiting_pong = false;
    }

    /// The ping is sent. Returns when its pong is overdue.
    pub(super) fn ping(&mut self, now_ms: u64, timeout_ms: u32) -> u64 {
        self.is_awaiting_pong = true;
        let late_ms = wrapped(now_ms).wrapping_sub(self.ping_ms);
        if late_ms <= timeout_ms / LATENESS_SHARE {
            self.late_ms = u16::try_from(late_ms).unwrap_or(u16::MAX);
            return now_ms + u64::from(timeout_ms - late_ms);
        }
        (self.ping_ms, self.late_ms) = (wrapped(now_ms), 0);
        now_ms + u64::from(timeout_ms)
    }

    /// How long the pong took that comes now, in milliseconds, if one was expected.
    pub(super) fn round_trip_ms(&self, now_ms: u64) -> Option<u64> {
        let since_due_ms = wrapped(now_ms).wrapping_sub(self.ping_ms);
        self.is_awaiting_pong.then(|| u64::from(since_due_ms.saturating_sub(u32::from(self.late_ms))))
    }

    /// A pong came. `true` if one was expected: then the next ping is to be planned.
    pub(super) fn pong(&mut self) -> bool {
        std::mem::take(&mut self.is_awaiting_pong)
    }

    /// How the session is.
    pub(super) fn pulse(&self, now_ms: u64, timeout_ms: u32) -> Pulse {
        let since_ping_ms = wrapped(now_ms).wrapping_sub(self.ping_ms);
        if !self.is_awaiting_pong || since_ping_ms < timeout_ms {
            return Pulse::Fine;
        }
        let heard_after_ms = self.heard_ms.wrapping_sub(self.ping_ms);
        if heard_after_ms > 0 && heard_after_ms <= since_ping_ms { Pulse::Busy } else { Pulse::Gone }
    }
}

/// Milliseconds as a session keeps them.
pub(super) fn wrapped(now_ms: u64) -> u32 {
    (now_ms & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session opened at `start_ms` with interval 300 and timeout 200, pinged `late_ms` late.
    fn pinged(start_ms: u64, late_ms: u64) -> (Heartbeat, u64) {
        let mut heartbeat = Heartbeat::begin(start_ms);
        heartbeat.plan_ping(start_ms + 300);
        let overdue_ms = heartbeat.ping(start_ms + 300 + late_ms, 200);
        (heartbeat, overdue_ms - start_ms)
    }

    #[test]
    fn a_silent_session_is_gone_at_interval_plus_timeout_sharp() {
        for start_ms in [0, 7, u64::from(u32::MAX) - 400, u64::from(u32::MAX) - 100, 1 << 40] {
            for late_ms in [0, 1, 5, 25] {
                let (heartbeat, overdue_ms) = pinged(start_ms, late_ms);
                assert_eq!(overdue_ms, 500);
                assert_eq!(heartbeat.pulse(start_ms + 499, 200), Pulse::Fine);
                assert_eq!(heartbeat.pulse(start_ms + 500, 200), Pulse::Gone);
            }
        }
    }

    #[test]
    fn a_core_that_was_held_up_gives_the_whole_timeout() {
        let (heartbeat, overdue_ms) = pinged(0, 90);
        assert_eq!(overdue_ms, 590);
        assert_eq!(heartbeat.pulse(589, 200), Pulse::Fine);
        assert_eq!(heartbeat.pulse(590, 200), Pulse::Gone);
    }

    #[test]
    fn whatever_comes_after_the_ping_is_a_sign_of_life() {
        let (mut heartbeat, _) = pinged(0, 0);
        heartbeat.hear(299);
        assert_eq!(heartbeat.pulse(500, 200), Pulse::Gone);
        heartbeat.hear(301);
        assert_eq!(heartbeat.pulse(500, 200), Pulse::Busy);
    }

    #[test]
    fn a_round_trip_begins_when_the_ping_was_sent() {
        for (late_ms, start_ms) in [(0, 0), (25, 7), (90, 0), (25, u64::from(u32::MAX) - 310)] {
            let (mut heartbeat, _) = pinged(start_ms, late_ms);
            assert_eq!(heartbeat.round_trip_ms(start_ms + 300 + late_ms + 42), Some(42), "{late_ms} ms late");
            heartbeat.pong();
            assert_eq!(heartbeat.round_trip_ms(start_ms + 400), None);
        }
    }

    #[test]
    fn a_pong_counts_once() {
        let (mut heartbeat, _) = pinged(0, 0);
        assert!(heartbeat.pong());
        assert!(!heartbeat.pong());
        assert_eq!(heartbeat.pulse(10_000, 200), Pulse::Fine);
    }
}
