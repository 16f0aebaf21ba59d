//! What the node sends: each function appends one whole WebSocket text frame (Engine.IO message,
//! Socket.IO packet, chat event) to a buffer. Polling sessions get the same frames re-wrapped.

use std::ops::Range;

use super::request::{FORWARDED, Send};
use super::time::push_iso;
use crate::codes::ErrorCode;
use crate::json::{self, Json};
use crate::websocket::frame::{Opcode, push_frame, push_frame_with};

/// The protocol version that `connected` announces.
pub const PROTOCOL_VERSION: &str = "1.0";

/// A frame buffer under construction.
pub type Frame = Vec<u8>;

/// Who a session belongs to, as `authenticated` tells its owner.
#[derive(Clone, Copy, Debug)]
pub struct Introduction<'a> {
    /// The user that the token names.
    pub user: &'a str,
    /// The token's session, or one that the node made up.
    pub session: &'a str,
    /// Display name, if the token carries one.
    pub name: Option<&'a str>,
    /// Roles of the token, possibly none.
    pub roles: &'a [Box<str>],
    /// When the token ends, in milliseconds since the epoch.
    pub expires_at_ms: Option<u64>,
}

/// A channel's position: messages up to and including `offset` of `epoch` were sent.
///
/// With epoch `k3` and offset 7, the next message carries offset 8; another epoch means that the
/// history was lost in between and offsets began anew.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// Identifies one unbroken run of offsets.
    pub epoch: &'a str,
    /// The last message's number, 0 before the first.
    pub offset: u64,
}

/// What the home of a channel adds to a message.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The message's id.
    pub id: &'a str,
    /// Its number in the channel.
    pub offset: u64,
    /// Its time in milliseconds since the epoch, strictly increasing within a channel.
    pub timestamp_ms: u64,
}

/// The Socket.IO CONNECT reply.
pub fn push_connect(out: &mut Frame, socket_id: &str) {
    push_packet(out, |out| {
        out.extend_from_slice(b"0{\"sid\":");
        json::push_str(out, socket_id);
        out.push(b'}');
    });
}

/// CONNECT_ERROR with the `data` that tells clients why.
pub fn push_connect_error(out: &mut Frame, code: ErrorCode, message: &str) {
    push_packet(out, |out| {
        out.extend_from_slice(b"4{\"message\":");
        json::push_str(out, message);
        out.extend_from_slice(b",\"data\":{\"type\":");
        json::push_str(out, code.family());
        push_str_field(out, "code", code.name());
        out.extend_from_slice(b"}}");
    });
}

/// CONNECT_ERROR for any namespace but the main one.
pub fn push_invalid_namespace(out: &mut Frame, namespace: &str) {
    push_packet(out, |out| {
        out.push(b'4');
        out.extend_from_slice(namespace.as_bytes());
        out.extend_from_slice(b",{\"message\":\"Invalid namespace\"}");
    });
}

/// `connected`: the first event of every session.
pub fn push_connected(out: &mut Frame, socket_id: &str, now_unix_ms: u64) {
    push_event(out, "connected", |out| {
        out.extend_from_slice(b"{\"socketId\":");
        json::push_str(out, socket_id);
        out.extend_from_slice(b",\"serverTime\":\"");
        push_iso(out, now_unix_ms);
        out.push(b'"');
        push_str_field(out, "protocolVersion", PROTOCOL_VERSION);
        out.push(b'}');
    });
}

/// `authenticated`: who the node takes the session for.
pub fn push_authenticated(out: &mut Frame, who: &Introduction<'_>) {
    push_event(out, "authenticated", |out| push_introduction(out, who));
}

/// The acknowledgement of `auth:refresh`: the same fields as `authenticated`.
pub fn push_authenticated_ack(out: &mut Frame, ack: u64, who: &Introduction<'_>) {
    push_success(out, ack, |out| push_introduction(out, who), |_| {});
}

