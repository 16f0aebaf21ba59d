//! How long a session may be in no namespace, after its opening and after it has left the last one: one deadline
//! at a time, however often it joins and leaves.

use super::heartbeat::wrapped;

/// One session's membership in any namespace at all. Times are monotonic milliseconds modulo 2^32.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Joining {
    is_joined: bool,
    /// A deadline is on the wheel.
    is_armed: bool,
    /// Since when it is in no namespace.
    outside_since_ms: u32,
}

/// What the deadline found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lateness {
    /// Nothing to complain of.
    Fine,
    /// The session left in between: look again then.
    Again(u64),
    /// The time is over.
    Late,
}

impl Joining {
    /// The session has joined its first namespace.
    pub(super) fn join(&mut self) {
        self.is_joined = true;
    }

    /// The session is in no namespace from here on. Returns a deadline that is to be armed, if none is.
    pub(super) fn leave(&mut self, now_ms: u64, timeout_ms: u32) -> Option<u64> {
        self.is_joined = false;
        self.outside_since_ms = wrapped(now_ms);
        let was_armed = std::mem::replace(&mut self.is_armed, true);
        (!was_armed).then(|| now_ms + u64::from(timeout_ms))
    }

    /// The deadline fires.
    pub(super) fn look(&mut self, now_ms: u64, timeout_ms: u32) -> Lateness {
        self.is_armed = false;
        if self.is_joined {
            return Lateness::Fine;
        }
        let outside_ms = wrapped(now_ms).wrapping_sub(self.outside_since_ms);
        if outside_ms >= timeout_ms {
            return Lateness::Late;
        }
        self.is_armed = true;
        Lateness::Again(now_ms + u64::from(timeout_ms - outside_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_joins_and_leaves_has_one_deadline() {
        for start_ms in [0, u64::from(u32::MAX) - 500] {
            let mut joining = Joining::default();
            assert_eq!(joining.leave(start_ms, 1_000), Some(start_ms + 1_000));
            for step_ms in 0..900 {
                joining.join();
                assert_eq!(joining.leave(start_ms + step_ms, 1_000), None);
            }
            assert_eq!(joining.look(start_ms + 1_000, 1_000), Lateness::Again(start_ms + 1_899));
            assert_eq!(joining.leave(start_ms + 1_500, 1_000), None);
            assert_eq!(joining.look(start_ms + 1_899, 1_000), Lateness::Again(start_ms + 2_500));
            assert_eq!(joining.look(start_ms + 2_500, 1_000), Lateness::Late);
        }
    }

    #[test]
    fn a_session_that_has_joined_is_left_alone_until_it_leaves() {
        let mut joining = Joining::default();
        joining.leave(0, 1_000);
        joining.join();
        assert_eq!(joining.look(1_000, 1_000), Lateness::Fine);
        assert_eq!(joining.leave(5_000, 1_000), Some(6_000));
        assert_eq!(joining.look(6_000, 1_000), Lateness::Late);
    }
}
