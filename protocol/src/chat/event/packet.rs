//! Owns the packet around an event's argument, and the writing of single fields. Field names are ours and are written
//! as they are; values are escaped.

use super::Frame;
use crate::chat::dialect::Spelling;
use crate::chat::{room, time};
use crate::json::{self, Json};
use crate::websocket::frame::{self, Opcode, push_frame, push_frame_with};

/// One Socket.IO packet as one frame; `write` writes the packet from its type digit on.
pub fn push_packet(out: &mut Frame, write: impl FnOnce(&mut Frame)) {
    push_frame_with(out, Opcode::Text, |out| {
        out.push(b'4');
        write(out);
    });
}

/// An acknowledgement that says no more than that the event was taken.
pub fn push_plain_ack(out: &mut Frame, ack: u64) {
    push_ack(out, ack, |out| out.extend_from_slice(b"{\"success\":true}"));
}

pub(super) fn push_event(out: &mut Frame, name: &str, write_argument: impl FnOnce(&mut Frame)) {
    push_broadcast(out, name, None, &[], write_argument);
}

/// An event with its cursor, and a binary frame for each attachment behind it.
pub(super) fn push_broadcast(
    out: &mut Frame,
    name: &str,
    cursor: Option<&str>,
    attachments: &[Vec<u8>],
    write_argument: impl FnOnce(&mut Frame),
) {
    push_packet(out, |out| {
        if attachments.is_empty() {
            out.push(b'2');
        } else {
            out.push(b'5');
            json::push_u64(out, attachments.len() as u64);
            out.push(b'-');
        }
        out.push(b'[');
        json::push_str(out, name);
        out.push(b',');
        write_argument(out);
        if let Some(cursor) = cursor {
            out.push(b',');
            json::push_str(out, cursor);
        }
        out.push(b']');
    });
    for attachment in attachments {
        push_frame(out, Opcode::Binary, attachment);
    }
}

/// Appends frames of [`push_publication`](super::push_publication) that were written without a cursor, each event with this
/// one: the frames of an event are the same for everybody, its cursor is not. What is no event's frame is copied.
pub fn splice_cursor(out: &mut Frame, frames: &[u8], cursor: &str) {
    for (opcode, payload) in frame::frames(frames) {
        match payload.split_last() {
            Some((b']', event)) if opcode == Opcode::Text => {
                push_frame_with(out, opcode, |out| {
                    out.reserve(payload.len() + cursor.len() + 3);
                    out.extend_from_slice(event);
                    out.push(b',');
                    json::push_str(out, cursor);
                    out.push(b']');
                });
            }
            _ => push_frame(out, opcode, payload),
        }
    }
}

pub(super) fn push_ack(out: &mut Frame, ack: u64, write_argument: impl FnOnce(&mut Frame)) {
    push_packet(out, |out| {
        out.push(b'3');
        json::push_u64(out, ack);
        out.push(b'[');
        write_argument(out);
        out.push(b']');
    });
}

/// `[{"success":true,"data":<data><top>}]`: some fields of `data` stand again at the top level,
/// because clients of different ages look in different places.
pub(super) fn push_success(
    out: &mut Frame,
    ack: u64,
    write_data: impl FnOnce(&mut Frame),
    write_top: impl FnOnce(&mut Frame),
) {
    push_ack(out, ack, |out| {
        out.extend_from_slice(b"{\"success\":true,\"data\":");
        write_data(out);
        write_top(out);
        out.push(b'}');
    });
}

/// `{"name":"value"`, the beginning of an object.
pub(super) fn begin_object(out: &mut Frame, name: &str, value: &str) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    json::push_str(out, value);
}

/// `{"roomName":…`, the beginning of an object of the legacy dialect.
pub(super) fn begin_room_object(out: &mut Frame, channel: &str, spelling: Spelling) {
    begin_object(out, "roomName", &room::spelled(channel, spelling));
}

fn push_name(out: &mut Frame, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

pub(in crate::chat) fn push_str_field(out: &mut Frame, name: &str, value: &str) {
    push_name(out, name);
    json::push_str(out, value);
}

pub(super) fn push_optional_field(out: &mut Frame, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        push_str_field(out, name, value);
    }
}

pub(in crate::chat) fn push_u64_field(out: &mut Frame, name: &str, value: u64) {
    push_name(out, name);
    json::push_u64(out, value);
}

pub(super) fn push_bool_field(out: &mut Frame, name: &str, value: bool) {
    push_name(out, name);
    json::push_bool(out, value);
}

pub(in crate::chat) fn push_iso_field(out: &mut Frame, name: &str, unix_ms: u64) {
    push_name(out, name);
    push_instant(out, unix_ms);
}

pub(super) fn push_instant(out: &mut Frame, unix_ms: u64) {
    out.push(b'"');
    time::push_iso(out, unix_ms);
    out.push(b'"');
}

/// An instant in both forms: `,"timestamp":1772359201000,"createdAt":"2026-03-01T10:00:01.000Z"`.
pub(in crate::chat) fn push_instant_fields(out: &mut Frame, unix_ms: u64) {
    push_u64_field(out, "timestamp", unix_ms);
    push_iso_field(out, "createdAt", unix_ms);
}

/// A field with text that is JSON already.
pub(in crate::chat) fn push_raw_field(out: &mut Frame, name: &str, value: &[u8]) {
    push_name(out, name);
    out.extend_from_slice(value);
}

pub(super) fn push_json_field(out: &mut Frame, name: &str, value: Json<'_>) {
    push_raw_field(out, name, value.as_raw().as_bytes());
}

/// Writes the items of an array with commas between them; `push_item` writes one.
pub(super) fn push_array<T>(
    out: &mut Frame,
    items: impl Iterator<Item = T>,
    mut push_item: impl FnMut(&mut Frame, T),
) {
    out.push(b'[');
    for (count, item) in items.enumerate() {
        if count > 0 {
            out.push(b',');
        }
        push_item(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::dialect::{Form, Style};
    use crate::chat::event::{Kind, Stamp, push_publication};

    #[test]
    fn a_cursor_that_is_put_in_later_stands_where_it_would_have_been_written() {
        let kinds =
            [Kind::Message, Kind::Reaction { is_added: true }, Kind::Read, Kind::Relay { event: "e".into() }];
        let styles = [Style::Primary, Style::LegacyBare, Style::LegacyPrefixed, Style::Hybrid];
        // Where headers change their length: at 126 bytes and at 64 KiB.
        for (length, attachments) in
            [(0, 0), (20, 2), (30, 0), (400, 1), (65_300, 0), (65_500, 0), (70_000, 1)]
        {
            let body = format!(r#""channelId":"a","userId":"7","content":"{}""#, "x".repeat(length));
            let attachments = vec![b"bytes]".to_vec(); attachments];
            for (kind, style) in kinds.iter().flat_map(|kind| styles.map(|style| (kind, style))) {
                let body = if let Kind::Relay { .. } = kind { "[]" } else { &body };
                let stamp = Stamp { id: "01ARYZ6S410000000000000000", offset: 7, timestamp_ms: 1 };
                let write = |cursor| {
                    let mut frames = Vec::new();
                    let form = Form { style, cursor };
                    push_publication(&mut frames, kind, form, stamp, "a", body.as_bytes(), &attachments);
                    frames
                };
                let mut spliced = b"before".to_vec();
                splice_cursor(&mut spliced, &write(None), "v0.~*");
                assert!(spliced[6..] == write(Some("v0.~*")), "{kind:?} {style:?} {length}");
            }
        }
    }
}
