//! One client of the floor: its socket, the bytes that the socket did not take, and the requests in what it sends.

use std::io::{ErrorKind, Read};

use mio::net::TcpStream;
use protocol::http::{self, HeadLimits, Response, response};
use protocol::websocket::frame::{Opcode, push_close, push_frame};
use protocol::websocket::{CloseCode, Decoder, Event, Limits, Role, handshake};
use rustix::net::{SendFlags, send};

/// What is accepted from a client.
const LIMITS: Limits = Limits { message_bytes_max: 64 * 1024, fragments_max: 16, deflate: false };
/// How much a client may have waiting; one that has more is closed.
const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a client asks for.
pub(super) enum Request {
    /// To be a member of this channel.
    Join(String),
    /// To deliver this text: the channel, a blank, the content.
    Message(String),
}

/// A client and its socket.
pub(super) struct Client {
    stream: TcpStream,
    decoder: Decoder,
    /// The beginning of the handshake; `None` when the WebSocket is open.
    head: Option<Vec<u8>>,
    /// What the kernel did not take.
    unsent: Vec<u8>,
    /// It gets nothing more: the socket is broken, or it has had an answer that ends the connection.
    is_ended: bool,
    /// The channels that it is a member of.
    pub(super) rooms: Vec<String>,
}

impl Client {
    /// A client that has just been accepted.
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(Role::Server),
            head: Some(Vec::new()),
            unsent: Vec::new(),
            is_ended: false,
            rooms: Vec::new(),
        }
    }

    /// Reads once into `buffer` and adds what is asked for; true if the socket is empty, `None` if it is of no more use.
    pub(super) fn read(&mut self, buffer: &mut [u8], requests: &mut Vec<Request>) -> Option<bool> {
        let read = match self.stream.read(buffer) {
            Ok(0) => return None,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Some(false),
            Err(_) => return None,
        };
        let bytes = &mut buffer[..read];
        match self.head.take() {
            None => self.take_frames(bytes, requests)?,
            Some(mut head) => {
                head.extend_from_slice(bytes);
                self.take_head(head, requests)?;
            }
        }
        Some(read < buffer.len())
    }

    /// Sends a whole frame at once, or keeps what the kernel does not take.
    pub(super) fn send(&mut self, frame: &[u8]) {
        if self.is_ended {
            return;
        }
        let sent = if self.unsent.is_empty() { self.send_now(frame) } else { 0 };
        if sent < frame.len() {
            self.unsent.extend_from_slice(&frame[sent..]);
            self.is_ended |= self.unsent.len() > UNSENT_BYTES_MAX;
        }
    }

    /// Sends what waits; `None` if the client is of no more use.
    pub(super) fn flush(&mut self) -> Option<()> {
        if !self.unsent.is_empty() {
            let waiting = std::mem::take(&mut self.unsent);
            let sent = self.send_now(&waiting);
            if sent < waiting.len() {
                self.unsent = waiting;
                self.unsent.drain(..sent);
            }
        }
        (!self.is_ended).then_some(())
    }

    /// The number of bytes that the kernel took.
    fn send_now(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match send(&self.stream, &bytes[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(taken) => sent += taken,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return sent,
                Err(_) => {
                    self.is_ended = true;
                    return bytes.len();
                }
            }
        }
        sent
    }

    fn take_head(&mut self, mut head: Vec<u8>, requests: &mut Vec<Request>) -> Option<()> {
        let Some(request) = http::parse_head(&head, &HeadLimits::STANDARD).ok()? else {
            self.head = Some(head);
            return Some(());
        };
        let (mut reply, end) = (Vec::new(), request.head_bytes);
        let Ok(upgrade) = handshake::upgrade(&request, false) else {
            let status = if request.path == "/readyz" { 200 } else { 404 };
            response::push_response(&mut reply, &Response::json(status, "{}"), false, false);
            self.send(&reply);
            return None;
        };
        handshake::push_response(&mut reply, &upgrade);
        self.send(&reply);
        self.take_frames(&mut head[end..], requests)
    }

    fn take_frames(&mut self, bytes: &mut [u8], requests: &mut Vec<Request>) -> Option<()> {
        let mut reply = Vec::new();
        let mut is_closed = false;
        let mut feed = self.decoder.feed(bytes, &LIMITS);
        while let Some(event) = feed.next().ok()? {
            match event {
                Event::Text(text) => requests.push(request(text)?),
                Event::Ping(payload) => push_frame(&mut reply, Opcode::Pong, payload),
                Event::Close(_) => {
                    push_close(&mut reply, CloseCode::NORMAL, "");
                    is_closed = true;
                }
                _ => {}
            }
        }
        if !reply.is_empty() {
            self.send(&reply);
        }
        (!is_closed && !self.is_ended).then_some(())
    }
}

/// What a text frame asks for; `None` if that is nothing.
fn request(text: &str) -> Option<Request> {
    match text.as_bytes().first()? {
        b'J' => Some(Request::Join(text[1..].to_owned())),
        b'M' => Some(Request::Message(text[1..].to_owned())),
        _ => None,
    }
}
