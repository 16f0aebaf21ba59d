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
