//! Whatever strings are in it, what the node writes is a packet that clients accept; and whatever is asked of it, it
//! reads without harm.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use protocol::chat::event::*;
use protocol::chat::request::{self, Request};
use protocol::chat::{CustomStatus, Form, Spelling, Status, Style, rest};
use protocol::codes::ErrorCode;
use protocol::json::{self, Json, Validator};
use protocol::socket_io;
use protocol::websocket::frame::{self, Opcode};

/// Every event name there is, and some that there are not.
const EVENTS: [&str; 40] = [
    "channel:join",
    "room:join",
    "channel:leave",
    "room:leave",
    "message:send",
    "message:new",
    "typing",
    "typing:start",
    "typing:stop",
    "message:typing",
    "presence:update",
    "user:status",
    "presence:subscribe",
    "presence:unsubscribe",
    "presence:get",
    "read",
    "message:read",
    "read:update",
    "message:read-ack",
    "message:batch-read-ack",
    "channel:read",
    "reaction",
    "reaction:add",
    "reaction:remove",
    "sync:messages",
    "sync:channels",
    "ping",
    "pong",
    "auth:refresh",
    "receipt:update",
    "typing:update",
    "notification:read",
    "notification:read:all",
    "dispatch",
    "batch",
    "delivery:sync",
    "connect",
    "error",
    "",
    "\u{0}",
];

/// Every field that some event or body reads.
const FIELDS: [&str; 37] = [
    "channelId",
    "roomName",
    "room_id",
    "since",
    "lastMessageId",
    "epoch",
    "offset",
    "content",
    "mentions",
    "type",
    "clientMessageId",
    "tempId",
    "attachments",
    "isTyping",
    "threadId",
    "roomType",
    "status",
    "customStatus",
    "customEmoji",
    "expiresAt",
    "text",
    "emoji",
    "userIds",
    "messageId",
    "messageIds",
    "action",
    "limit",
    "token",
    "notificationId",
    "event",
    "payload",
    "data",
    "userId",
    "rooms",
    "events",
    "eventType",
    "streamId",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z:]{1,8}",
        2 => "[\"\\\\/\\x00-\\x1f\\x7f\u{2028}é€🙂{}\\[\\]:, ]{0,12}",
        1 => any::<String>(),
        1 => "(channel|dm|thread|user):[a-z]{0,3}",
        1 => "x{100,300}",
    ]
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("online".to_owned()),
        Just("add".to_owned()),
        Just("dm".to_owned()),
        Just("2026-03-01T10:00:01.000Z".to_owned()),
        text()
    ]
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    json::push_str(&mut out, text);
    String::from_utf8(out).unwrap()
}

/// JSON text made of the fields that the node looks for, with values of every kind.
fn odd_argument() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => words().prop_map(|word| quoted(&word)),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<i32>().prop_map(|number| format!("{number}.5")),
        1 => prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 60, 12, move |inner| {
        let field = (proptest::sample::select(&FIELDS[..]), inner.clone());
        let field = field.prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            3 => prop::collection::vec(field, 0..12).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            1 => prop::collection::vec(inner, 0..12).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

/// An object that has what any event needs, of the right type but for its strings.
fn apt_argument() -> impl Strategy<Value = String> {
    let texts = prop::collection::vec(text().prop_map(|text| quoted(&text)), 8);
    (texts, any::<u64>()).prop_map(|(texts, number)| {
        let [channel, content, id, emoji, user, event, custom, thread] = &texts[..] else { unreachable!() };
        format!(
            r#"{{"channelId":{channel},"content":{content},"messageId":{id},"emoji":{emoji},"isTyping":true,
            "status":"away","customStatus":{{"text":{custom},"emoji":{emoji}}},"userIds":[{user}],"messageIds":[{id}],
            "action":"add","event":{event},"payload":[{content}],"userId":{user},"rooms":[{channel}],
            "eventType":{event},"threadId":{thread},"since":{number},"token":{id},"notificationId":{id}}}"#
        )
    })
}

fn argument() -> impl Strategy<Value = String> {
    prop_oneof![odd_argument(), apt_argument()]
}

/// The packets in a buffer, each found to be what clients accept.
fn packets(out: &[u8]) -> Vec<String> {
    let mut frames = frame::frames(out);
    let mut packets = Vec::new();
    while let Some((opcode, payload)) = frames.next() {
        assert_eq!(opcode, Opcode::Text);
        let text = std::str::from_utf8(payload).unwrap();
        let packet = socket_io::parse(text.strip_prefix('4').unwrap()).unwrap();
        let mut validator = Validator::new();
        let data = (!packet.data.is_empty()).then(|| validator.check(packet.data).unwrap());
        let attachments = (0..packet.attachment_count).map(|_| frames.next().unwrap());
        assert!(attachments.map(|(opcode, _)| opcode).all(|opcode| opcode == Opcode::Binary));
        assert!(packet.attachment_count > 0 || !packet.kind.is_binary());
        assert_eq!(socket_io::check(&packet, data, packet.attachment_count), Ok(()), "{text}");
        packets.push(text.to_owned());
    }
    assert!(frames.rest().is_empty());
    packets
}

