//! What members publish: messages, reactions, read receipts, and what a back end relays.
//!
//! A publication is a kind, a body and a stamp. The body is what its sender decides: the fields of a JSON object without
//! its braces, or for a relayed event the whole payload. Every form is written from these three.

use super::packet::{
    begin_object, begin_room_object, push_broadcast, push_event, push_instant_fields, push_iso_field,
    push_json_field, push_optional_field, push_raw_field, push_str_field, push_success, push_u64_field,
};
use super::{Frame, Stamp};
use crate::chat::dialect::{Form, Style};
use crate::chat::request::{FORWARDED, React, Read, Send};
use crate::json::{self, Json, string_end};

/// What a publication is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message, its body from [`push_message_body`].
    Message,
    /// An emoji on a message, its body from [`push_reaction_body`].
    Reaction {
        /// Whether it was put there or taken away.
        is_added: bool,
    },
    /// A read receipt, its body from [`push_read_body`]. Not in history, so without offset.
    Read,
    /// An event of a back end or of the operator's list, its body being the payload: any JSON, delivered as it is.
    Relay {
        /// The event's name.
        event: Box<str>,
    },
}

impl Kind {
    /// The event's name in the primary dialect, mirrors aside.
    pub fn event(&self) -> &str {
        match self {
            Self::Message => "message",
            Self::Reaction { .. } => "reaction",
            Self::Read => "read",
            Self::Relay { event } => event,
        }
    }
}

/// The part of a message that its sender decides.
pub fn push_message_body(body: &mut Vec<u8>, user: &str, name: Option<&str>, send: &Send<'_>) {
    push_sender(body, &send.channel, user, name);
    push_json_field(body, "content", send.content);
    let [mentions, kind, rest @ ..] = &send.forwarded;
    push_json_field(body, "mentions", mentions.unwrap_or(Json::trusted("[]")));
    push_json_field(body, "type", kind.unwrap_or(Json::trusted("\"text\"")));
    for (name, value) in FORWARDED[2..].iter().zip(rest) {
        if let Some(value) = value {
            push_json_field(body, name, *value);
        }
    }
}

/// The part of a reaction that its sender decides.
pub fn push_reaction_body(body: &mut Vec<u8>, user: &str, name: Option<&str>, react: &React<'_>) {
    push_sender(body, &react.channel, user, name);
    push_str_field(body, "messageId", &react.message_id);
    push_str_field(body, "emoji", &react.emoji);
    push_optional_field(body, "threadId", react.thread.as_deref());
}

/// The part of a read receipt that its sender decides.
pub fn push_read_body(body: &mut Vec<u8>, user: &str, read: &Read<'_>) {
    push_sender(body, &read.channel, user, None);
    push_optional_field(body, "messageId", read.message_id.as_deref());
    push_optional_field(body, "lastReadMessageId", read.message_id.as_deref());
    if let Some(message_ids) = read.message_ids {
        push_json_field(body, "messageIds", message_ids);
    }
    push_optional_field(body, "threadId", read.thread.as_deref());
}

/// The payload of an event of the operator's list: the object that came, its `userId` being who sent it.
pub fn push_relayed_body(body: &mut Vec<u8>, user: &str, payload: Json<'_>) {
    begin_object(body, "userId", user);
    for (key, value) in payload.fields().filter(|(key, _)| !key.is("userId")) {
        body.push(b',');
        json::push_str(body, &key.as_str());
        body.push(b':');
        body.extend_from_slice(value.as_raw().as_bytes());
    }
    body.push(b'}');
}

/// The beginning of every body but a relayed one; [`Sender::of`] reads it again.
fn push_sender(body: &mut Vec<u8>, channel: &str, user: &str, name: Option<&str>) {
    body.extend_from_slice(b"\"channelId\":");
    json::push_str(body, channel);
    push_str_field(body, "userId", user);
    push_optional_field(body, "userName", name);
}

/// Who sent a publication, cut out of its body as JSON strings.
struct Sender<'a> {
    user: &'a [u8],
    name: Option<&'a [u8]>,
}

