//! Centrifugo's bidirectional JSON protocol as a client speaks it: commands with ids, replies with the same ids,
//! pushes without.
//!
//! One WebSocket message carries one or more JSON objects, a line each. Command 1 connects, 2 subscribes, and message
//! `n` of the schedule is command `n + 3`. Source: "Client protocol" in Centrifugo's documentation, version 6.

use std::io::Write;

use crate::dialect::{Channels, Heard, JOIN_ACK, MessageForm, ack_id};
use crate::mark::Mark;
use crate::schedule::Due;

/// The ping of the server and the pong of the client.
pub(super) const HEARTBEAT: &str = "{}";

/// The id of the command that connects.
const CONNECT: u64 = 1;
/// What lies between the acknowledgement id of a request and the id of its command.
const AHEAD: u64 = CONNECT + 1 - JOIN_ACK;

/// Writes the command that connects, with `token` if there is one.
pub(super) fn push_connect(out: &mut Vec<u8>, token: Option<&str>) {
    let written = match token {
        Some(token) => write!(out, r#"{{"id":{CONNECT},"connect":{{"token":"{token}"}}}}"#),
        None => write!(out, r#"{{"id":{CONNECT},"connect":{{}}}}"#),
    };
    written.expect("writing to memory cannot fail");
}

/// Writes the command that subscribes to `channel`.
pub(super) fn push_join(out: &mut Vec<u8>, channel: &str) {
    write!(out, r#"{{"id":{},"subscribe":{{"channel":"{channel}"}}}}"#, JOIN_ACK + AHEAD)
        .expect("writing to memory cannot fail");
}

/// Writes the command that publishes a message.
pub(super) fn write_message(
    out: &mut Vec<u8>,
    channels: &Channels,
    due: Due,
    sequence: u32,
    form: MessageForm,
) -> std::io::Result<()> {
    let id = ack_id(due.number) + AHEAD;
    write!(out, r#"{{"id":{id},"publish":{{"channel":"{}{}","data":{{"content":""#, channels.0, due.room.0)?;
    Mark { room: due.room, sequence, at: due.at }.push(out, form.content_bytes);
    out.extend_from_slice(br#""}}}"#);
    Ok(())
}

/// Recognises one object.
pub(super) fn hear(line: &str) -> Heard<'_> {
    if line.starts_with(r#"{"push":"#) {
        return Mark::find(line).map_or(Heard::Other, Heard::Message);
    }
    if line == HEARTBEAT {
        return Heard::Ping("");
    }
    let reply = line.strip_prefix(r#"{"id":"#).and_then(|rest| rest.split_once(','));
    let Some((Ok(id), rest)) = reply.map(|(id, rest)| (id.parse::<u64>(), rest)) else {
        return Heard::Unreadable;
    };
    let result = if rest.starts_with(r#""error":"#) { Err(rest.trim_end_matches('}')) } else { Ok(()) };
    match (id.checked_sub(AHEAD), result) {
        (Some(id), result) => Heard::Ack(id, result),
        (None, Ok(())) => Heard::Connected(None),
        (None, Err(reason)) => Heard::ConnectRefused(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, example, text};

    #[test]
    fn what_is_said_are_commands_with_ids() {
        let (channels, due, mark) = example();
        assert_eq!(text(|out| push_connect(out, Some("t"))), r#"{"id":1,"connect":{"token":"t"}}"#);
        assert_eq!(text(|out| push_connect(out, None)), r#"{"id":1,"connect":{}}"#);
        assert_eq!(
            text(|out| push_join(out, &channels.name(due.room))),
            r#"{"id":2,"subscribe":{"channel":"lt-r1-2"}}"#
        );
        let form =
            MessageForm { dialect: Dialect::Centrifugo, content_bytes: 10, acks: false, client_ids: false };
        assert_eq!(
            text(|out| write_message(out, &channels, due, mark.sequence, form).unwrap()),
            r#"{"id":9,"publish":{"channel":"lt-r1-2","data":{"content":"~s2.3.9~xx"}}}"#
        );
    }

    #[test]
    fn what_is_heard_is_recognised() {
        let (_, due, mark) = example();
        for (line, expected) in [
            (r#"{"id":1,"connect":{"client":"c","version":"6"}}"#, Heard::Connected(None)),
            (
                r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#,
                Heard::ConnectRefused(r#""error":{"code":109,"message":"token expired""#),
            ),
            (r#"{"id":2,"subscribe":{}}"#, Heard::Ack(JOIN_ACK, Ok(()))),
            (r#"{"id":9,"publish":{}}"#, Heard::Ack(ack_id(due.number), Ok(()))),
            (
                r#"{"id":9,"error":{"code":103,"message":"permission denied"}}"#,
                Heard::Ack(ack_id(due.number), Err(r#""error":{"code":103,"message":"permission denied""#)),
            ),
            (
                r#"{"push":{"channel":"lt-r1-2","pub":{"data":{"content":"~s2.3.9~xx"}}}}"#,
                Heard::Message(mark),
            ),
            (r#"{"push":{"channel":"lt-r1-2","join":{"info":{}}}}"#, Heard::Other),
            ("{}", Heard::Ping("")),
            ("", Heard::Unreadable),
            (r#"{"id":x,"connect":{}}"#, Heard::Unreadable),
        ] {
            assert_eq!(hear(line), expected, "{line}");
        }
    }
}
