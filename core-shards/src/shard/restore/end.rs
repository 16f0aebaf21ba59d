//! The end of a session's way from another node: it goes on here with everything that it missed, or a new one begins.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::chat::event;
use protocol::relay::signal::{Signal, Word};

use super::{Restoring, Stage, Waiting};
use crate::Now;
use crate::cursor::RunId;
use crate::ids::{Lane, RoomId, SessionId};
use crate::limits::REPLAY_BYTES_MAX;
use crate::metrics::{Recovery, RecoverySource};
use crate::outputs::Outputs;
use crate::publication::{FormKey, Publication};
use crate::shard::Shard;
use crate::shard::connect::Newcomer;
use crate::shard::journal::Target;
use crate::shard::particulars::Adopted;
use crate::shard::sessions::Session;
use crate::store::{StoreRequest, Topic};

/// Something that a session missed.
struct Missed {
    form: FormKey,
    publication: Arc<Publication>,
    /// It stands in the journal already, in its turn.
    is_kept: bool,
}

impl Shard {
    /// All channels have answered.
    pub(super) fn end_restoring(&mut self, id: SessionId, now: Now, out: &mut Outputs) {
        let Some(ticket) = self.restores.tickets.get(&id).copied() else { return };
        let Some(Waiting { newcomer, stage: Stage::Homes(restoring), .. }) = self.restores.end(ticket) else {
            return;
        };
        self.tell_eviction(restoring.holder, &restoring.pid, &newcomer.identity.user);
        let user = self.users.find_or_insert(&newcomer.identity.user, &self.placement);
        if !restoring.is_complete {
            self.metrics.count_recovery(RecoverySource::Session, Recovery::TooOld);
            self.abandon(*restoring, &newcomer, out);
            return self.enter_anew(id, &newcomer, now, out);
        }
        if !self.has_room_for(id, user, now, out) {
            return self.abandon(*restoring, &newcomer, out);
        }
        self.trim_journal(now);
        let mut restoring = *restoring;
        restoring.session.user = user;
        let Some(missed) = self.all_missed(&mut restoring) else {
            self.metrics.count_recovery(RecoverySource::Session, Recovery::TooOld);
            self.abandon(restoring, &newcomer, out);
            return self.enter_anew(id, &newcomer, now, out);
        };
        self.go_on(id, restoring, missed, &newcomer, now, out);
        self.settle_arrival(id, user, newcomer.said, now, out);
    }

    /// Everything that the session missed: what channels told, and what was handed out here since.
    fn all_missed(&self, restoring: &mut Restoring) -> Option<Vec<Missed>> {
        let told = std::mem::take(&mut restoring.missed);
        let told = told.into_iter().map(|(form, publication)| Missed { form, publication, is_kept: false });
        let session = &restoring.session;
        let is_fallen = session.memberships.iter().any(|membership| {
            let fallen = self.rooms.at(membership.room).fallen;
            fallen.is_some_and(|fallen| {
                fallen.seq > membership.journal_start.max(restoring.start.seq(fallen.lane))
            })
        });
        let kept = self.missed_places(session, &restoring.start);
        // What was said in the own room is among what was told, as long as the session was not here.
        let kept = kept.filter(|(_, entry, _)| matches!(entry.target, Target::Room { .. }));
        let kept = kept.map(|(_, entry, form)| Missed {
            form,
            publication: entry.publication.clone(),
            is_kept: true,
        });
        let missed = in_order(told.chain(kept).collect());
        let bytes: usize = missed.iter().map(|missed| missed.publication.memory_bytes()).sum();
        (bytes <= REPLAY_BYTES_MAX && !is_fallen).then_some(missed)
    }

