//! What a client may ask for, one arm each: an event is read, and handed to whoever owns what it is about.

use protocol::chat::event;
use protocol::chat::request::{self, Refusal, Request};
use protocol::codes::ErrorCode;
use protocol::json::Json;

use super::membership::JoinWish;
use super::{Event, Shard, queries};
use crate::Now;
use crate::ids::{SessionId, UserId};
use crate::mail::JoinManner;
use crate::metrics::EventClass;
use crate::outputs::Outputs;

impl Shard {
    /// Reads one event and does what it asks for.
    pub(super) fn perform(
        &mut self,
        session: SessionId,
        name: &str,
        argument: Option<Json<'_>>,
        event: &Event<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        let outcome = match request::parse(name, argument) {
            Ok(Request::Batch { events }) => {
                return self.perform_batch(session, events, event, now, out);
            }
            Ok(request) => self.carry_out(session, request, event, now, out),
            Err(refusal) if refusal.code == ErrorCode::UnknownEvent => {
                self.relay_unknown(session, name, argument, event.ack, now, out).unwrap_or(Err(refusal))
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            self.tell_failed(session, name, argument, &refusal, out);
            if name == "room:join" {
                return self.refuse_room_join(session, argument, event.ack, &refusal, now, out);
            }
            self.refuse(session, name, event.ack, &refusal, now, out);
        }
    }

    /// One arm for each thing that a client may ask for.
    fn carry_out(
        &mut self,
        id: SessionId,
        request: Request<'_>,
        event: &Event<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let ack = event.ack;
        self.metrics.received[EventClass::of_request(&request) as usize].increment();
        if matches!(request, Request::Presence(_) | Request::Subscribe { .. } | Request::Unsubscribe { .. }) {
            self.keep_record_later(id, now);
        }
        match request {
            Request::Join { channel, spelling, by_room_name, since } => {
                let manner = JoinManner { spelling, by_room_name };
                let since = since.as_ref().map(queries::owned_since);
                let wish = JoinWish { channel: channel.into(), manner, since, ack };
                self.wish_to_join(id, wish, now, out)
            }
            Request::Leave { channel, spelling, by_room_name } => {
                self.leave(id, &channel, JoinManner { spelling, by_room_name }, ack, now, out)
            }
            Request::Send(send) => self.publish(id, &send, event, now, out),
            Request::Typing(typing) => {
                self.note_typing(id, &typing, now, out);
                Self::done(id, ack, out)
            }
            Request::Presence(update) => self.update_presence(id, &update, ack, now, out),
            Request::Subscribe { users } => self.follow(id, owned(&users), ack, out),
            Request::Unsubscribe { users } => {
                self.unfollow(id, owned(&users));
                Self::done(id, ack, out)
            }
            Request::GetPresence { users } => self.get_presence(id, owned(&users), ack, out),
            Request::Read(read) => self.publish_read(id, &read, ack, now, out),
            Request::React(react) => self.publish_reaction(id, &react, ack, now, out),
            Request::SyncMessages { channel, since, limit } => {
                self.sync_messages(id, &channel, since.as_ref(), limit, ack, out)
            }
            Request::SyncChannels => {
                self.sync_channels(id, ack, now, out);
                Ok(())
            }
            Request::Ping { timestamp } => {
                out.send(id, |frame| match ack {
                    Some(ack) => event::push_ping_ack(frame, ack, timestamp, now.unix_ms),
                    None => event::push_pong(frame, timestamp, now.unix_ms),
                });
                Ok(())
            }
            Request::Pong | Request::Acknowledged => Self::done(id, ack, out),
            Request::Notification { name, id: notification } => {
                self.notify_others(id, name, notification.as_deref(), now, out);
                Self::done(id, ack, out)
            }
            Request::Dispatch { event, channel, payload } => {
                self.dispatch(id, &event, &channel, payload, ack, now, out)
            }
            // A batch is taken apart before; none is in another.
            Request::Batch { .. } => Ok(()),
            // The shell verifies tokens and answers with `handle_refresh`; one that comes here was not looked at.
            Request::Refresh { .. } => {
                Err(Refusal::new(ErrorCode::InternalError, "the token was not verified"))
            }
        }
    }

    /// An event was taken, and that is all there is to say about it.
    fn done(id: SessionId, ack: Option<u64>, out: &mut Outputs) -> Result<(), Refusal> {
        if let Some(ack) = ack {
            out.send(id, |frame| event::push_plain_ack(frame, ack));
        }
        Ok(())
    }
}

fn owned(users: &[std::borrow::Cow<'_, str>]) -> Vec<UserId> {
    users.iter().map(|user| UserId::from(&**user)).collect()
}
