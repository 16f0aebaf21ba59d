//! The reactor: the only place that names monoio. One runtime per core, io_uring or epoll underneath.
//!
//! Of monoio we use the executor, the poll operation for the few descriptors of a core, one timer and the waker. Which
//! sockets are ready is noted by an epoll instance that the reactor polls (`readiness.rs`), and data is read and
//! written by direct non-blocking calls: an idle connection lends no buffer to the kernel, and
//! nothing is lost when a wait is dropped. What monoio 0.2.4 would do otherwise, and how it is kept out:
//!
//! - a dropped read loses bytes: only readiness is awaited, see [`Socket`];
//! - a wait costs 300 bytes for each connection, and is begun anew for each message: sockets are registered once;
//! - a panic in one task kills the reactor: every task runs under [`spawn`]'s guard;
//! - a self-waking task starves I/O and timers: [`Yield`] goes through the driver;
//! - an accept dropped midway leaks its socket: [`Listener`] awaits readiness, then accepts directly;
//! - timers cost 640 bytes: one [`sleep`] per core drives a wheel;
//! - remote wakes are not coalesced: a [`Doorbell`] takes its waker out, so it rings once per drain.

mod connecting;
mod descriptors;
mod doorbell;
mod driver;
mod listener;
mod local;
mod pages;
mod polled;
mod readiness;
mod socket;
mod volley;
mod yielding;

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

pub use connecting::connect;
pub use descriptors::raise_descriptor_limit;
pub use doorbell::Doorbell;
pub use driver::{Driver, DriverChoice, DriverPreference, choose_driver};
pub use listener::{Listener, bind, find_free};
pub use local::{Either, Latch, LocalNotify, WaitList, race};
pub use pages::refuse_huge_pages;
pub use socket::Socket;
pub use volley::{VOLLEY_SENDS_MAX, Volley};
pub use yielding::Yield;

/// Submission entries of a ring. The reactor waits for about ten descriptors: connections are behind one of them.
const RING_ENTRIES: u32 = 64;

thread_local! {
    /// What the reactor of this thread runs on.
    static DRIVER: Cell<Option<Driver>> = const { Cell::new(None) };
}

/// Runs a reactor on this thread until the future that `make` returns is done.
pub fn run<F: Future>(driver: Driver, make: impl FnOnce() -> F) -> io::Result<F::Output> {
    DRIVER.set(Some(driver));
    match driver {
        Driver::Uring => {
            let mut ring = io_uring::IoUring::builder();
            driver::set_ring_flags(&mut ring);
            let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
                .with_entries(RING_ENTRIES)
                .uring_builder(ring)
                .enable_timer()
                .build()?;
            runtime.block_on(make_inside(make))
        }
        Driver::Epoll => {
            let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer().build()?;
            runtime.block_on(make_inside(make))
        }
    }
}

/// Builds the future only once the reactor runs, because sockets register with it.
async fn make_inside<F: Future>(make: impl FnOnce() -> F) -> io::Result<F::Output> {
    monoio::spawn(readiness::watch()?);
    Ok(make().await)
}

/// Whoever answers for a task.
pub trait Guard: Unpin + 'static {
    /// Hears how the task ended, if a panic ended it.
    fn handle_panic(&self, panic: Box<dyn Any + Send>);
}

/// Starts a task on this core. A panic in it ends the task and is handed to `guard`; the reactor goes on.
///
/// The guard is dropped with the task: for what counts tasks.
pub fn spawn(task: impl Future<Output = ()> + 'static, guard: impl Guard) {
    monoio::spawn(Guarded { task, guard });
}

/// Starts tasks on a core, for those who do not know how they are guarded there.
pub type Starter = Rc<dyn Fn(Pin<Box<dyn Future<Output = ()>>>)>;

/// Says what to wait for before more is taken in: `None` while there is room.
pub type Gate = Rc<dyn Fn() -> Option<Pin<Box<dyn Future<Output = ()>>>>>;

/// Waits; millisecond granularity. What the reactor's timer needs is on the heap, and not in every task that may sleep.
pub async fn sleep(duration: Duration) {
    Box::pin(monoio::time::sleep(duration)).await;
}

/// What a task of type `F` with a guard of type `G` costs, in bytes.
pub const fn task_bytes<F: Future<Output = ()>, G: Guard>() -> usize {
    /// What the executor keeps beside a task: its state, how it is run, its thread, how far it is, its waker.
    const EXECUTOR_BYTES: usize = 48;
    size_of::<Guarded<F, G>>() + EXECUTOR_BYTES
}

/// A task whose panics end nothing but itself. Written by hand: an async block around another future
/// holds it twice, and there is one for each connection.
struct Guarded<F, G> {
    task: F,
    guard: G,
}

impl<F: Future<Output = ()>, G: Guard> Future for Guarded<F, G> {
    type Output = ();

    #[expect(unsafe_code, reason = "structural pinning of one field")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `task` is never moved out of the pinned `Guarded`, which has no `Drop`; the guard is
        // `Unpin`.
        let guarded = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above, the field is pinned as long as the whole is.
        let task = unsafe { Pin::new_unchecked(&mut guarded.task) };
        match std::panic::catch_unwind(AssertUnwindSafe(|| task.poll(context))) {
            Ok(poll) => poll,
            Err(panic) => {
                guarded.guard.handle_panic(panic);
                Poll::Ready(())
            }
        }
    }
}
