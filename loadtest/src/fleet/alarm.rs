//! One timer per thread with the kernel's resolution; epoll's own timeout is in whole milliseconds, which would
//! show in every latency.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};

use crate::clock::Moment;

/// A timer that wakes its thread at one moment.
pub(super) struct Alarm {
    timer: OwnedFd,
    set_for: Option<Moment>,
}

impl Alarm {
    /// Creates a timer that is not set and reports to `registry` as `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("cannot create a timer")?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, set_for: None })
    }

    /// Notes that it has rung. Its count is not read: epoll reports each ringing once.
    pub(super) const fn handle_ring(&mut self) {
        self.set_for = None;
    }

    /// Sets it to ring at `moment`, at once if that is past, or not at all.
    pub(super) fn set(&mut self, moment: Option<Moment>) -> Result<()> {
        if self.set_for == moment {
            return Ok(());
        }
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = moment.map_or(never, |moment| moment.timespec());
        let setting = Itimerspec { it_interval: never, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting).context("cannot set a timer")?;
        self.set_for = moment;
        Ok(())
    }
}