impl<'a> Sender<'a> {
    fn of(body: &'a [u8]) -> Option<Self> {
        let (_, rest) = split_field(body, b"\"channelId\":")?;
        let (user, rest) = split_field(rest, b",\"userId\":")?;
        Some(Self { user, name: split_field(rest, b",\"userName\":").map(|(name, _)| name) })
    }

    /// `,"user":{"id":…,"username":…,"displayName":…}`: some legacy clients look for the sender in there.
    fn push_field(&self, out: &mut Frame) {
        out.extend_from_slice(b",\"user\":{\"id\":");
        out.extend_from_slice(self.user);
        push_raw_field(out, "username", self.name.unwrap_or(self.user));
        if let Some(name) = self.name {
            push_raw_field(out, "displayName", name);
        }
        out.push(b'}');
    }
}

/// Takes a field with a string off the front: its value with quotes, and what follows it.
fn split_field<'a>(fields: &'a [u8], name: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let value = fields.strip_prefix(name).filter(|value| value.first() == Some(&b'"'))?;
    value.split_at_checked(string_end(value, 0))
}

/// All frames of one form of a publication, one after the other, each followed by a binary frame for every attachment.
///
/// | | primary | legacy | hybrid: primary, then |
/// |---|---|---|---|
/// | message | `message` | `message:new` | `message:new` |
/// | reaction | `reaction` | `reaction:add`, `reaction:remove` | the same |
/// | read receipt | `read` | `read_receipt:update` | `read:update`, `message:read` |
/// | relayed | its own name, then the mirror | its own name | nothing more |
///
/// The mirror of a relayed event is its payload under the name that the primary dialect has for it, if there is one.
pub fn push_publication(
    out: &mut Frame,
    kind: &Kind,
    form: Form<'_>,
    stamp: Stamp<'_>,
    channel: &str,
    body: &[u8],
    attachments: &[Vec<u8>],
) {
    let mut push = |name: &str, write: &dyn Fn(&mut Frame)| {
        push_broadcast(out, name, form.cursor, attachments, write);
    };
    let object = |out: &mut Frame| push_object(out, kind, stamp, body);
    let legacy = |out: &mut Frame| push_legacy_object(out, kind, form.style, stamp, channel, body);
    let is_hybrid = form.style == Style::Hybrid;
    match kind {
        Kind::Relay { event } => {
            push(event, &object);
            if let Some(mirror) = mirror(event).filter(|_| !form.style.is_legacy()) {
                push(mirror, &object);
            }
        }
        Kind::Message if form.style.is_legacy() => push("message:new", &legacy),
        Kind::Message => {
            push("message", &object);
            if is_hybrid {
                push("message:new", &object);
            }
        }
        Kind::Reaction { is_added } => {
            let name = if *is_added { "reaction:add" } else { "reaction:remove" };
            if form.style.is_legacy() {
                return push(name, &legacy);
            }
            push("reaction", &object);
            if is_hybrid {
                push(name, &|out| push_hybrid_reaction(out, *is_added, stamp, body));
            }
        }
        Kind::Read if form.style.is_legacy() => push("read_receipt:update", &legacy),
        Kind::Read => {
            push("read", &object);
            if is_hybrid {
                push("read:update", &object);
                push("message:read", &object);
            }
        }
    }
}

/// What the primary dialect calls an event that back ends send under another name.
fn mirror(event: &str) -> Option<&'static str> {
    match event {
        "message:new" => Some("message"),
        "reaction:add" | "reaction:remove" => Some("reaction"),
        "read_receipt:update" => Some("read"),
        _ => None,
    }
}

/// The object of the primary dialect alone, for replays, `sync:messages` and REST.
pub fn push_object(out: &mut Vec<u8>, kind: &Kind, stamp: Stamp<'_>, body: &[u8]) {
    match kind {
        Kind::Message => {
            begin_object(out, "id", stamp.id);
            push_str_field(out, "messageId", stamp.id);
            push_fields(out, body);
            push_u64_field(out, "offset", stamp.offset);
            push_instant_fields(out, stamp.timestamp_ms);
            out.push(b'}');
        }
        Kind::Reaction { is_added } => {
            begin_object(out, "type", "reaction");
            push_str_field(out, "action", if *is_added { "add" } else { "remove" });
            push_fields(out, body);
            push_str_field(out, "eventId", stamp.id);
            push_u64_field(out, "offset", stamp.offset);
            push_iso_field(out, "timestamp", stamp.timestamp_ms);
            out.push(b'}');
        }
        Kind::Read => {
            out.push(b'{');
            out.extend_from_slice(body);
            push_iso_field(out, "readAt", stamp.timestamp_ms);
            out.push(b'}');
        }
        Kind::Relay { .. } => out.extend_from_slice(body),
    }
}

