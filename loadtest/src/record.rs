//! What a seat remembers across its connections: its sequence accounting, and the place where it stopped reading.

use crate::ledger::Ledger;
use crate::mark::Mark;
use crate::seating::Room;
use crate::tally::{Arrival, Tally};

/// One seat's memory.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// It need not have every message of its room, only every one between two that it has.
    visiting: bool,
    /// There from the moment the seat was first ready; a visitor's from its first message.
    tally: Option<Tally>,
    /// Only there if the seat resumes its sessions.
    place: Option<Box<Place>>,
}

/// Where a session stopped reading (Socket.IO's connection state recovery); both texts are the server's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The private id of the session; empty if the server gave none.
    pub pid: String,
    /// The last argument of the last event; empty before the first.
    pub offset: String,
    /// How many messages of the room a resumed session has to have seen to be up to date.
    catching_up_to: Option<u32>,
}

impl Record {
    /// The record of a seat that was not ready yet. One that is `visiting` need not have every message of its room.
    pub fn new(visiting: bool, resumes: bool) -> Self {
        Self { visiting, tally: None, place: resumes.then(Box::default) }
    }

    /// Whether the seat need not have every message of its room.
    pub const fn is_visiting(&self) -> bool {
        self.visiting
    }

    /// The accounting of a seat that must have every message of its room, once it was ready.
    pub const fn tally(&self) -> Option<Tally> {
        if self.visiting { None } else { self.tally }
    }

    /// The place to resume at; `None` if there is none.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref().filter(|place| !place.pid.is_empty())
    }

    /// Whether places are kept at all.
    pub const fn keeps_place(&self) -> bool {
        self.place.is_some()
    }

    /// Notes the offset of an event.
    pub fn note_offset(&mut self, offset: &str) {
        if let Some(place) = &mut self.place {
            place.offset.clear();
            place.offset.push_str(offset);
        }
    }

    /// Notes that the server has connected the session and calls it `pid`, while `sent` messages were sent to its room
    /// so far; true if it is the session of before.
    pub fn handle_connected(&mut self, pid: Option<&str>, sent: u32, ledger: &mut Ledger) -> bool {
        let Some(place) = &mut self.place else { return false };
        let pid = pid.unwrap_or_default();
        let (had_one, is_same) = (!place.pid.is_empty(), place.pid == pid);
        if had_one && is_same {
            ledger.resumed += 1;
            place.catching_up_to = Some(sent);
            return true;
        }
        ledger.unresumed += u64::from(had_one);
        **place = Place { pid: pid.to_owned(), ..Place::default() };
        false
    }

    /// Notes that the seat is ready; from here on messages count.
    pub fn enter_ready(&mut self) {
        if !self.visiting {
            self.tally.get_or_insert_default();
        }
    }

    /// Whether a resumed session has everything that it missed; true once for each.
    pub fn has_caught_up(&mut self) -> bool {
        let seen = self.tally.map_or(0, |tally| tally.next());
        let Some(place) = &mut self.place else { return false };
        let is_there = place.catching_up_to.is_some_and(|sent| seen >= sent);
        if is_there {
            place.catching_up_to = None;
        }
        is_there
    }

    /// Enters a message that arrived `nanos` after it was due.
    pub fn enter_message(&mut self, own_room: Room, mark: Mark, nanos: u64, ledger: &mut Ledger) {
        if mark.room != own_room {
            ledger.misrouted += 1;
            return;
        }
        if self.visiting {
            self.tally.get_or_insert_with(|| Tally::begun_at(mark.sequence));
        }
        let Some(tally) = &mut self.tally else { return };
        let arrival = tally.enter(mark.sequence);
        ledger.enter_arrival(arrival, self.visiting);
        let is_replay = self.place.as_ref().is_some_and(|place| place.catching_up_to.is_some());
        if arrival != Arrival::Doubled && !is_replay && !self.visiting {
            ledger.delivery.record(nanos);
        }
    }

    /// Ends a visit: what was missed between two of its messages is lost.
    pub fn end_visit(&mut self, ledger: &mut Ledger) {
        if let Some(tally) = self.tally.take_if(|_| self.visiting) {
            ledger.gaps += u64::from(tally.lost(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn enter(record: &mut Record, ledger: &mut Ledger, sequences: &[u32]) {
        for &sequence in sequences {
            let mark = Mark { room: Room(1), sequence, at: Moment(0) };
            record.enter_message(Room(1), mark, 1_000, ledger);
        }
    }

    #[test]
    fn a_member_misses_what_came_before_its_first_message_and_a_visitor_does_not() {
        for (visiting, delivered, visited, gaps) in [(false, 3, 0, 0), (true, 0, 3, 1)] {
            let (mut record, mut ledger) = (Record::new(visiting, false), Ledger::default());
            record.enter_ready();
            enter(&mut record, &mut ledger, &[5, 6, 8, 8]);
            record.end_visit(&mut ledger);
            assert_eq!((ledger.delivered, ledger.visited, ledger.gaps), (delivered, visited, gaps));
            assert_eq!(
                (ledger.doubled, record.tally().map(|tally| tally.lost(9))),
                (1, (!visiting).then_some(6))
            );
        }
    }

    #[test]
    fn messages_of_another_room_are_nobodys() {
        let (mut record, mut ledger) = (Record::new(false, false), Ledger::default());
        record.enter_ready();
        record.enter_message(Room(9), Mark { room: Room(1), sequence: 0, at: Moment(0) }, 1, &mut ledger);
        assert_eq!((ledger.misrouted, ledger.delivered), (1, 0));
    }

    #[test]
    fn a_resumed_session_has_caught_up_once_it_has_all_that_was_sent_before_it_was_back() {
        let (mut record, mut ledger) = (Record::new(false, true), Ledger::default());
        assert!(!record.handle_connected(Some("p1"), 0, &mut ledger));
        record.enter_ready();
        enter(&mut record, &mut ledger, &[0, 1]);
        record.note_offset("o1");
        assert_eq!(record.place().map(|place| (&*place.pid, &*place.offset)), Some(("p1", "o1")));

        assert!(record.handle_connected(Some("p1"), 4, &mut ledger));
        enter(&mut record, &mut ledger, &[2]);
        assert!(!record.has_caught_up());
        enter(&mut record, &mut ledger, &[3]);
        assert!(record.has_caught_up() && !record.has_caught_up());
        assert_eq!(ledger.delivery.percentiles().count, 2, "a replay is late by nature");

        assert!(!record.handle_connected(Some("p2"), 4, &mut ledger));
        assert_eq!((ledger.resumed, ledger.unresumed), (1, 1));
        assert_eq!(record.place().map(|place| (&*place.pid, &*place.offset)), Some(("p2", "")));
    }

    #[test]
    fn a_server_that_gives_no_pid_resumes_nothing() {
        let (mut record, mut ledger) = (Record::new(false, true), Ledger::default());
        for _ in 0..2 {
            assert!(!record.handle_connected(None, 0, &mut ledger));
        }
        assert_eq!((record.place(), ledger.unresumed), (None, 0));
    }
}