fn push_introduction(out: &mut Frame, who: &Introduction<'_>) {
    out.extend_from_slice(b"{\"userId\":");
    json::push_str(out, who.user);
    push_str_field(out, "sessionId", who.session);
    out.extend_from_slice(b",\"rooms\":[");
    json::push_str(out, &["user:", who.user].concat());
    out.extend_from_slice(b"],\"user\":{\"id\":");
    json::push_str(out, who.user);
    if let Some(name) = who.name {
        push_str_field(out, "displayName", name);
    }
    out.extend_from_slice(b"},\"roles\":[");
    for (position, role) in who.roles.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        json::push_str(out, role);
    }
    out.push(b']');
    if let Some(expires_at_ms) = who.expires_at_ms {
        push_u64_field(out, "expiresAt", expires_at_ms);
    }
    out.push(b'}');
}

/// `auth:error`: a refresh was refused.
pub fn push_auth_error(out: &mut Frame, code: ErrorCode, message: &str) {
    push_event(out, "auth:error", |out| {
        out.extend_from_slice(b"{\"code\":");
        json::push_str(out, code.name());
        push_str_field(out, "message", message);
        out.push(b'}');
    });
}

/// `channel:joined`, to the joining session alone.
pub fn push_joined(
    out: &mut Frame,
    channel: &str,
    user: &str,
    member_count: u32,
    position: Position<'_>,
    now_unix_ms: u64,
) {
    push_event(out, "channel:joined", |out| {
        push_channel_and_user(out, channel, user);
        push_u64_field(out, "memberCount", u64::from(member_count));
        push_position(out, position);
        push_u64_field(out, "timestamp", now_unix_ms);
        out.push(b'}');
    });
}

/// `channel:members`, to the joining session alone. `members` is the JSON array that
/// [`push_member`] made; `total` says how many there are when the list was cut.
pub fn push_members(out: &mut Frame, channel: &str, members: &[u8], total: u32) {
    push_event(out, "channel:members", |out| {
        out.extend_from_slice(b"{\"channelId\":");
        json::push_str(out, channel);
        out.extend_from_slice(b",\"members\":");
        out.extend_from_slice(members);
        push_u64_field(out, "total", u64::from(total));
        out.push(b'}');
    });
}

/// Appends one member to the array of `channel:members`.
pub fn push_member(members: &mut Vec<u8>, user: &str, name: Option<&str>, joined_at_unix_ms: u64) {
    members.extend_from_slice(if members.len() > 1 { b",{\"userId\":" } else { b"{\"userId\":" });
    json::push_str(members, user);
    members.extend_from_slice(b",\"status\":\"online\"");
    if let Some(name) = name {
        push_str_field(members, "userName", name);
    }
    members.extend_from_slice(b",\"joinedAt\":\"");
    push_iso(members, joined_at_unix_ms);
    members.extend_from_slice(b"\"}");
}

/// The acknowledgement of `channel:join`.
pub fn push_joined_ack(out: &mut Frame, ack: u64, channel: &str, member_count: u32, position: Position<'_>) {
    let fields = |out: &mut Frame| {
        out.extend_from_slice(b"\"channelId\":");
        json::push_str(out, channel);
    };
    push_success(
        out,
        ack,
        |out| {
            out.push(b'{');
            fields(out);
            push_str_field(out, "roomName", channel);
            push_str_field(out, "type", super::room::split(channel).0.name());
            push_u64_field(out, "memberCount", u64::from(member_count));
            push_position(out, position);
            out.push(b'}');
        },
        |out| {
            out.push(b',');
            fields(out);
        },
    );
}

/// `channel:left`, to the leaving session alone.
pub fn push_left(out: &mut Frame, channel: &str, user: &str) {
    push_event(out, "channel:left", |out| {
        push_channel_and_user(out, channel, user);
        out.push(b'}');
    });
}

/// An acknowledgement that says no more than that the event was taken.
pub fn push_plain_ack(out: &mut Frame, ack: u64) {
    push_packet(out, |out| {
        out.push(b'3');
        json::push_u64(out, ack);
        out.extend_from_slice(b"[{\"success\":true}]");
    });
}

