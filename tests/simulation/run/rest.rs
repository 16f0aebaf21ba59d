//! How a busy node comes to rest: everything runs dry, deadlines pass, and then what must hold is looked at.

use super::World;
use crate::client::Line;
use crate::model::publications::RETRY_RECOGNISED_MS;
use crate::model::{Checked, TICK_MS};
use protocol::codes::ErrorCode;

/// Longer than anything is kept: a day for those who were in a channel, and some more.
const EVERYTHING_MS: u64 = 25 * 3_600_000;
/// After so many looks at the clock a node must be at rest.
const LOOKS_MAX: usize = 200;

impl World {
    /// Lets everything run dry and everything end that is over, and checks what must hold then.
    pub(super) fn become_quiet(&mut self) -> Checked {
        self.run_dry()?;
        if self.schedule.chance(3, 4) {
            // Nobody has given a sign since before this moment.
            self.pass(self.schedule.limits.typing_timeout_ms)?;
            self.wait_for_deadlines()?;
            self.model.check_typing_is_over()?;
        }
        self.wait_for_deadlines()?;
        self.trace.note(|| "quiet".to_owned());
        self.model.check_quiet(&self.node)
    }

    /// Lets everything happen that is on its way, in random order.
    pub(super) fn run_dry(&mut self) -> Checked {
        loop {
            let first = self.schedule.choose(self.node.core_count());
            let mut has_worked = false;
            for offset in 0..self.node.core_count() {
                has_worked |= self.turn((first + offset) % self.node.core_count())?;
            }
            if !self.questions.is_empty() {
                self.decide()?;
                continue;
            }
            if has_worked {
                continue;
            }
            let waits = |device: &crate::client::Device| {
                matches!(device.line, Line::Arriving { .. }) || !device.stumps.is_empty()
            };
            if !self.node.lanes.is_empty() || self.devices.iter().any(waits) {
                return Err("the cores wait for each other".to_owned());
            }
            return Ok(());
        }
    }

    /// Time passes and every core looks at its clock if, and only if, it wants to.
    fn pass(&mut self, time_ms: u64) -> Checked {
        self.advance(time_ms * 1000, 0);
        for core in 0..self.node.core_count() {
            if self.node.is_due(core, self.now) {
                self.look_at_clock(core)?;
            } else {
                // It would notice nothing.
                self.model.end_what_is_over(core);
            }
        }
        self.run_dry()
    }

    /// Until nothing has ended of which a core does not know yet.
    fn wait_for_deadlines(&mut self) -> Checked {
        for _ in 0..LOOKS_MAX {
            self.pass(TICK_MS)?;
            if !self.model.is_anything_in_doubt() {
                return Ok(());
            }
        }
        Err("something ends again and again".to_owned())
    }

    /// A member of each channel joins again and must be told exactly what the reference knows.
    pub(super) fn ask_when_quiet(&mut self) -> Checked {
        self.model.begin_quiet();
        for (seat, channel) in self.model.one_member_each() {
            let asking = self.devices.iter_mut().find(|device| device.line == Line::Connected(seat));
            if let Some(device) = asking {
                self.schedule.join_channel(device, &channel, None);
            }
        }
        self.run_dry()?;
        self.model.end_quiet();
        self.wait_for_deadlines()?;
        self.model.check_quiet(&self.node)
    }

    /// Nothing happens for up to twice the time in which a retry is recognised.
    pub(super) fn sleep(&mut self) -> Checked {
        if self.schedule.chance(2, 3) {
            return Ok(());
        }
        let slept_ms = self.schedule.random.u64(0..2 * RETRY_RECOGNISED_MS);
        self.advance(slept_ms * 1000, 0);
        for core in 0..self.node.core_count() {
            self.look_at_clock(core)?;
        }
        Ok(())
    }

    /// Nobody comes back, and nothing is left.
    pub(super) fn forget_everything(&mut self) -> Checked {
        for _ in 0..3 {
            self.pass(EVERYTHING_MS)?;
            if self.model.check_emptiness(&self.node).is_ok() {
                return Ok(());
            }
        }
        // What holds no longer, and is looked at with its end in mind, wakes nobody.
        for core in 0..self.node.core_count() {
            self.look_at_clock(core)?;
        }
        self.model.check_emptiness(&self.node)
    }

    pub(super) fn count_coverage(&mut self) {
        let (counts, coverage) = (&self.model.counts, &mut self.coverage);
        coverage.held_letters = self.node.lanes.held_count;
        coverage.voided_joins = counts.voided_joins;
        coverage.retries = counts.retries;
        coverage.busy_retries = counts.busy;
        coverage.deliveries = counts.deliveries;
        coverage.refused_joins = counts.refusals[ErrorCode::MaxRoomsExceeded as usize];
        coverage.stale_letters = self.node.sum(|metrics| &metrics.stale_letters);
        coverage.resumes = counts.resumes;
        coverage.resumes_refused = counts.resumes_refused;
        coverage.replayed = counts.replayed;
        coverage.missed = counts.missed;
        coverage.lost = counts.lost;
        coverage.recovered = counts.recovered;
        coverage.recovered_not = counts.recovered_not;
        coverage.evicted = counts.evicted;
        coverage.limited = counts.limited;
        coverage.typing_heard = counts.typing_heard;
        coverage.presence_heard = counts.presence_heard;
        coverage.hidden_users = counts.hidden_users;
        coverage.late_verdicts = counts.late_verdicts;
    }
}
