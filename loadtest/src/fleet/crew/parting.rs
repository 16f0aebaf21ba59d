//! How a thread's connections end: by the server, by order, and all of them at the end of the run.

use crate::fleet::Logbook;
use crate::fleet::crew::{Berth, Crew};
use crate::fleet::line::Parting;

impl Crew {
    /// Closes a connection that is of no more use and counts why.
    pub(super) fn end_line(&mut self, slot: usize, reason: &str) {
        let Some(line) = self.berths[slot].line.take() else {
            return;
        };
        if line.connection.is_ready() {
            self.totals.dropped += 1;
            let is_visiting = self.berths[slot].record.is_visiting();
            let drops = if is_visiting { &mut self.ledger.visitor_drops } else { &mut self.ledger.drops };
            drops.count(reason);
        } else {
            self.connecting -= 1;
            self.totals.failed += 1;
            self.ledger.failures.count(reason);
        }
    }

    /// Ends a connection from this side, if the berth has one.
    pub(super) fn part(&mut self, slot: usize, parting: Parting) {
        let Some(line) = self.berths[slot].line.take() else {
            return;
        };
        if line.connection.is_ready() {
            self.totals.parted += 1;
        } else {
            self.connecting -= 1;
            self.totals.failed += 1;
            self.ledger.failures.count("ended by the tester before it was ready");
        }
        if parting != Parting::Vanish {
            line.part(parting, self.plan.form.dialect, &mut self.speech);
        } else if let Some(stream) = line.vanish(self.poll.registry()) {
            if self.vanished.len() >= parting.kept_open_max() as usize {
                self.vanished.pop_front();
            }
            self.vanished.push_back(stream);
        }
    }

    /// Ends all connections from this side.
    pub(super) fn drop_all(&mut self, parting: Parting) {
        self.ramp = None;
        for slot in 0..self.berths.len() {
            self.part(slot, parting);
        }
    }

    /// Says goodbye on every connection, closes it and hands the logbook over.
    pub(super) fn leave(mut self) -> Logbook {
        self.drop_all(Parting::Goodbye);
        for berth in &mut self.berths {
            berth.record.end_visit(&mut self.ledger);
        }
        let seating = &self.plan.seating;
        let receiver = |berth: &Berth| Some((seating.room(berth.seat), berth.record.tally()?));
        let receivers = self.berths.iter().filter_map(receiver).collect();
        Logbook { ledger: self.ledger, receivers }
    }
}
