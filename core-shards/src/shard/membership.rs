//! Joining and leaving, on the member's core. Between the request and the home's answer a session is
//! waiting: it may publish already, because its letters reach the home in order, but gets no messages yet.

use protocol::chat::dialect::{Dialect, Spelling, Style};
use protocol::chat::event::{self, Left, Missed, Position, Recovered};
use protocol::chat::request::Refusal;
use protocol::chat::room;
use protocol::codes::ErrorCode;
use protocol::json::Json;

use super::queries::{array_of, events_of};
use super::rates::RateClass;
use super::rights::{Permit, too_many_channels};
use super::sessions::{Membership, Session, Spellings, UNLISTED};
use super::{Shard, failure_of};
use crate::Now;
use crate::ids::{SessionId, UserId};
use crate::limits::DefaultDialect;
use crate::mail::{Join, JoinManner, Joined, Leave, Mail, ReplayPurpose, Reply, Restyle, Since, TypingTurn};
use crate::outputs::Outputs;
use crate::publication::FormKey;

/// A join as a session asked for it.
#[derive(Clone, Debug)]
pub(super) struct JoinWish {
    /// Canonical name.
    pub(super) channel: Box<str>,
    pub(super) manner: JoinManner,
    pub(super) since: Option<Since>,
    pub(super) ack: Option<u64>,
}

impl Session {
    /// The form in which the broadcasts of a room are written for the session.
    pub(super) fn form(&self, spelling: Spelling) -> FormKey {
        FormKey { style: Style::of(self.dialect(), spelling), has_cursor: self.has_cursor }
    }

    /// The style of what concerns no room.
    pub(super) fn direct_style(&self) -> Style {
        Style::of(self.dialect(), Spelling::Bare)
    }
}

impl Shard {
    /// A session wants to be a member of a channel.
    pub(super) fn wish_to_join(
        &mut self,
        id: SessionId,
        wish: JoinWish,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        settle_dialect(session, wish.manner.by_room_name, self.limits.dialect);
        let user = session.user;
        let is_known = self
            .rooms
            .find(&wish.channel, &self.placement)
            .is_some_and(|room| session.membership(room).is_some());
        self.spend(user, RateClass::Membership, now).map_err(|exceeded| self.too_often(exceeded))?;
        if is_known {
            return self.join(id, &wish, now, out);
        }
        match self.permit_join(id, &wish, now) {
            Permit::Granted => self.join(id, &wish, now, out),
            Permit::Pending => Ok(()),
            Permit::Refused(refusal) => Err(refusal.about(&wish.channel)),
        }
    }

    /// Tells a session that it may not join, in the words of the event that it used.
    pub(super) fn refuse_join(
        &self,
        id: SessionId,
        manner: JoinManner,
        ack: Option<u64>,
        refusal: &Refusal,
        now: Now,
        out: &mut Outputs,
    ) {
        if !manner.by_room_name {
            return self.refuse(id, "channel:join", ack, refusal, now, out);
        }
        self.refuse_room(id, manner.spelling, ack, refusal, now, out);
    }

    /// As [`refuse_join`](Self::refuse_join), of a `room:join` that was perhaps not even read.
    pub(super) fn refuse_room_join(
        &self,
        id: SessionId,
        argument: Option<Json<'_>>,
        ack: Option<u64>,
        refusal: &Refusal,
        now: Now,
        out: &mut Outputs,
    ) {
        let name = argument.and_then(|argument| argument.get("roomName")).and_then(Json::as_str);
        let spelling = name.map_or(Spelling::Bare, |name| room::spelling(&name));
        self.refuse_room(id, spelling, ack, refusal, now, out);
    }

    fn refuse_room(
        &self,
        id: SessionId,
        spelling: Spelling,
        ack: Option<u64>,
        refusal: &Refusal,
        now: Now,
        out: &mut Outputs,
    ) {
        self.metrics.refusals[refusal.code as usize].increment();
        let failure = failure_of(refusal, "room:join");
        out.send(id, |frame| event::push_join_denied(frame, &failure, spelling, ack, now.unix_ms));
    }

