//! One thread of the fleet: an epoll loop over its connections, its part of the ramp and of the schedule. What it
//! does at each step is in `crew/`.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Events, Poll, Token};

use crate::clock::Moment;
use crate::fleet::alarm::Alarm;
use crate::fleet::crew::cutting::Cutting;
use crate::fleet::crew::feeding::Feeding;
use crate::fleet::crew::visiting::Visiting;
use crate::fleet::line::Line;
use crate::fleet::ramp::Ramp;
use crate::fleet::signals::{Signals, Totals};
use crate::fleet::{Logbook, Order, Plan, Rooms};
use crate::ledger::Ledger;
use crate::record::Record;
use crate::schedule::{Schedule, Share};
use crate::seating::Seat;
use crate::speech::Speech;

mod connecting;
mod cutting;
mod feeding;
mod parting;
mod publishing;
mod visiting;

pub use cutting::Cuts;
pub use visiting::Visits;

/// The token of the waker that announces orders.
pub(super) const WAKE: Token = Token(usize::MAX);
/// The token of the thread's timer.
const ALARM: Token = Token(usize::MAX - 1);
/// How many sockets are served before what is due is sent.
const EVENTS_MAX: usize = 256;
/// How much is read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A thread's place for one connection; it outlives the connection.
struct Berth {
    seat: Seat,
    /// How many connections it has had before; picks the source address.
    lives: u32,
    line: Option<Line>,
    record: Record,
}

/// The state of one thread.
pub(super) struct Crew {
    plan: Arc<Plan>,
    thread: u32,
    poll: Poll,
    alarm: Alarm,
    orders: Receiver<Order>,
    signals: Arc<Signals>,
    totals: Totals,
    rooms: Arc<Rooms>,
    /// The seats of the thread that never had a connection yet, ascending; a berth is made with the first one.
    new_seats: std::vec::IntoIter<Seat>,
    /// In the order of seats, which is the order in which they connect.
    berths: Vec<Berth>,
    /// How many lines are there that are not ready.
    connecting: usize,
    next_check: Moment,
    ramp: Option<Ramp>,
    schedule: Option<Schedule>,
    share: Option<Share>,
    cutting: Option<Cutting>,
    visiting: Option<Visiting>,
    feeding: Feeding,
    /// Sockets of clients that have vanished, the oldest first; at most [`Parting::kept_open_max`](crate::fleet::Parting::kept_open_max).
    vanished: VecDeque<TcpStream>,
    ledger: Ledger,
    /// Messages delivered before the ledger's page was turned.
    delivered_earlier: u64,
    speech: Speech,
    buffer: Vec<u8>,
}

impl Crew {
    /// A thread's state before it runs.
    pub(super) fn new(
        thread: u32,
        plan: Arc<Plan>,
        poll: Poll,
        orders: Receiver<Order>,
        signals: Arc<Signals>,
        rooms: Arc<Rooms>,
    ) -> Result<Self> {
        let speech = Speech::new(&plan.target);
        let new_seats: Vec<_> = plan.seating.on_thread(thread).collect();
        Ok(Self {
            thread,
            alarm: Alarm::new(poll.registry(), ALARM)?,
            plan,
            poll,
            orders,
            signals,
            totals: Totals::default(),
            rooms,
            new_seats: new_seats.into_iter(),
            berths: Vec::new(),
            connecting: 0,
            next_check: Moment::default(),
            ramp: None,
            schedule: None,
            share: None,
            cutting: None,
            visiting: None,
            feeding: Feeding::default(),
            vanished: VecDeque::new(),
            ledger: Ledger::default(),
            delivered_earlier: 0,
            speech,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Works until it is told to leave; woken by sockets, by the alarm and by orders.
    pub(super) fn run(mut self) -> Result<Logbook> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.alarm.set(self.next_wake())?;
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.context("epoll failed")?,
            }
            for event in &events {
                match event.token() {
                    WAKE => {
                        if self.take_orders() {
                            return Ok(self.leave());
                        }
                    }
                    ALARM => self.alarm.handle_ring(),
                    // Berths get another connection only after all events, so none meets one that it was not for.
                    Token(slot) => self.handle_event(slot, event),
                }
            }
            let now = Moment::now();
            self.connect_due(now);
            self.cut_due(now);
            self.visit_due(now);
            self.feed_due(now);
            self.publish_due(now);
            self.check_timeouts(now);
            self.show_totals();
        }
    }

    /// The next moment at which something is to be done although no socket asks for it.
    fn next_wake(&self) -> Option<Moment> {
        let share = self.share.as_ref().and_then(Share::peek).map(|due| due.at);
        let check = (self.connecting > 0).then_some(self.next_check);
        let cut = self.cutting.as_ref().and_then(Cutting::next_wake);
        let visit = self.visiting.as_ref().and_then(Visiting::next_wake);
        [self.next_connect(), share, check, cut, visit, self.feeding.next_wake()].into_iter().flatten().min()
    }

    /// Takes what has been ordered; true if the thread is to leave.
    fn take_orders(&mut self) -> bool {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Connect(pace) => {
                    let seats = self.berths.len() + self.new_seats.len();
                    self.ramp = Some(Ramp::new(pace, seats, self.plan.connecting_max, &self.plan.seating));
                }
                Order::Drop(parting) => self.drop_all(parting),
                Order::Publish(schedule) => {
                    self.schedule = Some(schedule);
                    self.share = Some(schedule.share(self.thread, self.plan.seating.threads()));
                }
                Order::Cut(cuts) => self.cutting = Some(Cutting::new(cuts, self.thread)),
                Order::Visit(visits) => {
                    self.visiting = Some(Visiting::new(visits, self.thread, self.plan.seating.threads()));
                }
                Order::WakeSlow => self.wake_slow(),
                Order::TurnPage(pages) => {
                    let page = std::mem::take(&mut self.ledger);
                    self.delivered_earlier += page.delivered;
                    // It only fails if the scenario has given the run up.
                    let _ = pages.send(page);
                }
                Order::Leave => return true,
            }
            self.show_totals();
        }
        false
    }

    fn show_totals(&mut self) {
        let away = self.cutting.as_ref().map_or(0, Cutting::away);
        let visitors = self.visiting.as_ref().map_or(0, Visiting::present);
        self.totals.unsettled = (self.connecting + away + visitors) as u64;
        self.totals.delivered = self.delivered_earlier + self.ledger.delivered;
        self.signals.show(&self.totals);
    }
}
