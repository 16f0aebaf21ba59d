//! The connect ramp of one thread: which of its seats is to be connected when.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use crate::clock::Moment;
use crate::fleet::Pace;
use crate::seating::{Seat, Seating};

/// The slots that one thread still has to connect, in order; the first seat of the run is due at the start, and seat
/// `s` is due `s / rate` later.
pub(super) struct Ramp {
    pace: Pace,
    connecting_max: usize,
    slots: Range<usize>,
}

impl Ramp {
    /// A ramp through `seats` slots, of which at most this thread's part of `connecting_max` are on their way.
    pub(super) fn new(pace: Pace, seats: usize, connecting_max: NonZeroU32, seating: &Seating) -> Self {
        let connecting_max = connecting_max.get().div_ceil(seating.threads()) as usize;
        Self { pace, connecting_max, slots: 0..seats }
    }

    /// The next slot, whatever its time is; `None` after the last and while too many are on their way.
    pub(super) fn next_slot(&self, connecting: usize) -> Option<usize> {
        (connecting < self.connecting_max && !self.slots.is_empty()).then_some(self.slots.start)
    }

    /// Leaves the next slot behind.
    pub(super) fn advance(&mut self) {
        self.slots.next();
    }

    /// When `seat` is due.
    pub(super) fn due(&self, seat: Seat) -> Moment {
        self.pace.start + Duration::from_secs_f64(f64::from(seat.0) / self.pace.connects_per_s)
    }
}
