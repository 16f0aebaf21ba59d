//! All connections of a run, held by a few threads that take orders from the scenario.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use mio::{Poll, Waker};

use crate::clock::Moment;
use crate::dialect::{Channels, MessageForm};
use crate::fleet::crew::Crew;
use crate::fleet::signals::Signals;
use crate::ledger::Ledger;
use crate::schedule::Schedule;
use crate::seating::Seating;
use crate::tally::Tally;
use crate::target::Target;
use crate::token::Identity;

mod alarm;
mod crew;
mod line;
mod ramp;
mod signals;

pub use signals::Totals;

/// What a run is about; the same for all threads.
#[derive(Clone)]
pub struct Plan {
    /// The server under test.
    pub target: Target,
    /// Who the connections say they are.
    pub identity: Identity,
    /// The names of the channels.
    pub channels: Channels,
    /// Rooms, members and threads.
    pub seating: Seating,
    /// Whether connections join their room's channel.
    pub joins: bool,
    /// What messages look like.
    pub form: MessageForm,
    /// How fast connections are begun.
    pub connects_per_s: f64,
    /// How many connections of the whole run may be on their way at once; further ones wait.
    pub connecting_max: NonZeroU32,
    /// How long a connection may take until it is ready.
    pub connect_timeout: Duration,
}

/// What the scenario asks of every thread.
pub(crate) enum Order {
    /// Begin to connect, on schedule from this moment.
    Connect(Moment),
    /// Send the messages of this schedule that are the thread's own.
    Publish(Schedule),
    /// Close everything and end.
    Leave,
}

/// Each room's members that have become ready so far.
pub(crate) type ReadyMembers = [AtomicU32];

/// A running fleet. Dropping it without [`Fleet::leave`] leaves its threads running until the process ends.
pub struct Fleet {
    plan: Arc<Plan>,
    threads: Vec<FleetThread>,
}

struct FleetThread {
    orders: Sender<Order>,
    waker: Waker,
    signals: Arc<Signals>,
    handle: JoinHandle<Result<Logbook>>,
}

/// What one thread brings back.
pub(crate) struct Logbook {
    pub(crate) ledger: Ledger,
    /// The messages sent to each room by this thread.
    pub(crate) sent: Vec<u32>,
    /// The room and the accounting of each connection that was ever ready.
    pub(crate) receivers: Vec<(usize, Tally)>,
}

/// What a fleet has seen in its life.
pub struct Outcome {
    /// All counts and latencies.
    pub ledger: Ledger,
    /// Messages sent.
    pub sent: u64,
    /// Messages that receivers should have got.
    pub expected: u64,
    /// Messages that receivers never got.
    pub lost: u64,
    /// Receivers that lost at least one message.
    pub receivers_with_loss: u64,
}

impl Fleet {
    /// Starts the threads; nothing is connected yet.
    ///
    /// # Errors
    /// If the kernel refuses a thread or its epoll instance.
    pub fn launch(plan: Plan) -> Result<Self> {
        let plan = Arc::new(plan);
        let ready: Arc<ReadyMembers> = (0..plan.seating.rooms()).map(|_| AtomicU32::new(0)).collect();
        let threads = (0..plan.seating.threads()).map(|number| {
            let (sender, orders) = channel();
            let poll = Poll::new().context("cannot create an epoll instance")?;
            let waker = Waker::new(poll.registry(), crew::WAKE).context("cannot create an eventfd")?;
            let signals = Arc::new(Signals::default());
            let crew =
                Crew::new(number, Arc::clone(&plan), poll, orders, Arc::clone(&signals), Arc::clone(&ready))?;
            let name = format!("fleet-{number}");
            let handle =
                thread::Builder::new().name(name).spawn(|| crew.run()).context("cannot start a thread")?;
            Ok(FleetThread { orders: sender, waker, signals, handle })
        });
        let threads = threads.collect::<Result<_>>()?;
        Ok(Self { plan, threads })
    }

    /// What the run is about.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Begins to connect all seats, at the plan's rate.
    ///
    /// # Errors
    /// If a thread has ended early.
    pub fn connect(&self) -> Result<()> {
        let start = Moment::now();
        self.order(|| Order::Connect(start))
    }

    /// Begins to send the messages of `schedule`.
    ///
    /// # Errors
    /// If a thread has ended early.
    pub fn publish(&self, schedule: Schedule) -> Result<()> {
        self.order(|| Order::Publish(schedule))
    }

    /// What has happened so far, over all threads.
    pub fn totals(&self) -> Totals {
        self.threads.iter().fold(Totals::default(), |sum, thread| sum.plus(&thread.signals.totals()))
    }

    /// Whether every thread is still at work; one that ended early has failed, and [`Self::leave`] says why.
    pub fn is_afloat(&self) -> bool {
        self.threads.iter().all(|thread| !thread.handle.is_finished())
    }

    /// Closes all connections, ends the threads and adds up what they have seen.
    ///
    /// # Errors
    /// What made a thread end early, if one did.
    pub fn leave(self) -> Result<Outcome> {
        // A thread that has gone cannot take the order; joining it says why it went.
        let _ = self.order(|| Order::Leave);
        let mut ledger = Ledger::default();
        let mut sent = vec![0u32; self.plan.seating.rooms() as usize];
        let mut receivers = Vec::new();
        for thread in self.threads {
            let logbook = thread.handle.join().map_err(|_| anyhow!("a fleet thread panicked"))??;
            ledger.merge(&logbook.ledger);
            sent.iter_mut().zip(&logbook.sent).for_each(|(sum, sent)| *sum += sent);
            receivers.extend(logbook.receivers);
        }
        let lost = receivers.iter().map(|(room, tally)| u64::from(tally.lost(sent[*room])));
        Ok(Outcome {
            ledger,
            sent: sent.iter().copied().map(u64::from).sum(),
            expected: receivers.iter().map(|(room, _)| u64::from(sent[*room])).sum(),
            lost: lost.clone().sum(),
            receivers_with_loss: lost.filter(|&lost| lost > 0).count() as u64,
        })
    }

    fn order(&self, order: impl Fn() -> Order) -> Result<()> {
        for thread in &self.threads {
            thread.orders.send(order()).map_err(|_| anyhow!("a fleet thread has ended early"))?;
            thread.waker.wake().context("cannot wake a fleet thread")?;
        }
        Ok(())
    }
}
