//! Sessions that another node lost, and that their clients take up here.
//!
//! ```text
//!   CONNECT with the pid of another node
//!     -> the store gives its record, to this node alone         none, or not of this user: a new session
//!     -> each channel is joined; its home tells what followed   something is missing: a new session
//!     -> CONNECT is answered: the session goes on               its former node is told to let go
//! ```
//!
//! Until then the client waits and hears nothing. What is handed out meanwhile stands in the journal, as for a session that
//! was lost here. Also new sessions wait that come while the store is asked where their user stopped reading.

mod end;
mod gather;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use protocol::relay::session::SessionRecord;

use super::Shard;
use super::connect::Newcomer;
use super::sessions::Session;
use crate::Now;
use crate::cursor::{RunId, Vector, Writer};
use crate::ids::{ChannelName, CoreId, SessionId, UserId};
use crate::limits::RESTORING_MAX;
use crate::metrics::{Recovery, RecoverySource};
use crate::outputs::Outputs;
use crate::publication::{FormKey, Publication};
use crate::store::StoreRequest;

/// Everybody whose CONNECT waits for an answer of other nodes or of the store.
#[derive(Debug, Default)]
pub(super) struct Restores {
    waiting: HashMap<u64, Waiting>,
    tickets: HashMap<SessionId, u64>,
    /// Users whose absences are asked for while nobody waits for that.
    asked: HashMap<u64, UserId>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Waiting {
    id: SessionId,
    newcomer: Newcomer,
    /// The connection ended meanwhile.
    is_gone: bool,
    stage: Stage,
}

/// What somebody waits for.
#[derive(Debug)]
enum Stage {
    /// The record of the session.
    Record,
    /// Where the user stopped reading.
    Absences,
    /// The answers of channels.
    Homes(Box<Restoring>),
}

/// A session on its way from another node.
#[derive(Debug)]
struct Restoring {
    session: Box<Session>,
    pid: Box<str>,
    sid: Box<str>,
    /// As it was kept, to be given back if the client goes.
    record: Vec<u8>,
    /// Who kept it.
    holder: RunId,
    /// What the client has.
    start: Vector,
    /// Joins without an answer.
    open_count: usize,
    is_complete: bool,
    /// The join that only asks for what was said in the user's own room; 0 if the session is in it.
    own_ticket: u32,
    /// That room.
    own_room: Box<str>,
    /// From where on each channel is told, by the tickets of the joins.
    starts: Box<[(u32, u64)]>,
    /// The place up to which that answer goes; none before it has come.
    own_seq: Option<u64>,
    /// What was missed, in the order of the answers.
    missed: Vec<(FormKey, Arc<Publication>)>,
    /// Who is in the channels.
    members: Vec<(ChannelName, Vec<u8>, u32)>,
}

impl Restores {
    fn wait(&mut self, id: SessionId, newcomer: Newcomer, stage: Stage) -> u64 {
        self.last_ticket += 1;
        self.waiting.insert(self.last_ticket, Waiting { id, newcomer, is_gone: false, stage });
        self.tickets.insert(id, self.last_ticket);
        self.last_ticket
    }

    fn end(&mut self, ticket: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        if !waiting.is_gone {
            self.tickets.remove(&waiting.id);
        }
        Some(waiting)
    }

    fn restoring_mut(&mut self, id: SessionId) -> Option<&mut Restoring> {
        match &mut self.waiting.get_mut(self.tickets.get(&id)?)?.stage {
            Stage::Homes(restoring) => Some(restoring),
            Stage::Record | Stage::Absences => None,
        }
    }

    /// The ticket of a question that nobody waits for.
    fn ask(&mut self, user: UserId) -> u64 {
        self.last_ticket += 1;
        self.asked.insert(self.last_ticket, user);
        self.last_ticket
    }

    /// Whether a CONNECT waits for its answer.
    pub(super) fn is_waiting(&self, id: SessionId) -> bool {
        self.tickets.contains_key(&id)
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.len() + self.asked.len()
    }
}

impl Shard {
    /// Asks the store for what it knows of a newcomer. `false` if there is nothing to ask.
    pub(super) fn ask_elsewhere(
        &mut self,
        id: SessionId,
        newcomer: &Newcomer,
        now: Now,
        out: &mut Outputs,
    ) -> bool {
        let _ = (now, out);
        if !self.placement.is_joined() || self.restores.count() >= RESTORING_MAX {
            return false;
        }
        let resume = newcomer.resume.as_ref().filter(|resume| {
            newcomer.takes_cursor && self.limits.keeps_journal() && Self::is_pid(&resume.pid)
        });
        match resume {
            Some(resume) => {
                let pid = resume.pid.clone();
                let ticket = self.restores.wait(id, newcomer.clone(), Stage::Record);
                self.store_requests.push(StoreRequest::TakeSession { pid, ticket });
                true
            }
            None => self.ask_absences(id, newcomer),
        }
    }

    fn ask_absences(&mut self, id: SessionId, newcomer: &Newcomer) -> bool {
        let is_asked = self.limits.offline_life_ms > 0;
        if is_asked {
            let user = newcomer.identity.user.clone();
            let ticket = self.restores.wait(id, newcomer.clone(), Stage::Absences);
            self.store_requests.push(StoreRequest::AskAbsences { user, ticket });
        }
        is_asked
    }

