//! Joining and leaving, on the member's core. Between the request and the home's answer a session is
//! waiting: it may publish already, because its letters reach the home in order, but gets no messages yet.

use protocol::chat::event::{self, Position};
use protocol::chat::request::Refusal;
use protocol::codes::ErrorCode;

use super::Shard;
use super::access;
use super::sessions::Membership;
use crate::Now;
use crate::ids::SessionId;
use crate::mail::{Join, Joined, Leave, Mail, Reply};
use crate::outputs::Outputs;

impl Shard {
    /// Asks the channel's home for membership. A member that asks again gets the same answers, and
    /// nothing changes.
    pub(super) fn join(
        &mut self,
        id: SessionId,
        channel: &str,
        ack: Option<u64>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let user = self.users.get(session.user).id.clone();
        access::may_join(&user, channel).map_err(|(code, message)| refusal(code, message, channel))?;
        let known = self.rooms.find(channel, &self.placement);
        let is_repeat = known.is_some_and(|room| session.membership(room).is_some());
        if !is_repeat && session.memberships.len() >= self.limits.channels_per_session_max {
            return Err(refusal(ErrorCode::MaxRoomsExceeded, "too many channels: leave one first", channel));
        }
        let index = self.rooms.find_or_insert(channel, &self.placement);
        if !is_repeat {
            session.ticket = session.ticket.wrapping_add(1);
            session.memberships.push(Membership { room: index, position: None, ticket: session.ticket });
            self.rooms.at_mut(index).waiting_count += 1;
            self.metrics.subscriptions.set(self.metrics.subscriptions.get() + 1);
        }
        let ticket = session.membership(index).map_or(0, |membership| membership.ticket);
        let name = session.name.clone();
        let room = self.rooms.at(index);
        let join = Join {
            channel: room.channel.clone(),
            room: self.rooms.id(index),
            user,
            name,
            reply: Reply { session: id, ack },
            ticket,
            is_repeat,
        };
        self.post(room.home, Mail::Join(Box::new(join)), out);
        Ok(())
    }

    /// The home's answer: from here on every message after `joined.offset` is handed to the session.
    pub(super) fn become_member(&mut self, joined: &Joined, now: Now, out: &mut Outputs) {
        let Reply { session: id, ack } = joined.reply;
        let Some(session) = self.sessions.get_mut(id) else { return self.metrics.stale_letters.increment() };
        let user = self.users.get(session.user).id.clone();
        let is_current = self.rooms.get(joined.room).is_some();
        let membership = session.membership_mut(joined.room.index);
        let Some(membership) =
            membership.filter(|membership| is_current && membership.ticket == joined.ticket)
        else {
            // The session left before the answer came; its own `channel:left` has been sent.
            self.metrics.stale_letters.increment();
            if ack.is_some() {
                let left = Refusal::new(ErrorCode::NotJoined, "left before the join was complete");
                self.refuse(id, "channel:join", ack, &left, now, out);
            }
            return;
        };
        let room = self.rooms.at_mut(joined.room.index);
        if membership.position.is_none() {
            membership.position = Some(u32::try_from(room.members.len()).expect("slots are u32"));
            room.members.push(id.slot);
            room.waiting_count -= 1;
        }
        let channel = room.channel.clone();
        let position = Position { epoch: joined.epoch.as_str(), offset: joined.offset.0 };
        out.send(id, |frame| {
            event::push_joined(frame, &channel, &user, joined.member_count, position, now.unix_ms);
            event::push_members(frame, &channel, &joined.members, joined.member_count);
            if let Some(ack) = ack {
                event::push_joined_ack(frame, ack, &channel, joined.member_count, position);
            }
        });
    }

    /// Ends a membership at once. Leaving a channel that one is not in is answered alike.
    pub(super) fn leave(
        &mut self,
        id: SessionId,
        channel: &str,
        ack: Option<u64>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let user = self.users.get(session.user).id.clone();
        let room = self.rooms.find(channel, &self.placement);
        let place = session.memberships.iter().position(|membership| Some(membership.room) == room);
        if let Some(place) = place {
            let membership = session.memberships.swap_remove(place);
            self.end_membership(membership, &user, out);
        }
        out.send(id, |frame| {
            event::push_left(frame, channel, &user);
            if let Some(ack) = ack {
                event::push_left_ack(frame, ack, channel);
            }
        });
        Ok(())
    }

    /// Takes a membership that is in no session's list any more out of its room, and tells the home.
    pub(super) fn end_membership(&mut self, membership: Membership, user: &crate::UserId, out: &mut Outputs) {
        let index = membership.room;
        let room = self.rooms.at_mut(index);
        match membership.position {
            None => room.waiting_count -= 1,
            Some(position) => {
                room.members.swap_remove(position as usize);
                // The last member took the free place and must know it.
                if let Some(&moved) = room.members.get(position as usize) {
                    let session = self.sessions.at_mut(moved).expect("a room lists live sessions only");
                    let moved = session.membership_mut(index).expect("a listed session has the membership");
                    moved.position = Some(position);
                }
            }
        }
        self.metrics.subscriptions.set(self.metrics.subscriptions.get() - 1);
        let room = self.rooms.at(index);
        let leave = Leave { channel: room.channel.clone(), user: user.clone() };
        let home = room.home;
        self.rooms.remove_if_empty(index, &self.placement);
        self.post(home, Mail::Leave(Box::new(leave)), out);
    }
}

fn refusal(code: ErrorCode, message: &'static str, channel: &str) -> Refusal {
    Refusal { channel: Some(channel.to_owned()), ..Refusal::new(code, message) }
}
