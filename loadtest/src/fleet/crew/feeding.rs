//! How a thread reads for members that are slow: a little at regular times, instead of whatever there is.

use std::time::Duration;

use crate::clock::Moment;
use crate::fleet::crew::Crew;
use crate::fleet::crew::connecting::Ready;

/// How often slow members read.
const INTERVAL: Duration = Duration::from_millis(100);
/// How many intervals a second has.
const INTERVALS_PER_S: u32 = 10;

/// The thread's slow members that have been ready, and when they read next.
#[derive(Default)]
pub(super) struct Feeding {
    slots: Vec<usize>,
    /// `None` if they read nothing, or everything.
    next: Option<Moment>,
}

impl Feeding {
    /// When they read next, if they do.
    pub(super) const fn next_wake(&self) -> Option<Moment> {
        self.next
    }
}

impl Crew {
    /// Lets a member be slow from here on, if it is one that is.
    pub(super) fn slow_down(&mut self, slot: usize) {
        let Some(slowness) = self.plan.slowness else { return };
        let berth = &mut self.berths[slot];
        if !slowness.holds(&self.plan.seating, berth.seat) {
            return;
        }
        berth.line.iter_mut().for_each(|line| line.limit_reading(0));
        self.feeding.slots.push(slot);
        if slowness.bytes_per_s > 0 {
            self.feeding.next.get_or_insert(Moment::now() + INTERVAL);
        }
    }

    /// Lets slow members read their part, if it is time by `now`.
    pub(super) fn feed_due(&mut self, now: Moment) {
        let (Some(slowness), Some(due)) = (self.plan.slowness, self.feeding.next_wake()) else { return };
        if due > now {
            return;
        }
        self.feeding.next = Some(now + INTERVAL);
        self.feed(slowness.bytes_per_s.div_ceil(INTERVALS_PER_S));
    }

    /// Lets slow members read everything from here on, so that they hear what the server said last.
    pub(super) fn wake_slow(&mut self) {
        self.feeding.next = None;
        self.feed(u32::MAX);
    }

    fn feed(&mut self, bytes: u32) {
        let slots = std::mem::take(&mut self.feeding.slots);
        for &slot in &slots {
            if let Some(line) = &mut self.berths[slot].line {
                line.limit_reading(bytes);
                self.attend(slot, Ready { readable: true, ..Ready::default() });
            }
        }
        self.feeding.slots = slots;
    }
}
