//! The Engine.IO and Socket.IO side of a connection: from the open packet to the joined channel, then messages.

use crate::clock::Moment;
use crate::connection::Exchange;
use crate::dialect::{self, Heard, JOIN_ACK, acked_number, hear, refusal_code};
use crate::seating::{Room, Seat};
use crate::tally::Tally;

/// What is waited for.
///
/// ```text
/// Open ──0{…}, we say 40{auth}──> Connect ──40{…}, we say 420["channel:join",…]──> Join ──430[…]──> Ready
///                                    └────────────── without joining ──────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Connect,
    Join,
    Ready,
}

/// One session at the server.
pub struct Session {
    due: Moment,
    seat: Seat,
    room: Room,
    stage: Stage,
}

impl Session {
    /// A session for `seat`, whose connection was to be begun at `due`.
    pub const fn new(seat: Seat, room: Room, due: Moment) -> Self {
        Self { due, seat, room, stage: Stage::Open }
    }

    /// Whether it is connected and joined.
    pub const fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// When its connection was to be begun.
    pub const fn due(&self) -> Moment {
        self.due
    }

    /// What it is waiting for, in words.
    pub const fn waits_for(&self) -> &'static str {
        match self.stage {
            Stage::Open => "the Engine.IO open packet",
            Stage::Connect => "the reply to CONNECT",
            Stage::Join => "the reply to channel:join",
            Stage::Ready => "messages",
        }
    }

    /// Handles the text of one WebSocket message.
    ///
    /// # Errors
    /// In words, if the server refused or ended the session or sent what it must not.
    pub fn handle_text(&mut self, text: &str, exchange: &mut Exchange<'_>) -> Result<(), String> {
        match (hear(text), self.stage) {
            (Heard::Message(mark), Stage::Ready) => {
                let nanos = exchange.now.nanos_since(mark.at);
                if let Some(tally) = exchange.tally {
                    exchange.ledger.enter_message(self.room, mark.room, tally, mark.sequence, nanos);
                }
            }
            (Heard::Ack(id, result), Stage::Ready) => enter_ack(id, result, exchange),
            (Heard::Ping(echo), _) => {
                exchange.ledger.pings += 1;
                exchange.speech.text(|out| {
                    out.push(b'3');
                    out.extend_from_slice(echo.as_bytes());
                });
            }
            (Heard::Open, Stage::Open) => {
                let auth = exchange.plan.identity.auth(self.seat);
                exchange.speech.text(|out| dialect::push_connect(out, &auth));
                self.stage = Stage::Connect;
            }
            (Heard::Connected, Stage::Connect) if exchange.plan.joins => {
                let channel = exchange.plan.channels.name(self.room);
                exchange.speech.text(|out| dialect::push_join(out, &channel));
                self.stage = Stage::Join;
            }
            (Heard::Connected, Stage::Connect) | (Heard::Ack(JOIN_ACK, Ok(())), Stage::Join) => {
                self.enter_ready(exchange)
            }
            (Heard::ConnectRefused(reason), _) => return Err(format!("CONNECT refused: {reason}")),
            (Heard::Ack(JOIN_ACK, Err(reason)), Stage::Join) => {
                return Err(format!("join refused: {}", refusal_code(reason)));
            }
            (Heard::Error(reason), _) => exchange.ledger.refusals.count(refusal_code(reason)),
            (Heard::Ended, _) => return Err("session ended by the server".to_owned()),
            (Heard::Unreadable, _) => return Err(format!("unreadable packet: {text}")),
            (Heard::Open | Heard::Connected, _) => return Err(format!("packet out of order: {text}")),
            (Heard::Other | Heard::Message(_) | Heard::Ack(..), _) => {}
        }
        Ok(())
    }

    fn enter_ready(&mut self, exchange: &mut Exchange<'_>) {
        self.stage = Stage::Ready;
        exchange.ledger.connect.record(exchange.now.nanos_since(self.due));
        exchange.tally.get_or_insert(Tally::default());
    }
}

/// Enters the acknowledgement of a message.
fn enter_ack(id: u64, result: Result<(), &str>, exchange: &mut Exchange<'_>) {
    if let Err(reason) = result {
        exchange.ledger.refusals.count(refusal_code(reason));
        return;
    }
    let message = exchange.schedule.zip(acked_number(id)).and_then(|(schedule, number)| schedule.due(number));
    if let Some(message) = message {
        exchange.ledger.ack.record(exchange.now.nanos_since(message.at));
    }
}