    /// Asks the channel's home for membership. A member that asks again gets the same answers, and
    /// nothing changes.
    pub(super) fn join(
        &mut self,
        id: SessionId,
        wish: &JoinWish,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let known = self.rooms.find(&wish.channel, &self.placement);
        let is_repeat = known.is_some_and(|room| session.membership(room).is_some());
        if !is_repeat && session.memberships.len() >= self.limits.channels_per_session_max {
            return Err(too_many_channels().about(&wish.channel));
        }
        let index = self.rooms.find_or_insert(&wish.channel, &self.placement);
        if is_repeat {
            self.spell(id, index, wish.manner.spelling, out);
        } else {
            let form = session.form(wish.manner.spelling);
            self.ticket = self.ticket.wrapping_add(1);
            session.memberships.push(Membership {
                room: index,
                position: UNLISTED,
                ticket: self.ticket,
                form,
                spellings: Spellings::of(wish.manner.spelling),
                types: false,
                journal_start: Membership::UNANSWERED,
            });
            self.rooms.at_mut(index).waiting_count += 1;
            self.metrics.subscriptions.set(self.metrics.subscriptions.get() + 1);
        }
        let past = self.past_of(id, index, wish, is_repeat);
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let Some(membership) = session.membership(index) else { return Ok(()) };
        let room = self.rooms.at(index);
        let join = Join {
            channel: room.channel.clone(),
            room: self.rooms.place(index),
            user: self.users.at(session.user).id.clone(),
            name: session.name.clone(),
            standpoint: self.standpoint(session.user, now),
            form: membership.form,
            reply: Reply { session: id, ack: wish.ack },
            manner: wish.manner,
            past,
            ticket: membership.ticket,
            is_repeat,
        };
        let (home, channel, user) = (room.home, room.channel.clone(), session.user);
        self.burden.joins += 1;
        self.post(home, Mail::Join(Box::new(join)), out);
        if !is_repeat && !self.is_in_room_otherwise(id, user, index) {
            let name = self.sessions.get(id).and_then(|session| session.name.clone());
            self.tell_joined_elsewhere(user, &channel, name.as_deref(), now);
            if !self.is_in_elsewhere(user, &channel) {
                self.tell_arrival_of(Some(id), user, channel, now, out);
            }
        }
        Ok(())
    }

    /// Whether another session of a user, be it a lost one, is in a room or about to be.
    pub(super) fn is_in_room_otherwise(&self, id: SessionId, user: u32, room: u32) -> bool {
        let user = self.users.at(user);
        let others = user.sessions.iter().filter(|slot| **slot != id.slot);
        let live = others.filter_map(|slot| self.sessions.at(*slot));
        let lost = user.detached().iter().map(|detached| &*detached.session);
        live.chain(lost).any(|session| session.membership(room).is_some())
    }

    /// A member uses a further spelling of a channel's name.
    fn spell(&mut self, id: SessionId, room: u32, spelling: Spelling, out: &mut Outputs) {
        if let Some(membership) = self.sessions.get_mut(id).and_then(|session| session.membership_mut(room)) {
            membership.spellings.add(spelling);
        }
        self.restyle(id, room, out);
    }

    /// Reaches a member in the form that its spellings ask for now.
    fn restyle(&mut self, id: SessionId, room_index: u32, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(known) = session.membership(room_index).copied() else { return };
        let to = session.form(known.spellings.preferred());
        if to == known.form {
            return;
        }
        let mut position = known.position;
        if position != UNLISTED {
            self.unlist(room_index, known);
            position = self.rooms.at_mut(room_index).list(to, id.slot);
        }
        if let Some(membership) =
            self.sessions.get_mut(id).and_then(|session| session.membership_mut(room_index))
        {
            (membership.form, membership.position) = (to, position);
        }
        let room = self.rooms.at(room_index);
        let restyle = Restyle { channel: room.channel.clone(), from: known.form, to };
        let home = room.home;
        self.post(home, Mail::Restyle(Box::new(restyle)), out);
        self.keep_record(id);
    }

