//! An event on its sender's core: limits and membership on the way out, the acknowledgement on the way back.

use protocol::chat::dialect::Dialect;
use protocol::chat::event::{self, Kind, Stamp};
use protocol::chat::request::{React, Read, Refusal, Send};
use protocol::codes::ErrorCode;
use protocol::json::Json;

use super::rates::{Exceeded, RateClass};
use super::receipts::Known;
use super::{Event, Shard};
use crate::Now;
use crate::access::Access;
use crate::ids::{ChannelName, Fingerprint, SessionId};
use crate::mail::{Mail, Publish, Published, Receipt, Reply, Sender};
use crate::outputs::Outputs;

/// What a session is told that sends to a channel that it is not in.
const NOT_JOINED: &str = "join the channel before you send to it";

/// What somebody is told who sends the same message again and again before it is answered.
pub(super) const ON_ITS_WAY: &str = "this message is on its way";

/// What a session publishes besides messages.
#[derive(Debug)]
pub(super) struct Remark<'a> {
    pub(super) kind: Kind,
    pub(super) channel: &'a str,
    pub(super) class: RateClass,
}

impl Shard {
    /// Sends a message to its channel's home, unless it is a retry of one that went before.
    pub(super) fn publish(
        &mut self,
        id: SessionId,
        send: &Send<'_>,
        event: &Event<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let refusal = |code, message| Refusal::new(code, message).about(&send.channel);
        let channel = self.channel_to_send(id, &send.channel, now)?;
        if is_longer(send.content, self.limits.message_chars_max) {
            return Err(refusal(ErrorCode::PayloadTooLarge, "content is too long"));
        }
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let (user_index, name) = (session.user, session.name.clone());
        let user = self.users.at(user_index).id.clone();
        let reply = Reply { session: id, ack: event.ack };
        let client_message_id: Option<Box<str>> = send.client_message_id.as_deref().map(Box::from);
        let fingerprint = client_message_id
            .as_deref()
            .map(|client_id| self.placement.fingerprint(&[&user, &send.channel, client_id]))
            .map(Fingerprint::from_bits);
        // A retry costs its user nothing.
        let sender = Sender::Session(reply);
        match fingerprint.and_then(|fingerprint| self.receipts.retry(fingerprint, sender, &self.metrics)) {
            Some(Known::Accepted(receipt)) => {
                self.confirm(reply, &send.channel, client_message_id.as_deref(), receipt, out);
                return Ok(());
            }
            Some(Known::Waiting) => return Ok(()),
            Some(Known::Crowded) => return Err(refusal(ErrorCode::ServerBusy, ON_ITS_WAY)),
            None => {}
        }
        self.spend(user_index, RateClass::Message, now)
            .map_err(|exceeded| self.too_often(exceeded).about(&send.channel))?;
        if let Some(fingerprint) = fingerprint {
            self.receipts.expect(fingerprint, now.monotonic_ms(), &self.metrics);
        }
        let mut body = Vec::with_capacity(event.arguments.as_raw().len() + 96);
        event::push_message_body(&mut body, &user, name.as_deref(), send);
        let publish = Publish {
            kind: Kind::Message,
            user,
            sender,
            client_message_id,
            fingerprint,
            body,
            attachments: event.attachments.to_vec(),
            received_us: now.monotonic_us,
            channel,
        };
        self.send_publish(publish, out);
        Ok(())
    }

    /// A session has read something.
    pub(super) fn publish_read(
        &mut self,
        id: SessionId,
        read: &Read<'_>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let remark = Remark { kind: Kind::Read, channel: &read.channel, class: RateClass::Receipt };
        self.remark(id, remark, ack, now, out, |body, user, _| event::push_read_body(body, user, read))
    }

    /// A session puts an emoji to a message, or takes it away.
    pub(super) fn publish_reaction(
        &mut self,
        id: SessionId,
        react: &React<'_>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let kind = Kind::Reaction { is_added: react.is_added };
        let remark = Remark { kind, channel: &react.channel, class: RateClass::Receipt };
        self.remark(id, remark, ack, now, out, |body, user, name| {
            event::push_reaction_body(body, user, name, react);
        })
    }