/// The acknowledgement of `channel:leave`.
pub fn push_left_ack(out: &mut Frame, ack: u64, channel: &str) {
    push_packet(out, |out| {
        out.extend_from_slice(b"3");
        json::push_u64(out, ack);
        out.extend_from_slice(b"[{\"success\":true,\"channelId\":");
        json::push_str(out, channel);
        out.extend_from_slice(b",\"data\":{\"channelId\":");
        json::push_str(out, channel);
        out.extend_from_slice(b"}}]");
    });
}

/// The part of a message that its sender decides: the fields of the `message` object from
/// `channelId` on, without braces. The home of the channel completes it with [`push_message`].
pub fn push_message_body(body: &mut Vec<u8>, user: &str, name: Option<&str>, send: &Send<'_>) {
    body.extend_from_slice(b"\"channelId\":");
    json::push_str(body, &send.channel);
    push_str_field(body, "userId", user);
    push_raw_field(body, "content", send.content);
    let [mentions, kind, rest @ ..] = &send.forwarded;
    push_raw_field(body, "mentions", mentions.unwrap_or(Json::trusted("[]")));
    push_raw_field(body, "type", kind.unwrap_or(Json::trusted("\"text\"")));
    for (name, value) in FORWARDED[2..].iter().zip(rest) {
        if let Some(value) = value {
            push_raw_field(body, name, *value);
        }
    }
    if let Some(name) = name {
        push_str_field(body, "userName", name);
    }
}

/// `message`, to every member: one text frame, then a binary frame for each attachment.
///
/// Returns where in `out` the message object itself stands, for replays and REST.
pub fn push_message(out: &mut Frame, stamp: Stamp<'_>, body: &[u8], attachments: &[Vec<u8>]) -> Range<usize> {
    let mut object = 0..0;
    let payload = push_frame_with(out, Opcode::Text, |out| {
        let start = out.len();
        if attachments.is_empty() {
            out.extend_from_slice(b"42");
        } else {
            out.extend_from_slice(b"45");
            json::push_u64(out, attachments.len() as u64);
            out.push(b'-');
        }
        out.extend_from_slice(b"[\"message\",");
        object.start = out.len() - start;
        out.extend_from_slice(b"{\"id\":");
        json::push_str(out, stamp.id);
        push_str_field(out, "messageId", stamp.id);
        out.push(b',');
        out.extend_from_slice(body);
        push_u64_field(out, "offset", stamp.offset);
        push_instant_fields(out, stamp.timestamp_ms);
        out.push(b'}');
        object.end = out.len() - start;
        out.push(b']');
    });
    for attachment in attachments {
        push_frame(out, Opcode::Binary, attachment);
    }
    payload.start + object.start..payload.start + object.end
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
        |out| {
            out.extend_from_slice(b"{\"messageId\":");
            json::push_str(out, stamp.id);
            push_str_field(out, "id", stamp.id);
            push_str_field(out, "channelId", channel);
            if let Some(client_message_id) = client_message_id {
                push_str_field(out, "clientMessageId", client_message_id);
            }
            push_u64_field(out, "offset", stamp.offset);
            push_instant_fields(out, stamp.timestamp_ms);
            out.push(b'}');
        },
        |out| push_str_field(out, "messageId", stamp.id),
    );
}

/// The acknowledgement of `ping`: not in the envelope, since clients read `timestamp` at the top.
pub fn push_ping_ack(out: &mut Frame, ack: u64, timestamp: Option<Json<'_>>, now_unix_ms: u64) {
    push_packet(out, |out| {
        out.push(b'3');
        json::push_u64(out, ack);
        out.push(b'[');
        push_times(out, timestamp, now_unix_ms);
        out.push(b']');
    });
}

/// `pong`: the answer to a `ping` without acknowledgement.
pub fn push_pong(out: &mut Frame, timestamp: Option<Json<'_>>, now_unix_ms: u64) {
    push_event(out, "pong", |out| push_times(out, timestamp, now_unix_ms));
}

fn push_times(out: &mut Frame, timestamp: Option<Json<'_>>, now_unix_ms: u64) {
    out.extend_from_slice(b"{\"timestamp\":");
    match timestamp {
        Some(timestamp) => out.extend_from_slice(timestamp.as_raw().as_bytes()),
        None => json::push_u64(out, now_unix_ms),
    }
    push_u64_field(out, "serverTime", now_unix_ms);
    out.push(b'}');
}

