//! The events that a client knows, by their names in all dialects.

use serde_json::{Value, json};

use super::fields::{instant, member, position, presence, stamp_of_message, stamp_of_reaction, text};
use super::{Heard, Joined, Past, Refused, Sort, Stamp, Told, TypingHeard};

/// One event and its argument.
pub(super) fn event(name: &str, argument: &Value, attachments: Vec<Vec<u8>>) -> Option<Heard> {
    let text = |field: &str| text(argument, field);
    Some(match name {
        "connected" => {
            Heard::Connected { sid: text("socketId")?, server_time: instant(&argument["serverTime"])? }
        }
        "authenticated" => Heard::Authenticated {
            user: text("userId")?,
            session: text("sessionId")?,
            rooms: texts(&argument["rooms"])?,
        },
        "auth:error" => Heard::AuthError { code: text("code")? },
        "channel:joined" => joined(argument, text("channelId")?, Some(text("userId")?))?,
        "room:joined" if argument["success"] == true => joined(argument, text("roomName")?, None)?,
        "room:joined" => Heard::Denied { room: text("roomName")?, code: text("code")? },
        "channel:members" => Heard::Members {
            channel: text("channelId")?,
            members: argument["members"].as_array()?.iter().map(member).collect::<Option<_>>()?,
            total: argument["total"].as_u64()?,
        },
        "channel:left" => Heard::Left { name: text("channelId")?, user: Some(text("userId")?) },
        "room:left" => Heard::Left { name: text("roomName")?, user: None },
        "message:sent" => Heard::Sent { client_message_id: text("clientMessageId")?, id: text("messageId")? },
        "message:failed" => {
            Heard::Failed { client_message_id: text("clientMessageId")?, code: text("errorCode")? }
        }
        "error" => Heard::Error(Refused {
            family: text("type")?,
            code: text("code")?,
            event: text("event")?,
            channel: text("channelId"),
            retry_after_s: argument["retryAfter"].as_u64(),
            timestamp: argument["timestamp"].as_u64()?,
        }),
        "pong" => Heard::Pong {
            timestamp: argument["timestamp"].clone(),
            server_time: argument["serverTime"].as_u64()?,
        },
        _ => return about_others(name, argument).or_else(|| publication(name, argument, attachments)),
    })
}

/// What others do: typing, presence, coming and going.
fn about_others(name: &str, argument: &Value) -> Option<Heard> {
    let text = |field: &str| text(argument, field);
    Some(match name {
        "typing" => Heard::Typing {
            channel: text("channelId")?,
            thread: text("threadId"),
            turn: TypingHeard::One {
                user: text("userId")?,
                is_typing: argument["isTyping"].as_bool()?,
                timestamp: argument["timestamp"].as_u64()?,
            },
        },
        "typing:event" => {
            let id = text("roomName")?;
            let channel = match argument["roomType"].as_str()? {
                "channel" => id,
                kind => format!("{kind}:{id}"),
            };
            let users = argument["users"].as_array()?.iter();
            let users =
                users.map(|user| user["userId"].as_str().map(str::to_owned)).collect::<Option<_>>()?;
            Heard::Typing { channel, thread: text("threadId"), turn: TypingHeard::All { users } }
        }
        "presence" => Heard::Presence { heard: presence(argument)?, is_legacy: false },
        "presence:changed" => Heard::Presence { heard: presence(argument)?, is_legacy: true },
        "presence:bulk" => Heard::Presences {
            all: argument["presences"].as_array()?.iter().map(presence).collect::<Option<_>>()?,
            channel: text("channelId"),
        },
        "user:joined" | "user:left" => Heard::Passage {
            has_joined: name == "user:joined",
            channel: text("channelId")?,
            room: text("roomName")?,
            user: text("userId").filter(|_| instant(&argument["timestamp"]).is_some())?,
        },
        "presence:update" => mirror(name, &[text("userId")?]),
        "typing:start" | "typing:stop" | "message:typing" => {
            mirror(name, &[text("channelId")?, text("userId")?])
        }
        _ => return None,
    })
}

fn mirror(event: &str, about: &[String]) -> Heard {
    Heard::Mirror { event: event.to_owned(), about: about.join("/") }
}

fn joined(argument: &Value, name: String, user: Option<String>) -> Option<Heard> {
    Some(Heard::Joined(Joined {
        name,
        user,
        member_count: argument["memberCount"].as_u64()?,
        position: position(argument)?,
        timestamp: argument["timestamp"].as_u64()?,
        past: past(argument)?,
    }))
}

/// What a reply to a join says of the time before.
pub(crate) fn past(object: &Value) -> Option<Past> {
    let missed = match &object["missed"] {
        Value::Null => None,
        missed => Some((missed["count"].as_u64()?, missed["lost"].as_u64()?)),
    };
    let recovered = match &object["recovered"] {
        Value::Null => None,
        is_complete => Some((is_complete.as_bool()?, listed(object)?)),
    };
    Some(Past { missed, recovered })
}

/// The publications in `messages` and `events`, in the order of their offsets.
pub(crate) fn listed(object: &Value) -> Option<Vec<Told>> {
    let messages = object["messages"].as_array()?.iter().map(|message| told("message", message));
    let none = Vec::new();
    let events = object["events"].as_array().unwrap_or(&none).iter();
    let events = events.map(|event| told(event["event"].as_str()?, &event["data"]));
    let mut all = messages.chain(events).collect::<Option<Vec<_>>>()?;
    all.sort_by_key(|told| told.stamp.offset);
    Some(all)
}

fn publication(name: &str, argument: &Value, attachments: Vec<Vec<u8>>) -> Option<Heard> {
    let is_legacy = !argument["roomName"].is_null();
    match (name, is_legacy) {
        ("message" | "reaction" | "read", false)
        | ("message:new" | "reaction:add" | "reaction:remove" | "read_receipt:update", true) => {
            Some(Heard::Told(Told { attachments, ..told(name, argument)? }))
        }
        ("message:new", false) => Some(mirror(name, &[text(argument, "content")?])),
        ("reaction:add" | "reaction:remove", false) => Some(mirror(name, &[text(argument, "emoji")?])),
        ("read:update" | "message:read", false) => Some(mirror(name, &[text(argument, "messageId")?])),
        _ => None,
    }
}

fn told(name: &str, object: &Value) -> Option<Told> {
    let text = |field: &str| text(object, field);
    let (kind, content, stamp) = match name {
        "message" | "message:new" => {
            let is_plain = object["type"] == "text" && object["mentions"] == json!([]);
            (Sort::Message, text("content").filter(|_| is_plain)?, stamp_of_message(object)?)
        }
        "read" | "read_receipt:update" => {
            let is_said_alike = object["messageId"] == object["lastReadMessageId"];
            let stamp = Stamp { id: None, offset: None, timestamp: instant(&object["readAt"])? };
            (Sort::Read, text("messageId").filter(|_| is_said_alike)?, stamp)
        }
        "reaction" | "reaction:add" | "reaction:remove" => {
            let is_added = match name.strip_prefix("reaction:").or(object["action"].as_str())? {
                "add" => true,
                "remove" => false,
                _ => return None,
            };
            (Sort::Reaction { is_added }, text("emoji")?, stamp_of_reaction(object)?)
        }
        _ => return None,
    };
    Some(Told {
        kind,
        channel: text("channelId")?,
        room: text("roomName"),
        user: text("userId")?,
        content,
        user_name: text("userName"),
        client_message_id: text("clientMessageId").or(text("tempId")),
        stamp,
        attachments: Vec::new(),
    })
}

fn texts(array: &Value) -> Option<Vec<String>> {
    array.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}
