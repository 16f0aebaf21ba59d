//! Giving way: a task with much to do lets everything else on its core run in between.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::RawFd;
use std::pin::pin;

use super::polled::Polled;
use super::socket::owned;

/// A way once through the driver, for one task. Waking oneself would not do: monoio puts such a task
/// to the front of its queue, and neither completions nor timers would be looked at.
#[derive(Debug)]
pub struct Yield {
    eventfd: Polled,
}

impl Yield {
    /// Makes the event descriptor that the task will wait for.
    pub fn new() -> io::Result<Self> {
        #[expect(unsafe_code, reason = "eventfd(2)")]
        // SAFETY: no memory is involved; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Polled::new(owned(fd)).map(|eventfd| Self { eventfd })
        }
    }

    /// Returns once the driver has been asked for completions. Only one task may use this at a time.
    pub async fn pass(&self) {
        let mut readable = pin!(self.eventfd.readable());
        let mut is_rung = false;
        poll_fn(|context| {
            let poll = readable.as_mut().poll(context);
            if poll.is_pending() && !is_rung {
                is_rung = true;
                add_one(self.eventfd.fd());
            }
            poll.map(drop)
        })
        .await;
        reset(self.eventfd.fd());
    }
}

#[expect(unsafe_code, reason = "write(2)")]
fn add_one(eventfd: RawFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight bytes are read from an array of eight.
    unsafe { libc::write(eventfd, one.as_ptr().cast(), one.len()) };
}

#[expect(unsafe_code, reason = "read(2)")]
fn reset(eventfd: RawFd) {
    let mut count = [0u8; 8];
    // SAFETY: eight bytes are written to an array of eight.
    unsafe { libc::read(eventfd, count.as_mut_ptr().cast(), count.len()) };
}
