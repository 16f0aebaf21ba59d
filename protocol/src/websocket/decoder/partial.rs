//! Owns what a decoder keeps while a header, a control frame or a message has only partly arrived.

use super::Violation;
use crate::websocket::frame::{HEADER_BYTES_MAX, Opcode};
use crate::websocket::utf8;

/// The smallest payload buffer, so that a message that drips in does not grow byte by byte.
pub(super) const CAPACITY_MIN: usize = 64;

/// The state of a connection between two reads that did not end where a message ends.
#[derive(Default, Debug)]
pub(super) struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    /// The frame whose payload is under way.
    pub(super) frame: Option<OpenFrame>,
    /// The message whose fragments are under way.
    pub(super) message: Option<Message>,
    /// The payload of the control frame that is under way; it may come between the fragments of a message.
    pub(super) control: Vec<u8>,
}

/// A frame whose header was admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenFrame {
    pub(super) fin: bool,
    pub(super) compressed: bool,
    pub(super) opcode: Opcode,
    /// The mask, turned to the next byte of the payload.
    pub(super) key: Option<[u8; 4]>,
    /// The bytes of the payload that have not arrived.
    pub(super) remaining: usize,
    /// Whether an earlier input brought the header.
    pub(super) resumed: bool,
}

impl OpenFrame {
    pub(super) const fn resumed(self) -> Self {
        Self { resumed: true, ..self }
    }
}

/// A message that is put together from fragments, or from one frame that arrives in pieces.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) opcode: Opcode,
    pub(super) compressed: bool,
    pub(super) fragments: u32,
    pub(super) payload: Vec<u8>,
    pub(super) utf8: utf8::Check,
}

impl Partial {
    pub(super) fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_bytes)]
    }

    /// Keeps the next bytes of a header; a header is whole before the array is full, so none is lost.
    pub(super) fn push_header(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.header.get_mut(usize::from(self.header_bytes)) {
                *place = *byte;
                self.header_bytes += 1;
            }
        }
    }

    pub(super) const fn clear_header(&mut self) {
        self.header_bytes = 0;
    }

    /// Keeps bytes of a control frame, of which there are at most 125.
    pub(super) fn push_control(&mut self, bytes: &[u8]) {
        self.control.reserve_exact(bytes.len());
        self.control.extend_from_slice(bytes);
    }

    /// The message that `frame` belongs to, opened by its first frame.
    pub(super) fn message_of(&mut self, frame: &OpenFrame) -> &mut Message {
        let message = self.message.get_or_insert_with(|| Message {
            opcode: frame.opcode,
            compressed: frame.compressed,
            fragments: 0,
            payload: Vec::new(),
            utf8: utf8::Check::default(),
        });
        if !frame.resumed {
            message.fragments += 1;
        }
        message
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && self.message.is_none()
    }

    pub(super) fn payload_capacity(&self) -> usize {
        self.control.capacity() + self.message.as_ref().map_or(0, |message| message.payload.capacity())
    }
}

impl Message {
    /// Appends unmasked bytes of `frame`, whose `remaining` counts what comes after them.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        frame: &OpenFrame,
        message_bytes_max: usize,
    ) -> Result<(), Violation> {
        if self.opcode == Opcode::Text && !self.compressed {
            self.utf8.push(bytes).map_err(|utf8::NotUtf8| Violation::InvalidUtf8)?;
        }
        self.make_room(bytes.len(), frame, message_bytes_max);
        self.payload.extend_from_slice(bytes);
        Ok(())
    }

    /// Doubles the buffer when it is full, but never past what the message can still become.
    fn make_room(&mut self, bytes: usize, frame: &OpenFrame, message_bytes_max: usize) {
        let needed = self.payload.len() + bytes;
        let capacity = self.payload.capacity();
        if needed <= capacity {
            return;
        }
        let end = if frame.fin { needed.saturating_add(frame.remaining) } else { message_bytes_max };
        let roomy = needed.max(capacity.saturating_mul(2)).max(CAPACITY_MIN).min(end.max(needed));
        self.payload.reserve_exact(roomy - self.payload.len());
    }
}
