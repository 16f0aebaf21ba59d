//! Chat events and REST bodies from strangers: the event's name on the first line, its argument behind. What comes of it
//! is published in every style, and has to be JSON again.

use protocol::chat::event::{self, Kind, Stamp};
use protocol::chat::request::{self, BATCH_EVENTS_MAX, Request, USERS_MAX};
use protocol::chat::{Form, Style, rest};
use protocol::json::{Json, Validator};
use protocol::websocket::frame;

/// Reads the input as an event and as every REST body.
///
/// # Panics
/// If a bound is not kept, or if something is written that is no JSON.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (name, argument) = text.split_once('\n').unwrap_or((text, ""));
    let mut validator = Validator::new();
    let argument = match argument {
        "" => None,
        argument => match validator.check(argument) {
            Ok(json) => Some(json),
            Err(_) => return,
        },
    };
    if let Ok(request) = request::parse(name, argument) {
        examine(&request);
        publish(&request);
    }
    let _ = request::client_message_id(argument);
    if let Ok(relayed) = request::parse_relayed(argument) {
        let mut body = Vec::new();
        event::push_relayed_body(&mut body, name, relayed.payload);
        check(&Kind::Relay { event: name.into() }, &relayed.channel, &body);
    }
    if let Some(body) = argument {
        post(body);
    }
}

/// One event of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let events = [
        "channel:join\n{\"channelId\":\"channel:a\",\"since\":{\"epoch\":\"k\",\"offset\":7}}",
        "room:join\n{\"roomName\":\"dm:a:b\",\"since\":1772359201,\"lastMessageId\":\"m\"}",
        "message:send\n{\"channelId\":\"a\",\"userId\":\"u\",\"content\":\"\\u00e4\",\"mentions\":[],\"clientMessageId\":\"k\"}",
        "typing:start\n{\"roomName\":\"t\",\"roomType\":\"thread\",\"threadId\":\"x\"}",
        "presence:update\n{\"status\":\"busy\",\"customStatus\":{\"text\":\"x\",\"expiresAt\":\"2026-03-01T10:00:01.000Z\"}}",
        "presence:get\n{\"userIds\":[\"a\",\"b\"]}",
        "message:batch-read-ack\n{\"channelId\":\"a\",\"messageIds\":[\"m\",\"n\"]}",
        "reaction\n{\"channelId\":\"a\",\"messageId\":\"m\",\"emoji\":\"x\",\"action\":\"add\"}",
        "sync:messages\n{\"channelId\":\"a\",\"since\":null,\"limit\":5}",
        "dispatch\n{\"event\":\"message:new\",\"room\":\"a\",\"payload\":{\"id\":1}}",
        "batch\n[{\"event\":\"ping\",\"data\":{\"timestamp\":1}}]",
        "x\n{\"eventType\":\"x\",\"rooms\":[\"a\"],\"payload\":{},\"eventId\":\"e\",\"streamId\":\"s\"}",
        "x\n{\"events\":[{\"eventType\":\"x\",\"roomNames\":[\"a\"]}]}",
    ];
    events.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn examine(request: &Request<'_>) {
    match request {
        Request::Subscribe { users } | Request::Unsubscribe { users } | Request::GetPresence { users } => {
            assert!(users.len() <= USERS_MAX);
        }
        Request::Batch { events } => {
            assert!((1..=BATCH_EVENTS_MAX).contains(&events.len()));
            assert!(events.iter().all(|(name, _)| name != "batch"));
        }
        Request::Join { channel, .. } | Request::Leave { channel, .. } => {
            let again = protocol::chat::room::canonical(channel.as_ref().into());
            assert_eq!(again.as_deref(), Ok(channel.as_ref()), "a canonical name gives itself");
        }
        _ => {}
    }
}

fn publish(request: &Request<'_>) {
    let mut body = Vec::new();
    match request {
        Request::Send(send) => {
            event::push_message_body(&mut body, "u", Some("n"), send);
            check(&Kind::Message, &send.channel, &body);
        }
        Request::React(react) => {
            event::push_reaction_body(&mut body, "u", Some("n"), react);
            check(&Kind::Reaction { is_added: react.is_added }, &react.channel, &body);
        }
        Request::Read(read) => {
            event::push_read_body(&mut body, "u", read);
            check(&Kind::Read, &read.channel, &body);
        }
        Request::Dispatch { event, channel, payload } => {
            assert!(!event::is_reserved(event));
            check(&Kind::Relay { event: event.as_ref().into() }, channel, payload.as_raw().as_bytes());
        }
        _ => {}
    }
}

fn check(kind: &Kind, channel: &str, body: &[u8]) {
    let stamp = Stamp { id: "m", offset: 1, timestamp_ms: 1 };
    let mut validator = Validator::new();
    for style in Style::ALL {
        let mut out = Vec::new();
        event::push_publication(&mut out, kind, Form { style, cursor: Some("c") }, stamp, channel, body, &[]);
        let mut frames = frame::frames(&out);
        for (_, payload) in &mut frames {
            let data = std::str::from_utf8(payload).ok().and_then(|text| text.strip_prefix("42"));
            let data = validator.check(data.expect("an event of text")).expect("JSON");
            assert_eq!(data.items().last().map(Json::as_raw), Some("\"c\""));
        }
        assert!(frames.rest().is_empty(), "something is no frame");
    }
}

fn post(body: Json<'_>) {
    if let Ok(message) = rest::parse_message(body) {
        publish(&Request::Send(message.send));
    }
    let _ = (rest::parse_typing(body).is_ok(), rest::parse_presence(body, None).is_ok());
    if let Ok(events) = rest::parse_batch(body) {
        let room_count: usize = events.iter().map(|event| event.rooms.len()).sum();
        assert!(room_count <= rest::BATCH_ROOMS_MAX && events.len() <= rest::BATCH_EVENTS_MAX);
    }
    if let Ok(event) = rest::parse_broadcast(body) {
        assert!((1..=rest::ROOMS_MAX).contains(&event.rooms.len()));
    }
    let _ = rest::parse_invalidation(body);
}
