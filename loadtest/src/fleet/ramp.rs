//! The connect ramp of one thread: which of its seats is to be connected when.

use std::time::Duration;

use crate::clock::Moment;
use crate::fleet::Plan;
use crate::seating::Seat;

/// The seats that one thread still has to connect, in order; seat `s` of the run is due `s / rate` after the start.
pub(super) struct Ramp {
    start: Moment,
    connects_per_s: f64,
    connecting_max: usize,
    seats: std::vec::IntoIter<Seat>,
}

impl Ramp {
    /// The ramp of `thread` that begins at `start`.
    pub(super) fn new(plan: &Plan, thread: u32, start: Moment) -> Self {
        let seats: Vec<_> = plan.seating.on_thread(thread).collect();
        Self {
            start,
            connects_per_s: plan.connects_per_s,
            connecting_max: plan.connecting_max.get().div_ceil(plan.seating.threads()) as usize,
            seats: seats.into_iter(),
        }
    }

    /// The next seat and when it was due, if that is not after `now` and not too many are on their way.
    pub(super) fn take_due(&mut self, now: Moment, connecting: usize) -> Option<(Seat, Moment)> {
        let due = self.next_due(connecting)?;
        if due > now {
            return None;
        }
        self.seats.next().map(|seat| (seat, due))
    }

    /// When the next seat is due; `None` after the last and while too many are on their way.
    pub(super) fn next_due(&self, connecting: usize) -> Option<Moment> {
        let seat = self.seats.as_slice().first()?;
        let offset = Duration::from_secs_f64(f64::from(seat.0) / self.connects_per_s);
        (connecting < self.connecting_max).then(|| self.start + offset)
    }
}
