//! What is to be written to a socket: packets as masked WebSocket frames or in the bodies of POSTs, collected in
//! reused buffers.

use std::io::Write;

use protocol::websocket::frame::{Opcode, push_masked_close, push_masked_frame};
use protocol::websocket::{CloseCode, handshake};

use crate::clock::Moment;
use crate::target::{Target, Transport};

/// The nonce of every handshake, the example of RFC 6455 section 1.3: a server under test needs no better.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What stands between two packets in the body of a request.
pub const SEPARATOR: u8 = 0x1e;

/// One thread's outgoing bytes, for one connection at a time.
#[derive(Debug)]
pub struct Speech {
    target: Target,
    frames: Vec<u8>,
    /// What goes to the socket for POSTs.
    posts: Vec<u8>,
    /// Packets that are in no POST yet, with [`SEPARATOR`] between them.
    packets: Vec<u8>,
    text: Vec<u8>,
    mask_state: u64,
}

impl Speech {
    /// A speech to `target`, over the transport that is its own.
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            frames: Vec::new(),
            posts: Vec::new(),
            packets: Vec::new(),
            text: Vec::new(),
            mask_state: Moment::now().0 | 1,
        }
    }

    /// The bytes collected for the main socket since the last [`Self::clear`].
    pub fn bytes(&self) -> &[u8] {
        &self.frames
    }

    /// The bytes collected for the socket for POSTs since the last [`Self::clear`].
    pub fn posts(&self) -> &[u8] {
        &self.posts
    }

    /// Forgets everything collected and keeps the buffers.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.posts.clear();
    }

    /// Adds the request that opens the transport.
    pub fn open(&mut self) {
        match self.target.transport {
            Transport::WebSocket => {
                handshake::push_request(&mut self.frames, &self.target.host, &self.target.request, KEY);
            }
            Transport::Polling => self.poll(""),
        }
    }

    /// Adds a GET for the packets of session `sid`, or for a new one if that is empty.
    pub fn poll(&mut self, sid: &str) {
        let Target { host, request, .. } = &self.target;
        let session = if sid.is_empty() { "" } else { "&sid=" };
        write!(self.frames, "GET {request}{session}{sid} HTTP/1.1\r\nHost: {host}\r\n\r\n")
            .expect("writing to memory cannot fail");
    }

    /// Adds a POST of `packets` to session `sid`.
    pub fn post(&mut self, sid: &str, packets: &[u8]) {
        let (Target { host, request, .. }, length) = (&self.target, packets.len());
        write!(
            self.posts,
            "POST {request}&sid={sid} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .expect("writing to memory cannot fail");
        self.posts.extend_from_slice(packets);
    }

    /// Moves the packets that are in no request yet to the end of `waiting`.
    pub fn move_packets(&mut self, waiting: &mut Vec<u8>) {
        if !self.packets.is_empty() && !waiting.is_empty() {
            waiting.push(SEPARATOR);
        }
        waiting.append(&mut self.packets);
    }

    /// Adds a text whose bytes `write` appends: a frame, or a packet for a POST.
    pub fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.target.transport == Transport::Polling {
            if !self.packets.is_empty() {
                self.packets.push(SEPARATOR);
            }
            return write(&mut self.packets);
        }
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

    /// Adds a normal close of the transport.
    pub fn close(&mut self) {
        if self.target.transport == Transport::Polling {
            return self.text(|out| out.push(b'1'));
        }
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