    /// The record of a session that a client wants to take up, if the store had it.
    pub(super) fn restore(&mut self, ticket: u64, record: Option<&[u8]>, now: Now, out: &mut Outputs) {
        let Some(waiting) = self.restores.end(ticket) else { return };
        let Waiting { id, newcomer, is_gone, .. } = waiting;
        let Some(resume) = newcomer.resume.as_ref() else { return };
        if is_gone {
            if let Some(record) = record {
                self.give_back(&resume.pid.clone(), record.to_vec());
            }
            return;
        }
        let read = record.and_then(SessionRecord::read).filter(|read| *read.user == *newcomer.identity.user);
        let Some(read) = read else {
            self.metrics.count_recovery(RecoverySource::Session, Recovery::Unknown);
            return self.enter_anew(id, &newcomer, now, out);
        };
        let places = self.places_of_record(&resume.offset, &read);
        let (Some(start), Some(holder)) = (places, RunId::parse(read.run)) else {
            self.metrics.count_recovery(RecoverySource::Session, Recovery::Foreign);
            if let Some(holder) = RunId::parse(read.run) {
                self.tell_eviction(holder, &resume.pid, read.user);
            }
            return self.enter_anew(id, &newcomer, now, out);
        };
        let record = record.unwrap_or_default().to_vec();
        self.ask_homes(id, newcomer, holder, start, record, now, out);
    }

    /// Up to where the client of a session of another node has everything, if that can be said.
    fn places_of_record(&self, cursor: &str, record: &SessionRecord<'_>) -> Option<Vector> {
        let start = Vector::parse(cursor, self.placement.partition_count())?;
        let holder = Writer::of(RunId::parse(record.run)?, CoreId(record.core));
        // What its node sent it out of turn is in that node's journal alone, and what it was handed in an outage has no
        // place that others know.
        let is_whole = record.apart_end == 0 || (start.writer == holder && start.mark >= record.apart_end);
        if !is_whole || start.is_bound || start.is_provisional() || record.fold != start.fold.bits() {
            return None;
        }
        self.read_places(cursor)
    }

    /// A connection ended whose CONNECT had no answer yet. Returns whether there was one.
    pub(super) fn stop_waiting(&mut self, id: SessionId, out: &mut Outputs) -> bool {
        let Some(ticket) = self.restores.tickets.remove(&id) else { return false };
        if let Some(waiting) = self.restores.waiting.get_mut(&ticket) {
            waiting.is_gone = true;
            if matches!(waiting.stage, Stage::Record) {
                // The answer is given back.
                return true;
            }
        }
        if let Some(Waiting { stage: Stage::Homes(restoring), newcomer, .. }) = self.restores.end(ticket) {
            let (pid, record) = (restoring.pid.clone(), restoring.record.clone());
            self.abandon(*restoring, &newcomer, out);
            self.give_back(&pid, record);
        }
        true
    }

    /// A record that was taken for nothing is kept as before.
    fn give_back(&mut self, pid: &str, record: Vec<u8>) {
        self.store_requests.push(StoreRequest::KeepSession { pid: pid.into(), record, ticket: u64::MAX });
    }

    /// A newcomer whose session cannot be taken up gets a new one.
    fn enter_anew(&mut self, id: SessionId, newcomer: &Newcomer, now: Now, out: &mut Outputs) {
        if !self.ask_absences(id, newcomer) {
            self.enter(id, newcomer, now, out);
        }
    }

    /// A newcomer of whom the store has said everything gets a session.
    fn enter(&mut self, id: SessionId, newcomer: &Newcomer, now: Now, out: &mut Outputs) {
        let user = self.users.find_or_insert(&newcomer.identity.user, &self.placement);
        if self.has_room_for(id, user, now, out) {
            self.begin(id, user, newcomer, now, out);
            self.settle_arrival(id, user, newcomer.said, now, out);
        }
    }

    /// A session goes on here: what was known here of its user's absences is from before.
    fn ask_absences_anew(&mut self, user: u32, now: Now) {
        if self.limits.offline_life_ms > 0 && self.restores.asked.len() < RESTORING_MAX {
            let user = self.users.at(user).id.clone();
            self.take_over_absences(&user, Vec::new(), now);
            let ticket = self.restores.ask(user.clone());
            self.store_requests.push(StoreRequest::AskAbsences { user, ticket });
        }
    }

    /// The user whose absences were asked for while nobody waits for that.
    pub(super) fn end_asking_anew(&mut self, ticket: u64) -> Option<UserId> {
        self.restores.asked.remove(&ticket)
    }

    /// The newcomer who waits for where its user stopped reading, and is told no more about it.
    pub(super) fn end_asking_absences(&mut self, ticket: u64) -> Option<(SessionId, Newcomer)> {
        let Waiting { id, newcomer, is_gone, .. } = self.restores.end(ticket)?;
        (!is_gone).then_some((id, newcomer))
    }

    /// As [`enter`](Self::enter), once absences are known.
    pub(super) fn enter_after_absences(
        &mut self,
        id: SessionId,
        newcomer: &Newcomer,
        now: Now,
        out: &mut Outputs,
    ) {
        self.enter(id, newcomer, now, out);
    }
}
