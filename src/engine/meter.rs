//! What a core uses of its processor and how full its tables are, looked up once a second.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use super::application::Application;
use super::core::Core;
use super::state::Deadline;

/// How often a core is measured, in milliseconds.
pub(super) const PERIOD_MS: u64 = 1_000;

/// The meter of the thread that made it.
#[derive(Debug)]
pub(super) struct Meter {
    /// The kernel's account of the thread; none where the kernel keeps none.
    account: Option<File>,
    busy_us: u64,
    read_us: u64,
}

impl Meter {
    /// A meter of this thread, which is the core's.
    pub(super) fn new<A: Application>(core: &Core<A>) -> Self {
        let account = File::open("/proc/thread-self/schedstat").ok();
        let mut meter = Self { account, busy_us: 0, read_us: core.shared.now().monotonic_us };
        meter.busy_us = meter.read().map_or(0, |(busy_us, _)| busy_us);
        meter
    }

    /// Measures, and says when to measure next.
    pub(super) fn measure<A: Application>(&mut self, core: &Rc<Core<A>>) {
        if let Some((busy_us, delayed_us)) = self.read() {
            let now_us = core.shared.now().monotonic_us;
            let passed_us = now_us.saturating_sub(self.read_us).max(1);
            let used_us = busy_us.saturating_sub(self.busy_us);
            (self.busy_us, self.read_us) = (busy_us, now_us);
            core.metrics.busy_us.set(busy_us);
            core.metrics.delayed_us.set(delayed_us);
            core.metrics.busy_permille.set((used_us.saturating_mul(1_000) / passed_us).min(1_000));
        }
        core.metrics.tasks.set(core.task_count.get() as u64);
        core.turn(|state, now| {
            core.metrics.deadlines.set(state.wheel.entry_count() as u64);
            core.metrics.unsent_letters.set(state.outbox.letter_count() as u64);
            state.app.measure();
            state.wheel.arm(now.monotonic_ms() + PERIOD_MS, Deadline::Measure);
        });
    }

    /// Microseconds that the thread ran, and that it waited for a processor.
    fn read(&self) -> Option<(u64, u64)> {
        let mut text = [0; 64];
        let count = self.account.as_ref()?.read_at(&mut text, 0).ok()?;
        parse(std::str::from_utf8(&text[..count]).ok()?)
    }
}

/// Reads `<running ns> <waiting ns> <timeslices>`.
fn parse(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_whitespace().map(|field| field.parse::<u64>().ok());
    Some((fields.next()?? / 1_000, fields.next()?? / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse("123456789 4500 77\n"), Some((123_456, 4)));
        for broken in ["", "7", "7 x 8", "-1 2 3"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
