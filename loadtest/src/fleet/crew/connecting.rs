//! How a thread begins connections, gets them ready and gives up those that take too long.

use std::io;
use std::time::Duration;

use mio::Token;
use mio::event::Event;

use crate::clock::Moment;
use crate::connection::{Connection, Exchange};
use crate::fleet::crew::{Berth, Crew};
use crate::fleet::line::Line;
use crate::fleet::posts::{self, Posts};
use crate::record::Record;
use crate::seating::Seat;
use crate::target::Transport;

/// How often connections that take too long are looked for, while any is on its way.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What a connection's sockets are ready for.
#[derive(Clone, Copy, Default)]
pub(super) struct Ready {
    /// The main socket can be written to, or has failed.
    pub(super) writable: bool,
    /// The main socket can be read.
    pub(super) readable: bool,
    /// Something is with the socket for posts; whether it can be read.
    pub(super) posts: Option<bool>,
}

impl Crew {
    /// Begins the connections that the ramp wants begun by `now`.
    pub(super) fn connect_due(&mut self, now: Moment) {
        while let Some((slot, due)) = self.next_slot().filter(|&(_, due)| due <= now) {
            if slot == self.berths.len() {
                let Some(seat) = self.new_seats.next() else { return };
                let is_slow = self.plan.slowness.is_some_and(|slow| slow.holds(&self.plan.seating, seat));
                let record = Record::new(is_slow, self.plan.resumes);
                self.berths.push(Berth { seat, lives: 0, line: None, record });
            }
            if self.berths[slot].line.is_none() {
                self.begin(slot, due);
            }
            self.ramp.iter_mut().for_each(|ramp| ramp.advance());
        }
    }

    /// When the ramp wants the next connection begun.
    pub(super) fn next_connect(&self) -> Option<Moment> {
        self.next_slot().map(|(_, due)| due)
    }

    /// The ramp's next slot, and when it is due.
    fn next_slot(&self) -> Option<(usize, Moment)> {
        let ramp = self.ramp.as_ref()?;
        let slot = ramp.next_slot(self.connecting)?;
        let seat = self.seat(slot)?;
        Some((slot, ramp.due(seat)))
    }

    /// The seat of a berth, or the one that the next berth will have.
    fn seat(&self, slot: usize) -> Option<Seat> {
        self.berths.get(slot).map(|berth| berth.seat).or_else(|| self.new_seats.as_slice().first().copied())
    }

    /// Begins the connection of an empty berth; it was due at `due`.
    pub(super) fn begin(&mut self, slot: usize, due: Moment) {
        match self.dial(slot, due) {
            Ok(line) => {
                self.berths[slot].line = Some(line);
                self.connecting += 1;
            }
            Err(error) => {
                self.totals.failed += 1;
                self.ledger.failures.count(&format!("socket: {error}"));
            }
        }
        self.berths[slot].lives += 1;
    }

    fn dial(&self, slot: usize, due: Moment) -> io::Result<Line> {
        let &Berth { seat, lives, .. } = &self.berths[slot];
        let transport = self.plan.target.transport;
        let room = self.plan.seating.room(seat);
        let address = self.plan.target.address_of(seat, room);
        let connection = Connection::new(seat, room, due, transport);
        let source = self.plan.sources.address(seat, lives);
        let slowness = self.plan.slowness.filter(|slow| slow.holds(&self.plan.seating, seat));
        let receive_buffer = slowness.map(|slow| slow.receive_buffer);
        let mut line = Line::begin(connection, address, source, receive_buffer)?;
        line.register(self.poll.registry(), Token(slot))?;
        if transport == Transport::Polling {
            let (registry, token) = (self.poll.registry(), posts::token(slot));
            line.add_posts(Posts::begin(address, registry, token)?);
        }
        Ok(line)
    }

    /// Handles that a socket can be read or written.
    pub(super) fn handle_event(&mut self, token: usize, event: &Event) {
        let (slot, is_posts) = posts::slot(token);
        let readable = event.is_readable() || event.is_read_closed();
        if is_posts {
            return self.attend(slot, Ready { posts: Some(readable), ..Ready::default() });
        }
        if event.is_read_closed()
            && let Some(Berth { line: Some(line), .. }) = self.berths.get_mut(slot)
        {
            line.note_end();
        }
        let writable = event.is_writable() || event.is_error();
        self.attend(slot, Ready { writable, readable, posts: None });
    }

    /// Writes and reads what there is for a connection.
    pub(super) fn attend(&mut self, slot: usize, ready: Ready) {
        let Self { plan, rooms, schedule, ledger, speech, buffer, berths, .. } = self;
        let Some(Berth { line: Some(line), record, .. }) = berths.get_mut(slot) else {
            return;
        };
        let (was_ready, was_known) = (line.connection.is_ready(), record.tally().is_some());
        let schedule = schedule.as_ref();
        let mut exchange = Exchange { plan, rooms, schedule, now: Moment::now(), ledger, record, speech };
        let mut handled = Ok(());
        if let Some(is_readable) = ready.posts {
            handled = line.handle_posts(is_readable, buffer, &mut exchange);
        }
        if ready.writable {
            handled = line.handle_writable(&mut exchange);
        }
        if handled.is_ok() && ready.readable {
            handled = line.handle_readable(buffer, &mut exchange);
        }
        if !was_ready && line.connection.is_ready() {
            self.connecting -= 1;
            self.totals.ready += 1;
            let Berth { seat, ref record, .. } = self.berths[slot];
            if !was_known && record.tally().is_some() {
                self.rooms.count_member(self.plan.seating.room(seat));
            }
            self.slow_down(slot);
        }
        if let Err(reason) = handled {
            self.end_line(slot, &reason);
        }
    }

    /// Gives up connections that have taken too long since they were begun.
    pub(super) fn check_timeouts(&mut self, now: Moment) {
        if self.connecting == 0 || now < self.next_check {
            return;
        }
        self.next_check = now + CHECK_INTERVAL;
        for slot in 0..self.berths.len() {
            let Some(line) = &self.berths[slot].line else { continue };
            if !line.connection.is_ready() && line.age(now) > self.plan.connect_timeout {
                let reason = format!("timed out, waiting for {}", line.connection.waits_for());
                self.end_line(slot, &reason);
            }
        }
    }
}
