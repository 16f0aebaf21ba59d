//! The polling side of a session: its secret, the poll that waits for it, the upgrade under way.

use std::rc::Rc;

use core_shards::CoreId;
use protocol::engine_io::payload;
use protocol::engine_io::sid::Sid;
use protocol::http::response::Response;
use protocol::websocket::frame::{self, Opcode};

use super::answers::Waiter;
use super::budget::HalfReceived;
use super::settings::POLL_RECORDS_MAX;

/// A session that polls.
#[derive(Debug)]
pub(super) struct Polling {
    /// What its requests must show.
    pub(super) sid: Sid,
    /// Where the session was born, if it moved here: that core passes its requests on to us.
    pub(super) origin: Option<CoreId>,
    /// The request that waits for packets.
    pub(super) waiter: Option<Rc<Waiter>>,
    /// A WebSocket has shown its probe and may take over.
    pub(super) is_upgrading: bool,
    /// Binary packets between two requests.
    pub(super) half: HalfReceived,
}

impl Polling {
    pub(super) fn new(sid: Sid, origin: Option<CoreId>) -> Self {
        Self { sid, origin, waiter: None, is_upgrading: false, half: HalfReceived::default() }
    }
}

/// A polling response with packets.
pub(super) fn payload_response(payload: Vec<u8>) -> Response {
    Response::text(200, payload)
}

/// Takes whole frames off the front of `queue` and makes a payload of them: at most
/// [`POLL_RECORDS_MAX`] packets, and no more than `bytes_max` bytes unless one packet alone is larger.
pub(super) fn take_payload(queue: &mut Vec<u8>, bytes_max: usize) -> Vec<u8> {
    let mut records = Vec::new();
    let mut taken_bytes = 0;
    let mut frames = frame::frames(queue);
    for record in 0..POLL_RECORDS_MAX {
        let Some((opcode, bytes)) = frames.next() else { break };
        if record > 0 && records.len() + bytes.len() * 4 / 3 + 2 > bytes_max {
            break;
        }
        match opcode {
            Opcode::Text => payload::push_text(&mut records, bytes),
            Opcode::Binary => payload::push_binary(&mut records, bytes),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        taken_bytes = queue.len() - frames.rest().len();
    }
    queue.drain(..taken_bytes);
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_takes_whole_packets_and_leaves_the_rest() {
        let mut queue = Vec::new();
        for number in 0..POLL_RECORDS_MAX + 2 {
            frame::push_frame(&mut queue, Opcode::Text, format!("4{number}").as_bytes());
        }
        frame::push_frame(&mut queue, Opcode::Binary, &[1, 2, 3]);
        let first = take_payload(&mut queue, 1_000);
        assert_eq!(first.iter().filter(|byte| **byte == payload::SEPARATOR).count(), POLL_RECORDS_MAX - 1);
        assert_eq!(take_payload(&mut queue, 1_000), b"416\x1e417\x1ebAQID");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_payload_keeps_to_its_bytes_but_moves_on() {
        let mut queue = Vec::new();
        for _ in 0..3 {
            frame::push_frame(&mut queue, Opcode::Text, &[b'4'; 60]);
        }
        assert_eq!(take_payload(&mut queue, 100).len(), 60);
        assert_eq!(take_payload(&mut queue, 10).len(), 60);
        assert_eq!(take_payload(&mut queue, 1_000).len(), 60);
    }
}
