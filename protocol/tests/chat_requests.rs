//! Every event that a client may send, under every name that clients have for it, is understood or refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use protocol::chat::request::{self, Request, Since, parse};
use protocol::chat::{Refusal, Spelling, Status};
use protocol::codes::ErrorCode;
use protocol::json::{Json, Validator};

fn json(text: &str) -> Json<'_> {
    Validator::new().check(text).unwrap()
}

fn read<'a>(event: &str, argument: &'a str) -> Result<Request<'a>, Refusal> {
    parse(event, (!argument.is_empty()).then(|| json(argument)))
}

/// The request as text without its type names, which is what the tables below are written in.
#[track_caller]
fn check(events: &[&str], argument: &str, expected: &str) {
    for event in events {
        let request =
            read(event, argument).unwrap_or_else(|refusal| panic!("{event} {argument}: {refusal:?}"));
        assert_eq!(format!("{request:?}"), expected, "{event} {argument}");
    }
}

#[track_caller]
fn refuse(event: &str, argument: &str, message: &str) {
    match read(event, argument) {
        Ok(request) => panic!("{event} {argument}: {request:?}"),
        Err(refusal) => {
            assert_eq!(
                (refusal.code, refusal.message),
                (ErrorCode::ValidationError, message),
                "{event} {argument}"
            );
        }
    }
}

