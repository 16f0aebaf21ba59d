//! What a client reads: frames become packets, packets become [`Heard`]. Written without the node's own event
//! writers, so that the two check each other.

use protocol::socket_io::{self, Kind};
use protocol::websocket::frame::{self, Opcode};
use serde_json::{Value, json};

/// One packet from the node, understood.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Connect { sid: String },
    Connected { sid: String, server_time: u64 },
    Authenticated { user: String, session: String },
    AuthError { code: String },
    Joined { channel: String, user: String, member_count: u64, position: Position, timestamp: u64 },
    Members { channel: String, users: Vec<String>, total: u64 },
    Left { channel: String, user: String },
    Message(Message),
    Error(Refused),
    Pong { timestamp: Value, server_time: u64 },
    Ack { id: u64, body: Value },
}

/// Where a channel stands: the last message's offset, in which epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// What identifies a message and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) offset: u64,
    pub(crate) timestamp: u64,
}

/// Why an event was refused, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) family: String,
    pub(crate) code: String,
    pub(crate) event: String,
    pub(crate) channel: Option<String>,
    pub(crate) timestamp: u64,
}

/// A message, as a member reads it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) channel: String,
    pub(crate) user: String,
    pub(crate) content: String,
    pub(crate) user_name: Option<String>,
    pub(crate) client_message_id: Option<String>,
    pub(crate) receipt: Receipt,
    pub(crate) attachments: Vec<Vec<u8>>,
}

/// Reads whole frames. The error says what a client would stumble over.
pub(crate) fn hear(bytes: &[u8]) -> Result<Vec<Heard>, String> {
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
            Kind::Connect => body["sid"].as_str().map(|sid| Heard::Connect { sid: sid.to_owned() }),
            Kind::Ack => packet.id.map(|id| Heard::Ack { id, body: body[0].clone() }),
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

fn event(packet: &Value, attachments: Vec<Vec<u8>>) -> Option<Heard> {
    let [name, argument] = packet.as_array()?.as_slice() else { return None };
    let text = |field: &str| argument[field].as_str().map(str::to_owned);
    Some(match name.as_str()? {
        "connected" => {
            Heard::Connected { sid: text("socketId")?, server_time: instant(&argument["serverTime"])? }
        }
        "authenticated" => Heard::Authenticated { user: text("userId")?, session: text("sessionId")? },
        "auth:error" => Heard::AuthError { code: text("code")? },
        "channel:joined" => Heard::Joined {
            channel: text("channelId")?,
            user: text("userId")?,
            member_count: argument["memberCount"].as_u64()?,
            position: position(argument)?,
            timestamp: argument["timestamp"].as_u64()?,
        },
        "channel:members" => Heard::Members {
            channel: text("channelId")?,
            users: argument["members"].as_array()?.iter().map(user_of).collect::<Option<_>>()?,
            total: argument["total"].as_u64()?,
        },
        "channel:left" => Heard::Left { channel: text("channelId")?, user: text("userId")? },
        "message" => Heard::Message(Message {
            channel: text("channelId")?,
            user: text("userId")?,
            content: text("content")
                .filter(|_| argument["type"] == "text" && argument["mentions"] == json!([]))?,
            user_name: text("userName"),
            client_message_id: text("clientMessageId").or(text("tempId")),
            receipt: receipt(argument)?,
            attachments,
        }),
        "error" => Heard::Error(Refused {
            family: text("type")?,
            code: text("code")?,
            event: text("event")?,
            channel: text("channelId"),
            timestamp: argument["timestamp"].as_u64()?,
        }),
        "pong" => Heard::Pong {
            timestamp: argument["timestamp"].clone(),
            server_time: argument["serverTime"].as_u64()?,
        },
        _ => return None,
    })
}

fn user_of(member: &Value) -> Option<String> {
    instant(&member["joinedAt"])?;
    member["userId"].as_str().map(str::to_owned)
}

/// The position in a `channel:joined` event or in the data of its acknowledgement.
pub(crate) fn position(object: &Value) -> Option<Position> {
    Some(Position { epoch: object["epoch"].as_str()?.to_owned(), offset: object["offset"].as_u64()? })
}

/// The receipt in a message or in the data of its acknowledgement, which both name id and time twice.
pub(crate) fn receipt(object: &Value) -> Option<Receipt> {
    if object["id"] != object["messageId"] || instant(&object["createdAt"]) != object["timestamp"].as_u64() {
        return None;
    }
    Some(Receipt {
        id: object["id"].as_str()?.to_owned(),
        offset: object["offset"].as_u64()?,
        timestamp: object["timestamp"].as_u64()?,
    })
}

/// Reads `2026-03-01T10:00:01.000Z` as milliseconds since the epoch, by counting days year by year.
fn instant(value: &Value) -> Option<u64> {
    let text = value.as_str().filter(|text| text.len() == 24 && text.ends_with('Z'))?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years_days: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months_days: u64 = months.get(..usize::try_from(month).ok()?.checked_sub(1)?)?.iter().sum();
    let days = years_days + months_days + day.checked_sub(1)?;
    let seconds = (number(11, 13)? * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    Some((days * 86_400 + seconds) * 1000 + number(20, 23)?)
}
