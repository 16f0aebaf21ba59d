//! One connection's way through the protocols, as bytes in and bytes out; the socket is the fleet's.

use protocol::websocket::handshake::{Refusal, read_response};
use protocol::websocket::{Decoder, Event, Limits, Role};

use crate::clock::Moment;
use crate::connection::polling::Polling;
use crate::connection::session::Session;
use crate::dialect::Dialect;
use crate::fleet::{Plan, Rooms};
use crate::ledger::Ledger;
use crate::record::Record;
use crate::schedule::Schedule;
use crate::seating::{Room, Seat};
use crate::speech::{KEY, Speech};
use crate::target::Transport;

mod polling;
pub mod session;

pub use polling::Lane;

/// What is accepted from a server.
const LIMITS: Limits = Limits { message_bytes_max: 4 * 1024 * 1024, fragments_max: 1024, deflate: false };

/// One connection, without its socket. It owns no heap memory once it is open and between messages.
pub struct Connection {
    session: Session,
    path: Path,
}

/// What lies between the session and its sockets.
enum Path {
    WebSocket {
        decoder: Decoder,
        /// The beginning of the handshake's answer, bounded by what `read_response` reads; `None` when the WebSocket
        /// is open.
        head: Option<Vec<u8>>,
    },
    Polling(Box<Polling>),
}

/// What a connection has at hand while it handles one read.
pub struct Exchange<'a> {
    /// What the run is about.
    pub plan: &'a Plan,
    /// How far its rooms are.
    pub rooms: &'a Rooms,
    /// The schedule of messages, once there is one.
    pub schedule: Option<&'a Schedule>,
    /// When the bytes were read.
    pub now: Moment,
    /// Where everything is counted.
    pub ledger: &'a mut Ledger,
    /// What the connection's seat remembers.
    pub record: &'a mut Record,
    /// Where replies go.
    pub speech: &'a mut Speech,
}

impl Connection {
    /// A connection for `seat` over `transport`, which was to be begun at `due`.
    pub fn new(seat: Seat, room: Room, due: Moment, transport: Transport) -> Self {
        let path = match transport {
            Transport::WebSocket => {
                Path::WebSocket { decoder: Decoder::new(Role::Client), head: Some(Vec::new()) }
            }
            Transport::Polling => Path::Polling(Box::default()),
        };
        Self { session: Session::new(seat, room, due), path }
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
        match &self.path {
            Path::WebSocket { head: Some(_), .. } => "the WebSocket handshake",
            _ => self.session.waits_for(),
        }
    }

    /// The bytes of what was said that is not in a request yet.
    pub const fn waiting_bytes(&self) -> usize {
        match &self.path {
            Path::WebSocket { .. } => 0,
            Path::Polling(polling) => polling.waiting_bytes(),
        }
    }

    /// Makes what is in `speech` ready for the sockets.
    pub fn dispatch(&mut self, speech: &mut Speech) {
        if let Path::Polling(polling) = &mut self.path {
            polling.dispatch(speech);
        }
    }

    /// Says that the client leaves: with a goodbye of the protocol first, if it is `for_good`.
    pub fn leave(&self, dialect: Dialect, for_good: bool, speech: &mut Speech) {
        if for_good && let Some(goodbye) = dialect.goodbye() {
            speech.text(|out| out.extend_from_slice(goodbye.as_bytes()));
        }
        speech.close();
    }

    /// Handles what was read from the socket of `lane`.
    ///
    /// # Errors
    /// In words, if the connection is of no more use.
    pub fn handle_bytes(
        &mut self,
        lane: Lane,
        bytes: &mut [u8],
        exchange: &mut Exchange<'_>,
    ) -> Result<(), String> {
        exchange.ledger.bytes_read += bytes.len() as u64;
        match &mut self.path {
            Path::Polling(polling) => polling.handle_bytes(lane, bytes, &mut self.session, exchange),
            Path::WebSocket { decoder, head: None } => {
                handle_frames(decoder, &mut self.session, bytes, exchange)
            }
            Path::WebSocket { decoder, head: reply @ Some(_) } => {
                let head = reply.get_or_insert_default();
                let before = head.len();
                head.extend_from_slice(bytes);
                let Some(end) = read_response(head, KEY).map_err(refused)? else {
                    return Ok(());
                };
                let frames = end.saturating_sub(before);
                *reply = None;
                self.session.handle_opened(exchange);
                handle_frames(decoder, &mut self.session, &mut bytes[frames..], exchange)
            }
        }
    }
}

fn handle_frames(
    decoder: &mut Decoder,
    session: &mut Session,
    bytes: &mut [u8],
    exchange: &mut Exchange<'_>,
) -> Result<(), String> {
    let mut feed = decoder.feed(bytes, &LIMITS);
    while let Some(event) = feed.next().map_err(|violation| format!("server broke WebSocket: {violation}"))? {
        match event {
            Event::Text(text) => session.handle_text(text, exchange)?,
            Event::Ping(payload) => exchange.speech.pong(payload),
            Event::Close(None) => return Err("closed by the server without a code".into()),
            Event::Close(Some((code, reason))) => {
                return Err(format!("closed by the server: {} {reason}", code.0));
            }
            Event::Pong(_) | Event::Binary(_) | Event::CompressedText(_) | Event::CompressedBinary(_) => {}
        }
    }
    Ok(())
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
