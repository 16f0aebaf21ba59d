//! What a client may have handed on that is no message: events of the operator's list, `dispatch`, notifications that
//! were read on another device, several events in one; and what a client asks about the past.

use std::borrow::Cow;

use protocol::chat::event::{self, Kind, SyncedChannel};
use protocol::chat::request::{self, Refusal, Since};
use protocol::codes::ErrorCode;
use protocol::json::Json;

use super::publish::Remark;
use super::queries::owned_since;
use super::rates::RateClass;
use super::{Event, Shard};
use crate::Now;
use crate::ids::SessionId;
use crate::mail::{Query, Question, Reply, Sender};
use crate::outputs::Outputs;

impl Shard {
    /// Several events in one. Each is answered by itself, so none is acknowledged; the batch is.
    pub(super) fn perform_batch(
        &mut self,
        id: SessionId,
        events: Vec<(Cow<'_, str>, Option<Json<'_>>)>,
        event: &Event<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        let one = Event { ack: None, attachments: &[], ..*event };
        for (name, argument) in events {
            self.perform(id, &name, argument, &one, now, out);
        }
        if let Some(ack) = event.ack {
            out.send(id, |frame| event::push_plain_ack(frame, ack));
        }
    }

    /// An event that the node does not know, if the operator wants it handed on.
    pub(super) fn relay_unknown(
        &mut self,
        id: SessionId,
        name: &str,
        argument: Option<Json<'_>>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) -> Option<Result<(), Refusal>> {
        if !self.limits.relay_events.iter().any(|event| **event == *name) {
            return None;
        }
        let relayed = match request::parse_relayed(argument) {
            Ok(relayed) => relayed,
            Err(refusal) => return Some(Err(refusal)),
        };
        let remark = Remark {
            kind: Kind::Relay { event: name.into() },
            channel: &relayed.channel,
            class: RateClass::Message,
        };
        Some(self.remark(id, remark, ack, now, out, |body, user, _| {
            event::push_relayed_body(body, user, relayed.payload);
        }))
    }

    /// An event of a client's own making: for staff, or where the operator lets everybody.
    #[expect(clippy::too_many_arguments, reason = "they are the event")]
    pub(super) fn dispatch(
        &mut self,
        id: SessionId,
        name: &str,
        channel: &str,
        payload: Json<'_>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let rights = self.sessions.get(id).and_then(|session| session.rights.as_deref());
        let is_staff = rights.is_some_and(|rights| self.limits.access.is_admin(&rights.roles));
        if !is_staff && !self.limits.relays_dispatch {
            let forbidden = Refusal::new(ErrorCode::Forbidden, "clients may not dispatch events here");
            return Err(forbidden.about(channel));
        }
        let kind = Kind::Relay { event: name.into() };
        let remark = Remark { kind, channel, class: RateClass::Message };
        self.remark(id, remark, ack, now, out, |body, _, _| {
            body.extend_from_slice(payload.as_raw().as_bytes());
        })
    }

    /// What a user read on one device is read on the others.
    pub(super) fn notify_others(
        &mut self,
        id: SessionId,
        name: &str,
        notification: Option<&str>,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get(id) else { return };
        let user = session.user;
        let slots = &self.users.at(user).sessions;
        let others: Vec<u32> = slots.iter().copied().filter(|slot| *slot != id.slot).collect();
        let mut frame = Vec::new();
        event::push_notification(&mut frame, name, notification, now.unix_ms);
        out.broadcast(&frame, &others);
        if self.elsewhere.has(user) {
            let id = self.users.at(user).id.clone();
            self.tell_notified(&id, name, notification);
        }
    }

    /// The messages of a channel after a position, for its members.
    pub(super) fn sync_messages(
        &mut self,
        id: SessionId,
        channel: &str,
        since: Option<&Since<'_>>,
        limit: usize,
        ack: Option<u64>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let room = self.rooms.find(channel, &self.placement);
        if room.is_none_or(|room| session.membership(room).is_none()) {
            let stranger = Refusal::new(ErrorCode::NotJoined, "join the channel before you ask about it");
            return Err(stranger.about(channel));
        }
        let question = Question::Messages { since: since.map(owned_since), limit };
        let asker = Sender::Session(Reply { session: id, ack });
        self.send_query(Query { channel: channel.into(), asker, question }, out);
        Ok(())
    }

    /// The channels that the session is in, as far as this core knows them.
    pub(super) fn sync_channels(&mut self, id: SessionId, ack: Option<u64>, now: Now, out: &mut Outputs) {
        let (Some(session), Some(ack)) = (self.sessions.get(id), ack) else { return };
        let channels =
            session.memberships.iter().filter(|membership| membership.is_member()).map(|membership| {
                let room = self.rooms.at(membership.room);
                SyncedChannel {
                    channel: &room.channel,
                    member_count: Some(room.member_count),
                    last_message_at_unix_ms: (room.last_message_ms > 0).then_some(room.last_message_ms),
                }
            });
        out.send(id, |frame| event::push_sync_channels_ack(frame, ack, channels, now.unix_ms));
    }
}
