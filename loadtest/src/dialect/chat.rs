//! The chat dialect as a load tester needs it: the few packets it says and the few that it listens for.
//!
//! What it says is written as text directly; what it hears is cut by the `protocol` crate and recognised by its
//! first bytes, never parsed as JSON.

use std::io::Write;

use protocol::{engine_io, socket_io};

use crate::dialect::{Channels, Heard, JOIN_ACK, MessageForm, ack_id};
use crate::mark::Mark;
use crate::record::Place;
use crate::schedule::Due;

/// The DISCONNECT packet for the main namespace.
pub(super) const GOODBYE: &str = "41";

/// Writes the CONNECT packet for the main namespace; `auth` is a JSON object, which the place to resume at is put into.
pub(super) fn push_connect(out: &mut Vec<u8>, auth: &str, place: Option<&Place>) {
    let Some((Place { pid, offset, .. }, open)) = place.zip(auth.strip_suffix('}')) else {
        out.extend_from_slice(b"40");
        out.extend_from_slice(auth.as_bytes());
        return;
    };
    write!(out, r#"40{open},"pid":"{pid}","offset":"{offset}"}}"#).expect("writing to memory cannot fail");
}

/// The last argument of an event, if it is a text: the offset of Socket.IO's connection state recovery.
pub(super) fn offset(text: &str) -> Option<&str> {
    let arguments = text.strip_prefix("42[")?.strip_suffix(r#""]"#)?;
    let (before, offset) = arguments.rsplit_once('"')?;
    before.ends_with(',').then_some(offset)
}

/// The private id in the answer to CONNECT.
fn pid(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once(r#""pid":""#)?;
    rest.split_once('"').map(|(pid, _)| pid)
}

/// Writes the request to join `channel`, with acknowledgement [`JOIN_ACK`].
pub(super) fn push_join(out: &mut Vec<u8>, channel: &str) {
    write!(out, r#"42{JOIN_ACK}["channel:join",{{"channelId":"{channel}"}}]"#)
        .expect("writing to memory cannot fail");
}

/// Writes the answer to a heartbeat that carried `echo`.
pub(super) fn push_pong(out: &mut Vec<u8>, echo: &str) {
    out.push(b'3');
    out.extend_from_slice(echo.as_bytes());
}

/// Writes a message as `message:send`.
pub(super) fn write_message(
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

/// Recognises the packet in one text frame.
pub(super) fn hear(text: &str) -> Heard<'_> {
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
        socket_io::Kind::Connect => Heard::Connected(pid(packet.data)),
        socket_io::Kind::ConnectError => Heard::ConnectRefused(packet.data),
        socket_io::Kind::Disconnect => Heard::Ended,
        socket_io::Kind::BinaryEvent | socket_io::Kind::BinaryAck => Heard::Other,
    }
}

fn hear_event(data: &str) -> Heard<'_> {
    if data.starts_with(r#"["message","#) {
        return Mark::find(data).map_or(Heard::Other, Heard::Message);
    }
    if data.starts_with(r#"["error","#) {
        Heard::Error(data)
    } else if data.starts_with(r#"["presence"#) {
        Heard::Presence
    } else {
        Heard::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, example, text};

    #[test]
    fn what_is_said_is_the_dialect() {
        let (channels, due, mark) = example();
        assert_eq!(text(|out| push_connect(out, r#"{"userId":"lt-1"}"#, None)), r#"40{"userId":"lt-1"}"#);
        assert_eq!(
            text(|out| push_join(out, &channels.name(due.room))),
            r#"420["channel:join",{"channelId":"lt-r1-2"}]"#
        );
        let plain = MessageForm { dialect: Dialect::Chat, content_bytes: 0, acks: false, client_ids: false };
        assert_eq!(
            text(|out| write_message(out, &channels, due, mark.sequence, plain).unwrap()),
            r#"42["message:send",{"channelId":"lt-r1-2","content":"~s2.3.9~","mentions":[]}]"#
        );
        let full = MessageForm { dialect: Dialect::Chat, content_bytes: 10, acks: true, client_ids: true };
        assert_eq!(
            text(|out| write_message(out, &channels, due, mark.sequence, full).unwrap()),
            r#"427["message:send",{"channelId":"lt-r1-2","content":"~s2.3.9~xx","mentions":[],"clientMessageId":"lt-r1-6"}]"#
        );
    }

    #[test]
    fn what_is_heard_is_recognised() {
        let (_, _, mark) = example();
        for (text, expected) in [
            (r#"0{"sid":"a"}"#, Heard::Open),
            ("2", Heard::Ping("")),
            ("2probe", Heard::Ping("probe")),
            (r#"40{"sid":"b"}"#, Heard::Connected(None)),
            (r#"40{"sid":"b","pid":"p"}"#, Heard::Connected(Some("p"))),
            (r#"42["presence",{}]"#, Heard::Presence),
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
