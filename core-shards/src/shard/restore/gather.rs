//! Asking the channels of a session that comes from another node what it missed.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::dialect::Spelling;
use protocol::chat::status::Status;
use protocol::relay::session::{KeptChannel, SessionRecord};

use super::{Restoring, Stage};
use crate::Now;
use crate::cursor::{RunId, Vector};
use crate::ids::{Lane, RoomId, SessionId, UserId};
use crate::limits::{FOLLOWED_MAX, REPLAY_BYTES_MAX};
use crate::mail::{Join, JoinManner, Joined, Mail, Past, Reply};
use crate::outputs::Outputs;
use crate::publication::{FormKey, Publication};
use crate::shard::Shard;
use crate::shard::connect::{Newcomer, Rights};
use crate::shard::particulars::Particulars;
use crate::shard::sessions::{Membership, Session, Spellings, UNLISTED};

/// Bytes of lists of members that one session keeps while it waits; longer ones are not told again.
const MEMBERS_BYTES_MAX: usize = 64 * 1024;

/// The room of a join that makes nobody a member.
const NO_ROOM: RoomId = RoomId { index: u32::MAX, generation: u32::MAX };

impl Shard {
    /// Makes a session of a record, and joins its channels.
    #[expect(clippy::too_many_arguments, reason = "all of it makes the session")]
    pub(super) fn ask_homes(
        &mut self,
        id: SessionId,
        newcomer: Newcomer,
        holder: RunId,
        start: Vector,
        record: Vec<u8>,
        now: Now,
        out: &mut Outputs,
    ) {
        let (Some(read), Some(resume)) = (SessionRecord::read(&record), &newcomer.resume) else { return };
        let (pid, sid, said) = (resume.pid.clone(), read.sid.into(), read.said);
        let mut session = self.session_of(&read, &newcomer);
        let mut joins = Vec::new();
        for channel in read.channels.iter().take(self.limits.channels_per_session_max) {
            joins.push(self.take_seat(&mut session, *channel, &start));
        }
        let own_room = format!("user:{}", newcomer.identity.user);
        let own_ticket = if read.channels.iter().any(|channel| channel.name == own_room) {
            0
        } else {
            self.ticket = self.ticket.wrapping_add(1).max(1);
            let after_seq = self.place_in(&start, &own_room).max(read.own_start);
            joins.push((
                own_room.as_str().into(),
                NO_ROOM,
                self.ticket,
                session.form(Spelling::Bare),
                after_seq,
            ));
            self.ticket
        };
        let restoring = Restoring {
            pid,
            sid,
            holder,
            start,
            open_count: joins.len(),
            is_complete: true,
            own_ticket,
            own_room: own_room.into(),
            starts: joins.iter().map(|(.., ticket, _, after_seq)| (*ticket, *after_seq)).collect(),
            own_seq: None,
            missed: Vec::new(),
            members: Vec::new(),
            session,
            record: Vec::new(),
        };
        let (identity, name) = (newcomer.identity.user.clone(), newcomer.identity.name.clone());
        let restoring = Box::new(Restoring { record, ..restoring });
        self.restores.wait(id, newcomer, Stage::Homes(restoring));
        let user = self.users.find_or_insert(&identity, &self.placement);
        let mut standpoint = self.standpoint(user, now);
        if self.users.at(user).sessions.is_empty() && !self.elsewhere.has(user) {
            // It is the first device of its user, and will say so once it is let in.
            standpoint.status = said.unwrap_or(Status::Online);
        }
        for (channel, room, ticket, form, after_seq) in joins {
            let home = self.placement.home_of_channel(&channel);
            let join = Join {
                channel,
                room,
                user: identity.clone(),
                name: name.clone(),
                standpoint: standpoint.clone(),
                form,
                reply: Reply { session: id, ack: None },
                manner: JoinManner { spelling: form.style.spelling(), by_room_name: false },
                past: Past::Resumed { after_seq },
                ticket,
                is_repeat: room == NO_ROOM,
            };
            self.burden.joins += 1;
            self.post(home, Mail::Join(Box::new(join)), out);
        }
        self.settle_user(user, None, now, out);
    }

    fn session_of(&mut self, read: &SessionRecord<'_>, newcomer: &Newcomer) -> Box<Session> {
        let mut particulars = Particulars::default();
        let followed: Vec<UserId> =
            read.followed.iter().take(FOLLOWED_MAX).map(|user| UserId::from(*user)).collect();
        if !followed.is_empty() && self.burden.follows + followed.len() <= self.limits.memory.follows_max {
            particulars.follow(&followed);
        }
        Box::new(Session {
            // It has one when it is seated: users of whom nothing is known are forgotten meanwhile.
            user: u32::MAX,
            memberships: SmallVec::new(),
            name: newcomer.identity.name.clone(),
            rights: Rights::of(&newcomer.identity),
            origin: self.next_origin(),
            said: read.said,
            dialect: read.dialect,
            has_cursor: true,
            particulars,
        })
    }

