//! What a connection says and hears once its transport is open: from the first packet to the joined channel, then
//! messages. The words are the [`Dialect`]'s.

use crate::clock::Moment;
use crate::connection::Exchange;
use crate::dialect::{Dialect, Heard, JOIN_ACK, acked_number, refusal_code};
use crate::fleet::Plan;
use crate::seating::{Room, Seat};

/// What is waited for.
///
/// ```text
///            connect             connected, join          joined
///   Open ─────────────> Connect ───────────────> Join ─────────────> Ready
///    │ │                   └── without joining ────────────────────────^
///    │ └── Raw: join ──────────────────────────────^                   │
///    └── Raw, without joining ─────────────────────────────────────────┘
/// ```
///
/// Socket.IO leaves `Open` when the server sends its open packet `0{…}`, the others as soon as the WebSocket is open.
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
            Stage::Open => "the open packet",
            Stage::Connect => "the reply to the connect request",
            Stage::Join => "the reply to the join request",
            Stage::Ready => "messages",
        }
    }

    /// Handles that the transport is open: says the first word, where that is the client's.
    pub fn handle_opened(&mut self, exchange: &mut Exchange<'_>) {
        match exchange.plan.form.dialect {
            Dialect::Chat => {}
            Dialect::Centrifugo => self.connect(exchange),
            Dialect::Raw => self.enter_connected(exchange),
        }
    }

    /// Handles the text of one message of the transport.
    ///
    /// # Errors
    /// In words, if the server refused or ended the session or sent what it must not.
    pub fn handle_text(&mut self, text: &str, exchange: &mut Exchange<'_>) -> Result<(), String> {
        let dialect = exchange.plan.form.dialect;
        if exchange.record.keeps_place()
            && let Some(offset) = dialect.offset(text)
        {
            exchange.record.note_offset(offset);
        }
        dialect.hear(text, |heard| self.handle_heard(heard, text, exchange))
    }

    fn handle_heard(
        &mut self,
        heard: Heard<'_>,
        text: &str,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), String> {
        match (heard, self.stage) {
            (Heard::Message(mark), Stage::Ready) => {
                let nanos = exchange.now.nanos_since(mark.at);
                exchange.record.enter_message(self.room, mark, nanos, exchange.ledger);
                self.note_progress(exchange);
            }
            (Heard::Ack(id, result), Stage::Ready) => enter_ack(id, result, exchange),
            (Heard::Ping(echo), _) => {
                exchange.ledger.pings += 1;
                let dialect = exchange.plan.form.dialect;
                exchange.speech.text(|out| dialect.push_pong(out, echo));
            }
            (Heard::Open, Stage::Open) => self.connect(exchange),
            (Heard::Connected(pid), Stage::Connect) => {
                let sent = exchange.rooms.sent(self.room);
                if exchange.record.handle_connected(pid, sent, exchange.ledger) {
                    self.enter_ready(exchange);
                } else {
                    self.enter_connected(exchange);
                }
            }
            (Heard::Ack(JOIN_ACK, Ok(())), Stage::Join) => self.enter_ready(exchange),
            (Heard::ConnectRefused(reason), _) => return Err(format!("CONNECT refused: {reason}")),
            (Heard::Ack(JOIN_ACK, Err(reason)), Stage::Join) => {
                return Err(format!("join refused: {}", refusal_code(reason)));
            }
            (Heard::Error(reason), _) => exchange.ledger.refusals.count(refusal_code(reason)),
            (Heard::Presence, _) => exchange.ledger.presence += 1,
            (Heard::Ended, _) => return Err("session ended by the server".to_owned()),
            (Heard::Unreadable, _) => return Err(format!("unreadable packet: {text}")),
            (Heard::Open | Heard::Connected(_), _) => return Err(format!("packet out of order: {text}")),
            (Heard::Other | Heard::Message(_) | Heard::Ack(..), _) => {}
        }
        Ok(())
    }

    /// Says who it is.
    fn connect(&mut self, exchange: &mut Exchange<'_>) {
        let Plan { form, identity, .. } = exchange.plan;
        let place = exchange.record.place();
        exchange.speech.text(|out| form.dialect.push_connect(out, identity, self.seat, place));
        self.stage = Stage::Connect;
    }

    /// Asks for its channel, or needs none and is ready.
    fn enter_connected(&mut self, exchange: &mut Exchange<'_>) {
        let plan = exchange.plan;
        if !plan.joins {
            return self.enter_ready(exchange);
        }
        let channel = plan.channels.name(self.room);
        exchange.speech.text(|out| plan.form.dialect.push_join(out, &channel));
        self.stage = Stage::Join;
    }

    fn enter_ready(&mut self, exchange: &mut Exchange<'_>) {
        self.stage = Stage::Ready;
        exchange.ledger.connect.record(exchange.now.nanos_since(self.due));
        exchange.record.enter_ready();
        self.note_progress(exchange);
    }

    /// Notes how long it took if a resumed session has everything that it missed.
    fn note_progress(&self, exchange: &mut Exchange<'_>) {
        if exchange.record.has_caught_up() {
            exchange.ledger.replay.record(exchange.now.nanos_since(self.due));
        }
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
