//! What the load tester says and listens for: one dialect per kind of server, the same steps in each.
//!
//! What it says is written as text directly; what it hears is recognised by its first bytes, never parsed as JSON.

use clap::ValueEnum;

use crate::mark::Mark;
use crate::record::Place;
use crate::schedule::Due;
use crate::seating::{Room, Seat};
use crate::target::Transport;
use crate::token::Identity;

pub mod centrifugo;
pub mod chat;
pub mod raw;

/// The acknowledgement id of the join, which comes before all messages.
pub const JOIN_ACK: u64 = 0;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// Socket.IO with the chat's events: this project's node and its equals
    #[default]
    #[value(name = "socketio")]
    Chat,
    /// Bare WebSocket with one-letter requests and no tokens: the floor that a protocol stands on
    Raw,
    /// Centrifugo's bidirectional JSON protocol
    Centrifugo,
}

/// Channel names of one run, so that no other run's messages can be taken for ours.
#[derive(Clone, Debug)]
pub struct Channels(String);

impl Channels {
    /// Channels named `lt-<run>-<room>`; `run` must need no escaping in JSON.
    pub fn new(run: &str) -> Self {
        Self(format!("lt-{run}-"))
    }

    /// The channel id of `room`.
    pub fn name(&self, room: Room) -> String {
        format!("{}{}", self.0, room.0)
    }
}

/// What a message carries beside its mark.
#[derive(Clone, Copy, Debug)]
pub struct MessageForm {
    /// How it is written.
    pub dialect: Dialect,
    /// The length of the content, filled up behind the mark.
    pub content_bytes: usize,
    /// Whether an acknowledgement is asked for. Centrifugo always sends one.
    pub acks: bool,
    /// Whether it has a `clientMessageId`, which makes the server remember it for retries.
    pub client_ids: bool,
}

