//! All connections of a run, held by a few threads that take orders from the scenario.

use std::num::NonZeroU32;
use std::sync::Arc;
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
use crate::seating::{Room, Seating};
use crate::sources::Sources;
use crate::tally::Tally;
use crate::target::Target;
use crate::token::Identity;

mod alarm;
mod crew;
mod line;
mod posts;
mod ramp;
mod rooms;
mod signals;
mod slowness;

pub use crew::{Cuts, Visits};
pub use line::Parting;
pub use rooms::Rooms;
pub use signals::{Totals, Watch};
pub use slowness::Slowness;

/// How long a thread may take to hand over its page. It does so between two rounds of its loop, which last some
/// milliseconds even when it has far too much to do.
const PAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// What a run is about; the same for all threads.
#[derive(Clone)]
pub struct Plan {
    /// The server under test.
    pub target: Target,
    /// Where connections start from.
    pub sources: Sources,
    /// Who the connections say they are.
    pub identity: Identity,
    /// The names of the channels.
    pub channels: Channels,
    /// Rooms, members and threads.
    pub seating: Seating,
    /// Whether connections join their room's channel.
    pub joins: bool,
    /// Whether a seat that comes back asks for the session that it had.
    pub resumes: bool,
    /// Which members read slowly, if any do; they need not have every message.
    pub slowness: Option<Slowness>,
    /// What messages look like.
    pub form: MessageForm,
    /// How fast connections are begun at first, per second.
    pub connects_per_s: f64,
    /// How many connections of the whole run may be on their way at once; further ones wait.
    pub connecting_max: NonZeroU32,
    /// How long a connection may take until it is ready.
    pub connect_timeout: Duration,
}

/// What the scenario asks of every thread.
pub(crate) enum Order {
    /// Begin to connect every seat that is not connected.
    Connect(Pace),
    /// End every connection like this, at once.
    Drop(Parting),
    /// Send the messages of this schedule that are the thread's own.
    Publish(Schedule),
    /// Cut connections and bring their seats back.
    Cut(Cuts),
    /// Let visitors come and go.
    Visit(Visits),
    /// Let slow members read everything from here on.
    WakeSlow,
    /// Hand over what has been counted since the last time, and begin at zero.
    TurnPage(Sender<Ledger>),
    /// Close everything and end.
    Leave,
}

/// How fast seats are connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// When the first one is due.
    pub(crate) start: Moment,
    /// How many are due per second after that; infinite if all are due at once.
    pub(crate) connects_per_s: f64,
}

/// A running fleet. Dropping it without [`Fleet::leave`] leaves its threads running until the process ends.
pub struct Fleet {
    plan: Arc<Plan>,
    rooms: Arc<Rooms>,
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
    /// The room and the accounting of each seat that must have every message and was ever ready.
    pub(crate) receivers: Vec<(Room, Tally)>,
}

/// What a fleet has seen in its life.
pub struct Outcome {
    /// All counts and latencies since the last page was turned.
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
        let rooms = Arc::new(Rooms::new(plan.seating.rooms()));
        let threads = (0..plan.seating.threads()).map(|number| {
            let (sender, orders) = channel();
            let poll = Poll::new().context("cannot create an epoll instance")?;
            let waker = Waker::new(poll.registry(), crew::WAKE).context("cannot create an eventfd")?;
            let signals = Arc::new(Signals::default());
            let crew =
                Crew::new(number, Arc::clone(&plan), poll, orders, Arc::clone(&signals), Arc::clone(&rooms))?;
            let name = format!("fleet-{number}");
            let handle =
                thread::Builder::new().name(name).spawn(|| crew.run()).context("cannot start a thread")?;
            Ok(FleetThread { orders: sender, waker, signals, handle })
        });
        let threads = threads.collect::<Result<_>>()?;
        Ok(Self { plan, rooms, threads })
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
        let pace = Pace { start: Moment::now(), connects_per_s: self.plan.connects_per_s };
        self.order(|| Order::Connect(pace))
    }

    /// Begins to connect all seats that are not connected, all of them due at `start`; only the bound on
    /// connections on their way holds them back.
    ///
    /// # Errors
    /// If a thread has ended early.
    pub fn reconnect(&self, start: Moment) -> Result<()> {
        self.order(|| Order::Connect(Pace { start, connects_per_s: f64::INFINITY }))
    }

    /// Ends all connections. What is ordered after this finds none.
    ///
    /// # Errors
    /// If a thread has ended early.
    pub fn drop_all(&self, parting: Parting) -> Result<()> {
        self.order(|| Order::Drop(parting))
    }

    /// Begins to cut connections, as `cuts` says.
    ///
    /// # Errors
    /// If a thread has ended early.
    pub fn cut(&self, cuts: Cuts) -> Result<()> {
        self.order(|| Order::Cut(cuts))
    }

    /// Lets visitors come and go, as `visits` says.
    ///
    /// # Errors
    /// If a thread has ended early.
    pub fn visit(&self, visits: Visits) -> Result<()> {
        self.order(|| Order::Visit(visits))
    }

    /// Lets slow members read everything from here on.
    ///
    /// # Errors
    /// If a thread has ended early.
    pub fn wake_slow(&self) -> Result<()> {
        self.order(|| Order::WakeSlow)
    }

    /// Takes what all threads have counted since the last time; they count from zero again. Sequence accounting
    /// goes on.
    ///
    /// # Errors
    /// If a thread has ended early or hangs.
    pub fn turn_page(&self) -> Result<Ledger> {
        let (sender, pages) = channel();
        self.order(|| Order::TurnPage(sender.clone()))?;
        let mut all = Ledger::default();
        for _ in &self.threads {
            all.merge(&pages.recv_timeout(PAGE_TIMEOUT).context("a fleet thread does not answer")?);
        }
        Ok(all)
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

    /// What has happened so far, for a thread that looks at it while the scenario works.
    pub fn watch(&self) -> Watch {
        Watch::new(self.threads.iter().map(|thread| Arc::clone(&thread.signals)))
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
        self.leave_after(&[])
    }

    /// The same, where others have sent these messages to each room besides.
    ///
    /// # Errors
    /// What made a thread end early, if one did.
    pub fn leave_after(self, sent_by_others: &[u32]) -> Result<Outcome> {
        // A thread that has gone cannot take the order; joining it says why it went.
        let _ = self.order(|| Order::Leave);
        let mut ledger = Ledger::default();
        let mut receivers = Vec::new();
        for thread in self.threads {
            let logbook = thread.handle.join().map_err(|_| anyhow!("a fleet thread panicked"))??;
            ledger.merge(&logbook.ledger);
            receivers.extend(logbook.receivers);
        }
        let by_others = |room: Room| sent_by_others.get(room.0 as usize).copied().unwrap_or(0);
        let sent = |room: Room| self.rooms.sent(room).saturating_add(by_others(room));
        let lost = receivers.iter().map(|&(room, tally)| u64::from(tally.lost(sent(room))));
        Ok(Outcome {
            ledger,
            sent: (0..self.plan.seating.rooms()).map(|room| u64::from(sent(Room(room)))).sum(),
            expected: receivers.iter().map(|&(room, _)| u64::from(sent(room))).sum(),
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
