//! What a client reads: frames become packets, packets become [`Heard`]. Written without the node's own event
//! writers, so that the two check each other.

mod fields;
mod words;

use protocol::socket_io::{self, Kind};
use protocol::websocket::frame::{self, Opcode};
use serde_json::Value;

pub(crate) use fields::{Position, member, position, presence as read_presence, stamp_of_message};
pub(crate) use words::{listed, past};

/// One packet from the node, understood.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Connect {
        sid: String,
        pid: Option<String>,
    },
    Connected {
        sid: String,
        server_time: u64,
    },
    Authenticated {
        user: String,
        session: String,
        rooms: Vec<String>,
    },
    AuthError {
        code: String,
    },
    Joined(Joined),
    Denied {
        room: String,
        code: String,
    },
    Members {
        channel: String,
        members: Vec<(String, String)>,
        total: u64,
    },
    Left {
        name: String,
        user: Option<String>,
    },
    Told(Told),
    /// The same as the frame before, for clients that mix the dialects.
    Mirror {
        event: String,
        about: String,
    },
    Typing {
        channel: String,
        thread: Option<String>,
        turn: TypingHeard,
    },
    Presence {
        heard: PresenceHeard,
        is_legacy: bool,
    },
    Presences {
        all: Vec<PresenceHeard>,
        channel: Option<String>,
    },
    Passage {
        has_joined: bool,
        channel: String,
        room: String,
        user: String,
    },
    Sent {
        client_message_id: String,
        id: String,
    },
    Failed {
        client_message_id: String,
        code: String,
    },
    Error(Refused),
    Pong {
        timestamp: Value,
        server_time: u64,
    },
    Ack {
        id: u64,
        body: Value,
    },
}

/// The reply to a join.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    /// As the node spells it in this reply.
    pub(crate) name: String,
    /// None in the reply to `room:join`.
    pub(crate) user: Option<String>,
    pub(crate) member_count: u64,
    pub(crate) position: Position,
    pub(crate) timestamp: u64,
    /// What is said of the time before.
    pub(crate) past: Past,
}

/// What a reply to a join says of the time before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// How many publications follow, and how many are lost.
    pub(crate) missed: Option<(u64, u64)>,
    /// Whether nothing is missing, and all of it.
    pub(crate) recovered: Option<(bool, Vec<Told>)>,
}

/// What a publication is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Message,
    Reaction { is_added: bool },
    Read,
}

/// What identifies a publication and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// None of read receipts, which have none.
    pub(crate) id: Option<String>,
    pub(crate) offset: Option<u64>,
    pub(crate) timestamp: u64,
}

/// A publication, as a member reads it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: Sort,
    pub(crate) channel: String,
    /// The room's name in the legacy dialect.
    pub(crate) room: Option<String>,
    pub(crate) user: String,
    /// What is never the same twice: content, emoji or the message that was read.
    pub(crate) content: String,
    pub(crate) user_name: Option<String>,
    pub(crate) client_message_id: Option<String>,
    pub(crate) stamp: Stamp,
    pub(crate) attachments: Vec<Vec<u8>>,
}

/// How somebody is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresenceHeard {
    pub(crate) user: String,
    /// In the words of the primary dialect.
    pub(crate) status: String,
    pub(crate) custom: Option<String>,
}

/// Who types, in the words of a dialect.
#[derive(Clone, Debug)]
pub(crate) enum TypingHeard {
    /// One user began or stopped.
    One { user: String, is_typing: bool, timestamp: u64 },
    /// All who type.
    All { users: Vec<String> },
}

/// Why an event was refused, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) family: String,
    pub(crate) code: String,
    pub(crate) event: String,
    pub(crate) channel: Option<String>,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) timestamp: u64,
}

/// Reads whole frames: each packet with the cursor behind it. The error says what a client would stumble over.
pub(crate) fn hear(bytes: &[u8]) -> Result<Vec<(Heard, Option<String>)>, String> {
    let mut heard = Vec::new();
    let mut frames = frame::frames(bytes);
    while let Some((opcode, payload)) = frames.next() {
        if opcode != Opcode::Text {
            return Err(format!("a frame {opcode:?} that no packet announced"));
        }
        let text = std::str::from_utf8(payload).map_err(|error| format!("text is not UTF-8: {error}"))?;
        let packet = text.strip_prefix('4').ok_or(format!("no Engine.IO message: {text}"))?;
        let packet = socket_io::parse(packet).map_err(|error| format!("{error:?} in {text}"))?;
        let mut attachments = Vec::new();
        for _ in 0..packet.attachment_count {
            match frames.next() {
                Some((Opcode::Binary, attachment)) => attachments.push(attachment.to_vec()),
                other => return Err(format!("an attachment is missing: {other:?}")),
            }
        }
        let body: Value = serde_json::from_str(packet.data).map_err(|error| format!("{error} in {text}"))?;
        let understood = match packet.kind {
            Kind::Connect => connect(&body).map(|connect| (connect, None)),
            Kind::Ack => packet.id.map(|id| (Heard::Ack { id, body: body[0].clone() }, None)),
            Kind::Event | Kind::BinaryEvent => event(&body, attachments),
            _ => None,
        };
        heard.push(understood.ok_or(format!("a client cannot read {text}"))?);
    }
    match frames.rest() {
        [] => Ok(heard),
        rest => Err(format!("{} bytes that are no frame", rest.len())),
    }
}

fn connect(body: &Value) -> Option<Heard> {
    let pid = body["pid"].as_str().map(str::to_owned);
    Some(Heard::Connect { sid: body["sid"].as_str()?.to_owned(), pid })
}

fn event(packet: &Value, attachments: Vec<Vec<u8>>) -> Option<(Heard, Option<String>)> {
    let (name, argument, cursor) = match packet.as_array()?.as_slice() {
        [name, argument] => (name, argument, None),
        [name, argument, cursor] => (name, argument, Some(cursor.as_str()?.to_owned())),
        _ => return None,
    };
    let heard = words::event(name.as_str()?, argument, attachments)?;
    Some((heard, cursor))
}