    /// Sends what is no message to its channel's home.
    pub(super) fn remark(
        &mut self,
        id: SessionId,
        remark: Remark<'_>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
        write: impl FnOnce(&mut Vec<u8>, &str, Option<&str>),
    ) -> Result<(), Refusal> {
        let channel = self.channel_to_send(id, remark.channel, now)?;
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let (user_index, name) = (session.user, session.name.clone());
        self.spend(user_index, remark.class, now)
            .map_err(|exceeded| self.too_often(exceeded).about(remark.channel))?;
        let user = self.users.at(user_index).id.clone();
        let mut body = Vec::new();
        write(&mut body, &user, name.as_deref());
        let publish = Publish {
            channel,
            kind: remark.kind,
            user,
            sender: Sender::Session(Reply { session: id, ack }),
            client_message_id: None,
            fingerprint: None,
            body,
            attachments: Vec::new(),
            received_us: now.monotonic_us,
        };
        self.send_publish(publish, out);
        Ok(())
    }

    /// The channel, if the session may send to it: it is in it, or need not be.
    fn channel_to_send(&self, id: SessionId, channel: &str, now: Now) -> Result<ChannelName, Refusal> {
        let not_joined = || Refusal::new(ErrorCode::NotJoined, NOT_JOINED).about(channel);
        let session = self.sessions.get(id).ok_or_else(not_joined)?;
        let room = self.rooms.find(channel, &self.placement);
        if let Some(room) = room.filter(|room| session.membership(*room).is_some()) {
            return Ok(self.rooms.at(room).channel.clone());
        }
        if !self.limits.joins_implicitly {
            return Err(not_joined());
        }
        match self.access_of(session, channel, now) {
            Access::Allow => Ok(ChannelName::from(channel)),
            Access::Deny(message) => Err(Refusal::new(ErrorCode::RoomAccessDenied, message).about(channel)),
            // Somebody has to be asked first, and a join is what asks.
            Access::Ask => Err(not_joined()),
        }
    }

    pub(super) fn send_publish(&mut self, publish: Publish, out: &mut Outputs) {
        let home = self.placement.home_of_channel(&publish.channel);
        self.post(home, Mail::Publish(Box::new(publish)), out);
    }

    /// The home's answer, for the sender and for every retry that came meanwhile.
    pub(super) fn acknowledge(&mut self, published: Published, now: Now, out: &mut Outputs) {
        let waiting = published
            .fingerprint
            .map(|fingerprint| self.receipts.conclude(fingerprint, published.receipt))
            .unwrap_or_default();
        for sender in waiting.into_iter().chain([published.sender]) {
            match sender {
                Sender::Session(reply) => self.acknowledge_session(reply, &published, now, out),
                Sender::Call(call) => self.tell_published(call, &published, out),
                Sender::Broadcast(gathering) => {
                    let is_taken = published.trouble.is_none();
                    self.note_broadcast(gathering, is_taken.then_some(published.recipient_count), out);
                }
            }
        }
    }

    fn acknowledge_session(&mut self, reply: Reply, published: &Published, now: Now, out: &mut Outputs) {
        if !self.sessions.is_live(reply.session) {
            return self.metrics.stale_letters.increment();
        }
        match (published.receipt, &published.kind) {
            (Some(receipt), Kind::Message) => {
                let client_id = published.client_message_id.as_deref();
                self.confirm(reply, &published.channel, client_id, receipt, out);
            }
            (Some(_), _) => {
                if let Some(ack) = reply.ack {
                    out.send(reply.session, |frame| event::push_plain_ack(frame, ack));
                }
            }
            (None, kind) => {
                let refusal = match published.trouble {
                    Some(_) => not_taken(),
                    None => Refusal::new(ErrorCode::NotJoined, NOT_JOINED),
                };
                let refusal = refusal.about(&published.channel);
                let event = if *kind == Kind::Message { "message:send" } else { kind.event() };
                self.tell_failed_by_id(reply.session, published.client_message_id.as_deref(), &refusal, out);
                self.refuse(reply.session, event, reply.ack, &refusal, now, out);
            }
        }
    }

