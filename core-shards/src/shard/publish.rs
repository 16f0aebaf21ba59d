//! A message on its sender's core: limits and membership on the way out, the acknowledgement on the way back.

use protocol::chat::event::{self, Stamp};
use protocol::chat::request::{Refusal, Send};
use protocol::codes::ErrorCode;
use protocol::json::Json;

use super::receipts::Known;
use super::{Event, Shard};
use crate::Now;
use crate::ids::SessionId;
use crate::mail::{Mail, Publish, Published, Receipt, Reply};
use crate::outputs::Outputs;

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
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let refusal = |code, message| Refusal {
            channel: Some(send.channel.to_string()),
            ..Refusal::new(code, message)
        };
        let room = self.rooms.find(&send.channel, &self.placement);
        let Some(room) = room.filter(|room| session.membership(*room).is_some()) else {
            return Err(refusal(ErrorCode::NotJoined, "join the channel before you send to it"));
        };
        if is_longer(send.content, self.limits.message_chars_max) {
            return Err(refusal(ErrorCode::PayloadTooLarge, "content is too long"));
        }
        let user = self.users.get(session.user).id.clone();
        let mut body = Vec::with_capacity(event.arguments.as_raw().len() + 96);
        event::push_message_body(&mut body, &user, session.name.as_deref(), send);
        let reply = Reply { session: id, ack: event.ack };
        let client_message_id: Option<Box<str>> = send.client_message_id.as_deref().map(Box::from);
        let fingerprint = client_message_id
            .as_deref()
            .map(|client_id| self.placement.fingerprint(&[&user, &send.channel, client_id]));
        if let Some(fingerprint) = fingerprint {
            match self.receipts.admit(fingerprint, reply, now.monotonic_ms(), &self.metrics) {
                Known::No => {}
                Known::Waiting => return Ok(()),
                Known::Accepted(receipt) => {
                    self.confirm(reply, &send.channel, client_message_id.as_deref(), receipt, out);
                    return Ok(());
                }
                Known::Crowded => return Err(refusal(ErrorCode::ServerBusy, "this message is on its way")),
            }
        }
        let room = self.rooms.at(room);
        let home = room.home;
        let publish = Publish {
            channel: room.channel.clone(),
            reply,
            client_message_id,
            fingerprint,
            body,
            attachments: event.attachments.to_vec(),
            received_us: now.monotonic_us,
        };
        self.post(home, Mail::Publish(Box::new(publish)), out);
        Ok(())
    }

    /// The home's answer, for the sender and for every retry that came meanwhile.
    pub(super) fn acknowledge(&mut self, published: Published, now: Now, out: &mut Outputs) {
        let Published { channel, reply, client_message_id, fingerprint, receipt } = published;
        let mut replies =
            fingerprint.map(|fingerprint| self.receipts.conclude(fingerprint, receipt)).unwrap_or_default();
        replies.push(reply);
        for reply in replies {
            if !self.sessions.is_live(reply.session) {
                self.metrics.stale_letters.increment();
                continue;
            }
            match receipt {
                Some(receipt) => self.confirm(reply, &channel, client_message_id.as_deref(), receipt, out),
                None => {
                    let gone = Refusal {
                        channel: Some(channel.to_string()),
                        ..Refusal::new(ErrorCode::NotJoined, "join the channel before you send to it")
                    };
                    self.refuse(reply.session, "message:send", reply.ack, &gone, now, out);
                }
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
        let Some(ack) = reply.ack else { return };
        let stamp =
            Stamp { id: receipt.id.as_str(), offset: receipt.offset.0, timestamp_ms: receipt.timestamp_ms };
        out.send(reply.session, |frame| {
            event::push_message_ack(frame, ack, channel, client_message_id, stamp);
        });
    }
}

/// Whether a JSON string has more than `chars_max` characters. Its bytes bound them, so most are never counted.
fn is_longer(content: Json<'_>, chars_max: usize) -> bool {
    content.as_raw().len() - 2 > chars_max
        && content.as_str().is_some_and(|text| text.chars().count() > chars_max)
}
