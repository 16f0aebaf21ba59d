//! What the store keeps of this core's sessions, so that other nodes can take them up: what each is called there, whose
//! record is written when, and what happens to a session that was taken up elsewhere. Nothing without a store.

use std::collections::{HashSet, VecDeque};

use protocol::chat::event;
use protocol::codes::CloseReason;
use protocol::relay::session::{KeptChannel, SessionRecord};

use super::sessions::{Origin, Session};
use super::{Ending, Shard};
use crate::Now;
use crate::ids::{CoreId, MessageId, SessionId};
use crate::limits::{RECORDS_PER_TURN_MAX, RECORDS_STEP_MS};
use crate::mail::Mail;
use crate::outputs::Outputs;
use crate::store::StoreRequest;

/// Bytes of a private id: run, core and secret.
const PID_BYTES: usize = 8 + 2 + MessageId::TEXT_BYTES;

/// Whose records are to be written.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// As soon as may be, in this order.
    touched: VecDeque<SessionId>,
    /// At the next step: what changes often, and what was not done.
    later: HashSet<SessionId>,
    /// Sessions that began on other nodes, each with when its record is repeated, in monotonic milliseconds.
    repeated: VecDeque<(u64, SessionId)>,
    /// When the next step is, in monotonic milliseconds; `None` if nothing waits for it.
    step_ms: Option<u64>,
    /// Whether the store may not have what was written.
    doubt: Doubt,
}

/// Whether the store has every record as it was written last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doubt {
    /// Nothing else is known.
    #[default]
    None,
    /// Some were refused.
    Refused,
    /// They were written again, and the store was asked for something behind them.
    Asked,
}

/// The ticket of the question behind all records: what it asks for there is not.
const BEHIND_RECORDS: u64 = 0;

impl Records {
    /// When something is due, in monotonic milliseconds.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let repeated = self.repeated.front().map(|(due_ms, _)| *due_ms);
        self.step_ms.into_iter().chain(repeated).min()
    }
}

impl Shard {
    /// The public id of a session.
    pub(super) fn sid_of(&self, session: &Session) -> String {
        let adopted = session.particulars.adopted();
        adopted
            .map_or_else(|| self.socket_id(session.origin).as_str().into(), |adopted| adopted.sid.to_string())
    }

    /// The private id of a session, which only its client knows. With a store that nodes share it names the run and the
    /// core where the session began.
    pub(super) fn pid_of(&self, session: &Session) -> String {
        if let Some(adopted) = session.particulars.adopted() {
            return adopted.pid.to_string();
        }
        let secret = self.private_id(session.origin);
        match self.placement.is_joined() {
            true => self.own_pid(secret),
            false => secret.as_str().into(),
        }
    }

    fn own_pid(&self, secret: MessageId) -> String {
        let digit = |value: u16| char::from_digit(u32::from(value % 36), 36).unwrap_or('0');
        let mut pid = String::with_capacity(PID_BYTES);
        pid.push_str(self.run.as_str());
        pid.extend([digit(self.core.0 / 36), digit(self.core.0)]);
        pid.push_str(secret.as_str());
        pid
    }

    /// Whether this is the private id of a session.
    pub(super) fn is_called(&self, session: &Session, pid: &str) -> bool {
        let secret = match (session.particulars.adopted(), self.placement.is_joined()) {
            (Some(adopted), _) => return *adopted.pid == *pid,
            (None, true) => pid.strip_prefix(self.run.as_str()).and_then(|rest| rest.get(2..)),
            (None, false) => Some(pid),
        };
        secret.is_some_and(|secret| self.private_id(session.origin).as_str() == secret)
    }

    /// Whether a text can be a private id of a node that shares the store.
    pub(super) fn is_pid(pid: &str) -> bool {
        pid.len() == PID_BYTES && pid.bytes().all(|letter| letter.is_ascii_alphanumeric())
    }

    /// The record of a session is to be written, before anything else is asked of the store.
    pub(super) fn keep_record(&mut self, id: SessionId) {
        let is_kept = self.sessions.get(id).is_some_and(|session| session.has_cursor);
        if self.placement.is_joined() && is_kept && self.records.touched.back() != Some(&id) {
            self.records.touched.push_back(id);
        }
    }

