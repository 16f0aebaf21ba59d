//! The first words and the signs of life: what a session is told about itself.

use super::Frame;
use super::packet::{
    begin_object, push_ack, push_array, push_broadcast, push_event, push_instant, push_iso_field,
    push_packet, push_str_field, push_success, push_u64_field,
};
use crate::codes::ErrorCode;
use crate::json::{self, Json};
use crate::socket_io::encode;

/// The protocol version that `connected` announces.
pub const PROTOCOL_VERSION: &str = "1.0";

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
    /// The rooms that the session is in, besides the user's own.
    pub rooms: &'a [&'a str],
    /// When the token ends, in milliseconds since the epoch.
    pub expires_at_ms: Option<u64>,
}

/// The Socket.IO CONNECT reply; with the secret `pid`, the client can come back and be sent what it missed.
pub fn push_connect(out: &mut Frame, socket_id: &str, pid: Option<&str>) {
    push_packet(out, |out| encode::push_connect(out, "/", socket_id, pid));
}

/// CONNECT_ERROR with the `data` that tells clients why.
pub fn push_connect_error(out: &mut Frame, code: ErrorCode, message: &str) {
    push_packet(out, |out| {
        out.push(b'4');
        begin_object(out, "message", message);
        out.extend_from_slice(b",\"data\":");
        begin_object(out, "type", code.family());
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

/// `connected`: the first event of every session. Its cursor makes the session resumable before any other event.
pub fn push_connected(out: &mut Frame, socket_id: &str, now_unix_ms: u64, cursor: Option<&str>) {
    push_broadcast(out, "connected", cursor, &[], |out| {
        begin_object(out, "socketId", socket_id);
        push_iso_field(out, "serverTime", now_unix_ms);
        push_str_field(out, "protocolVersion", PROTOCOL_VERSION);
        out.push(b'}');
    });
}

/// `cursor`: nothing but where the session stands, for a client that would come back with something older.
pub fn push_cursor(out: &mut Frame, cursor: &str) {
    push_event(out, "cursor", |out| json::push_str(out, cursor));
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
    begin_object(out, "userId", who.user);
    push_str_field(out, "sessionId", who.session);
    out.extend_from_slice(b",\"rooms\":[");
    json::push_str(out, &["user:", who.user].concat());
    for room in who.rooms {
        out.push(b',');
        json::push_str(out, room);
    }
    out.extend_from_slice(b"],\"user\":");
    begin_object(out, "id", who.user);
    if let Some(name) = who.name {
        push_str_field(out, "displayName", name);
    }
    out.extend_from_slice(b"},\"roles\":");
    push_array(out, who.roles.iter(), |out, role| json::push_str(out, role));
    if let Some(expires_at_ms) = who.expires_at_ms {
        push_u64_field(out, "expiresAt", expires_at_ms);
    }
    out.push(b'}');
}

/// `auth:error`: a refresh was refused.
pub fn push_auth_error(out: &mut Frame, code: ErrorCode, message: &str) {
    push_event(out, "auth:error", |out| {
        begin_object(out, "code", code.name());
        push_str_field(out, "message", message);
        out.push(b'}');
    });
}

/// The acknowledgement of `ping`: not in the envelope, since clients read `timestamp` at the top.
pub fn push_ping_ack(out: &mut Frame, ack: u64, timestamp: Option<Json<'_>>, now_unix_ms: u64) {
    push_ack(out, ack, |out| push_times(out, timestamp, now_unix_ms));
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

/// `notification:read` with the notification's id, or `notification:read:all` without: what the user did on another
/// device.
pub fn push_notification(out: &mut Frame, name: &str, id: Option<&str>, now_unix_ms: u64) {
    push_event(out, name, |out| {
        match id {
            Some(id) => {
                begin_object(out, "notificationId", id);
                push_iso_field(out, "readAt", now_unix_ms);
            }
            None => {
                out.extend_from_slice(b"{\"readAt\":");
                push_instant(out, now_unix_ms);
            }
        }
        out.push(b'}');
    });
}
