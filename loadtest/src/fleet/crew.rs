//! One thread of the fleet: an epoll loop over its connections, its part of the ramp and of the schedule.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::clock::Moment;
use crate::connection::{Connection, Exchange};
use crate::dialect;
use crate::fleet::alarm::Alarm;
use crate::fleet::line::Line;
use crate::fleet::ramp::Ramp;
use crate::fleet::signals::{Signals, Totals};
use crate::fleet::{Logbook, Order, Plan, ReadyMembers};
use crate::ledger::Ledger;
use crate::schedule::{Due, Schedule, Share};
use crate::seating::Seat;
use crate::speech::Speech;
use crate::tally::Tally;

/// The token of the waker that announces orders.
pub(super) const WAKE: Token = Token(usize::MAX);
/// The token of the thread's timer.
const ALARM: Token = Token(usize::MAX - 1);
/// How many sockets are served before what is due is sent.
const EVENTS_MAX: usize = 256;
/// How much is read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// How often connections that take too long are looked for, while any is on its way.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A thread's place for one connection; it outlives the connection.
struct Berth {
    seat: Seat,
    line: Option<Line>,
    /// There from the moment the connection was first ready.
    tally: Option<Tally>,
}

/// The state of one thread.
pub(super) struct Crew {
    thread: u32,
    plan: Arc<Plan>,
    poll: Poll,
    alarm: Alarm,
    orders: Receiver<Order>,
    signals: Arc<Signals>,
    totals: Totals,
    ready_members: Arc<ReadyMembers>,
    /// In the order of seats, which is the order in which they connect.
    berths: Vec<Berth>,
    /// How many lines are there that are not ready.
    connecting: usize,
    next_check: Moment,
    ramp: Option<Ramp>,
    schedule: Option<Schedule>,
    share: Option<Share>,
    sent: Vec<u32>,
    ledger: Ledger,
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
        ready_members: Arc<ReadyMembers>,
    ) -> Result<Self> {
        Ok(Self {
            thread,
            alarm: Alarm::new(poll.registry(), ALARM)?,
            sent: vec![0; plan.seating.rooms() as usize],
            plan,
            poll,
            orders,
            signals,
            totals: Totals::default(),
            ready_members,
            berths: Vec::new(),
            connecting: 0,
            next_check: Moment::default(),
            ramp: None,
            schedule: None,
            share: None,
            ledger: Ledger::default(),
            speech: Speech::default(),
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
                    Token(slot) => self.handle_event(slot, event),
                }
            }
            let now = Moment::now();
            self.connect_due(now);
            self.publish_due(now);
            self.check_timeouts(now);
            self.show_totals();
        }
    }

    /// The next moment at which something is to be done although no socket asks for it.
    fn next_wake(&self) -> Option<Moment> {
        let ramp = self.ramp.as_ref().and_then(|ramp| ramp.next_due(self.connecting));
        let share = self.share.as_ref().and_then(Share::peek).map(|due| due.at);
        let check = (self.connecting > 0).then_some(self.next_check);
        [ramp, share, check].into_iter().flatten().min()
    }

    /// Takes what has been ordered; true if the thread is to leave.
    fn take_orders(&mut self) -> bool {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Connect(start) => self.ramp = Some(Ramp::new(&self.plan, self.thread, start)),
                Order::Publish(schedule) => {
                    self.schedule = Some(schedule);
                    self.share = Some(schedule.share(self.thread, self.plan.seating.threads()));
                }
                Order::Leave => return true,
            }
        }
        false
    }

    fn handle_event(&mut self, slot: usize, event: &Event) {
        let Self { plan, schedule, ledger, speech, buffer, berths, .. } = self;
        let Some(Berth { line: Some(line), tally, .. }) = berths.get_mut(slot) else {
            return;
        };
        let was_ready = line.connection.is_ready();
        let schedule = schedule.as_ref();
        let mut exchange = Exchange { plan, schedule, now: Moment::now(), ledger, tally, speech };
        let mut handled = Ok(());
        if event.is_writable() || event.is_error() {
            handled = line.handle_writable(&mut exchange);
        }
        if handled.is_ok() && (event.is_readable() || event.is_read_closed()) {
            handled = line.handle_readable(buffer, &mut exchange);
        }
        if !was_ready && line.connection.is_ready() {
            self.connecting -= 1;
            self.totals.ready += 1;
            let room = self.plan.seating.room(self.berths[slot].seat);
            self.ready_members[room.0 as usize].fetch_add(1, Ordering::Relaxed);
        }
        if let Err(reason) = handled {
            self.end_line(slot, &reason);
        }
    }

    /// Closes a connection that is of no more use and counts why.
    fn end_line(&mut self, slot: usize, reason: &str) {
        let Some(line) = self.berths[slot].line.take() else {
            return;
        };
        if line.connection.is_ready() {
            self.totals.dropped += 1;
            self.ledger.drops.count(reason);
        } else {
            self.connecting -= 1;
            self.totals.failed += 1;
            self.ledger.failures.count(reason);
        }
    }

    /// Begins the connections that the ramp wants begun by `now`.
    fn connect_due(&mut self, now: Moment) {
        while let Some((seat, due)) = self.ramp.as_mut().and_then(|ramp| ramp.take_due(now, self.connecting))
        {
            let slot = self.berths.len();
            let connection = Connection::new(seat, self.plan.seating.room(seat), due);
            let target = &self.plan.target;
            let begun = Line::begin(connection, target.address, target.source(seat)).and_then(|mut line| {
                line.register(self.poll.registry(), Token(slot))?;
                Ok(line)
            });
            match begun {
                Ok(line) => {
                    self.berths.push(Berth { seat, line: Some(line), tally: None });
                    self.connecting += 1;
                }
                Err(error) => {
                    self.berths.push(Berth { seat, line: None, tally: None });
                    self.totals.failed += 1;
                    self.ledger.failures.count(&format!("socket: {error}"));
                }
            }
        }
    }

    /// Sends the messages that are due by `now`.
    fn publish_due(&mut self, now: Moment) {
        while let Some(due) = self.share.as_mut().and_then(|share| share.take_due(now)) {
            self.publish(due);
        }
        let all_sent = self.share.as_ref().is_some_and(|share| share.peek().is_none());
        self.totals.published = all_sent.into();
    }

    /// Sends one message from its room's sender.
    fn publish(&mut self, due: Due) {
        let room = due.room.0 as usize;
        let sender = self.plan.seating.sender(due.room);
        let slot = self.berths.partition_point(|berth| berth.seat < sender);
        let line = self
            .berths
            .get_mut(slot)
            .filter(|berth| berth.seat == sender)
            .and_then(|berth| berth.line.as_mut());
        let Some(line) = line.filter(|line| line.takes_messages()) else {
            self.ledger.unsent += 1;
            return;
        };
        let (sequence, plan) = (self.sent[room], &self.plan);
        self.speech.text(|out| dialect::push_message(out, &plan.channels, due, sequence, plan.form));
        let said = line.say(&mut self.speech);
        self.ledger.lateness.record(Moment::now().nanos_since(due.at));
        self.sent[room] += 1;
        self.totals.sent += 1;
        self.totals.expected += u64::from(self.ready_members[room].load(Ordering::Relaxed));
        if let Err(reason) = said {
            self.end_line(slot, &reason);
        }
    }

    /// Gives up connections that have taken too long.
    fn check_timeouts(&mut self, now: Moment) {
        if self.connecting == 0 || now < self.next_check {
            return;
        }
        self.next_check = now + CHECK_INTERVAL;
        for slot in 0..self.berths.len() {
            let Some(line) = &self.berths[slot].line else { continue };
            let connection = &line.connection;
            if !connection.is_ready() && now.since(connection.due()) > self.plan.connect_timeout {
                let reason = format!("timed out, waiting for {}", connection.waits_for());
                self.end_line(slot, &reason);
            }
        }
    }

    fn show_totals(&mut self) {
        self.totals.delivered = self.ledger.delivered();
        self.signals.show(&self.totals);
    }

    /// Says goodbye on every connection and closes it.
    fn leave(mut self) -> Logbook {
        for line in self.berths.iter_mut().filter_map(|berth| berth.line.as_mut()) {
            if line.connection.is_ready() {
                self.speech.close();
                // The run is over: a connection that cannot take it is closed all the same.
                let _ = line.say(&mut self.speech);
            }
        }
        let room = |berth: &Berth| self.plan.seating.room(berth.seat).0 as usize;
        let receivers = self.berths.iter().filter_map(|berth| Some((room(berth), berth.tally?))).collect();
        Logbook { ledger: self.ledger, sent: self.sent, receivers }
    }
}
