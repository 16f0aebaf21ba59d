//! The chat dialect as a load tester needs it: the few packets it says and the few that it listens for.
//!
//! What it says is written as text directly; what it hears is cut by the `protocol` crate and recognised by its
//! first bytes, never parsed as JSON.

use std::io::Write;

use protocol::{engine_io, socket_io};

use crate::mark::Mark;
use crate::schedule::Due;
use crate::seating::Room;

/// The acknowledgement id of the join, which comes before all messages.
pub const JOIN_ACK: u64 = 0;

/// Channel names of one run, so that no other run's messages can be taken for ours.
#[derive(Clone, Debug)]
pub struct Channels(String);

impl Channels {
    /// Channels named `lt-<run>-<room>`; `run` must need no escaping in JSON.
    pub fn new(run: &str) -> Self {
        Self(format!("lt-{run}-"))
    }

    /// The channel id of `room`.
    pub fn name(&self, room: Room) -> String {
        format!("{}{}", self.0, room.0)
    }
}

/// What a message carries beside its mark.
#[derive(Clone, Copy, Debug)]
pub struct MessageForm {
    /// The length of the content, filled up behind the mark.
    pub content_bytes: usize,
    /// Whether an acknowledgement is asked for.
    pub acks: bool,
    /// Whether it has a `clientMessageId`, which makes the server remember it for retries.
    pub client_ids: bool,
}

/// Writes the CONNECT packet for the main namespace; `auth` is a JSON object.
pub fn push_connect(out: &mut Vec<u8>, auth: &str) {
    out.extend_from_slice(b"40");
    out.extend_from_slice(auth.as_bytes());
}