    /// The record of a session is to be written in a while: what changed may change again soon.
    pub(super) fn keep_record_later(&mut self, id: SessionId, now: Now) {
        if self.placement.is_joined() && self.sessions.get(id).is_some_and(|session| session.has_cursor) {
            self.records.later.insert(id);
            self.records.step_ms.get_or_insert(now.monotonic_ms().saturating_add(RECORDS_STEP_MS));
        }
    }

    /// The store may have forgotten every record.
    pub(super) fn keep_all_records(&mut self) {
        let kept = self.sessions.iter().filter(|(_, session)| session.has_cursor).map(|(id, _)| id);
        self.records.touched = kept.collect();
    }

    /// A record was not written: until it is, nobody else can take its session up, nor any other whose record may be out of
    /// date. Whoever got nothing since is told so.
    pub(super) fn record_refused(&mut self, ticket: u64, now: Now, out: &mut Outputs) {
        let id = SessionId { slot: (ticket >> 32) as u32, generation: ticket as u32 };
        self.records.doubt = Doubt::Refused;
        self.lanes.bind(true);
        self.keep_record_later(id, now);
        self.records.step_ms.get_or_insert(now.monotonic_ms().saturating_add(RECORDS_STEP_MS));
        if self.sessions.get(id).is_some_and(|session| session.has_cursor) {
            let cursor = self.lanes.cursor();
            out.send(id, |frame| event::push_cursor(frame, cursor));
        }
    }

    /// Asks the store for something behind the records that were written again.
    fn ask_behind_records(&mut self) {
        if self.records.doubt == Doubt::Refused && self.records.later.is_empty() {
            self.records.doubt = Doubt::Asked;
            let pid = self.own_pid(MessageId::ZERO).into();
            self.store_requests.push(StoreRequest::TakeSession { pid, ticket: BEHIND_RECORDS });
        }
    }

    /// The answer to that. Returns whether it was one.
    pub(super) fn end_doubt(&mut self, ticket: u64, is_refused: bool, now: Now) -> bool {
        if ticket != BEHIND_RECORDS {
            return false;
        }
        match (self.records.doubt, is_refused) {
            (Doubt::Asked, false) => {
                self.records.doubt = Doubt::None;
                self.lanes.bind(false);
            }
            (Doubt::Asked, true) => {
                self.records.doubt = Doubt::Refused;
                self.records.step_ms.get_or_insert(now.monotonic_ms().saturating_add(RECORDS_STEP_MS));
            }
            (Doubt::None | Doubt::Refused, _) => {}
        }
        true
    }