    /// The session goes on here.
    fn go_on(
        &mut self,
        id: SessionId,
        restoring: Restoring,
        missed: Vec<Missed>,
        newcomer: &Newcomer,
        now: Now,
        out: &mut Outputs,
    ) {
        let Restoring { mut session, pid, sid, start, members, own_ticket, starts, .. } = restoring;
        let own_room = format!("user:{}", newcomer.identity.user);
        let own_start = self.place_in(self.lanes.vector(), &own_room).max(self.place_in(&start, &own_room));
        let cursor = newcomer.resume.as_ref().map(|resume| resume.offset.clone()).unwrap_or_default();
        let of_own = starts.iter().find(|(ticket, _)| own_ticket > 0 && *ticket == own_ticket);
        let adopted = Adopted { own_start: of_own.map_or(0, |(_, start)| *start), sid, pid, cursor, starts };
        session.particulars.adopt(adopted, own_start);
        let rooms = self.begin_places(&mut session, &start);
        let followed = session.particulars.followed().to_vec();
        let (origin, user) = (session.origin, session.user);
        self.seat(id, session, &newcomer.identity, now);
        self.tell_moved(user, &rooms, newcomer, now);
        let mut reached = start;
        reached.mark = self.lanes.vector().mark;
        self.greet(id, &newcomer.identity, Some(&reached.text()), now, out);
        let count = missed.len() as u64;
        for Missed { form, publication, is_kept } in missed {
            reached.set(publication.lane, publication.seq);
            if !is_kept {
                let bytes = publication.memory_bytes();
                let target = Target::Session(origin);
                reached.mark = self.journal.push(target, bytes, publication.clone(), now.monotonic_ms());
                self.lanes.mark(reached.mark);
                if let Some(session) = self.sessions.get_mut(id) {
                    // Other nodes find it where this one did: in its channel, behind the client's cursor.
                    session.particulars.set_apart_end(reached.mark);
                }
            }
            let cursor = reached.text();
            out.send(id, |frame| publication.splice(frame, form, &cursor));
        }
        for (room, late_seq) in rooms {
            let channel = self.rooms.get(room).map(|room| room.channel.clone());
            if let Some(channel) = channel {
                self.end_absence(user, &channel);
                // Its former node has noted one if it knew of the loss.
                self.unshare_absence(user, &channel);
            }
            match late_seq {
                Some(seq) => self.list_later(room, id, seq),
                None => self.list(id, room),
            }
        }
        self.ask_absences_anew(user, now);
        for (channel, members, count) in members {
            out.send(id, |frame| event::push_members(frame, &channel, &members, count));
        }
        self.burden.follows += followed.len();
        self.start_telling(id.slot, &followed);
        self.survey_followed(id, out);
        self.metrics.resumes.increment();
        self.metrics.replayed_messages.add(count);
        self.metrics.count_recovery(RecoverySource::Session, Recovery::Full);
        self.metrics.recovered[RecoverySource::Session as usize].observe(count);
        self.keep_record(id);
        self.repeat_record(id, now);
        self.recheck(id, None, now, out);
        self.trim_journal(now);
    }

    /// Other nodes hear that the user is here before the former node lets go.
    fn tell_moved(&mut self, user: u32, rooms: &[(RoomId, Option<u64>)], newcomer: &Newcomer, now: Now) {
        self.tell_devices(user, false, now);
        for (room, _) in rooms {
            if let Some(channel) = self.rooms.get(*room).map(|room| room.channel.clone()) {
                self.tell_joined_elsewhere(user, &channel, newcomer.identity.name.as_deref(), now);
            }
        }
    }

    /// From where on its rooms are the session's: where they were joined here, or later if its client has more already.
    /// Returns the rooms, each with the place that this core has to reach first.
    fn begin_places(
        &self,
        session: &mut Session,
        start: &crate::cursor::Vector,
    ) -> Vec<(RoomId, Option<u64>)> {
        let mut rooms = Vec::with_capacity(session.memberships.len());
        for membership in &mut session.memberships {
            let room = self.rooms.at(membership.room);
            let lane = self.placement.partition_of(&room.channel).map_or(Lane(0), Lane::from);
            let had = start.seq(lane);
            let is_ahead = had > membership.journal_start && had > self.lanes.vector().seq(lane);
            membership.journal_start = membership.journal_start.max(had);
            rooms.push((self.rooms.place(membership.room), is_ahead.then_some(had)));
        }
        rooms
    }

    /// A session does not go on here: its memberships end.
    pub(super) fn abandon(&mut self, restoring: Restoring, newcomer: &Newcomer, out: &mut Outputs) {
        for membership in restoring.session.memberships {
            self.end_membership(membership, &newcomer.identity.user, true, out);
        }
    }

    /// Tells the node that kept a session that it lives elsewhere now.
    pub(super) fn tell_eviction(&mut self, holder: RunId, pid: &str, user: &str) {
        if holder == self.run {
            return;
        }
        let eviction = Self::eviction_of(pid, user);
        let signal = Signal { run: self.run.as_str(), word: Word::Evicted { pid: &eviction } };
        self.store_requests.push(StoreRequest::Signal(Topic::Node(holder), signal.bytes()));
    }
}

/// Each lane in its order, and of all lanes the earliest first.
fn in_order(missed: Vec<Missed>) -> Vec<Missed> {
    let mut lanes: Vec<(Lane, VecDeque<Missed>)> = Vec::new();
    let count = missed.len();
    for missed in missed {
        let lane = missed.publication.lane;
        match lanes.iter_mut().find(|(known, _)| *known == lane) {
            Some((_, of)) => of.push_back(missed),
            None => lanes.push((lane, [missed].into())),
        }
    }
    for (_, of) in &mut lanes {
        of.make_contiguous().sort_by_key(|missed| missed.publication.seq);
    }
    let mut ordered = Vec::with_capacity(count);
    while let Some((_, of)) = lanes
        .iter_mut()
        .filter(|(_, of)| !of.is_empty())
        .min_by_key(|(_, of)| of.front().map(|first| first.publication.timestamp_ms))
    {
        ordered.extend(of.pop_front());
    }
    ordered
}
