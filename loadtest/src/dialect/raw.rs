//! The bare protocol of servers that do nothing but deliver: text frames, one letter each, no tokens.
//!
//! `J<channel>` joins and is answered `J`. `M<channel> <content>` is delivered to all members, the sender too, as
//! `M<channel> <id> <milliseconds since 1970> <content>`. Heartbeats are WebSocket's own.

use std::io::Write;

use crate::dialect::{Channels, Heard, JOIN_ACK, MessageForm};
use crate::mark::Mark;
use crate::schedule::Due;

/// Writes the request to join `channel`.
pub(super) fn push_join(out: &mut Vec<u8>, channel: &str) {
    out.push(b'J');
    out.extend_from_slice(channel.as_bytes());
}

/// Writes a message; there is neither an acknowledgement nor a `clientMessageId`.
pub(super) fn write_message(
    out: &mut Vec<u8>,
    channels: &Channels,
    due: Due,
    sequence: u32,
    form: MessageForm,
) -> std::io::Result<()> {
    write!(out, "M{}{} ", channels.0, due.room.0)?;
    Mark { room: due.room, sequence, at: due.at }.push(out, form.content_bytes);
    Ok(())
}

/// Recognises the packet in one text frame.
pub(super) fn hear(text: &str) -> Heard<'_> {
    match text.as_bytes() {
        [b'M', ..] => Mark::find(text).map_or(Heard::Other, Heard::Message),
        b"J" => Heard::Ack(JOIN_ACK, Ok(())),
        _ => Heard::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, example};

    #[test]
    fn what_is_said_is_a_letter_and_what_belongs_to_it() {
        let (channels, due, mark) = example();
        let (mut join, mut message) = (Vec::new(), Vec::new());
        push_join(&mut join, &channels.name(due.room));
        assert_eq!(join, b"Jlt-r1-2");
        let form = MessageForm { dialect: Dialect::Raw, content_bytes: 10, acks: true, client_ids: true };
        write_message(&mut message, &channels, due, mark.sequence, form).unwrap();
        assert_eq!(message, b"Mlt-r1-2 ~s2.3.9~xx");
    }

    #[test]
    fn what_is_heard_is_recognised() {
        let (_, _, mark) = example();
        for (text, expected) in [
            ("J", Heard::Ack(JOIN_ACK, Ok(()))),
            ("Mlt-r1-2 7 1700000000000 ~s2.3.9~xx", Heard::Message(mark)),
            ("Mlt-r1-2 7 1700000000000 hello", Heard::Other),
            ("Jx", Heard::Unreadable),
            ("", Heard::Unreadable),
        ] {
            assert_eq!(hear(text), expected, "{text}");
        }
    }
}
