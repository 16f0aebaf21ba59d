//! Owns the bodies of answers.

use crate::chat::event::{
    PresenceNote, Stamp, push_envelope, push_presence_object, push_raw_field, push_receipt, push_str_field,
    push_u64_field,
};
use crate::chat::status::Status;
use crate::codes::ErrorCode;
use crate::json;

/// `{"success":true}`.
pub fn push_success(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"success\":true}");
}

/// The answer to anything that was refused: `{"success":false,"error":{"code":…,"message":…,"retryAfter":…}}`.
pub fn push_rest_failure(out: &mut Vec<u8>, code: ErrorCode, message: &str, retry_after_s: Option<u32>) {
    push_envelope(out, code, message, retry_after_s);
}

/// The answer to `GET /presence/<channelId>`: the members, and how many of them have which status.
///
/// The channel of a note is not looked at.
pub fn push_presence_list<'a>(
    out: &mut Vec<u8>,
    channel: &str,
    notes: impl Iterator<Item = PresenceNote<'a>>,
) {
    let mut counts = [0_u64; Status::COUNT];
    out.extend_from_slice(b"{\"channelId\":");
    json::push_str(out, channel);
    out.extend_from_slice(b",\"users\":[");
    for (position, note) in notes.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        push_presence_object(out, &PresenceNote { channel: None, ..note });
        counts[note.status as usize] += 1;
    }
    out.extend_from_slice(b"],\"count\":");
    let mut object = json::ObjectWriter::begin(out);
    for (status, count) in Status::ALL.into_iter().zip(counts) {
        object.field_u64(status.name(), count);
    }
    object.end();
    out.push(b'}');
}

/// The answer to `POST /presence`.
pub fn push_presence_set(out: &mut Vec<u8>, channel: &str, user: &str, status: Status) {
    out.extend_from_slice(b"{\"success\":true");
    push_str_field(out, "channelId", channel);
    push_str_field(out, "userId", user);
    push_str_field(out, "status", status.name());
    out.push(b'}');
}

/// The answer to `GET /poll`.
#[derive(Clone, Copy, Debug)]
pub struct PollAnswer<'a> {
    /// JSON array of messages, oldest first.
    pub messages: &'a [u8],
    /// What to give as `since` next time, in milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// Whether there are more already.
    pub has_more: bool,
}

/// The answer to `GET /poll`: `{"messages":[…],"timestamp":…,"hasMore":…}`.
pub fn push_poll(out: &mut Vec<u8>, answer: &PollAnswer<'_>) {
    out.extend_from_slice(b"{\"messages\":");
    out.extend_from_slice(answer.messages);
    push_u64_field(out, "timestamp", answer.timestamp_ms);
    out.extend_from_slice(b",\"hasMore\":");
    json::push_bool(out, answer.has_more);
    out.push(b'}');
}

/// The answer to `POST /messages`: the message as `message`, and its fields again at the top.
///
/// `object` is what [`crate::chat::event::push_object`] wrote, so `messageId` is among the fields.
///
/// # Panics
/// If `object` does not begin with a brace, which is a mistake of the caller.
pub fn push_message_stored(out: &mut Vec<u8>, object: &[u8]) {
    let fields = object.strip_prefix(b"{").expect("a message is an object with fields");
    out.extend_from_slice(b"{\"success\":true");
    push_raw_field(out, "message", object);
    out.push(b',');
    out.extend_from_slice(fields);
}

/// The answer to a `POST /messages` that repeats an earlier one: what is still known of it, in the same places.
pub fn push_message_repeated(
    out: &mut Vec<u8>,
    channel: &str,
    client_message_id: Option<&str>,
    stamp: Stamp<'_>,
) {
    let mut object = Vec::new();
    push_receipt(&mut object, channel, client_message_id, stamp);
    push_message_stored(out, &object);
}

/// The answer to `POST /api/broadcast`, and to its batch, which has no `eventId` of its own.
pub fn push_broadcast_done(out: &mut Vec<u8>, event_id: Option<&str>, recipient_count: u64) {
    out.extend_from_slice(b"{\"success\":true");
    if let Some(event_id) = event_id {
        push_str_field(out, "eventId", event_id);
    }
    push_u64_field(out, "recipientCount", recipient_count);
    out.push(b'}');
}
