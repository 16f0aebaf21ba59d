//! The bodies of REST: what back ends may post, and what they are answered.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::borrow::Cow;

use protocol::chat::event::{Kind, PresenceNote, Stamp, push_object};
use protocol::chat::request::Since;
use protocol::chat::rest::*;
use protocol::chat::{Refusal, Status};
use protocol::codes::ErrorCode;
use protocol::json::{Json, Validator};

const NOW: u64 = 1_772_359_201_000;
const STAMP: Stamp<'_> = Stamp { id: "m1", offset: 8, timestamp_ms: NOW };

fn json(text: &str) -> Json<'_> {
    Validator::new().check(text).unwrap()
}

#[track_caller]
fn refuse<T: std::fmt::Debug>(read: Result<T, Refusal>, message: &str) {
    let refusal = read.unwrap_err();
    assert_eq!((refusal.code, refusal.message), (ErrorCode::ValidationError, message));
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(Validator::new().check(&text).is_ok(), "{text}");
    text
}

#[test]
fn a_message_is_posted_for_a_user() {
    let post = parse_message(json(
        r#"{"channelId":"channel:a","userId":"u","content":"hi","id":"own","attachments":[{}],"createdAt":1}"#,
    ))
    .unwrap();
    assert_eq!((post.user.as_ref(), post.send.channel.as_ref()), ("u", "a"));
    assert_eq!(post.send.client_message_id.as_deref(), Some("own"));
    let both = r#"{"channelId":"a","userId":"u","content":"hi","id":"own","clientMessageId":"k"}"#;
    assert_eq!(parse_message(json(both)).unwrap().send.client_message_id.as_deref(), Some("k"));
    let user = "userId must be a string of 1 to 255 bytes";
    refuse(parse_message(json(r#"{"channelId":"a","content":"hi"}"#)), user);
    refuse(parse_message(json(r#"{"channelId":"a","content":"hi","userId":7}"#)), user);
    refuse(parse_message(json(r#"{"userId":"u","content":"hi"}"#)), "channelId is required");
    refuse(parse_message(json(r#"{"userId":"u","channelId":"a"}"#)), "content is required");
    refuse(parse_message(json("[]")), "the body must be a JSON object");
    refuse(parse_message(json(r#"{"userId":"u","userId":"v"}"#)), "a field stands twice");
    let long = format!(r#"{{"channelId":"a","userId":"u","content":"x","id":"{}"}}"#, "x".repeat(129));
    refuse(parse_message(json(&long)), "id must be a string of at most 128 bytes");
}

#[test]
fn typing_and_presence_are_posted_for_a_user() {
    let typing = parse_typing(json(r#"{"userId":"u","channelId":"a","isTyping":false}"#)).unwrap();
    assert_eq!(
        (typing.user.as_ref(), typing.typing.channel.as_ref(), typing.typing.is_typing),
        ("u", "a", false)
    );
    refuse(parse_typing(json(r#"{"userId":"u","channelId":"a"}"#)), "isTyping must be true or false");
    refuse(
        parse_typing(json(r#"{"channelId":"a","isTyping":true}"#)),
        "userId must be a string of 1 to 255 bytes",
    );
    let in_body = r#"{"userId":"u","channelId":"channel:a","status":"busy","customStatus":"x"}"#;
    for (path, channel) in [(None, "a"), (Some("b"), "b"), (Some("channel:c"), "c")] {
        let post = parse_presence(json(in_body), path).unwrap();
        assert_eq!(
            (post.user.as_ref(), post.channel.as_ref(), post.update.status),
            ("u", channel, Status::Dnd)
        );
        assert!(post.update.custom.is_some());
    }
    let without = r#"{"userId":"u","status":"online"}"#;
    assert!(parse_presence(json(without), Some("a")).is_ok());
    refuse(parse_presence(json(without), None), "channelId is required");
    refuse(parse_presence(json(without), Some("")), "channelId is required");
    let refused = "status must be online, away, dnd or offline";
    refuse(parse_presence(json(r#"{"userId":"u"}"#), Some("a")), refused);
}

#[test]
fn a_broadcast_names_rooms_and_an_event() {
    let post = parse_broadcast(json(
        r#"{"eventType":"message:new","rooms":["channel:a","a","user:u"],"payload":{"x": 1},"eventId":"e"}"#,
    ))
    .unwrap();
    assert_eq!((post.event.as_ref(), post.payload.as_raw()), ("message:new", r#"{"x": 1}"#));
    assert_eq!(
        (post.rooms, post.event_id.as_deref()),
        (vec![Cow::from("a"), Cow::from("user:u")], Some("e"))
    );
    let bare =
        parse_broadcast(json(r#"{"eventType":"x","roomNames":["a"],"payload":null,"timestamp":1}"#)).unwrap();
    assert_eq!((bare.payload.as_raw(), bare.event_id), ("null", None));
    refuse(
        parse_broadcast(json(r#"{"eventType":"x","rooms":["a"]}"#)),
        "payload is required; it may be null",
    );
    let rooms = "rooms must be an array of 1 to 100 names";
    let many = |count| vec!["\"a\""; count].join(",");
    for list in ["[]", "\"a\"", "[7]", &format!("[{}]", many(101))] {
        refuse(parse_broadcast(json(&format!(r#"{{"eventType":"x","rooms":{list}}}"#))), rooms);
    }
    refuse(parse_broadcast(json(r#"{"eventType":"x"}"#)), rooms);
    refuse(parse_broadcast(json(r#"{"eventType":"x","rooms":[""]}"#)), "channelId is required");
    refuse(parse_broadcast(json(r#"{"eventType":"connect","rooms":["a"]}"#)), "the event's name is reserved");
    refuse(
        parse_broadcast(json(r#"{"rooms":["a"]}"#)),
        "the event's name must be a string of 1 to 128 bytes",
    );
}

#[test]
fn a_batch_is_bounded_in_events_and_in_rooms() {
    let event = |room_count: usize| {
        let rooms: Vec<String> = (0..room_count).map(|room| format!("\"r{room}\"")).collect();
        format!(r#"{{"eventType":"x","roomNames":[{}],"payload":1}}"#, rooms.join(","))
    };
    let batch =
        |count: usize, rooms: usize| format!(r#"{{"events":[{}]}}"#, vec![event(rooms); count].join(","));
    assert_eq!(parse_batch(json(&batch(100, 10))).unwrap().len(), 100);
    refuse(parse_batch(json(&batch(101, 1))), "events must be an array of 1 to 100 objects");
    refuse(parse_batch(json(&batch(11, 100))), "the events must name at most 1000 rooms together");
    refuse(parse_batch(json(r#"{"events":[]}"#)), "events must be an array of 1 to 100 objects");
    refuse(parse_batch(json("{}")), "events must be an array of 1 to 100 objects");
    refuse(parse_batch(json(r#"{"events":[7]}"#)), "the body must be a JSON object");
}

#[test]
fn permissions_are_taken_back_for_exactly_what_is_named() {
    let check = |body: &str, user: Option<&str>, channel: Option<&str>| {
        let read = parse_invalidation(json(body)).unwrap();
        assert_eq!((read.user.as_deref(), read.channel.as_deref()), (user, channel), "{body}");
    };
    check("{}", None, None);
    check(r#"{"userId":"u"}"#, Some("u"), None);
    check(r#"{"userId":null,"roomName":"channel:a"}"#, None, Some("a"));
    refuse(parse_invalidation(json(r#"{"userId":""}"#)), "userId must be a string of 1 to 255 bytes");
    refuse(parse_invalidation(json(r#"{"channelId":7}"#)), "channelId must be a string");
}

#[test]
fn a_poll_says_where_it_stands_and_how_long_it_waits() {
    let read = |query: &'static str| parse_poll(protocol::http::query::parameters(query));
    let check = |query, since, wait_s, limit| {
        let read = read(query).unwrap();
        assert_eq!(
            (read.channel.as_ref(), read.since, read.wait_s, read.limit),
            ("a", since, wait_s, limit),
            "{query}"
        );
    };
    let time = |unix_ms| Some(Since::Time { unix_ms });
    check("channelId=a", None, 0, 100);
    check("channelId=channel%3Aa&since=1234567890", time(1_234_567_890_000), 0, 100);
    check("channelId=a&since=1772359201000&wait=30&limit=7", time(NOW), 30, 7);
    check("channelId=a&limit=1000&since=&x=1&x=2", None, 0, 100);
    check("channelId=a&lastMessageId=m", Some(Since::Message { id: "m".into() }), 0, 100);
    check("channelId=a&epoch=k&offset=3", Some(Since::Position { epoch: "k".into(), offset: 3 }), 0, 100);
    refuse(read(""), "channelId is required");
    refuse(read("channelId="), "channelId is required");
    refuse(read("channelId=a&since=yesterday"), "since must be milliseconds since the epoch");
    refuse(read("channelId=a&since=-1"), "since must be milliseconds since the epoch");
    refuse(read("channelId=a&wait=31"), "wait must be 0 to 30 seconds");
    refuse(read("channelId=a&limit=0"), "limit must be a whole number from 1");
    refuse(read("channelId=a&epoch=k"), "offset must be a whole number");
    refuse(read("channelId=a&channelId=b"), "a parameter stands twice");
}

#[test]
fn answers_have_the_shape_that_back_ends_read() {
    assert_eq!(written(push_success), r#"{"success":true}"#);
    assert_eq!(
        written(|out| push_rest_failure(out, ErrorCode::RateLimitExceeded, "slow", Some(3))),
        r#"{"success":false,"error":{"code":"RATE_LIMIT_EXCEEDED","message":"slow","retryAfter":3}}"#
    );
    let note = |user, status| PresenceNote {
        user,
        status,
        last_seen_unix_ms: NOW,
        custom: None,
        channel: Some("a"),
    };
    let notes = [note("u", Status::Online), note("v", Status::Dnd), note("w", Status::Dnd)];
    let seen = r#""lastSeen":"2026-03-01T10:00:01.000Z""#;
    assert_eq!(
        written(|out| push_presence_list(out, "a", notes.into_iter())),
        format!(
            r#"{{"channelId":"a","users":[{{"userId":"u","status":"online",{seen}}},{{"userId":"v","status":"dnd",{seen}}},{{"userId":"w","status":"dnd",{seen}}}],"count":{{"online":1,"away":0,"dnd":2,"offline":0}}}}"#
        )
    );
    assert_eq!(
        written(|out| push_presence_list(out, "a", [].into_iter())),
        r#"{"channelId":"a","users":[],"count":{"online":0,"away":0,"dnd":0,"offline":0}}"#
    );
    assert_eq!(
        written(|out| push_presence_set(out, "a", "u", Status::Away)),
        r#"{"success":true,"channelId":"a","userId":"u","status":"away"}"#
    );
    let answer = PollAnswer { messages: b"[{}]", timestamp_ms: 5, has_more: true };
    assert_eq!(written(|out| push_poll(out, &answer)), r#"{"messages":[{}],"timestamp":5,"hasMore":true}"#);
    assert_eq!(
        written(|out| push_broadcast_done(out, Some("e"), 3)),
        r#"{"success":true,"eventId":"e","recipientCount":3}"#
    );
    assert_eq!(written(|out| push_broadcast_done(out, None, 0)), r#"{"success":true,"recipientCount":0}"#);
}

#[test]
fn a_stored_message_is_answered_with_its_fields_at_the_top() {
    let mut object = Vec::new();
    push_object(&mut object, &Kind::Message, STAMP, br#""channelId":"a","userId":"u","content":"hi""#);
    let fields = r#""id":"m1","messageId":"m1","channelId":"a","userId":"u","content":"hi","offset":8,"timestamp":1772359201000,"createdAt":"2026-03-01T10:00:01.000Z"}"#;
    assert_eq!(
        written(|out| push_message_stored(out, &object)),
        format!(r#"{{"success":true,"message":{{{fields},{fields}"#)
    );
    let receipt = r#""messageId":"m1","id":"m1","channelId":"a","clientMessageId":"k","offset":8,"timestamp":1772359201000,"createdAt":"2026-03-01T10:00:01.000Z"}"#;
    assert_eq!(
        written(|out| push_message_repeated(out, "a", Some("k"), STAMP)),
        format!(r#"{{"success":true,"message":{{{receipt},{receipt}"#)
    );
}
