//! What is to be written to a socket: packets as masked WebSocket frames, collected in reused buffers.

use protocol::websocket::frame::{Opcode, push_masked_close, push_masked_frame};
use protocol::websocket::{CloseCode, handshake};

use crate::clock::Moment;
use crate::target::Target;

/// The nonce of every handshake, the example of RFC 6455 section 1.3: a server under test needs no better.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// One thread's outgoing bytes, for one connection at a time.
#[derive(Debug)]
pub struct Speech {
    frames: Vec<u8>,
    text: Vec<u8>,
    mask_state: u64,
}

impl Default for Speech {
    fn default() -> Self {
        Self { frames: Vec::new(), text: Vec::new(), mask_state: Moment::now().0 | 1 }
    }
}

impl Speech {
    /// The bytes collected since the last [`Self::clear`].
    pub fn bytes(&self) -> &[u8] {
        &self.frames
    }

    /// Forgets everything collected and keeps the buffers.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// Adds the request that opens a WebSocket.
    pub fn upgrade(&mut self, target: &Target) {
        handshake::push_request(&mut self.frames, &target.host, &target.request, KEY);
    }

    /// Adds a text frame whose text `write` appends.
    pub fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.text.clear();
        write(&mut self.text);
        let key = self.next_key();
        push_masked_frame(&mut self.frames, Opcode::Text, &self.text, key);
    }

    /// Adds the answer to a WebSocket ping.
    pub fn pong(&mut self, payload: &[u8]) {
        let key = self.next_key();
        push_masked_frame(&mut self.frames, Opcode::Pong, payload, key);
    }

    /// Adds a normal close.
    pub fn close(&mut self) {
        let key = self.next_key();
        push_masked_close(&mut self.frames, CloseCode::NORMAL, "", key);
    }

    /// The next mask of a xorshift generator: cheap, and good enough against a server under test.
    fn next_key(&mut self) -> [u8; 4] {
        self.mask_state ^= self.mask_state << 13;
        self.mask_state ^= self.mask_state >> 7;
        self.mask_state ^= self.mask_state << 17;
        ((self.mask_state >> 16) as u32).to_ne_bytes()
    }
}
