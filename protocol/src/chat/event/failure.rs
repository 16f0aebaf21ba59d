//! What a client is told when the node refuses what it asked.

use super::Frame;
use super::packet::{begin_object, push_ack, push_bool_field, push_event, push_str_field, push_u64_field};
use crate::codes::ErrorCode;

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
    push_ack(out, ack, |out| push_envelope(out, failure.code, failure.message, failure.retry_after_s));
}

/// `{"success":false,"error":{…}}`: the same in acknowledgements and over REST.
pub(in crate::chat) fn push_envelope(
    out: &mut Frame,
    code: ErrorCode,
    message: &str,
    retry_after_s: Option<u32>,
) {
    out.extend_from_slice(b"{\"success\":false,\"error\":");
    begin_object(out, "code", code.name());
    push_str_field(out, "message", message);
    if let Some(retry_after_s) = retry_after_s {
        push_u64_field(out, "retryAfter", u64::from(retry_after_s));
    }
    out.extend_from_slice(b"}}");
}

/// `error`: a refusal of an event that asked for no acknowledgement.
pub fn push_error(out: &mut Frame, failure: &Failure<'_>, now_unix_ms: u64) {
    push_event(out, "error", |out| {
        begin_object(out, "type", failure.code.family());
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

/// `message:failed`, to a session of the hybrid dialect: its message was refused, and whether to try again.
pub fn push_message_failed(out: &mut Frame, client_message_id: &str, code: ErrorCode, message: &str) {
    push_event(out, "message:failed", |out| {
        begin_object(out, "clientMessageId", client_message_id);
        push_str_field(out, "errorCode", code.name());
        push_str_field(out, "errorMessage", message);
        push_bool_field(out, "retryable", code.is_retryable());
        out.push(b'}');
    });
}