    /// The home's answer: from here on every message after `joined.offset` is handed to the session.
    pub(super) fn become_member(&mut self, joined: Joined, now: Now, out: &mut Outputs) {
        self.burden.joins -= 1;
        let id = joined.reply.session;
        if self.is_restoring(id) {
            return self.gather_past(joined, now, out);
        }
        let journal_end = self.journal.end();
        let room = self.rooms.get_mut(joined.room);
        let (Some(room), Some(session)) = (room, self.sessions.get_mut(id)) else {
            return self.tell_overtaken(&joined, now, out);
        };
        let user = session.user;
        let membership = session.membership_mut(joined.room.index);
        let Some(membership) = membership.filter(|membership| membership.ticket == joined.ticket) else {
            return self.tell_overtaken(&joined, now, out);
        };
        room.position = Some((joined.epoch, joined.offset));
        room.member_count = joined.member_count;
        room.is_big |= joined.is_big;
        if !membership.is_member() {
            membership.journal_start = if self.placement.is_joined() { joined.seq } else { journal_end };
            membership.position = room.list(membership.form, id.slot);
            room.waiting_count -= 1;
        }
        let (form, channel) = (membership.form, room.channel.clone());
        self.end_absence(user, &channel);
        self.tell_joined(id, &joined, out, now);
        self.tell_unheard(id, user, &joined, out);
        if joined.past.purpose == ReplayPurpose::Missed {
            self.send_missed(id, form, &joined, now, out);
        }
        self.keep_record(id);
    }

    /// The session left before the answer came. Its own `channel:left` has been sent; who waits for the join's
    /// acknowledgement gets one.
    fn tell_overtaken(&self, joined: &Joined, now: Now, out: &mut Outputs) {
        self.metrics.stale_letters.increment();
        let Reply { session, ack } = joined.reply;
        if ack.is_some() && self.sessions.is_live(session) {
            self.refuse_join(session, joined.manner, ack, &left_early(), now, out);
        }
    }

    fn tell_joined(&self, id: SessionId, joined: &Joined, out: &mut Outputs, now: Now) {
        let (Some(session), Some(room)) = (self.sessions.get(id), self.rooms.get(joined.room)) else {
            return;
        };
        let past = &joined.past;
        let publications = || past.publications.iter().map(|publication| &**publication);
        let (mut messages, mut events) = (Vec::new(), Vec::new());
        if past.purpose == ReplayPurpose::Answer {
            messages = array_of(publications().filter(|publication| publication.is_message()));
            events = events_of(publications().filter(|publication| !publication.is_message()));
        }
        let recovered = Recovered { is_complete: past.is_complete, messages: &messages, events: &events };
        let recovered = (past.purpose == ReplayPurpose::Answer).then_some(recovered);
        let missed = Missed { count: past.publications.len() as u64, lost: past.lost };
        let missed = (past.purpose == ReplayPurpose::Missed).then_some(missed);
        let reply = event::Joined {
            channel: &room.channel,
            spelling: joined.manner.spelling,
            by_room_name: joined.manner.by_room_name,
            user: &self.users.at(session.user).id,
            member_count: joined.member_count,
            position: Position { epoch: joined.epoch.as_str(), offset: joined.offset.0 },
            members: &joined.members,
            now_unix_ms: now.unix_ms,
            missed,
            recovered,
        };
        out.send(id, |frame| event::push_joined(frame, &reply, joined.reply.ack));
    }

    /// Ends a membership at once. Leaving a channel that one is not in is answered alike.
    pub(super) fn leave(
        &mut self,
        id: SessionId,
        channel: &str,
        manner: JoinManner,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        settle_dialect(session, manner.by_room_name, self.limits.dialect);
        let user = session.user;
        self.spend(user, RateClass::Membership, now).map_err(|exceeded| self.too_often(exceeded))?;
        if let Some(session) = self.sessions.get_mut(id) {
            // Nobody becomes a member by a permission that comes after the leave.
            session.particulars.stop_asking(|asking| *asking.channel == *channel);
        }
        if let Some(room) = self.rooms.find(channel, &self.placement) {
            self.drop_spelling(id, room, manner.spelling, out);
        }
        let user = self.users.at(user).id.clone();
        let left =
            Left { channel, spelling: manner.spelling, by_room_name: manner.by_room_name, user: &user };
        out.send(id, |frame| event::push_left(frame, &left, ack));
        Ok(())
    }

    /// A member stops to use a spelling; with the last one the membership ends.
    fn drop_spelling(&mut self, id: SessionId, room: u32, spelling: Spelling, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let tells_apart = session.dialect() == Dialect::Legacy;
        let Some(membership) = session.membership_mut(room) else { return };
        membership.spellings.remove(spelling);
        if tells_apart && !membership.spellings.is_empty() {
            return self.restyle(id, room, out);
        }
        self.end_room(id, room, false, out);
    }

