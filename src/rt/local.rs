//! Waiting for something on the same core: no atomics, no kernel.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};

/// A flag that one task of a core waits for. It stays set until the task looks.
#[derive(Debug, Default)]
pub struct LocalNotify {
    is_set: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl LocalNotify {
    /// Sets the flag and wakes the task.
    pub fn notify(&self) {
        self.is_set.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until the flag is set, and clears it.
    pub async fn notified(&self) {
        poll_fn(|context| {
            if self.is_set.replace(false) {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Tasks of one core that wait for the next time that something happens. What happened before is nobody's business.
#[derive(Debug, Default)]
pub struct WaitList {
    times: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl WaitList {
    /// It happened: everyone who waits goes on.
    pub fn wake_all(&self) {
        self.times.set(self.times.get() + 1);
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Waits for the next time.
    pub async fn next(&self) {
        let seen = self.times.get();
        poll_fn(|context| {
            if self.times.get() != seen {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A flag that is set once and stays: everyone who waits for it, now or later, goes on.
#[derive(Debug, Default)]
pub struct Latch {
    is_set: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Latch {
    /// Sets the flag and wakes whoever waits.
    pub fn set(&self) {
        self.is_set.set(true);
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.is_set.get()
    }

    /// Waits until the flag is set.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.is_set.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Which of two futures was first.
#[derive(Debug)]
pub enum Either<A, B> {
    /// The first.
    Left(A),
    /// The second.
    Right(B),
}

/// Waits for the first of two futures and drops the other. Only futures that lose nothing when
/// dropped may be raced: readiness, notifications and sleeps are such, reads are not.
pub async fn race<A: Future, B: Future>(left: A, right: B) -> Either<A::Output, B::Output> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|context| {
        if let Poll::Ready(output) = Pin::as_mut(&mut left).poll(context) {
            return Poll::Ready(Either::Left(output));
        }
        Pin::as_mut(&mut right).poll(context).map(Either::Right)
    })
    .await
}