/// What the server said in one packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The Engine.IO session is open: time to CONNECT.
    Open,
    /// A heartbeat, to be answered with a pong that carries the same text.
    Ping(&'a str),
    /// The session is connected; the private id by which it can be resumed, if there is one.
    Connected(Option<&'a str>),
    /// The session was refused; the reason as JSON text.
    ConnectRefused(&'a str),
    /// A request was acknowledged: its id, and its JSON text if it was refused.
    Ack(u64, Result<(), &'a str>),
    /// A message with our mark.
    Message(Mark),
    /// An `error` event, as JSON text.
    Error(&'a str),
    /// An event that says who is there.
    Presence,
    /// The server ended the session.
    Ended,
    /// An event that the load tester does not need.
    Other,
    /// Not a packet of the protocol.
    Unreadable,
}

impl Dialect {
    /// The path of the endpoint if the URL names none.
    pub const fn usual_path(self) -> &'static str {
        match self {
            Self::Chat => "/socket.io/",
            Self::Raw => "/",
            Self::Centrifugo => "/connection/websocket",
        }
    }

    /// The query of the WebSocket handshake or of a poll, with its question mark.
    pub const fn query(self, transport: Transport) -> &'static str {
        match (self, transport) {
            (Self::Chat, Transport::WebSocket) => "?EIO=4&transport=websocket",
            (Self::Chat, Transport::Polling) => "?EIO=4&transport=polling",
            (Self::Raw | Self::Centrifugo, _) => "",
        }
    }

    /// Writes what introduces `seat`, and where its last session stopped if that is to be resumed; nothing where
    /// nobody asks who a client is.
    pub fn push_connect(self, out: &mut Vec<u8>, identity: &Identity, seat: Seat, place: Option<&Place>) {
        match self {
            Self::Chat => chat::push_connect(out, &identity.auth(seat), place),
            Self::Centrifugo => centrifugo::push_connect(out, identity.token(seat).as_deref()),
            Self::Raw => {}
        }
    }

    /// Writes the request to join `channel`, whose acknowledgement is heard with the id [`JOIN_ACK`].
    pub fn push_join(self, out: &mut Vec<u8>, channel: &str) {
        match self {
            Self::Chat => chat::push_join(out, channel),
            Self::Raw => raw::push_join(out, channel),
            Self::Centrifugo => centrifugo::push_join(out, channel),
        }
    }

    /// What a client says that leaves for good; `None` where the transport's end says all.
    pub const fn goodbye(self) -> Option<&'static str> {
        match self {
            Self::Chat => Some(chat::GOODBYE),
            Self::Raw | Self::Centrifugo => None,
        }
    }

    /// The text by which a client that comes back says how far it had read, if `text` holds one.
    pub fn offset(self, text: &str) -> Option<&str> {
        match self {
            Self::Chat => chat::offset(text),
            Self::Raw | Self::Centrifugo => None,
        }
    }

    /// Writes the answer to a heartbeat that carried `echo`.
    pub fn push_pong(self, out: &mut Vec<u8>, echo: &str) {
        match self {
            Self::Chat => chat::push_pong(out, echo),
            Self::Centrifugo => out.extend_from_slice(centrifugo::HEARTBEAT.as_bytes()),
            Self::Raw => {}
        }
    }

    /// Calls `each` for every packet in the text of one WebSocket message, until one of them fails.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn hear(
        self,
        text: &str,
        mut each: impl FnMut(Heard<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        match self {
            Self::Chat => each(chat::hear(text)),
            Self::Raw => each(raw::hear(text)),
            Self::Centrifugo => text.lines().try_for_each(|line| each(centrifugo::hear(line))),
        }
    }
}

/// Writes message `due` of the schedule with `sequence` as its number in its room, from 0 without gaps.
pub fn push_message(out: &mut Vec<u8>, channels: &Channels, due: Due, sequence: u32, form: MessageForm) {
    let written = match form.dialect {
        Dialect::Chat => chat::write_message(out, channels, due, sequence, form),
        Dialect::Raw => raw::write_message(out, channels, due, sequence, form),
        Dialect::Centrifugo => centrifugo::write_message(out, channels, due, sequence, form),
    };
    written.expect("writing to memory cannot fail");
}

/// The acknowledgement id of message `number`.
pub const fn ack_id(number: u64) -> u64 {
    number + JOIN_ACK + 1
}

/// The message number that an acknowledgement id stands for; `None` for the join's.
pub const fn acked_number(id: u64) -> Option<u64> {
    id.checked_sub(JOIN_ACK + 1)
}

/// The error code in a refusal's JSON text, or the whole text if there is none.
pub fn refusal_code(json: &str) -> &str {
    let code = json.split_once(r#""code":""#).and_then(|(_, rest)| rest.split_once('"'));
    code.map_or(json, |(code, _)| code)
}

/// The mark of message 6, the fourth of room 2, as the dialects' tests write it.
#[cfg(test)]
fn example() -> (Channels, Due, Mark) {
    let at = crate::clock::Moment(9);
    let due = Due { number: 6, room: Room(2), at };
    (Channels::new("r1"), due, Mark { room: Room(2), sequence: 3, at })
}

/// What `write` writes.
#[cfg(test)]
fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("what is said is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_named_by_their_code() {
        assert_eq!(
            refusal_code(r#"[{"success":false,"error":{"code":"NOT_JOINED","message":"m"}}]"#),
            "NOT_JOINED"
        );
        assert_eq!(refusal_code(r#"{"message":"Invalid token"}"#), r#"{"message":"Invalid token"}"#);
    }

    #[test]
    fn acknowledgements_lead_back_to_their_messages() {
        assert_eq!(acked_number(JOIN_ACK), None);
        assert_eq!(acked_number(ack_id(41)), Some(41));
    }

    #[test]
    fn only_centrifugo_puts_several_packets_into_one_message() {
        let count = |dialect: Dialect| {
            let mut packets = 0;
            let heard = dialect.hear("{}\n{}", |_| {
                packets += 1;
                Ok(())
            });
            heard.map(|()| packets)
        };
        let counts = [Dialect::Chat, Dialect::Raw, Dialect::Centrifugo].map(count);
        assert_eq!(counts, [Ok(1), Ok(1), Ok(2)]);
    }
}
