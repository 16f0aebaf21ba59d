//! One connection's way through the protocols, as bytes in and bytes out; the socket is the fleet's.

use protocol::websocket::handshake::{Refusal, read_response};
use protocol::websocket::{Decoder, Event, Limits, Role};

use crate::clock::Moment;
use crate::connection::session::Session;
use crate::fleet::Plan;
use crate::ledger::Ledger;
use crate::schedule::Schedule;
use crate::seating::{Room, Seat};
use crate::speech::{KEY, Speech};
use crate::tally::Tally;

pub mod session;

/// What is accepted from a server.
const LIMITS: Limits = Limits { message_bytes_max: 4 * 1024 * 1024, fragments_max: 1024, deflate: false };

/// One connection, without its socket. It owns no heap memory once it is open and between messages.
pub struct Connection {
    session: Session,
    decoder: Decoder,
    /// The beginning of the handshake's answer, bounded by what `read_response` reads; `None` when the WebSocket is
    /// open.
    head: Option<Vec<u8>>,
}

/// What a connection has at hand while it handles one read.
pub struct Exchange<'a> {
    /// What the run is about.
    pub plan: &'a Plan,
    /// The schedule of messages, once there is one.
    pub schedule: Option<&'a Schedule>,
    /// When the bytes were read.
    pub now: Moment,
    /// Where everything is counted.
    pub ledger: &'a mut Ledger,
    /// The connection's sequence accounting, from the moment it is ready.
    pub tally: &'a mut Option<Tally>,
    /// Where replies go.
    pub speech: &'a mut Speech,
}

impl Connection {
    /// A connection for `seat`, which was to be begun at `due`.
    pub const fn new(seat: Seat, room: Room, due: Moment) -> Self {
        Self {
            session: Session::new(seat, room, due),
            decoder: Decoder::new(Role::Client),
            head: Some(Vec::new()),
        }
    }

    /// Whether it is connected and joined.
    pub const fn is_ready(&self) -> bool {
        self.session.is_ready()
    }

    /// When it was to be begun.
    pub const fn due(&self) -> Moment {
        self.session.due()
    }

    /// What it is waiting for, in words.
    pub const fn waits_for(&self) -> &'static str {
        if self.head.is_some() { "the WebSocket handshake" } else { self.session.waits_for() }
    }

    /// Handles what was read from the socket.
    ///
    /// # Errors
    /// In words, if the connection is of no more use.
    pub fn handle_bytes(&mut self, bytes: &mut [u8], exchange: &mut Exchange<'_>) -> Result<(), String> {
        exchange.ledger.bytes_read += bytes.len() as u64;
        let Some(head) = &mut self.head else {
            return self.handle_frames(bytes, exchange);
        };
        let before = head.len();
        head.extend_from_slice(bytes);
        let Some(end) = read_response(head, KEY).map_err(refused)? else {
            return Ok(());
        };
        let frames = end.saturating_sub(before);
        self.head = None;
        self.handle_frames(&mut bytes[frames..], exchange)
    }

    fn handle_frames(&mut self, bytes: &mut [u8], exchange: &mut Exchange<'_>) -> Result<(), String> {
        let mut feed = self.decoder.feed(bytes, &LIMITS);
        while let Some(event) =
            feed.next().map_err(|violation| format!("server broke WebSocket: {violation}"))?
        {
            match event {
                Event::Text(text) => self.session.handle_text(text, exchange)?,
                Event::Ping(payload) => exchange.speech.pong(payload),
                Event::Close(None) => return Err("closed by the server without a code".into()),
                Event::Close(Some((code, reason))) => {
                    return Err(format!("closed by the server: {} {reason}", code.0));
                }
                Event::Pong(_) | Event::Binary(_) | Event::CompressedText(_) | Event::CompressedBinary(_) => {
                }
            }
        }
        Ok(())
    }
}

/// Why the handshake failed, in words.
fn refused(refusal: Refusal) -> String {
    match refusal {
        Refusal::Status(status) => format!("handshake answered with status {status}"),
        Refusal::Malformed => "handshake answered with something that is not HTTP".to_owned(),
        Refusal::Accept => "handshake answered for another key".to_owned(),
    }
}

#[cfg(test)]
mod tests;