/// Writes the request to join `channel`, with acknowledgement [`JOIN_ACK`].
pub fn push_join(out: &mut Vec<u8>, channel: &str) {
    write!(out, r#"42{JOIN_ACK}["channel:join",{{"channelId":"{channel}"}}]"#)
        .expect("writing to memory cannot fail");
}

/// Writes message `due` of the schedule with `sequence` as its number in its room, from 0 without gaps.
pub fn push_message(out: &mut Vec<u8>, channels: &Channels, due: Due, sequence: u32, form: MessageForm) {
    write_message(out, channels, due, sequence, form).expect("writing to memory cannot fail");
}

fn write_message(
    out: &mut Vec<u8>,
    channels: &Channels,
    due: Due,
    sequence: u32,
    form: MessageForm,
) -> std::io::Result<()> {
    out.extend_from_slice(b"42");
    if form.acks {
        write!(out, "{}", ack_id(due.number))?;
    }
    write!(out, r#"["message:send",{{"channelId":"{}{}","content":""#, channels.0, due.room.0)?;
    Mark { room: due.room, sequence, at: due.at }.push(out, form.content_bytes);
    out.extend_from_slice(br#"","mentions":[]"#);
    if form.client_ids {
        write!(out, r#","clientMessageId":"{}{}""#, channels.0, due.number)?;
    }
    out.extend_from_slice(b"}]");
    Ok(())
}

/// The acknowledgement id of message `number`.
pub const fn ack_id(number: u64) -> u64 {
    number + JOIN_ACK + 1
}

/// The message number that an acknowledgement id stands for; `None` for the join's.
pub const fn acked_number(id: u64) -> Option<u64> {
    id.checked_sub(JOIN_ACK + 1)
}

/// The error code in a refusal's JSON text, or the whole text if there is none.
pub fn refusal_code(json: &str) -> &str {
    let code = json.split_once(r#""code":""#).and_then(|(_, rest)| rest.split_once('"'));
    code.map_or(json, |(code, _)| code)
}

/// What the server said in one WebSocket text frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The Engine.IO session is open: time to CONNECT.
    Open,
    /// A heartbeat, to be answered with a pong that carries the same text.
    Ping(&'a str),
    /// The namespace is connected.
    Connected,
    /// The namespace was refused; the reason as JSON text.
    ConnectRefused(&'a str),
    /// A request was acknowledged: its id, and its JSON text if it was refused.
    Ack(u64, Result<(), &'a str>),
    /// A message with our mark.
    Message(Mark),
    /// An `error` event, as JSON text.
    Error(&'a str),
    /// The server ended the session: Engine.IO close or Socket.IO disconnect.
    Ended,
    /// An event that the load tester does not need.
    Other,
    /// Not a packet of the protocol.
    Unreadable,
}

/// Recognises the packet in one text frame.
pub fn hear(text: &str) -> Heard<'_> {
    match engine_io::parse(text) {
        Ok(engine_io::Packet::Message(message)) => hear_message(message),
        Ok(engine_io::Packet::Ping(echo)) => Heard::Ping(echo),
        Ok(engine_io::Packet::Open(_)) => Heard::Open,
        Ok(engine_io::Packet::Close) => Heard::Ended,
        Ok(_) => Heard::Other,
        Err(_) => Heard::Unreadable,
    }
}

fn hear_message(message: &str) -> Heard<'_> {
    let Ok(packet) = socket_io::parse(message) else {
        return Heard::Unreadable;
    };
    match packet.kind {
        socket_io::Kind::Event => hear_event(packet.data),
        socket_io::Kind::Ack => match packet.id {
            Some(id) if packet.data.starts_with(r#"[{"success":false"#) => Heard::Ack(id, Err(packet.data)),
            Some(id) => Heard::Ack(id, Ok(())),
            None => Heard::Unreadable,
        },
        socket_io::Kind::Connect => Heard::Connected,
        socket_io::Kind::ConnectError => Heard::ConnectRefused(packet.data),
        socket_io::Kind::Disconnect => Heard::Ended,
        socket_io::Kind::BinaryEvent | socket_io::Kind::BinaryAck => Heard::Other,
    }
}

fn hear_event(data: &str) -> Heard<'_> {
    if data.starts_with(r#"["message","#) {
        return Mark::find(data).map_or(Heard::Other, Heard::Message);
    }
    if data.starts_with(r#"["error","#) { Heard::Error(data) } else { Heard::Other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_said_is_the_dialect() {
        let channels = Channels::new("r1");
        let due = Due { number: 6, room: Room(2), at: Moment(9) };
        assert_eq!(text(|out| push_connect(out, r#"{"userId":"lt-1"}"#)), r#"40{"userId":"lt-1"}"#);
        assert_eq!(
            text(|out| push_join(out, &channels.name(Room(2)))),
            r#"420["channel:join",{"channelId":"lt-r1-2"}]"#
        );
        let plain = MessageForm { content_bytes: 0, acks: false, client_ids: false };
        assert_eq!(
            text(|out| push_message(out, &channels, due, 3, plain)),
            r#"42["message:send",{"channelId":"lt-r1-2","content":"~s2.3.9~","mentions":[]}]"#
        );
        let full = MessageForm { content_bytes: 10, acks: true, client_ids: true };
        assert_eq!(
            text(|out| push_message(out, &channels, due, 3, full)),
            r#"427["message:send",{"channelId":"lt-r1-2","content":"~s2.3.9~xx","mentions":[],"clientMessageId":"lt-r1-6"}]"#
        );
    }

    #[test]
    fn refusals_are_named_by_their_code() {
        assert_eq!(
            refusal_code(r#"[{"success":false,"error":{"code":"NOT_JOINED","message":"m"}}]"#),
            "NOT_JOINED"
        );
        assert_eq!(refusal_code(r#"{"message":"Invalid token"}"#), r#"{"message":"Invalid token"}"#);
    }

    #[test]
    fn acknowledgements_lead_back_to_their_messages() {
        assert_eq!(acked_number(JOIN_ACK), None);
        assert_eq!(acked_number(ack_id(41)), Some(41));
    }

    #[test]
    fn what_is_heard_is_recognised() {
        let mark = Mark { room: Room(2), sequence: 3, at: Moment(9) };
        for (text, expected) in [
            (r#"0{"sid":"a"}"#, Heard::Open),
            ("2", Heard::Ping("")),
            ("2probe", Heard::Ping("probe")),
            (r#"40{"sid":"b"}"#, Heard::Connected),
            (r#"44{"message":"Invalid token"}"#, Heard::ConnectRefused(r#"{"message":"Invalid token"}"#)),
            (r#"430[{"success":true}]"#, Heard::Ack(0, Ok(()))),
            (r#"437[{"success":false,"error":{}}]"#, Heard::Ack(7, Err(r#"[{"success":false,"error":{}}]"#))),
            (r#"42["message",{"id":"x","content":"~s2.3.9~xx"},"offset"]"#, Heard::Message(mark)),
            (r#"42["message",{"content":"hello"}]"#, Heard::Other),
            (r#"42["channel:joined",{"channelId":"~s2.3.9~"}]"#, Heard::Other),
            (r#"42["error",{"code":"NOT_JOINED"}]"#, Heard::Error(r#"["error",{"code":"NOT_JOINED"}]"#)),
            ("41", Heard::Ended),
            ("1", Heard::Ended),
            ("", Heard::Unreadable),
            ("9", Heard::Unreadable),
        ] {
            assert_eq!(hear(text), expected, "{text}");
        }
    }
}