    fn confirm(
        &self,
        reply: Reply,
        channel: &str,
        client_message_id: Option<&str>,
        receipt: Receipt,
        out: &mut Outputs,
    ) {
        let stamp = stamp(&receipt);
        let session = self.sessions.get(reply.session);
        if let Some(client_id) = client_message_id
            && session.is_some_and(|session| session.dialect == Some(Dialect::Hybrid))
        {
            out.send(reply.session, |frame| event::push_message_sent(frame, client_id, stamp));
        }
        if let Some(ack) = reply.ack {
            out.send(reply.session, |frame| {
                event::push_message_ack(frame, ack, channel, client_message_id, stamp);
            });
        }
    }

    /// Clients of the mixed dialect wait for a word about each message with an id of its own.
    pub(super) fn tell_failed(
        &self,
        id: SessionId,
        name: &str,
        argument: Option<Json<'_>>,
        refusal: &Refusal,
        out: &mut Outputs,
    ) {
        if !matches!(name, "message:send" | "message:new") {
            return;
        }
        self.tell_failed_by_id(
            id,
            protocol::chat::request::client_message_id(argument).as_deref(),
            refusal,
            out,
        );
    }

    fn tell_failed_by_id(
        &self,
        id: SessionId,
        client_id: Option<&str>,
        refusal: &Refusal,
        out: &mut Outputs,
    ) {
        let is_hybrid = self.sessions.get(id).is_some_and(|session| session.dialect == Some(Dialect::Hybrid));
        if let Some(client_id) = client_id.filter(|_| is_hybrid) {
            out.send(id, |frame| {
                event::push_message_failed(frame, client_id, refusal.code, refusal.message);
            });
        }
    }

    /// What a user is told who did something too often.
    pub(super) fn too_often(&self, exceeded: Exceeded) -> Refusal {
        let seconds = u32::try_from(exceeded.retry_after_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
        Refusal::new(ErrorCode::RateLimitExceeded, "too many of these events, slow down").retry_after(seconds)
    }
}

/// What somebody is told whose publication the store that nodes share did not take: nobody has it.
pub(super) fn not_taken() -> Refusal {
    Refusal::new(ErrorCode::ServerBusy, "this cannot be stored now, try again later").retry_after(1)
}

pub(super) fn stamp(receipt: &Receipt) -> Stamp<'_> {
    Stamp { id: receipt.id.as_str(), offset: receipt.offset.0, timestamp_ms: receipt.timestamp_ms }
}

/// Whether a JSON string has more than `chars_max` characters. Its bytes bound them, so most are never counted.
pub fn is_longer(content: Json<'_>, chars_max: usize) -> bool {
    content.as_raw().len() > chars_max.saturating_add(2)
        && content.as_str().is_some_and(|text| text.chars().count() > chars_max)
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use crate::limits::{Limits, RETRIES_WAITING_MAX};

    #[test]
    fn the_length_of_content_is_counted_in_characters() {
        let mut trial = Trial::new(Limits { message_chars_max: 3, ..Limits::default() });
        let session = trial.connect(0, "7", None);
        trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
        let mut check = |content: &str, is_accepted: bool| {
            let text = format!(r#"["message:send",{{"channelId":"a","content":"{content}"}}]"#);
            let heard = trial.event(session, &text, Some(1)).concat();
            assert_eq!(heard.contains(r#""success":true"#), is_accepted, "{content}");
            assert_eq!(heard.contains("PAYLOAD_TOO_LARGE"), !is_accepted, "{content}");
        };
        check("abc", true);
        check("abcd", false);
        check("é€😀", true);
        check("é€😀x", false);
        check(r"\u00e9\n\ud83d\ude00", true);
        check(r"\u00e9\n\ud83d\ude00x", false);
    }

    #[test]
    fn a_retry_is_answered_with_the_first_receipt_and_not_delivered() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
        let send = r#"["message:send",{"channelId":"a","content":"x","clientMessageId":"k"}]"#;
        let first = trial.event(session, send, Some(1));
        assert_eq!(first.len(), 2, "the message and its acknowledgement");
        for _ in 0..2 * RETRIES_WAITING_MAX {
            assert_eq!(trial.event(session, send, Some(1)), first[1..]);
        }
        assert!(trial.event(session, send, None).is_empty());
    }
}