    /// Writes records that are due, a bounded number of them.
    pub(super) fn write_records(&mut self, now: Now) {
        let now_ms = now.monotonic_ms();
        while let Some((_, id)) = self.records.repeated.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            self.keep_record(id);
            self.repeat_record(id, now);
        }
        if self.records.step_ms.is_some_and(|step_ms| step_ms <= now_ms) {
            self.records.step_ms = None;
            let mut due: Vec<SessionId> = self.records.later.drain().collect();
            due.sort_unstable_by_key(|id| (id.slot, id.generation));
            self.records.touched.extend(due);
            self.write_touched();
            if self.records.touched.is_empty() {
                self.ask_behind_records();
            }
        } else {
            self.write_touched();
        }
        if !self.records.touched.is_empty() {
            self.records.step_ms.get_or_insert(now_ms.saturating_add(RECORDS_STEP_MS));
        }
    }

    fn write_touched(&mut self) {
        for _ in 0..RECORDS_PER_TURN_MAX {
            let Some(id) = self.records.touched.pop_front() else { return };
            let Some(session) = self.sessions.get(id).filter(|session| session.has_cursor) else { continue };
            let ticket = u64::from(id.slot) << 32 | u64::from(id.generation);
            let (pid, record) = (self.pid_of(session).into(), self.record_of(session));
            self.store_requests.push(StoreRequest::KeepSession { pid, record, ticket });
        }
    }

    /// The record of a session that began on another node is to be repeated before the store forgets it.
    pub(super) fn repeat_record(&mut self, id: SessionId, now: Now) {
        if self.sessions.get(id).is_some_and(|session| session.particulars.adopted().is_some()) {
            let due_ms = now.monotonic_ms().saturating_add(self.limits.recovery_window_ms / 3);
            self.records.repeated.push_back((due_ms, id));
        }
    }

    /// A session lost its connection. One that cannot be taken up any more needs no record; one that began on another node
    /// has the whole window from here on.
    pub(super) fn record_lost(&mut self, session: &Session, is_resumable: bool) {
        if !is_resumable {
            return self.drop_record(session);
        }
        if self.placement.is_joined() && session.particulars.adopted().is_some() {
            let (pid, record) = (self.pid_of(session).into(), self.record_of(session));
            self.store_requests.push(StoreRequest::KeepSession { pid, record, ticket: u64::MAX });
        }
    }

    /// Nobody takes a session up any more.
    pub(super) fn drop_record(&mut self, session: &Session) {
        if self.placement.is_joined() && session.has_cursor {
            let pid = self.pid_of(session).into();
            self.store_requests.push(StoreRequest::DropSession { pid });
        }
    }

    fn record_of(&self, session: &Session) -> Vec<u8> {
        let members = session.memberships.iter().filter(|membership| membership.is_member());
        let adopted = session.particulars.adopted();
        let channels = members.map(|membership| KeptChannel {
            name: &self.rooms.at(membership.room).channel,
            spellings: membership.spellings.bits(),
            start: adopted
                .and_then(|adopted| adopted.start_of(membership.ticket))
                .unwrap_or(membership.journal_start),
        });
        let record = SessionRecord {
            run: self.run.as_str(),
            core: self.core.0,
            fold: self.lanes.vector().fold.bits(),
            user: &self.users.at(session.user).id,
            sid: &self.sid_of(session),
            dialect: session.dialect,
            said: session.said,
            apart_end: session.particulars.only_here_end(),
            own_start: adopted.map_or_else(|| session.particulars.own_start(), |adopted| adopted.own_start),
            followed: session.particulars.followed().iter().map(|user| &**user).collect(),
            channels: channels.collect(),
        };
        record.bytes()
    }

    /// What a node is told whose session was taken up here: its private id, and the user behind it.
    pub(super) fn eviction_of(pid: &str, user: &str) -> String {
        [pid, user].concat()
    }

    /// Another node has taken up a session of this one: its core is told.
    pub(super) fn pass_eviction(&mut self, eviction: &str, out: &mut Outputs) {
        if let Some((_, user)) = eviction.split_at_checked(PID_BYTES) {
            let home: CoreId = self.placement.home_of_user(user);
            self.post(home, Mail::Evict(eviction.into()), out);
        }
    }

    /// A session lives on another node now: what is left of it here ends. Its user missed nothing.
    pub(super) fn evict_taken(&mut self, eviction: &str, now: Now, out: &mut Outputs) {
        let Some((pid, user)) = eviction.split_at_checked(PID_BYTES) else { return };
        let Some(user) = self.users.find(user, &self.placement) else { return };
        let live = self.users.at(user).sessions.iter().copied();
        let is_it = |slot: &u32| {
            let session = self.sessions.at(*slot);
            session.is_some_and(|of| of.has_cursor && self.is_called(of, pid))
        };
        if let Some(slot) = live.into_iter().find(is_it) {
            let id = self.sessions.id_at(slot);
            if let Some(session) = self.sessions.get_mut(id) {
                // Its record is another node's now.
                session.has_cursor = false;
            }
            while let Some(room) =
                self.sessions.get(id).and_then(|of| of.memberships.first()).map(|of| of.room)
            {
                self.end_room(id, room, true, out);
            }
            out.close(id, CloseReason::Evicted);
            return self.disconnect(id, Ending::Lost, now, out);
        }
        let lost = self
            .users
            .at(user)
            .detached()
            .iter()
            .find(|lost| lost.session.has_cursor && self.is_called(&lost.session, pid));
        let Some(origin): Option<Origin> = lost.map(|lost| lost.session.origin) else { return };
        for lost in self.users.at_mut(user).take_detached(|lost| lost.session.origin == origin) {
            self.end_lost(lost, out);
        }
        self.settle_user(user, None, now, out);
    }
}