fn written(write: impl FnOnce(&mut Frame)) -> Vec<String> {
    let mut out = Frame::new();
    write(&mut out);
    packets(&out)
}

/// Whether a text frame's last argument is the cursor.
fn ends_with(frame: &str, cursor: &str) -> bool {
    let data = socket_io::parse(&frame[1..]).unwrap().data;
    json(data).items().last().and_then(Json::as_str).as_deref() == Some(cursor)
}

fn json(text: &str) -> Json<'_> {
    Validator::new().check(text).unwrap()
}

/// All forms of one publication: each valid, its cursor last, and the hybrid one beginning with the primary one.
fn check_publication(kind: &Kind, stamp: Stamp<'_>, channel: &str, body: &[u8], cursor: &str) {
    let forms = Style::ALL.map(|style| {
        let form = Form { style, cursor: Some(cursor) };
        written(|out| push_publication(out, kind, form, stamp, channel, body, &[]))
    });
    for frame in forms.iter().flatten() {
        assert!(ends_with(frame, cursor), "{frame}");
    }
    assert!(forms[Style::Hybrid as usize].starts_with(&forms[Style::Primary as usize]));
    for style in [Style::LegacyBare, Style::LegacyPrefixed] {
        assert_eq!(forms[style as usize].len(), 1);
    }
    let mut object = Vec::new();
    push_object(&mut object, kind, stamp, body);
    let mut replayed = Vec::new();
    push_replayed(&mut replayed, kind, stamp, body);
    let replayed = String::from_utf8(replayed).unwrap();
    assert_eq!(json(&replayed).get("data").map(Json::as_raw), std::str::from_utf8(&object).ok());
    assert!(forms[Style::Primary as usize][0].contains(std::str::from_utf8(&object).unwrap()));
}

/// Does with a request what the node would do, as far as this crate goes.
fn publish(request: &Request<'_>, user: &str, stamp: Stamp<'_>, cursor: &str) {
    let mut body = Vec::new();
    let name = Some(cursor);
    let (kind, channel) = match request {
        Request::Send(send) => {
            push_message_body(&mut body, user, name, send);
            (Kind::Message, &send.channel)
        }
        Request::React(react) => {
            push_reaction_body(&mut body, user, name, react);
            (Kind::Reaction { is_added: react.is_added }, &react.channel)
        }
        Request::Read(read) => {
            push_read_body(&mut body, user, read);
            (Kind::Read, &read.channel)
        }
        Request::Dispatch { event, channel, payload } => {
            assert!(!is_reserved(event));
            body.extend_from_slice(payload.as_raw().as_bytes());
            (Kind::Relay { event: event.as_ref().into() }, channel)
        }
        _ => return,
    };
    check_publication(&kind, stamp, channel, &body, cursor);
}

