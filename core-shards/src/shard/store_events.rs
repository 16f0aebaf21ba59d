//! What the store that nodes share tells, one arm for each: handed to whoever owns what it is about.

use super::Shard;
use crate::Now;
use crate::outputs::Outputs;
use crate::store::{StoreEvent, StoreRequest, Unanswered};

impl Shard {
    /// What is wanted of the store that nodes share, in order. Empty without one.
    pub fn take_store_requests(&mut self) -> Vec<StoreRequest> {
        std::mem::take(&mut self.store_requests)
    }

    /// The store that nodes share tells something.
    pub fn handle_store(&mut self, event: StoreEvent, now: Now, out: &mut Outputs) {
        if let StoreEvent::Up(partition) = event {
            self.meet_partition(partition, now, out);
        }
        match event {
            StoreEvent::Up(_)
            | StoreEvent::Down(_)
            | StoreEvent::Fed(_)
            | StoreEvent::Appended { .. }
            | StoreEvent::Opened(_)
            | StoreEvent::CaughtUp(_) => self.hear_feed(event, now, out),
            StoreEvent::Signal(topic, signal) => self.hear_signal(&topic, &signal, now, out),
            StoreEvent::Taken { ticket, .. } if self.end_doubt(ticket, false, now) => {}
            StoreEvent::Taken { ticket, record } => self.restore(ticket, record.as_deref(), now, out),
            StoreEvent::Absences { ticket, channels } => self.hear_absences(ticket, Some(channels), now, out),
            StoreEvent::Leases { was_held, was_any, alive } => {
                self.hear_leases(was_held, was_any, &alive, now, out);
            }
            StoreEvent::Refused(refused) => match refused.request {
                Unanswered::Append(..) | Unanswered::Open(_) | Unanswered::CatchUp(..) => {
                    self.hear_refusal(*refused, now, out);
                }
                Unanswered::KeepSession(ticket) => self.record_refused(ticket, now, out),
                Unanswered::TakeSession(ticket) if self.end_doubt(ticket, true, now) => {}
                Unanswered::TakeSession(ticket) => self.restore(ticket, None, now, out),
                Unanswered::NoteAbsences(user) => self.absences_refused(&user),
                Unanswered::AskAbsences(ticket) => self.hear_absences(ticket, None, now, out),
                Unanswered::Renew => self.miss_leases(),
            },
        }
        self.settle(now, out);
    }
}