#[test]
fn rooms_are_joined_and_left_under_either_name() {
    let joined = |by_room_name, spelling| {
        format!(
            r#"Join {{ channel: "abc", spelling: {spelling}, by_room_name: {by_room_name}, since: None }}"#
        )
    };
    check(&["channel:join"], r#"{"channelId":"abc"}"#, &joined(false, "Bare"));
    check(&["channel:join"], r#"{"room_id":"abc"}"#, &joined(false, "Bare"));
    check(&["room:join"], r#"{"roomName":"abc"}"#, &joined(true, "Bare"));
    check(&["room:join"], r#"{"roomName":"channel:abc"}"#, &joined(true, "Prefixed"));
    check(&["room:join"], r#"{"channelId":null,"roomName":"abc"}"#, &joined(true, "Bare"));
    let left = r#"Leave { channel: "dm:a:b", spelling: Bare, by_room_name: "#;
    check(&["channel:leave"], r#"{"channelId":"dm:a:b"}"#, &format!("{left}false }}"));
    check(&["room:leave"], r#"{"roomName":"dm:a:b"}"#, &format!("{left}true }}"));
    refuse("channel:join", r#"{"channelId":""}"#, "channelId is required");
    refuse("channel:join", r#"{"channelId":7}"#, "channelId must be a string");
    refuse("room:join", "{}", "channelId is required");
    refuse("channel:leave", "", "the event needs one object as its argument");
    refuse("channel:join", r#"{"channelId":"a","channelId":"b"}"#, "a field stands twice");
}

#[test]
fn what_a_client_has_is_read_in_every_form() {
    let check = |fields: &str, expected: Option<Since<'_>>| {
        for event in ["channel:join", "room:join", "sync:messages"] {
            let argument = format!(r#"{{"channelId":"a"{fields}}}"#);
            match read(event, &argument).unwrap() {
                Request::Join { since, .. } | Request::SyncMessages { since, .. } => {
                    assert_eq!(since, expected, "{argument}");
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let time = |unix_ms| Some(Since::Time { unix_ms });
    check("", None);
    check(r#","since":null,"lastMessageId":"""#, None);
    check(r#","since":{"epoch":"k3","offset":7}"#, Some(Since::Position { epoch: "k3".into(), offset: 7 }));
    check(r#","since":1772359201000"#, time(1_772_359_201_000));
    check(r#","since":1772359201"#, time(1_772_359_201_000));
    check(r#","since":99999999999"#, time(99_999_999_999_000));
    check(r#","since":100000000000"#, time(100_000_000_000));
    check(r#","since":0"#, time(0));
    check(r#","since":18446744073709551615"#, time(u64::MAX));
    check(r#","lastMessageId":"m1""#, Some(Since::Message { id: "m1".into() }));
    check(r#","since":5,"lastMessageId":"m1""#, time(5000));
    let refused = "since must be milliseconds since the epoch, or an object with epoch and offset";
    for since in ["-1", "1.5", "\"1\"", "[]", "true", "{}", r#"{"epoch":"k"}"#, r#"{"epoch":"","offset":1}"#]
    {
        refuse("channel:join", &format!(r#"{{"channelId":"a","since":{since}}}"#), refused);
    }
    let long = format!(r#"{{"channelId":"a","lastMessageId":"{}"}}"#, "x".repeat(129));
    refuse("channel:join", &long, "messageId must be a string of at most 128 bytes");
}

#[test]
fn messages_are_read_in_one_walk_with_all_their_fields() {
    for event in ["message:send", "message:new"] {
        let argument =
            r#"{"tempId":"t1","content":"hi","roomName":"channel:a","mentions":["u"],"x":1,"threadId":null}"#;
        let Ok(Request::Send(send)) = read(event, argument) else { panic!("{event}") };
        assert_eq!((send.channel.as_ref(), send.content.as_raw()), ("a", "\"hi\""));
        assert_eq!(send.client_message_id.as_deref(), Some("t1"));
        let forwarded = send.forwarded.map(|field| field.map(Json::as_raw));
        let mut expected = [None; request::FORWARDED.len()];
        (expected[0], expected[3]) = (Some(r#"["u"]"#), Some("\"t1\""));
        assert_eq!(forwarded, expected);
    }
    let sends = |fields: &str| read("message:send", &format!(r#"{{"channelId":"a"{fields}}}"#)).is_ok();
    assert!(sends(r#","content":"","attachments":[{}]"#));
    assert!(sends(r#","attachmentIds":["x"]"#));
    refuse("message:send", r#"{"content":"x"}"#, "channelId is required");
    refuse("message:send", r#"{"channelId":"a"}"#, "content is required");
    refuse("message:send", r#"{"channelId":"a","content":7}"#, "content must be a string");
    refuse("message:send", r#"{"channelId":"a","content":""}"#, "content must not be empty");
    refuse("message:send", r#"{"channelId":"a","content":"x","mentions":{}}"#, "mentions must be an array");
    let long = format!(r#"{{"channelId":"a","content":"x","clientMessageId":"{}"}}"#, "x".repeat(129));
    refuse("message:send", &long, "clientMessageId must be a string of at most 128 bytes");
    refuse("message:send", r#"{"channelId":"a","content":"x","content":"y"}"#, "a field stands twice");
    refuse("message:send", r#"{"channelId":"a","content":"x","type":"","type":""}"#, "a field stands twice");
}

#[test]
fn a_refused_message_still_tells_its_own_id() {
    let id = |argument: &str| request::client_message_id(Some(json(argument))).map(|id| id.into_owned());
    assert_eq!(id(r#"{"clientMessageId":"k"}"#).as_deref(), Some("k"));
    assert_eq!(id(r#"{"tempId":"t"}"#).as_deref(), Some("t"));
    assert_eq!(id(r#"{"tempId":7}"#), None);
    assert_eq!(id("[]"), None);
}

#[test]
fn typing_has_four_names() {
    let typing = |channel: &str, is_typing: bool, thread: &str, room_type: &str| {
        format!(
            r#"Typing(Typing {{ channel: "{channel}", is_typing: {is_typing}, thread: {thread}, room_type: {room_type} }})"#
        )
    };
    let both = ["typing", "message:typing"];
    check(&both, r#"{"channelId":"a","isTyping":true}"#, &typing("a", true, "None", "None"));
    check(
        &both,
        r#"{"channelId":"a","isTyping":false,"threadId":"t"}"#,
        &typing("a", false, r#"Some("t")"#, "None"),
    );
    check(&["typing:start"], r#"{"channelId":"a"}"#, &typing("a", true, "None", "None"));
    check(&["typing:stop"], r#"{"roomName":"channel:a"}"#, &typing("a", false, "None", "None"));
    let check = |fields: &str, channel: &str, thread: &str, room_type: &str| {
        check(&["typing:start"], &format!("{{{fields}}}"), &typing(channel, true, thread, room_type));
    };
    check(r#""roomName":"a","roomType":"channel""#, "a", "None", r#"Some("channel")"#);
    check(r#""roomName":"a","roomType":"cinema""#, "a", "None", "None");
    check(r#""roomName":"x:y","roomType":"dm""#, "dm:x:y", "None", r#"Some("dm")"#);
    check(r#""roomName":"dm:x:y","roomType":"dm""#, "dm:x:y", "None", r#"Some("dm")"#);
    check(r#""channelId":"x","roomType":"dm""#, "x", "None", r#"Some("dm")"#);
    check(r#""roomName":"t","roomType":"thread""#, "thread:t", "None", r#"Some("thread")"#);
    check(r#""roomName":"a","roomType":"thread","threadId":"t""#, "a", r#"Some("t")"#, r#"Some("thread")"#);
    refuse("typing", r#"{"channelId":"a"}"#, "isTyping must be true or false");
    refuse("message:typing", r#"{"channelId":"a","isTyping":1}"#, "isTyping must be true or false");
    refuse("typing:start", r#"{"isTyping":true}"#, "channelId is required");
    let long = format!(r#"{{"roomName":"{}","roomType":"dm"}}"#, "x".repeat(254));
    refuse("typing:start", &long, "channelId must be at most 255 bytes");
}

#[test]
fn a_status_has_the_names_of_all_clients() {
    for (name, status) in [
        ("online", Status::Online),
        ("away", Status::Away),
        ("dnd", Status::Dnd),
        ("busy", Status::Dnd),
        ("offline", Status::Offline),
        ("invisible", Status::Offline),
    ] {
        let expected = format!("Presence(PresenceUpdate {{ status: {status:?}, custom: None }})");
        check(&["presence:update", "user:status"], &format!(r#"{{"status":"{name}"}}"#), &expected);
    }
    let custom = |fields: &str, text: &str, emoji: &str, expiry: &str| {
        let expected = format!(
            "Presence(PresenceUpdate {{ status: Away, custom: Some(Custom {{ text: {text}, emoji: {emoji}, expires_at_ms: {expiry} }}) }})"
        );
        check(&["presence:update", "user:status"], &format!(r#"{{"status":"away",{fields}}}"#), &expected);
    };
    custom(r#""customStatus":"out""#, r#"Some("out")"#, "None", "None");
    custom(r#""customStatus":"out","customEmoji":"x""#, r#"Some("out")"#, r#"Some("x")"#, "None");
    custom(
        r#""customStatus":{"text":"out","emoji":"x","expiresAt":5}"#,
        r#"Some("out")"#,
        r#"Some("x")"#,
        "Some(5)",
    );
    custom(
        r#""customStatus":{"text":"out"},"expiresAt":"2026-03-01T10:00:01.000Z""#,
        r#"Some("out")"#,
        "None",
        "Some(1772359201000)",
    );
    custom(r#""customStatus":null"#, "None", "None", "None");
    custom(r#""customStatus":"","customEmoji":null"#, "None", "None", "None");
    let refused = "status must be online, away, dnd or offline";
    for argument in ["{}", r#"{"status":"gone"}"#, r#"{"status":null}"#, r#"{"status":1}"#] {
        refuse("presence:update", argument, refused);
    }
    let long = format!(r#"{{"status":"away","customStatus":"{}"}}"#, "é".repeat(257));
    refuse("presence:update", &long, "customStatus must have at most 256 characters");
    let longest = format!(r#"{{"status":"away","customStatus":"{}"}}"#, "🙂".repeat(256));
    assert!(read("presence:update", &longest).is_ok());
    refuse(
        "user:status",
        r#"{"status":"away","customStatus":7}"#,
        "customStatus must have at most 256 characters",
    );
    refuse(
        "user:status",
        r#"{"status":"away","customStatus":"x","expiresAt":"soon"}"#,
        "expiresAt must be milliseconds since the epoch, or an ISO 8601 instant",
    );
}

#[test]
fn users_are_asked_for_by_the_hundred() {
    check(&["presence:subscribe"], r#"{"userIds":["a","b"]}"#, r#"Subscribe { users: ["a", "b"] }"#);
    check(&["presence:unsubscribe"], r#"{"userIds":[]}"#, "Unsubscribe { users: [] }");
    check(&["presence:get"], r#"{"userIds":["a"]}"#, r#"GetPresence { users: ["a"] }"#);
    let many = |count| format!(r#"{{"userIds":[{}]}}"#, vec!["\"u\""; count].join(","));
    assert!(read("presence:get", &many(500)).is_ok());
    refuse("presence:get", &many(501), "userIds must name at most 500 users");
    refuse("presence:subscribe", "{}", "userIds must be an array");
    refuse("presence:subscribe", r#"{"userIds":"a"}"#, "userIds must be an array");
    for id in ["\"\"", "7", "null", &format!("\"{}\"", "x".repeat(256))] {
        let argument = format!(r#"{{"userIds":["a",{id}]}}"#);
        refuse("presence:subscribe", &argument, "userIds must hold strings of 1 to 255 bytes");
    }
}

#[test]
fn read_receipts_have_six_names() {
    let receipt = |message_id: &str, message_ids: &str, thread: &str| {
        format!(
            r#"Read(Read {{ channel: "a", message_id: {message_id}, message_ids: {message_ids}, thread: {thread} }})"#
        )
    };
    let single = ["read", "message:read", "read:update", "message:read-ack"];
    check(&single, r#"{"channelId":"a","messageId":"m"}"#, &receipt(r#"Some("m")"#, "None", "None"));
    check(
        &single,
        r#"{"roomName":"channel:a","messageId":"m","threadId":"t","readAt":"x","userId":"other"}"#,
        &receipt(r#"Some("m")"#, "None", r#"Some("t")"#),
    );
    check(
        &["message:batch-read-ack"],
        r#"{"channelId":"a","messageIds":["m","n"]}"#,
        &receipt(r#"Some("n")"#, r#"Some(["m","n"])"#, "None"),
    );
    check(&["channel:read"], r#"{"channelId":"a","readAt":1}"#, &receipt("None", "None", "None"));
    refuse("read", r#"{"channelId":"a"}"#, "messageId is required");
    refuse("read", r#"{"channelId":"a","messageId":""}"#, "messageId is required");
    refuse("read", r#"{"channelId":"a","messageId":1}"#, "messageId must be a string of at most 128 bytes");
    let refused = "messageIds must be an array of 1 to 500 strings of at most 128 bytes";
    let many = vec!["\"m\""; 501].join(",");
    for list in ["\"m\"", "[]", "[1]", "[\"\"]", &format!("[{many}]")] {
        refuse("message:batch-read-ack", &format!(r#"{{"channelId":"a","messageIds":{list}}}"#), refused);
    }
}

#[test]
fn reactions_have_three_names() {
    let reaction = |is_added: bool| {
        format!(
            r#"React(React {{ channel: "a", message_id: "m", emoji: "x", is_added: {is_added}, thread: None }})"#
        )
    };
    let argument = |action: &str| format!(r#"{{"channelId":"a","messageId":"m","emoji":"x"{action}}}"#);
    check(&["reaction:add"], &argument(""), &reaction(true));
    check(&["reaction:remove"], &argument(r#","action":"add""#), &reaction(false));
    check(&["reaction"], &argument(r#","action":"add""#), &reaction(true));
    check(&["reaction"], &argument(r#","action":"remove""#), &reaction(false));
    refuse("reaction", &argument(""), "action must be add or remove");
    refuse("reaction", &argument(r#","action":true"#), "action must be add or remove");
    refuse("reaction:add", r#"{"channelId":"a","emoji":"x"}"#, "messageId is required");
    refuse("reaction:add", r#"{"channelId":"a","messageId":"m"}"#, "emoji is required");
    refuse("reaction:add", r#"{"channelId":"a","messageId":"m","emoji":""}"#, "emoji is required");
    let long = |emoji: String| format!(r#"{{"channelId":"a","messageId":"m","emoji":"{emoji}"}}"#);
    assert!(read("reaction:add", &long("👩".repeat(50))).is_ok());
    refuse("reaction:add", &long("x".repeat(51)), "emoji must be a string of 1 to 50 characters");
}

#[test]
fn a_client_that_was_away_says_how_much_it_takes() {
    let check = |limit: &str, expected: usize| {
        let argument = format!(r#"{{"channelId":"a"{limit}}}"#);
        let Ok(Request::SyncMessages { limit, .. }) = read("sync:messages", &argument) else {
            panic!("{limit}")
        };
        assert_eq!(limit, expected);
    };
    check("", 50);
    check(r#","limit":null"#, 50);
    check(r#","limit":1"#, 1);
    check(r#","limit":100"#, 100);
    check(r#","limit":18446744073709551615"#, 100);
    refuse("sync:messages", r#"{"channelId":"a","limit":0}"#, "limit must be a whole number from 1");
    refuse("sync:messages", r#"{"channelId":"a","limit":"9"}"#, "limit must be a whole number from 1");
    for argument in ["", "{}", r#"{"since":null}"#, "7"] {
        assert!(matches!(read("sync:channels", argument), Ok(Request::SyncChannels)));
    }
}

#[test]
fn what_needs_no_answer_is_taken() {
    check(&["ping"], r#"{"timestamp":7}"#, "Ping { timestamp: Some(7) }");
    check(&["ping"], "", "Ping { timestamp: None }");
    check(&["pong"], r#"{"timestamp":7}"#, "Pong");
    check(&["receipt:update", "typing:update"], r#"{"messageId":"m"}"#, "Acknowledged");
    check(&["auth:refresh"], r#"{"token":"t"}"#, r#"Refresh { token: "t" }"#);
    refuse("auth:refresh", "{}", "token must be a string");
    check(
        &["notification:read"],
        r#"{"notificationId":"n"}"#,
        r#"Notification { name: "notification:read", id: Some("n") }"#,
    );
    check(&["notification:read:all"], "", r#"Notification { name: "notification:read:all", id: None }"#);
    refuse("notification:read", "{}", "notificationId is required");
    for event in ["delivery:sync", "message:edit", "Ping", "", "dispatched"] {
        assert_eq!(read(event, "{}").unwrap_err().code, ErrorCode::UnknownEvent);
    }
}

#[test]
fn events_of_ones_own_making_have_a_room_and_a_name() {
    check(
        &["dispatch"],
        r#"{"event":"message:update","room":"channel:a","payload":{"id":1}}"#,
        r#"Dispatch { event: "message:update", channel: "a", payload: {"id":1} }"#,
    );
    check(
        &["dispatch"],
        r#"{"event":"x","channelId":"a"}"#,
        r#"Dispatch { event: "x", channel: "a", payload: null }"#,
    );
    refuse("dispatch", r#"{"event":"x"}"#, "channelId is required");
    refuse("dispatch", r#"{"room":"a"}"#, "the event's name must be a string of 1 to 128 bytes");
    for name in ["connect", "disconnect", "newListener", "connected", "authenticated", "auth:error", "error"]
    {
        let argument = format!(r#"{{"event":"{name}","room":"a"}}"#);
        refuse("dispatch", &argument, "the event's name is reserved");
    }
    let relayed =
        |text: &str| request::parse_relayed(Some(json(text))).map(|event| event.channel.into_owned());
    assert_eq!(relayed(r#"{"streamId":"s","n":1}"#).as_deref(), Ok("stream:s"));
    assert_eq!(relayed(r#"{"channelId":"a","streamId":"s"}"#).as_deref(), Ok("a"));
    assert!(relayed("{}").is_err() && relayed("[]").is_err());
}

#[test]
fn a_batch_holds_up_to_ten_events_and_no_batch() {
    check(
        &["batch"],
        r#"[{"event":"ping"},{"event":"read","data":{"a":1},"timestamp":5},{"event":"x","data":null}]"#,
        r#"Batch { events: [("ping", None), ("read", Some({"a":1})), ("x", None)] }"#,
    );
    let many = |count| format!("[{}]", vec![r#"{"event":"ping"}"#; count].join(","));
    assert!(read("batch", &many(10)).is_ok());
    let refused = "batch needs an array of 1 to 10 objects with event and data";
    for argument in ["", "[]", "{}", "[1]", "[{}]", r#"[{"event":1}]"#, &many(11)] {
        refuse("batch", argument, refused);
    }
    refuse("batch", r#"[{"event":"\u0062atch","data":[]}]"#, "a batch must not hold a batch");
}

#[test]
fn a_refusal_tells_the_channel_as_soon_as_it_is_known() {
    for (event, fields) in [
        ("channel:join", r#","since":"x""#),
        ("message:send", ""),
        ("typing", ""),
        ("typing", r#","isTyping":true,"threadId":7"#),
        ("read", ""),
        ("message:batch-read-ack", ""),
        ("reaction", ""),
        ("sync:messages", r#","limit":0"#),
        ("dispatch", ""),
    ] {
        let argument = format!(r#"{{"channelId":"channel:a"{fields}}}"#);
        assert_eq!(read(event, &argument).unwrap_err().channel.as_deref(), Some("a"), "{event}");
    }
    assert_eq!(read("typing", r#"{"isTyping":true}"#).unwrap_err().channel, None);
    let Ok(Request::Join { spelling, .. }) = read("room:join", r#"{"roomName":"ch\u0061nnel:a"}"#) else {
        panic!()
    };
    assert_eq!(spelling, Spelling::Prefixed);
}