proptest! {
    #[test]
    fn whatever_is_asked_is_read_without_harm(
        event in proptest::sample::select(&EVENTS[..]),
        argument in proptest::option::of(argument()),
        user in text(),
        cursor in text(),
        instant in any::<u64>(),
    ) {
        let argument = argument.as_deref().map(json);
        let stamp = Stamp { id: &cursor, offset: instant, timestamp_ms: instant };
        if let Ok(request) = request::parse(event, argument) {
            publish(&request, &user, stamp, &cursor);
        }
        let _ = request::client_message_id(argument);
        if let Ok(relayed) = request::parse_relayed(argument) {
            let mut body = Vec::new();
            push_relayed_body(&mut body, &user, relayed.payload);
            let object = json(std::str::from_utf8(&body).unwrap());
            prop_assert_eq!(object.fields().filter(|(key, _)| key.is("userId")).count(), 1);
            prop_assert_eq!(object.get("userId").and_then(Json::as_str), Some(user.as_str().into()));
            let kind = Kind::Relay { event: "stream:start".into() };
            check_publication(&kind, stamp, &relayed.channel, &body, &cursor);
        }
    }

    #[test]
    fn whatever_is_posted_is_read_without_harm(body in argument(), path in text()) {
        let body = json(&body);
        if let Ok(post) = rest::parse_message(body) {
            let mut fields = Vec::new();
            push_message_body(&mut fields, &post.user, None, &post.send);
            let stamp = Stamp { id: "m", offset: 1, timestamp_ms: 1 };
            let mut object = Vec::new();
            push_object(&mut object, &Kind::Message, stamp, &fields);
            let mut answer = Vec::new();
            rest::push_message_stored(&mut answer, &object);
            json(std::str::from_utf8(&answer).unwrap());
        }
        let _ = (rest::parse_typing(body).is_ok(), rest::parse_presence(body, Some(&path)).is_ok());
        let _ = (rest::parse_presence(body, None).is_ok(), rest::parse_invalidation(body).is_ok());
        if let Ok(post) = rest::parse_broadcast(body) {
            prop_assert!((1..=rest::ROOMS_MAX).contains(&post.rooms.len()) && !is_reserved(&post.event));
        }
        let _ = rest::parse_batch(body);
        let query = path.clone();
        let _ = rest::parse_poll([("channelId".into(), path.into()), ("since".into(), query.into())].into_iter());
    }

    #[test]
    fn whatever_is_in_it_a_reply_can_be_read(
        channel in text(),
        user in text(),
        name in proptest::option::of(text()),
        number in any::<u64>(),
        flags in any::<(bool, bool, bool)>(),
    ) {
        let (by_room_name, is_prefixed, has_ack) = flags;
        let spelling = if is_prefixed { Spelling::Prefixed } else { Spelling::Bare };
        let ack = has_ack.then_some(number);
        let mut members = b"[".to_vec();
        for _ in 0..2 {
            push_member(&mut members, &user, name.as_deref(), Status::Away, ack, number);
        }
        members.push(b']');
        let position = Position { epoch: &user, offset: number };
        let joined = Joined {
            channel: &channel,
            spelling,
            by_room_name,
            user: &user,
            member_count: 2,
            position,
            members: &members,
            now_unix_ms: number,
            missed: has_ack.then_some(Missed { count: number, lost: number }),
            recovered: Some(Recovered { is_complete: has_ack, messages: b"[]", events: b"[]" }),
        };
        let replies = written(|out| push_joined(out, &joined, ack));
        prop_assert_eq!(replies.len(), 1 + usize::from(!by_room_name) + usize::from(has_ack));
        let failure = Failure {
            code: ErrorCode::RateLimitExceeded,
            message: &user,
            event: &channel,
            channel: Some(&channel),
            retry_after_s: Some(1),
        };
        prop_assert_eq!(written(|out| push_join_denied(out, &failure, spelling, ack, number)).len(), 2);
        let left = Left { channel: &channel, spelling, by_room_name, user: &user };
        written(|out| push_left(out, &left, ack));
        let who = Introduction {
            user: &user,
            session: &channel,
            name: name.as_deref(),
            roles: &[user.as_str().into()],
            rooms: &[&channel],
            expires_at_ms: ack,
        };
        written(|out| {
            push_connect(out, &user, name.as_deref());
            push_connected(out, &user, number, name.as_deref());
            push_connect_error(out, ErrorCode::TooManyConnections, &user);
            push_authenticated(out, &who);
            push_authenticated_ack(out, number, &who);
            push_auth_error(out, ErrorCode::TokenExpired, &user);
            push_notification(out, "notification:read", name.as_deref(), number);
            push_pong(out, None, number);
            push_message_sent(out, &user, Stamp { id: &channel, offset: number, timestamp_ms: number });
            push_message_failed(out, &user, ErrorCode::ServerBusy, &channel);
            push_error(out, &failure, number);
            let channels = [SyncedChannel { channel: &channel, member_count: None, last_message_at_unix_ms: ack }];
            push_sync_channels_ack(out, number, channels.into_iter(), number);
        });
    }

    #[test]
    fn whatever_is_in_it_a_notice_can_be_read(
        channel in text(),
        user in text(),
        other in proptest::option::of(text()),
        number in any::<u64>(),
        is_typing in any::<bool>(),
    ) {
        let other = other.as_deref();
        let typing = TypingNote {
            channel: &channel,
            user: &user,
            name: other,
            thread: other,
            room_type: other,
            is_typing,
            now_unix_ms: number,
            started_at_unix_ms: number,
        };
        let typists = [Typist { user: &user, name: other, started_at_unix_ms: number }; 3];
        let custom = CustomStatus {
            text: other.map(Box::from),
            emoji: Some(user.as_str().into()),
            expires_at_ms: is_typing.then_some(number),
        };
        let presence = PresenceNote {
            user: &user,
            status: Status::Dnd,
            last_seen_unix_ms: number,
            custom: Some(&custom),
            channel: other,
        };
        let told = Style::ALL.map(|style| {
            written(|out| {
                push_user_joined(out, style, &channel, &user, other, number);
                push_user_left(out, style, &channel, &user, other, number);
                push_presence_bulk(out, style, other, [presence; 2].into_iter());
                push_presences_ack(out, number, style, [presence; 2].into_iter());
            });
            [
                written(|out| push_typing(out, style, &typing, typists.iter().copied())),
                written(|out| push_presence(out, style, &presence)),
            ]
        });
        for (primary, hybrid) in told[Style::Primary as usize].iter().zip(&told[Style::Hybrid as usize]) {
            prop_assert!(hybrid.len() > primary.len() && hybrid.starts_with(primary));
        }
        let mut list = Vec::new();
        rest::push_presence_list(&mut list, &channel, [presence; 2].into_iter());
        json(std::str::from_utf8(&list).unwrap());
    }
}
