//! Waking a sleeping core: one wake-up per drain, however many letters were put into its mailbox.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use atomic_waker::AtomicWaker;

/// Rung by other cores, answered by one task of its own core.
#[derive(Debug, Default)]
pub struct Doorbell {
    is_rung: AtomicBool,
    waker: AtomicWaker,
}

impl Doorbell {
    /// Wakes the core, unless it was rung since it last answered. Call after the letters are in the mailbox.
    pub fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Waits until it rings. Whatever was in the mailbox before the ring is visible afterwards.
    pub async fn answered(&self) {
        poll_fn(|context| {
            if self.is_rung.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            self.waker.register(context.waker());
            // It may have rung between the look and the registration.
            if self.is_rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
