//! Who comes into the channels at home here on other nodes and who goes, who types there, and what a user does there that
//! counts here.

use protocol::chat::event;
use protocol::chat::room::RoomKind;
use protocol::relay::signal::{TypingSign, TypingTurn as Turn, Word};

use crate::Now;
use crate::cursor::RunId;
use crate::ids::{ChannelName, SessionId, UserId};
use crate::mail::{Passage, Step, Typing, TypingTurn};
use crate::outputs::Outputs;
use crate::shard::members::Member;
use crate::shard::{RateClass, Shard};
use crate::store::Topic;

/// What clients call the kinds of rooms: signals name one of them, or none.
const ROOM_TYPES: [RoomKind; 4] = [RoomKind::Channel, RoomKind::Thread, RoomKind::User, RoomKind::Direct];

impl Shard {
    /// Somebody came into a channel at home here on other nodes, or is there no more.
    pub(super) fn hear_passage(&mut self, passage: &Passage, now: Now, out: &mut Outputs) {
        let Passage { channel, user, step } = passage;
        let known = self.homes.table.find(channel, &self.placement);
        match step {
            Step::In { name, standpoint, joined_at_unix_ms } => {
                let since = if *joined_at_unix_ms > 0 { *joined_at_unix_ms } else { now.unix_ms };
                let member = Member::new(user.clone(), name.clone(), standpoint.clone(), since);
                if !self.homes.distant.enter(channel, member.clone(), &self.placement) {
                    return;
                }
                let Some(index) = known else { return };
                if self.homes.table.at_mut(index).add_member(member, &self.placement) {
                    self.tell_arrival(index, user, now, out);
                    self.grow_if_big(index, now, out);
                }
                self.look_at_home(index);
            }
            Step::Out { was_lost } => {
                if !self.homes.distant.leave(channel, user, &self.placement) {
                    return;
                }
                let Some(index) = known else { return };
                let home = self.homes.table.at_mut(index);
                if let Some(member) = home.remove_member(user, &self.placement) {
                    self.bid_farewell(index, &member, *was_lost, now, out);
                }
                self.look_at_home(index);
            }
        }
    }

    /// Tells other nodes' members of a channel that somebody types here, or stopped.
    pub(in crate::shard) fn tell_typing_elsewhere(&mut self, typing: &Typing) {
        if !self.placement.is_joined() {
            return;
        }
        let (turn, thread, room_type) = match &typing.turn {
            TypingTurn::Start { thread, room_type } => (Turn::Start, thread.as_deref(), *room_type),
            TypingTurn::Stop { thread } => (Turn::Stop, thread.as_deref(), None),
            TypingTurn::StopAll => (Turn::StopAll, None, None),
        };
        let session = typing.session.map_or(0, |id| u64::from(id.slot) << 32 | u64::from(id.generation));
        let sign =
            TypingSign { user: &typing.user, name: typing.name.as_deref(), thread, room_type, session, turn };
        self.signal(Topic::Channel(typing.channel.clone()), Word::Typing(sign));
    }

    /// Somebody types on another node, or stopped.
    pub(super) fn hear_typing(
        &mut self,
        channel: &ChannelName,
        run: RunId,
        sign: &TypingSign<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        if !self.limits.typing_enabled || self.homes.table.find(channel, &self.placement).is_none() {
            return;
        }
        let thread = sign.thread.map(Box::from);
        let turn = match sign.turn {
            Turn::Start => {
                let named =
                    ROOM_TYPES.map(RoomKind::name).into_iter().find(|known| Some(*known) == sign.room_type);
                TypingTurn::Start { thread, room_type: named }
            }
            Turn::Stop => TypingTurn::Stop { thread },
            Turn::StopAll => TypingTurn::StopAll,
        };
        // A session of another node: none here has this place, and each there has another.
        let number = self.placement.hash(run.as_str()) ^ sign.session;
        let session = SessionId { slot: u32::MAX, generation: (number ^ number >> 32) as u32 };
        let typing = Typing {
            channel: channel.clone(),
            user: UserId::from(sign.user),
            name: sign.name.map(Into::into),
            session: Some(session),
            turn,
        };
        self.note_typing_of(None, &typing, now, out);
    }

    /// Tells other nodes that a user spent something of a limit.
    pub(in crate::shard) fn tell_spent(&mut self, user: &str, class: RateClass) {
        if self.limits.rate.is_enabled
            && let Some(partition) = self.placement.partition_of(user)
        {
            self.signal(Topic::Presence(partition), Word::Spent { user, class: class as u8 });
        }
    }

    /// A user spent something of a limit on another node. What is over the limit counts as much as the limit.
    pub(super) fn note_spent(&mut self, user: &UserId, class: RateClass, now: Now) {
        let index = self.users.find_or_insert(user, &self.placement);
        let limits = self.limits.rate;
        let _ = self.users.at_mut(index).rates.take(class, now.monotonic_ms(), &limits);
        self.look_at_user(index, now);
    }

    /// Tells a user's devices on other nodes what was read on one here.
    pub(in crate::shard) fn tell_notified(&mut self, user: &str, name: &str, id: Option<&str>) {
        if let Some(partition) = self.placement.partition_of(user) {
            self.signal(Topic::Presence(partition), Word::Notified { user, name, id });
        }
    }

    /// Tells a user's devices here what was read on one elsewhere.
    pub(super) fn notify_here(
        &mut self,
        user: &str,
        name: &str,
        id: Option<&str>,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(index) = self.users.find(user, &self.placement) else { return };
        let mut frame = Vec::new();
        event::push_notification(&mut frame, name, id, now.unix_ms);
        out.broadcast(&frame, &self.users.at(index).sessions);
    }
}
