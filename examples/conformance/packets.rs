//! Socket.IO packets as the WebSocket frames that the engine takes: the text, then its attachments.

use protocol::json::push_str;
use protocol::socket_io::encode;
use protocol::websocket::frame::{Opcode, push_frame, push_frame_with};

use super::arguments::Arguments;
use super::namespace::{Namespace, Refusal};

/// Appends one Engine.IO message.
pub(crate) fn push_message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    push_frame_with(out, Opcode::Text, |text| {
        text.push(b'4');
        write(text);
    });
}

/// Appends the consent to a CONNECT.
pub(crate) fn push_connect(out: &mut Vec<u8>, namespace: Namespace, id: &str, pid: Option<&str>) {
    push_message(out, |text| encode::push_connect(text, namespace.path(), id, pid));
}

/// Appends the refusal of a CONNECT to a namespace that may not exist.
pub(crate) fn push_refusal(out: &mut Vec<u8>, namespace: &str, refusal: Refusal) {
    push_message(out, |text| encode::push_connect_error(text, namespace, refusal.message, refusal.data));
}

/// Appends a server's DISCONNECT.
pub(crate) fn push_disconnect(out: &mut Vec<u8>, namespace: Namespace) {
    push_message(out, |text| encode::push_disconnect(text, namespace.path()));
}

/// Appends an event. `ack` asks for an acknowledgement; `offset` is its last argument where sessions can be recovered.
pub(crate) fn push_event(
    out: &mut Vec<u8>,
    namespace: Namespace,
    ack: Option<u64>,
    name: &str,
    arguments: &Arguments,
    offset: Option<&str>,
) {
    push_message(out, |text| {
        encode::push_event_head(text, namespace.path(), ack, arguments.attachments.len());
        text.push(b'[');
        push_str(text, name);
        if !arguments.json.is_empty() {
            text.push(b',');
            text.extend_from_slice(&arguments.json);
        }
        if let Some(offset) = offset {
            text.push(b',');
            push_str(text, offset);
        }
        text.push(b']');
    });
    push_attachments(out, arguments);
}

/// Appends an acknowledgement.
pub(crate) fn push_ack(out: &mut Vec<u8>, namespace: Namespace, id: u64, arguments: &Arguments) {
    push_message(out, |text| {
        encode::push_ack_head(text, namespace.path(), id, arguments.attachments.len());
        text.push(b'[');
        text.extend_from_slice(&arguments.json);
        text.push(b']');
    });
    push_attachments(out, arguments);
}

fn push_attachments(out: &mut Vec<u8>, arguments: &Arguments) {
    for attachment in &arguments.attachments {
        push_frame(out, Opcode::Binary, attachment);
    }
}
