//! One schedule of messages, from the order to publish until every member has the last one.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Moment;
use crate::fleet::Fleet;
use crate::progress::Progress;
use crate::scenario;
use crate::schedule::Schedule;

/// From the order to publish until the first message is due, so that no thread is late from the start.
pub(super) const HEAD_START: Duration = Duration::from_millis(100);
/// How late a tester that cannot keep up with its schedule may be with the last message before it gives up.
const LATE_MAX: Duration = Duration::from_secs(30);

/// Sends `rate_per_s` messages a second to all rooms for `duration`, then waits for the last delivery, `drain` at the
/// longest; returns the seconds from the first message due.
pub(super) fn send(fleet: &Fleet, rate_per_s: f64, duration: Duration, drain: Duration) -> Result<f64> {
    let seating = &fleet.plan().seating;
    let rooms = NonZeroU32::new(seating.rooms()).context("a run has at least one room")?;
    let before = fleet.totals();
    let start = Moment::now() + HEAD_START;
    let schedule = Schedule::new(start, rate_per_s, duration, rooms);
    let progress = Progress::begin("sending", schedule.total());
    fleet.publish(schedule)?;
    scenario::wait(fleet, duration + LATE_MAX, |totals| {
        progress.show(totals.sent - before.sent);
        totals.published >= before.published + seating.threads()
    });
    scenario::wait(fleet, drain, |totals| {
        totals.delivered - before.delivered >= totals.expected - before.expected
    });
    Ok(Moment::now().since(start).as_secs_f64())
}