    /// Takes a live session out of a room.
    pub(super) fn end_room(&mut self, id: SessionId, room: u32, was_lost: bool, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(place) = session.memberships.iter().position(|membership| membership.room == room) else {
            return;
        };
        let membership = session.memberships.swap_remove(place);
        let (user, name) = (session.user, session.name.clone());
        if membership.types {
            self.send_typing(room, user, name, id, TypingTurn::StopAll, out);
        }
        let user = self.users.at(user).id.clone();
        self.end_membership(membership, &user, was_lost, out);
        self.keep_record(id);
    }

    /// Takes a membership that is in no session's list any more out of its room, and tells the home.
    pub(super) fn end_membership(
        &mut self,
        membership: Membership,
        user: &UserId,
        was_lost: bool,
        out: &mut Outputs,
    ) {
        let index = membership.room;
        self.tell_left_elsewhere(user, index, was_lost);
        if membership.position != UNLISTED {
            self.unlist(index, membership);
        } else if membership.is_member() {
            self.rooms.at_mut(index).detached_count -= 1;
        } else {
            self.rooms.at_mut(index).waiting_count -= 1;
        }
        self.metrics.subscriptions.set(self.metrics.subscriptions.get() - 1);
        let room = self.rooms.at(index);
        let leave =
            Leave { channel: room.channel.clone(), user: user.clone(), form: membership.form, was_lost };
        let home = room.home;
        self.rooms.remove_if_empty(index, &self.placement);
        self.post(home, Mail::Leave(Box::new(leave)), out);
    }

    /// Takes a session out of the list of those that a room's events are handed to.
    pub(super) fn unlist(&mut self, room: u32, membership: Membership) {
        let moved = self.rooms.at_mut(room).unlist(membership.form, membership.position);
        // The last of the list took the free place and must know it.
        if let Some(moved) = moved {
            let session = self.sessions.at_mut(moved).expect("a room lists live sessions only");
            let moved = session.membership_mut(room).expect("a listed session has the membership");
            moved.position = membership.position;
        }
    }
}

/// What a session is told that left while it was joining.
pub(super) fn left_early() -> Refusal {
    Refusal::new(ErrorCode::NotJoined, "left before the join was complete")
}

/// The first event about a room shows which names a client reads, unless that is settled.
fn settle_dialect(session: &mut Session, by_room_name: bool, default: DefaultDialect) {
    if session.dialect.is_none() {
        session.dialect = Some(match default {
            DefaultDialect::Auto if by_room_name => Dialect::Legacy,
            DefaultDialect::Auto | DefaultDialect::Primary => Dialect::Primary,
            DefaultDialect::Legacy => Dialect::Legacy,
            DefaultDialect::Hybrid => Dialect::Hybrid,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{self, Trial};
    use crate::limits::Limits;

    #[test]
    fn a_refused_join_leaves_nothing_behind() {
        let mut trial = Trial::new(Limits { channels_per_session_max: 1, ..Limits::default() });
        let session = trial.connect(0, "7", None);
        trial.join(session, "a");
        let before = trial.shard.holdings();
        for channel in ["b", "user:8", "dm:8:9", "private-x"] {
            trial.event(session, &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#), Some(1));
            trial.event(session, &format!(r#"["room:join",{{"roomName":"{channel}"}}]"#), None);
        }
        assert_eq!(trial.shard.holdings(), before);
        for _ in 0..600 {
            trial.event(session, r#"["channel:leave",{"channelId":"none"}]"#, None);
        }
        let heard = trial.event(session, r#"["channel:join",{"channelId":"c"}]"#, Some(1));
        assert!(heard[0].contains("RATE_LIMIT_EXCEEDED"), "{heard:?}");
        assert_eq!(trial.shard.holdings(), before);
    }

    #[test]
    fn the_last_spelling_that_is_left_ends_a_membership() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        for name in ["a", "channel:a"] {
            trial.event(session, &format!(r#"["room:join",{{"roomName":"{name}"}}]"#), None);
        }
        trial.event(session, r#"["room:leave",{"roomName":"a"}]"#, None);
        trial.inbox(session);
        trial.say(session, "a", "x");
        let heard = trial.inbox(session);
        let told = trial::of(&heard, "message:new");
        assert_eq!(trial::text(told[0], "roomName"), "channel:a");
        trial.event(session, r#"["room:leave",{"roomName":"channel:a"}]"#, None);
        assert_eq!((trial.shard.holdings().rooms, trial.metrics.subscriptions.get()), (0, 0));
    }
}
