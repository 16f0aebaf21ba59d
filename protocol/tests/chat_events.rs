//! Every event that the node sends, in every style, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use protocol::chat::event::*;
use protocol::chat::request::{self, Request};
use protocol::chat::{CustomStatus, Form, Spelling, Status, Style};
use protocol::codes::ErrorCode;
use protocol::json::{Json, Validator};
use protocol::websocket::frame::{self, Opcode};

const NOW: u64 = 1_772_359_201_000;
const STAMP: Stamp<'_> = Stamp { id: "m1", offset: 8, timestamp_ms: NOW };
const POSITION: Position<'_> = Position { epoch: "k3", offset: 7 };

/// The payload of each frame; attachments as `#` and their text.
fn written(write: impl FnOnce(&mut Frame)) -> Vec<String> {
    let mut out = Frame::new();
    write(&mut out);
    let mut frames = frame::frames(&out);
    let texts = frames.by_ref().map(|(opcode, payload)| {
        let text = String::from_utf8(payload.to_vec()).unwrap();
        if opcode == Opcode::Binary { format!("#{text}") } else { text }
    });
    let texts = texts.collect();
    assert!(frames.rest().is_empty());
    texts
}

#[track_caller]
fn check(write: impl FnOnce(&mut Frame), expected: &[&str]) {
    assert_eq!(written(write), expected);
}

fn body(event: &str, argument: &str, user: &str, name: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    match request::parse(event, Some(Validator::new().check(argument).unwrap())).unwrap() {
        Request::Send(send) => push_message_body(&mut body, user, name, &send),
        Request::React(react) => push_reaction_body(&mut body, user, name, &react),
        Request::Read(read) => push_read_body(&mut body, user, &read),
        other => panic!("{other:?}"),
    }
    body
}