/// What was wrong with a request.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The code from the page of codes.
    pub code: ErrorCode,
    /// What to write instead.
    pub message: &'a str,
    /// The event that was refused.
    pub event: &'a str,
    /// The channel that it named.
    pub channel: Option<&'a str>,
    /// After how many seconds a retry makes sense.
    pub retry_after_s: Option<u32>,
}

/// The failure acknowledgement of any event.
pub fn push_failure_ack(out: &mut Frame, ack: u64, failure: &Failure<'_>) {
    push_packet(out, |out| {
        out.push(b'3');
        json::push_u64(out, ack);
        out.extend_from_slice(b"[{\"success\":false,\"error\":{\"code\":");
        json::push_str(out, failure.code.name());
        push_str_field(out, "message", failure.message);
        if let Some(retry_after_s) = failure.retry_after_s {
            push_u64_field(out, "retryAfter", u64::from(retry_after_s));
        }
        out.extend_from_slice(b"}}]");
    });
}

/// `error`: a refusal of an event that asked for no acknowledgement.
pub fn push_error(out: &mut Frame, failure: &Failure<'_>, now_unix_ms: u64) {
    push_event(out, "error", |out| {
        out.extend_from_slice(b"{\"type\":");
        json::push_str(out, failure.code.family());
        push_str_field(out, "code", failure.code.name());
        push_str_field(out, "message", failure.message);
        push_str_field(out, "event", failure.event);
        if let Some(channel) = failure.channel {
            push_str_field(out, "channelId", channel);
        }
        if let Some(retry_after_s) = failure.retry_after_s {
            push_u64_field(out, "retryAfter", u64::from(retry_after_s));
        }
        push_u64_field(out, "timestamp", now_unix_ms);
        out.push(b'}');
    });
}

/// One Socket.IO packet as one frame; `write` writes the packet from its type digit on.
pub fn push_packet(out: &mut Frame, write: impl FnOnce(&mut Frame)) {
    push_frame_with(out, Opcode::Text, |out| {
        out.push(b'4');
        write(out);
    });
}

fn push_event(out: &mut Frame, name: &str, write_argument: impl FnOnce(&mut Frame)) {
    push_packet(out, |out| {
        out.extend_from_slice(b"2[");
        json::push_str(out, name);
        out.push(b',');
        write_argument(out);
        out.push(b']');
    });
}

/// `[{"success":true,"data":<data><top>}]`: some fields of `data` stand again at the top level,
/// because clients of different ages look in different places.
fn push_success(
    out: &mut Frame,
    ack: u64,
    write_data: impl FnOnce(&mut Frame),
    write_top: impl FnOnce(&mut Frame),
) {
    push_packet(out, |out| {
        out.push(b'3');
        json::push_u64(out, ack);
        out.extend_from_slice(b"[{\"success\":true,\"data\":");
        write_data(out);
        write_top(out);
        out.extend_from_slice(b"}]");
    });
}

fn push_channel_and_user(out: &mut Frame, channel: &str, user: &str) {
    out.extend_from_slice(b"{\"channelId\":");
    json::push_str(out, channel);
    push_str_field(out, "userId", user);
}

fn push_position(out: &mut Frame, position: Position<'_>) {
    push_str_field(out, "epoch", position.epoch);
    push_u64_field(out, "offset", position.offset);
}

fn push_instant_fields(out: &mut Frame, unix_ms: u64) {
    push_u64_field(out, "timestamp", unix_ms);
    out.extend_from_slice(b",\"createdAt\":\"");
    push_iso(out, unix_ms);
    out.push(b'"');
}

fn push_name(out: &mut Frame, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn push_str_field(out: &mut Frame, name: &str, value: &str) {
    push_name(out, name);
    json::push_str(out, value);
}

fn push_u64_field(out: &mut Frame, name: &str, value: u64) {
    push_name(out, name);
    json::push_u64(out, value);
}

fn push_raw_field(out: &mut Frame, name: &str, value: Json<'_>) {
    push_name(out, name);
    out.extend_from_slice(value.as_raw().as_bytes());
}