    /// A place in a room for a session that waits.
    fn take_seat(
        &mut self,
        session: &mut Session,
        channel: KeptChannel<'_>,
        start: &Vector,
    ) -> (Arc<str>, RoomId, u32, FormKey, u64) {
        let index = self.rooms.find_or_insert(channel.name, &self.placement);
        let spellings = Spellings::from_bits(channel.spellings);
        let form = session.form(spellings.preferred());
        self.ticket = self.ticket.wrapping_add(1).max(1);
        session.memberships.push(Membership {
            room: index,
            position: UNLISTED,
            ticket: self.ticket,
            form,
            spellings,
            types: false,
            journal_start: Membership::UNANSWERED,
        });
        let room = self.rooms.at_mut(index);
        room.waiting_count += 1;
        let name = room.channel.clone();
        self.metrics.subscriptions.set(self.metrics.subscriptions.get() + 1);
        let after_seq = self.place_in(start, channel.name).max(channel.start);
        (name, self.rooms.place(index), self.ticket, form, after_seq)
    }

    /// The place of a channel's lane.
    pub(super) fn place_in(&self, vector: &Vector, channel: &str) -> u64 {
        self.placement.partition_of(channel).map_or(0, |partition| vector.seq(Lane::from(partition)))
    }

    /// Whether answers of channels are for a session that comes from another node.
    pub(in crate::shard) fn is_restoring(&mut self, id: SessionId) -> bool {
        self.restores.restoring_mut(id).is_some()
    }

    /// A channel tells what a session missed that comes from another node.
    pub(in crate::shard) fn gather_past(&mut self, joined: Joined, now: Now, out: &mut Outputs) {
        let id = joined.reply.session;
        let Some(restoring) = self.restores.restoring_mut(id) else { return };
        let (placement, lanes) = (&self.placement, &mut self.lanes);
        // The cursors of this core must not fall behind what the session is given of the past.
        let mut reach = |channel: &str| {
            if let Some(partition) = placement.partition_of(channel) {
                lanes.raise(Lane::from(partition), joined.seq);
            }
        };
        let form = if joined.ticket == restoring.own_ticket {
            reach(&restoring.own_room);
            restoring.own_seq = Some(joined.seq);
            Some(restoring.session.form(Spelling::Bare))
        } else {
            let is_it = |of: &&mut Membership| of.ticket == joined.ticket && !of.is_member();
            let membership = restoring.session.membership_mut(joined.room.index).filter(is_it);
            let room = self.rooms.get_mut(joined.room);
            membership.zip(room).map(|(membership, room)| {
                // From here on like a session that was lost here: what is handed out is kept for it.
                reach(&room.channel);
                membership.journal_start = joined.seq;
                room.waiting_count -= 1;
                room.detached_count += 1;
                room.position = Some((joined.epoch, joined.offset));
                room.member_count = joined.member_count;
                room.is_big |= joined.is_big;
                if !membership.form.style.is_legacy() && joined.members.len() <= MEMBERS_BYTES_MAX {
                    restoring.members.push((room.channel.clone(), joined.members, joined.member_count));
                }
                membership.form
            })
        };
        let Some(form) = form else { return self.metrics.stale_letters.increment() };
        restoring.is_complete &= joined.past.is_complete;
        restoring.missed.extend(joined.past.publications.into_iter().map(|missed| (form, missed)));
        restoring.open_count -= 1;
        let bytes: usize = restoring.missed.iter().map(|(_, missed)| missed.memory_bytes()).sum();
        if bytes > REPLAY_BYTES_MAX {
            restoring.is_complete = false;
            restoring.missed = Vec::new();
        }
        if restoring.open_count == 0 {
            self.end_restoring(id, now, out);
        }
    }

    /// What is said in a user's own room is for sessions that are on their way here, too.
    pub(in crate::shard) fn hold_for_restored(&mut self, user: &str, publication: &Arc<Publication>) {
        if self.restores.waiting.is_empty() {
            return;
        }
        for waiting in self.restores.waiting.values_mut() {
            let Stage::Homes(restoring) = &mut waiting.stage else { continue };
            let is_new = restoring.own_seq.is_some_and(|seq| publication.seq > seq);
            if is_new && restoring.own_ticket > 0 && *waiting.newcomer.identity.user == *user {
                restoring.missed.push((restoring.session.form(Spelling::Bare), publication.clone()));
            }
        }
    }
}
