//! The reactor: the only place that names monoio. One runtime per core, io_uring or epoll underneath.
//!
//! Of monoio we use the executor, the poll operation, one timer and the waker. Data is read and
//! written by direct non-blocking calls: an idle connection lends no buffer to the kernel, and
//! nothing is lost when a wait is dropped. What monoio 0.2.4 would do otherwise, and how it is kept out:
//!
//! - a dropped read loses bytes: only readiness is awaited, see [`Socket`];
//! - a panic in one task kills the reactor: every task runs under [`spawn`]'s guard;
//! - a self-waking task starves I/O and timers: [`Yield`] goes through the driver;
//! - an accept dropped midway leaks its socket: [`Listener`] awaits readiness, then accepts directly;
//! - timers cost 640 bytes: one [`sleep`] per core drives a wheel;
//! - remote wakes are not coalesced: a [`Doorbell`] takes its waker out, so it rings once per drain.

mod descriptors;
mod doorbell;
mod driver;
mod listener;
mod local;
mod socket;
mod yielding;

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub use descriptors::raise_descriptor_limit;
pub use doorbell::Doorbell;
pub use driver::{Driver, DriverChoice, DriverPreference, choose_driver};
pub use listener::{Listener, bind, find_free};
pub use local::{Either, Latch, LocalNotify, WaitList, race};
pub use socket::Socket;
pub use yielding::Yield;

/// Submission entries of a ring. 1,024 suffices for thousands of ready connections: the kernel keeps
/// what overflows the completion side.
const RING_ENTRIES: u32 = 1024;

/// Runs a reactor on this thread until the future that `make` returns is done.
pub fn run<F: Future>(driver: Driver, make: impl FnOnce() -> F) -> io::Result<F::Output> {
    match driver {
        Driver::Uring => {
            let mut ring = io_uring::IoUring::builder();
            driver::set_ring_flags(&mut ring);
            let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
                .with_entries(RING_ENTRIES)
                .uring_builder(ring)
                .enable_timer()
                .build()?;
            Ok(runtime.block_on(make_inside(make)))
        }
        Driver::Epoll => {
            let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer().build()?;
            Ok(runtime.block_on(make_inside(make)))
        }
    }
}

/// Builds the future only once the reactor runs, because sockets register with it.
async fn make_inside<F: Future>(make: impl FnOnce() -> F) -> F::Output {
    make().await
}

/// Starts a task on this core. A panic in it ends the task and is handed to `on_panic`; the reactor goes on.
///
/// `kept` is dropped with the task: for what counts tasks.
pub fn spawn<K: Unpin + 'static>(
    task: impl Future<Output = ()> + 'static,
    kept: K,
    on_panic: fn(&K, Box<dyn Any + Send>),
) {
    monoio::spawn(Guarded { task, kept, on_panic });
}

/// Waits; millisecond granularity.
pub async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}

/// A task whose panics end nothing but itself. Written by hand: an async block around another future
/// holds it twice, and there is one for each connection.
struct Guarded<F, K> {
    task: F,
    kept: K,
    on_panic: fn(&K, Box<dyn Any + Send>),
}

impl<F: Future<Output = ()>, K: Unpin> Future for Guarded<F, K> {
    type Output = ();

    #[expect(unsafe_code, reason = "structural pinning of one field")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `task` is never moved out of the pinned `Guarded`, which has no `Drop`; the other
        // fields are `Unpin`.
        let guarded = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above, the field is pinned as long as the whole is.
        let task = unsafe { Pin::new_unchecked(&mut guarded.task) };
        match std::panic::catch_unwind(AssertUnwindSafe(|| task.poll(context))) {
            Ok(poll) => poll,
            Err(panic) => {
                (guarded.on_panic)(&guarded.kept, panic);
                Poll::Ready(())
            }
        }
    }
}