/// `{"event":…,"data":…}`: a publication among the `events` of a replay.
pub fn push_replayed(out: &mut Vec<u8>, kind: &Kind, stamp: Stamp<'_>, body: &[u8]) {
    begin_object(out, "event", kind.event());
    out.extend_from_slice(b",\"data\":");
    push_object(out, kind, stamp, body);
    out.push(b'}');
}

fn push_fields(out: &mut Vec<u8>, body: &[u8]) {
    out.push(b',');
    out.extend_from_slice(body);
}

/// The object of the legacy dialect: flat fields for one service of its client, `user` and `meta` for another.
fn push_legacy_object(
    out: &mut Frame,
    kind: &Kind,
    style: Style,
    stamp: Stamp<'_>,
    channel: &str,
    body: &[u8],
) {
    begin_room_object(out, channel, style.spelling());
    if *kind == Kind::Message {
        push_str_field(out, "id", stamp.id);
        push_str_field(out, "messageId", stamp.id);
    }
    push_fields(out, body);
    if *kind == Kind::Read {
        push_iso_field(out, "readAt", stamp.timestamp_ms);
        out.push(b'}');
        return;
    }
    if let Some(sender) = Sender::of(body) {
        sender.push_field(out);
    }
    push_u64_field(out, "offset", stamp.offset);
    push_iso_field(out, "timestamp", stamp.timestamp_ms);
    push_iso_field(out, "createdAt", stamp.timestamp_ms);
    out.extend_from_slice(b",\"meta\":");
    begin_object(out, "eventId", stamp.id);
    push_iso_field(out, "timestamp", stamp.timestamp_ms);
    out.extend_from_slice(b"}}");
}

fn push_hybrid_reaction(out: &mut Frame, is_added: bool, stamp: Stamp<'_>, body: &[u8]) {
    out.push(b'{');
    out.extend_from_slice(body);
    if let Some(sender) = Sender::of(body) {
        sender.push_field(out);
    }
    push_iso_field(out, if is_added { "addedAt" } else { "removedAt" }, stamp.timestamp_ms);
    out.push(b'}');
}

/// The acknowledgement of `message:send`.
pub fn push_message_ack(
    out: &mut Frame,
    ack: u64,
    channel: &str,
    client_message_id: Option<&str>,
    stamp: Stamp<'_>,
) {
    push_success(
        out,
        ack,
        |out| push_receipt(out, channel, client_message_id, stamp),
        |out| push_str_field(out, "messageId", stamp.id),
    );
}

/// What is known of a message besides its content.
pub(in crate::chat) fn push_receipt(
    out: &mut Vec<u8>,
    channel: &str,
    client_message_id: Option<&str>,
    stamp: Stamp<'_>,
) {
    begin_object(out, "messageId", stamp.id);
    push_str_field(out, "id", stamp.id);
    push_str_field(out, "channelId", channel);
    push_optional_field(out, "clientMessageId", client_message_id);
    push_u64_field(out, "offset", stamp.offset);
    push_instant_fields(out, stamp.timestamp_ms);
    out.push(b'}');
}

/// `message:sent`, to a session of the hybrid dialect: its message with this id of its own is delivered.
pub fn push_message_sent(out: &mut Frame, client_message_id: &str, stamp: Stamp<'_>) {
    push_event(out, "message:sent", |out| {
        begin_object(out, "clientMessageId", client_message_id);
        push_str_field(out, "messageId", stamp.id);
        push_iso_field(out, "sentAt", stamp.timestamp_ms);
        out.push(b'}');
    });
}
