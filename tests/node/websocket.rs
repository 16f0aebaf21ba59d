//! A WebSocket client that sends what it is told and shows everything that comes.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use protocol::websocket::frame::{Opcode, push_masked_frame};
use protocol::websocket::{Decoder, Event, Limits, Role, handshake};

use super::http::{connect, read};

/// What is heard on a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A text message.
    Text(String),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// A close frame with its code, 0 if it has none.
    Close(u16),
    /// The end of the connection.
    End,
    /// Anything else.
    Other,
}

/// A connection.
pub(crate) struct WebSocket {
    /// The socket.
    pub(crate) stream: TcpStream,
    decoder: Decoder,
    heard: VecDeque<Heard>,
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const LIMITS: Limits = Limits { message_bytes_max: 64 << 20, fragments_max: 1, deflate: false };

impl WebSocket {
    /// Shakes hands under a target.
    pub(crate) fn handshake(address: SocketAddr, target: &str) -> Self {
        let mut stream = connect(address);
        stream.write_all(&handshake_request(target)).unwrap();
        Self::read_handshake(stream)
    }

    /// Reads the answer to a handshake that was written already.
    pub(crate) fn read_handshake(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let head_bytes = loop {
            if let Some(head_bytes) = handshake::read_response(&bytes, KEY).unwrap() {
                break head_bytes;
            }
            let mut chunk = [0; 4096];
            let count = read(&mut stream, &mut chunk).unwrap();
            assert!(count > 0, "closed during the handshake");
            bytes.extend_from_slice(&chunk[..count]);
        };
        let mut socket = Self { stream, decoder: Decoder::new(Role::Client), heard: VecDeque::new() };
        socket.take(&mut bytes[head_bytes..]);
        socket
    }

    /// Opens a session over WebSocket. The open packet was read.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut socket = Self::handshake(address, "/socket.io/?EIO=4&transport=websocket");
        socket.until("0{");
        socket
    }

    /// Opens a session and joins the main namespace. What the node said to that was read.
    pub(crate) fn join(address: SocketAddr, user: &str) -> Self {
        let mut socket = Self::open(address);
        socket.send(&format!("40{{\"token\":\"user:{user}\"}}"));
        socket.until("42[\"authenticated\"");
        socket
    }

    /// Sends a text message, unless the connection has ended.
    pub(crate) fn try_send(&mut self, text: &str) {
        let _ = self.stream.write_all(&text_frame(text));
    }

    /// Sends a text message.
    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(&text_frame(text)).unwrap();
    }

    /// The next thing that is heard.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let mut chunk = vec![0; 64 * 1024];
            match read(&mut self.stream, &mut chunk) {
                Ok(0) => return Heard::End,
                Ok(count) => self.take(&mut chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Heard::End,
                Err(error) => panic!("nothing is heard: {error}"),
            }
        }
    }

    /// Listens until a text message begins like this, and answers pings meanwhile. Returns the message.
    #[track_caller]
    pub(crate) fn until(&mut self, start: &str) -> String {
        loop {
            match self.next() {
                Heard::Text(text) if text.starts_with(start) => return text,
                Heard::Text(text) if text == "2" => self.send("3"),
                Heard::Text(_) | Heard::Pong(_) | Heard::Other => {}
                ended => panic!("{ended:?} instead of {start}"),
            }
        }
    }

    /// Listens until the connection ends. Returns the code of the close frame before, if there was one.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Option<u16> {
        let mut close = None;
        loop {
            match self.next() {
                Heard::Close(code) => close = Some(code),
                Heard::End => return close,
                _ => {}
            }
        }
    }

    fn take(&mut self, bytes: &mut [u8]) {
        let mut feed = self.decoder.feed(bytes, &LIMITS);
        while let Some(event) = feed.next().unwrap() {
            self.heard.push_back(match event {
                Event::Text(text) => Heard::Text(text.to_owned()),
                Event::Pong(payload) => Heard::Pong(payload.to_vec()),
                Event::Close(close) => Heard::Close(close.map_or(0, |(code, _)| code.0)),
                _ => Heard::Other,
            });
        }
    }
}

/// A client's opening handshake.
pub(crate) fn handshake_request(target: &str) -> Vec<u8> {
    let mut request = Vec::new();
    handshake::push_request(&mut request, "node", target, KEY);
    request
}

/// A text message as a client sends it.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    frame(Opcode::Text, text.as_bytes())
}

/// A frame as a client sends it.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_masked_frame(&mut frame, opcode, payload, [7, 1, 8, 2]);
    frame
}