#[track_caller]
fn check_publication(kind: &Kind, style: Style, channel: &str, body: &[u8], expected: &[&str]) {
    let form = Form::plain(style);
    check(|out| push_publication(out, kind, form, STAMP, channel, body, &[]), expected);
    let resumable = Form { style, cursor: Some("c\"1") };
    let expected: Vec<String> =
        expected.iter().map(|frame| format!(r#"{},"c\"1"]"#, frame.strip_suffix(']').unwrap())).collect();
    assert_eq!(written(|out| push_publication(out, kind, resumable, STAMP, channel, body, &[])), expected);
}

#[test]
fn the_wire_examples_of_the_contract_are_met() {
    check(|out| push_connect(out, "Xa1", None), &[r#"40{"sid":"Xa1"}"#]);
    check(|out| push_connect(out, "Xa1", Some("p")), &[r#"40{"sid":"Xa1","pid":"p"}"#]);
    let connected = r#"42["connected",{"socketId":"Xa1","serverTime":"2026-03-01T10:00:01.000Z","protocolVersion":"1.0"}"#;
    check(|out| push_connected(out, "Xa1", NOW, None), &[&format!("{connected}]")]);
    check(|out| push_connected(out, "Xa1", NOW, Some("c1.0")), &[&format!(r#"{connected},"c1.0"]"#)]);
    let failure = Failure {
        code: ErrorCode::ValidationError,
        message: "channelId is required",
        event: "channel:join",
        channel: None,
        retry_after_s: None,
    };
    check(
        |out| push_error(out, &failure, NOW),
        &[
            r#"42["error",{"type":"validation","code":"VALIDATION_ERROR","message":"channelId is required","event":"channel:join","timestamp":1772359201000}]"#,
        ],
    );
    check(
        |out| push_connect_error(out, ErrorCode::AuthenticationFailed, "Invalid token"),
        &[r#"44{"message":"Invalid token","data":{"type":"auth","code":"AUTHENTICATION_FAILED"}}"#],
    );
    check(
        |out| push_message_ack(out, 1, "c1", Some("k1"), STAMP),
        &[
            r#"431[{"success":true,"data":{"messageId":"m1","id":"m1","channelId":"c1","clientMessageId":"k1","offset":8,"timestamp":1772359201000,"createdAt":"2026-03-01T10:00:01.000Z"},"messageId":"m1"}]"#,
        ],
    );
    check(
        |out| push_ping_ack(out, 2, Some(Json::trusted("1772359202000")), 1_772_359_202_004),
        &[r#"432[{"timestamp":1772359202000,"serverTime":1772359202004}]"#],
    );
}

#[test]
fn a_session_learns_who_it_is() {
    let who = Introduction {
        user: "u1",
        session: "s-9",
        name: Some("Ada"),
        roles: &["admin".into(), "user".into()],
        rooms: &["c1", "dm:a:b"],
        expires_at_ms: Some(5),
    };
    let fields = r#"{"userId":"u1","sessionId":"s-9","rooms":["user:u1","c1","dm:a:b"],"user":{"id":"u1","displayName":"Ada"},"roles":["admin","user"],"expiresAt":5}"#;
    check(|out| push_authenticated(out, &who), &[&format!(r#"42["authenticated",{fields}]"#)]);
    check(
        |out| push_authenticated_ack(out, 4, &who),
        &[&format!(r#"434[{{"success":true,"data":{fields}}}]"#)],
    );
    check(
        |out| push_auth_error(out, ErrorCode::TokenExpired, "Token expired"),
        &[r#"42["auth:error",{"code":"TOKEN_EXPIRED","message":"Token expired"}]"#],
    );
    check(
        |out| push_notification(out, "notification:read", Some("n1"), NOW),
        &[r#"42["notification:read",{"notificationId":"n1","readAt":"2026-03-01T10:00:01.000Z"}]"#],
    );
    check(
        |out| push_notification(out, "notification:read:all", None, NOW),
        &[r#"42["notification:read:all",{"readAt":"2026-03-01T10:00:01.000Z"}]"#],
    );
}

fn joined<'a>(by_room_name: bool, members: &'a [u8]) -> Joined<'a> {
    Joined {
        channel: "c1",
        spelling: Spelling::Prefixed,
        by_room_name,
        user: "u1",
        member_count: 2,
        position: POSITION,
        members,
        now_unix_ms: NOW,
        missed: None,
        recovered: None,
    }
}

#[test]
fn a_join_is_answered_in_the_words_it_was_asked_in() {
    let mut members = b"[".to_vec();
    push_member(&mut members, "u1", None, Status::Online, None, NOW);
    push_member(&mut members, "u2", Some("Bob"), Status::Away, Some(NOW), NOW);
    members.push(b']');
    let list = r#"[{"userId":"u1","status":"online","joinedAt":"2026-03-01T10:00:01.000Z"},{"userId":"u2","status":"away","lastSeen":"2026-03-01T10:00:01.000Z","userName":"Bob","joinedAt":"2026-03-01T10:00:01.000Z"}]"#;
    let stand = r#""epoch":"k3","offset":7,"timestamp":1772359201000"#;
    let event = format!(r#"42["channel:joined",{{"channelId":"c1","userId":"u1","memberCount":2,{stand}}}]"#);
    let list_event = format!(r#"42["channel:members",{{"channelId":"c1","members":{list},"total":2}}]"#);
    let ack = format!(
        r#"430[{{"success":true,"data":{{"channelId":"c1","roomName":"c1","type":"channel","memberCount":2,{stand}}},"channelId":"c1"}}]"#
    );
    check(|out| push_joined(out, &joined(false, &members), None), &[&event, &list_event]);
    check(|out| push_joined(out, &joined(false, &members), Some(0)), &[&event, &list_event, &ack]);
    let event =
        format!(r#"42["room:joined",{{"roomName":"channel:c1","success":true,"memberCount":2,{stand}}}]"#);
    let ack = format!(
        r#"430[{{"success":true,"data":{{"channelId":"c1","roomName":"channel:c1","type":"channel","memberCount":2,"members":{list},{stand}}},"channelId":"c1"}}]"#
    );
    check(|out| push_joined(out, &joined(true, &members), None), &[&event]);
    check(|out| push_joined(out, &joined(true, &members), Some(0)), &[&event, &ack]);
}

#[test]
fn what_was_missed_stands_in_the_acknowledgement_or_in_the_event() {
    let recovered = Recovered { is_complete: true, messages: b"[1]", events: b"[]" };
    let missed = Missed { count: 3, lost: 1 };
    for by_room_name in [false, true] {
        let joined =
            Joined { missed: Some(missed), recovered: Some(recovered), ..joined(by_room_name, b"[]") };
        let end = r#","missed":{"count":3,"lost":1},"recovered":true,"messages":[1],"events":[]}"#;
        let frames = written(|out| push_joined(out, &joined, None));
        assert!(frames[0].ends_with(&format!("{end}]")), "{frames:?}");
        let frames = written(|out| push_joined(out, &joined, Some(7)));
        assert!(frames[0].ends_with(r#","missed":{"count":3,"lost":1}}]"#), "{frames:?}");
        assert!(frames.last().unwrap().contains(end), "{frames:?}");
    }
}

#[test]
fn a_refused_join_and_a_leave_are_answered_in_the_words_they_were_asked_in() {
    let failure = Failure {
        code: ErrorCode::RoomAccessDenied,
        message: "no",
        event: "room:join",
        channel: Some("c1"),
        retry_after_s: None,
    };
    let event =
        r#"42["room:joined",{"roomName":"c1","success":false,"error":"no","code":"ROOM_ACCESS_DENIED"}]"#;
    let ack = r#"430[{"success":false,"error":{"code":"ROOM_ACCESS_DENIED","message":"no"}}]"#;
    check(|out| push_join_denied(out, &failure, Spelling::Bare, Some(0), NOW), &[event, ack]);
    let error = r#"42["error",{"type":"authorization","code":"ROOM_ACCESS_DENIED","message":"no","event":"room:join","channelId":"c1","timestamp":1772359201000}]"#;
    check(|out| push_join_denied(out, &failure, Spelling::Bare, None, NOW), &[event, error]);
    let left = |by_room_name| Left { channel: "c1", spelling: Spelling::Prefixed, by_room_name, user: "u1" };
    check(
        |out| push_left(out, &left(false), Some(0)),
        &[
            r#"42["channel:left",{"channelId":"c1","userId":"u1"}]"#,
            r#"430[{"success":true,"data":{"channelId":"c1"},"channelId":"c1"}]"#,
        ],
    );
    check(
        |out| push_left(out, &left(true), Some(0)),
        &[
            r#"42["room:left",{"roomName":"channel:c1"}]"#,
            r#"430[{"success":true,"data":{"channelId":"c1","roomName":"channel:c1"},"channelId":"c1"}]"#,
        ],
    );
    let passage =
        r#""channelId":"c1","userId":"u1","userName":"Ada","timestamp":"2026-03-01T10:00:01.000Z"}]"#;
    check(
        |out| push_user_joined(out, Style::LegacyPrefixed, "c1", "u1", Some("Ada"), NOW),
        &[&format!(r#"42["user:joined",{{"roomName":"channel:c1",{passage}"#)],
    );
    check(
        |out| push_user_left(out, Style::Primary, "c1", "u1", Some("Ada"), NOW),
        &[&format!(r#"42["user:left",{{"roomName":"c1",{passage}"#)],
    );
}

#[test]
fn a_message_is_written_in_every_style() {
    let sent = r#"{"channelId":"c1","content":"hi","mentions":[],"clientMessageId":"k1"}"#;
    let body = body("message:send", sent, "u1", Some("Ada"));
    let fields = r#""channelId":"c1","userId":"u1","userName":"Ada","content":"hi","mentions":[],"type":"text","clientMessageId":"k1""#;
    let object = format!(
        r#"{{"id":"m1","messageId":"m1",{fields},"offset":8,"timestamp":1772359201000,"createdAt":"2026-03-01T10:00:01.000Z"}}"#
    );
    let legacy = |room: &str| {
        format!(
            r#"42["message:new",{{"roomName":"{room}","id":"m1","messageId":"m1",{fields},"user":{{"id":"u1","username":"Ada","displayName":"Ada"}},"offset":8,"timestamp":"2026-03-01T10:00:01.000Z","createdAt":"2026-03-01T10:00:01.000Z","meta":{{"eventId":"m1","timestamp":"2026-03-01T10:00:01.000Z"}}}}]"#
        )
    };
    let primary = format!(r#"42["message",{object}]"#);
    let extra = format!(r#"42["message:new",{object}]"#);
    let check = |style, expected: &[&str]| check_publication(&Kind::Message, style, "c1", &body, expected);
    check(Style::Primary, &[&primary]);
    check(Style::LegacyBare, &[&legacy("c1")]);
    check(Style::LegacyPrefixed, &[&legacy("channel:c1")]);
    check(Style::Hybrid, &[&primary, &extra]);
    let mut replay = Vec::new();
    push_object(&mut replay, &Kind::Message, STAMP, &body);
    assert_eq!(String::from_utf8(replay).unwrap(), object);
}

#[test]
fn a_sender_without_a_name_is_called_by_id() {
    let body = body("message:send", r#"{"channelId":"c1","content":"x"}"#, "u\"1", None);
    let form = Form::plain(Style::LegacyBare);
    let frames = written(|out| push_publication(out, &Kind::Message, form, STAMP, "c1", &body, &[]));
    assert!(frames[0].contains(r#","user":{"id":"u\"1","username":"u\"1"},"#), "{frames:?}");
}

#[test]
fn attachments_follow_each_frame_of_a_message() {
    let sent = r#"{"channelId":"c1","content":"","attachments":[{"_placeholder":true,"num":0}]}"#;
    let body = body("message:send", sent, "u1", None);
    let attachments = [b"one".to_vec(), b"two".to_vec()];
    let form = Form { style: Style::Hybrid, cursor: Some("c") };
    let frames = written(|out| push_publication(out, &Kind::Message, form, STAMP, "c1", &body, &attachments));
    assert_eq!(frames.len(), 6);
    assert!(frames[0].starts_with(r#"452-["message",{"#) && frames[0].ends_with(r#"},"c"]"#), "{frames:?}");
    assert!(frames[3].starts_with(r#"452-["message:new",{"#), "{frames:?}");
    assert_eq!([&frames[1], &frames[2], &frames[4], &frames[5]], ["#one", "#two", "#one", "#two"]);
}

#[test]
fn a_reaction_is_written_in_every_style() {
    let body = body("reaction:add", r#"{"channelId":"c1","messageId":"m0","emoji":"x"}"#, "u1", None);
    let fields = r#""channelId":"c1","userId":"u1","messageId":"m0","emoji":"x""#;
    for (is_added, action, name, instant) in
        [(true, "add", "reaction:add", "addedAt"), (false, "remove", "reaction:remove", "removedAt")]
    {
        let primary = format!(
            r#"42["reaction",{{"type":"reaction","action":"{action}",{fields},"eventId":"m1","offset":8,"timestamp":"2026-03-01T10:00:01.000Z"}}]"#
        );
        let legacy = format!(
            r#"42["{name}",{{"roomName":"channel:c1",{fields},"user":{{"id":"u1","username":"u1"}},"offset":8,"timestamp":"2026-03-01T10:00:01.000Z","createdAt":"2026-03-01T10:00:01.000Z","meta":{{"eventId":"m1","timestamp":"2026-03-01T10:00:01.000Z"}}}}]"#
        );
        let extra = format!(
            r#"42["{name}",{{{fields},"user":{{"id":"u1","username":"u1"}},"{instant}":"2026-03-01T10:00:01.000Z"}}]"#
        );
        let check = |style, expected: &[&str]| {
            check_publication(&Kind::Reaction { is_added }, style, "c1", &body, expected);
        };
        check(Style::Primary, &[&primary]);
        check(Style::LegacyPrefixed, &[&legacy]);
        check(Style::Hybrid, &[&primary, &extra]);
    }
    let mut replay = Vec::new();
    push_replayed(&mut replay, &Kind::Reaction { is_added: true }, STAMP, &body);
    let replay = String::from_utf8(replay).unwrap();
    assert!(
        replay.starts_with(r#"{"event":"reaction","data":{"type":"reaction","action":"add","#),
        "{replay}"
    );
}

#[test]
fn a_read_receipt_is_written_in_every_style() {
    let ids = r#"{"channelId":"c1","messageIds":["a","b"],"threadId":"t"}"#;
    let body = body("message:batch-read-ack", ids, "u1", None);
    let fields = r#""channelId":"c1","userId":"u1","messageId":"b","lastReadMessageId":"b","messageIds":["a","b"],"threadId":"t","readAt":"2026-03-01T10:00:01.000Z""#;
    let event = |name: &str| format!(r#"42["{name}",{{{fields}}}]"#);
    let legacy = format!(r#"42["read_receipt:update",{{"roomName":"c1",{fields}}}]"#);
    let check = |style, expected: &[&str]| check_publication(&Kind::Read, style, "c1", &body, expected);
    check(Style::Primary, &[&event("read")]);
    check(Style::LegacyBare, &[&legacy]);
    check(Style::Hybrid, &[&event("read"), &event("read:update"), &event("message:read")]);
}

#[test]
fn a_relayed_event_is_delivered_as_it_came_and_mirrored_for_the_primary_dialect() {
    let check = |event: &str, payload: &str, mirror: Option<&str>| {
        let kind = Kind::Relay { event: event.into() };
        let frame = |name: &str| format!(r#"42["{name}",{payload}]"#);
        let frames: Vec<String> = [Some(event), mirror].into_iter().flatten().map(frame).collect();
        let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        for style in [Style::Primary, Style::Hybrid] {
            check_publication(&kind, style, "c1", payload.as_bytes(), &frames);
        }
        for style in [Style::LegacyBare, Style::LegacyPrefixed] {
            check_publication(&kind, style, "c1", payload.as_bytes(), &frames[..1]);
        }
    };
    check("message:new", r#"{"id": 1}"#, Some("message"));
    check("reaction:add", "{}", Some("reaction"));
    check("reaction:remove", "[1]", Some("reaction"));
    check("read_receipt:update", "null", Some("read"));
    check("message:update", "\"x\"", None);
    let mut body = Vec::new();
    let payload = Json::trusted(r#"{"n":1,"us\u0065rId":"forged","t\"":{}}"#);
    push_relayed_body(&mut body, "u1", payload);
    assert_eq!(String::from_utf8(body).unwrap(), r#"{"userId":"u1","n":1,"t\"":{}}"#);
}

#[test]
fn only_a_libraries_or_the_nodes_own_names_are_reserved() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert!(is_reserved(name), "{name}");
    }
    for name in ["connected", "authenticated", "auth:error", "error"] {
        assert!(is_reserved(name), "{name}");
    }
    for name in ["", "message", "Connect", "errors", "auth:refresh"] {
        assert!(!is_reserved(name), "{name}");
    }
}

#[test]
fn typing_is_written_in_every_style() {
    let note = |is_typing| TypingNote {
        channel: "c1",
        user: "u1",
        name: Some("Ada"),
        thread: Some("t"),
        room_type: None,
        is_typing,
        now_unix_ms: NOW,
        started_at_unix_ms: NOW - 1000,
    };
    let typist = |user| Typist { user, name: None, started_at_unix_ms: NOW };
    let typists = [typist("u1"), typist("u2")];
    let check = |style, is_typing, expected: &[&str]| {
        check(|out| push_typing(out, style, &note(is_typing), typists.iter().copied()), expected);
    };
    let primary = r#"42["typing",{"userId":"u1","channelId":"c1","isTyping":true,"threadId":"t","userName":"Ada","timestamp":1772359201000}]"#;
    check(Style::Primary, true, &[primary]);
    let legacy = r#"42["typing:event",{"roomName":"c1","roomType":"channel","threadId":"t","users":[{"userId":"u1","startedAt":"2026-03-01T10:00:01.000Z"},{"userId":"u2","startedAt":"2026-03-01T10:00:01.000Z"}]}]"#;
    check(Style::LegacyBare, true, &[legacy]);
    check(Style::LegacyPrefixed, false, &[legacy]);
    let start = r#"42["typing:start",{"userId":"u1","channelId":"c1","threadId":"t","user":{"id":"u1","displayName":"Ada"},"startedAt":"2026-03-01T10:00:00.000Z"}]"#;
    let typed = r#"42["message:typing",{"channelId":"c1","userId":"u1","isTyping":true}]"#;
    check(Style::Hybrid, true, &[primary, start, typed]);
    let stop = r#"42["typing:stop",{"userId":"u1","channelId":"c1","threadId":"t","user":{"id":"u1","displayName":"Ada"},"stoppedAt":"2026-03-01T10:00:01.000Z"}]"#;
    let [primary, typed] = [primary, typed].map(|frame| frame.replace("true", "false"));
    check(Style::Hybrid, false, &[&primary, stop, &typed]);
    let direct = TypingNote { channel: "dm:a:b", thread: None, ..note(false) };
    self::check(
        |out| push_typing(out, Style::LegacyPrefixed, &direct, [].into_iter()),
        &[r#"42["typing:event",{"roomName":"a:b","roomType":"dm","users":[]}]"#],
    );
    let told = TypingNote { channel: "c1", room_type: Some("thread"), ..note(false) };
    let frames = written(|out| push_typing(out, Style::LegacyBare, &told, [].into_iter()));
    assert!(frames[0].contains(r#""roomName":"c1","roomType":"thread","threadId":"t""#), "{frames:?}");
}

#[test]
fn presence_is_written_in_every_style() {
    let custom = CustomStatus { text: Some("out".into()), emoji: Some("x".into()), expires_at_ms: Some(NOW) };
    let plain =
        PresenceNote { user: "u1", status: Status::Dnd, last_seen_unix_ms: NOW, custom: None, channel: None };
    let rich = PresenceNote { custom: Some(&custom), channel: Some("c1"), ..plain };
    let seen = r#""lastSeen":"2026-03-01T10:00:01.000Z""#;
    let object = r#""customStatus":{"text":"out","emoji":"x","expiresAt":"2026-03-01T10:00:01.000Z"}"#;
    let primary = [
        format!(r#"{{"userId":"u1","status":"dnd",{seen}}}"#),
        format!(r#"{{"userId":"u1","status":"dnd",{seen},{object},"channelId":"c1"}}"#),
    ];
    let legacy = [
        format!(r#"{{"userId":"u1","status":"busy","customStatus":null,"customEmoji":null,{seen}}}"#),
        format!(
            r#"{{"userId":"u1","status":"busy",{object},"customEmoji":"x",{seen},"roomName":"channel:c1"}}"#
        ),
    ];
    let hybrid = [
        format!(r#"{{"userId":"u1","status":"dnd",{seen}}}"#),
        format!(
            r#"{{"userId":"u1","status":"dnd",{seen},"customStatus":"out","customEmoji":"x","channelId":"c1"}}"#
        ),
    ];
    for (index, note) in [plain, rich].iter().enumerate() {
        let event = |name: &str, object: &str| format!(r#"42["{name}",{object}]"#);
        let told = event("presence", &primary[index]);
        check(|out| push_presence(out, Style::Primary, note), &[&told]);
        let changed = event("presence:changed", &legacy[index]);
        check(|out| push_presence(out, Style::LegacyPrefixed, note), &[&changed]);
        let update = event("presence:update", &hybrid[index]);
        check(|out| push_presence(out, Style::Hybrid, note), &[&told, &update]);
    }
    for (style, [plain_object, rich_object]) in
        [(Style::Primary, &primary), (Style::LegacyPrefixed, &legacy), (Style::Hybrid, &hybrid)]
    {
        let list = format!(r#"{{"presences":[{plain_object},{rich_object}]"#);
        let bulk =
            |channel| written(|out| push_presence_bulk(out, style, channel, [plain, rich].into_iter()));
        assert_eq!(bulk(None), [format!(r#"42["presence:bulk",{list}}}]"#)]);
        let room = if style.is_legacy() { r#","roomName":"channel:c1""# } else { "" };
        assert_eq!(bulk(Some("c1")), [format!(r#"42["presence:bulk",{list},"channelId":"c1"{room}}}]"#)]);
        check(
            |out| push_presences_ack(out, 9, style, [plain, rich].into_iter()),
            &[&format!(r#"439[{{"success":true,"data":{list}}}}}]"#)],
        );
    }
    let emoji_alone = CustomStatus { text: None, emoji: Some("x".into()), expires_at_ms: None };
    let note = PresenceNote { custom: Some(&emoji_alone), ..plain };
    let frames = written(|out| push_presence(out, Style::Hybrid, &note));
    assert!(frames[0].contains(r#""customStatus":{"text":"","emoji":"x"}"#), "{frames:?}");
    assert!(frames[1].ends_with(r#","customEmoji":"x"}]"#), "{frames:?}");
}

#[test]
fn a_client_that_was_away_is_answered() {
    let synced = Synced {
        channel: "c1",
        messages: b"[1,2]",
        is_complete: false,
        has_more: true,
        position: POSITION,
        now_unix_ms: NOW,
    };
    check(
        |out| push_sync_messages_ack(out, 5, &synced),
        &[
            r#"435[{"success":true,"data":{"channelId":"c1","messages":[1,2],"recovered":false,"hasMore":true,"epoch":"k3","offset":7,"serverTime":1772359201000}}]"#,
        ],
    );
    let channels = [
        SyncedChannel { channel: "c1", member_count: Some(2), last_message_at_unix_ms: Some(NOW) },
        SyncedChannel { channel: "dm:a:b", member_count: None, last_message_at_unix_ms: None },
    ];
    check(
        |out| push_sync_channels_ack(out, 5, channels.into_iter(), NOW),
        &[
            r#"435[{"success":true,"data":{"channels":[{"id":"c1","name":"c1","type":"channel","memberCount":2,"lastMessageAt":"2026-03-01T10:00:01.000Z"},{"id":"dm:a:b","name":"dm:a:b","type":"dm"}],"serverTime":1772359201000}}]"#,
        ],
    );
}

#[test]
fn hybrid_clients_hear_what_became_of_their_message() {
    check(
        |out| push_message_sent(out, "k1", STAMP),
        &[
            r#"42["message:sent",{"clientMessageId":"k1","messageId":"m1","sentAt":"2026-03-01T10:00:01.000Z"}]"#,
        ],
    );
    check(
        |out| push_message_failed(out, "k1", ErrorCode::ServerBusy, "later"),
        &[
            r#"42["message:failed",{"clientMessageId":"k1","errorCode":"SERVER_BUSY","errorMessage":"later","retryable":true}]"#,
        ],
    );
    check(|out| push_plain_ack(out, 3), &[r#"433[{"success":true}]"#]);
    let limited = Failure {
        code: ErrorCode::RateLimitExceeded,
        message: "slow down",
        event: "message:send",
        channel: Some("c1"),
        retry_after_s: Some(12),
    };
    check(
        |out| push_failure_ack(out, 3, &limited),
        &[
            r#"433[{"success":false,"error":{"code":"RATE_LIMIT_EXCEEDED","message":"slow down","retryAfter":12}}]"#,
        ],
    );
}
