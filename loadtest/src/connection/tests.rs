//! What a connection does with what a server says, and with a server that misbehaves.

use std::num::NonZeroU32;
use std::time::Duration;

use protocol::websocket::CloseCode;
use protocol::websocket::frame::{Opcode, push_close, push_frame};

use super::*;
use crate::dialect::{Channels, Dialect, MessageForm};
use crate::mark::Mark;
use crate::seating::Seating;
use crate::sources::Sources;
use crate::target::Target;
use crate::token::Identity;

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// One connection and everything around it.
struct Bench {
    plan: Plan,
    connection: Connection,
    ledger: Ledger,
    rooms: Rooms,
    record: Record,
    speech: Speech,
}

impl Bench {
    fn new(joins: bool) -> Self {
        Self::speaking(Dialect::Chat, joins)
    }

    fn speaking(dialect: Dialect, joins: bool) -> Self {
        Self::over(Transport::WebSocket, dialect, joins)
    }

    fn over(transport: Transport, dialect: Dialect, joins: bool) -> Self {
        let target = Target::new("ws://127.0.0.1:1", dialect, transport).unwrap();
        let speech = Speech::new(&target);
        let plan = Plan {
            sources: Sources::new(target.address(), None, 1, 0),
            target,
            identity: Identity::Claimed,
            channels: Channels::new("t"),
            seating: Seating::new(1, NonZeroU32::MIN, NonZeroU32::MIN),
            joins,
            resumes: false,
            slowness: None,
            form: MessageForm { dialect, content_bytes: 0, acks: false, client_ids: false },
            connects_per_s: 1.0,
            connecting_max: NonZeroU32::MIN,
            connect_timeout: Duration::from_secs(1),
        };
        Self {
            plan,
            connection: Connection::new(Seat(0), Room(0), Moment(0), transport),
            ledger: Ledger::default(),
            rooms: Rooms::new(1),
            record: Record::default(),
            speech,
        }
    }

    /// A bench whose connection has come as far as `text` frames take it.
    fn after(joins: bool, texts: &[&str]) -> Self {
        let mut bench = Self::new(joins);
        bench.hear(UPGRADED.as_bytes()).unwrap();
        texts.iter().for_each(|text| bench.hear_text(text).unwrap());
        bench
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.hear_on(Lane::Main, bytes)
    }

    fn hear_on(&mut self, lane: Lane, bytes: &[u8]) -> Result<(), String> {
        let mut exchange = Exchange {
            plan: &self.plan,
            schedule: None,
            now: Moment(5_000_000),
            ledger: &mut self.ledger,
            rooms: &self.rooms,
            record: &mut self.record,
            speech: &mut self.speech,
        };
        self.connection.handle_bytes(lane, &mut bytes.to_vec(), &mut exchange)
    }

    fn hear_text(&mut self, text: &str) -> Result<(), String> {
        self.hear(&frame(text))
    }

    /// What the connection has said since it was last asked.
    fn said(&mut self) -> Vec<String> {
        let mut bytes = self.speech.bytes().to_vec();
        self.speech.clear();
        let mut decoder = Decoder::new(Role::Server);
        let mut feed = decoder.feed(&mut bytes, &LIMITS);
        let mut said = Vec::new();
        while let Some(event) = feed.next().unwrap() {
            said.push(match event {
                Event::Text(text) => text.to_owned(),
                other => format!("{other:?}"),
            });
        }
        said
    }
}

fn frame(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, Opcode::Text, text.as_bytes());
    bytes
}

#[test]
fn it_connects_joins_and_is_ready() {
    let mut bench = Bench::after(true, &[r#"0{"sid":"a","pingInterval":25000}"#]);
    assert_eq!(bench.said(), [r#"40{"userId":"lt-0"}"#]);
    bench.hear_text(r#"40{"sid":"b"}"#).unwrap();
    assert_eq!(bench.said(), [r#"420["channel:join",{"channelId":"lt-t-0"}]"#]);
    bench.hear_text(r#"42["channel:joined",{"channelId":"lt-t-0"}]"#).unwrap();
    assert!(!bench.connection.is_ready());
    bench.hear_text(r#"430[{"success":true}]"#).unwrap();
    assert!(bench.connection.is_ready());
    let connect = bench.ledger.connect.percentiles();
    assert!(connect.count == 1 && (connect.p50_ms - 5.0).abs() < 0.01, "{connect:?}");
}

#[test]
fn without_joining_it_is_ready_once_connected() {
    let bench = Bench::after(false, &[r#"0{"sid":"a"}"#, r#"40{"sid":"b"}"#]);
    assert!(bench.connection.is_ready() && bench.record.tally().is_some());
}

#[test]
fn it_joins_at_once_where_nobody_asks_who_it_is() {
    let mut bench = Bench::speaking(Dialect::Raw, true);
    bench.hear(UPGRADED.as_bytes()).unwrap();
    assert_eq!(bench.said(), ["Jlt-t-0"]);
    bench.hear_text("J").unwrap();
    assert!(bench.connection.is_ready());
    bench.hear_text("Mlt-t-0 1 2 ~s0.0.3000000~").unwrap();
    assert_eq!(bench.ledger.delivered, 1);

    let mut bench = Bench::speaking(Dialect::Raw, false);
    bench.hear(UPGRADED.as_bytes()).unwrap();
    assert!(bench.connection.is_ready() && bench.said().is_empty());
}

#[test]
fn it_connects_and_subscribes_at_centrifugo() {
    let mut bench = Bench::speaking(Dialect::Centrifugo, true);
    bench.hear(UPGRADED.as_bytes()).unwrap();
    assert_eq!(bench.said(), [r#"{"id":1,"connect":{}}"#]);
    bench.hear_text("{\"id\":1,\"connect\":{\"client\":\"c\"}}\n{}").unwrap();
    assert_eq!(bench.said(), [r#"{"id":2,"subscribe":{"channel":"lt-t-0"}}"#, "{}"]);
    bench.hear_text(r#"{"id":2,"subscribe":{}}"#).unwrap();
    assert!(bench.connection.is_ready());
    bench.hear_text(r#"{"push":{"channel":"lt-t-0","pub":{"data":{"content":"~s0.0.3000000~"}}}}"#).unwrap();
    assert_eq!((bench.ledger.delivered, bench.ledger.pings), (1, 1));
}

#[test]
fn the_way_bytes_are_cut_does_not_matter() {
    let mut bytes = UPGRADED.as_bytes().to_vec();
    for text in [r#"0{"sid":"a"}"#, "2", r#"40{"sid":"b"}"#] {
        bytes.extend(frame(text));
    }
    for cut in 0..=bytes.len() {
        let mut bench = Bench::new(false);
        bench.hear(&bytes[..cut]).unwrap();
        bench.hear(&bytes[cut..]).unwrap();
        assert!(bench.connection.is_ready(), "cut at {cut}");
        assert_eq!(bench.said(), [r#"40{"userId":"lt-0"}"#, "3"], "cut at {cut}");
    }
}

#[test]
fn messages_are_entered_with_their_latency() {
    let mut bench = Bench::after(false, &[r#"0{"sid":"a"}"#, r#"40{"sid":"b"}"#]);
    for sequence in [0, 2, 2] {
        let mut text = br#"42["message",{"content":""#.to_vec();
        Mark { room: Room(0), sequence, at: Moment(3_000_000) }.push(&mut text, 64);
        text.extend_from_slice(br#""},"offset"]"#);
        bench.hear_text(&String::from_utf8(text).unwrap()).unwrap();
    }
    assert_eq!((bench.ledger.delivered, bench.ledger.doubled), (2, 1));
    assert_eq!(bench.record.tally().unwrap().lost(3), 1);
    assert_eq!(bench.ledger.delivery.percentiles().max_ms, 2.0);
}

#[test]
fn websocket_pings_are_answered() {
    let mut bench = Bench::after(false, &[]);
    let mut ping = Vec::new();
    push_frame(&mut ping, Opcode::Ping, b"x");
    bench.hear(&ping).unwrap();
    assert_eq!(bench.said(), ["Pong([120])"]);
}

#[test]
fn what_ends_a_connection_is_said_in_words() {
    let mut close = Vec::new();
    push_close(&mut close, CloseCode::TRY_AGAIN_LATER, "full");
    for (heard, expected) in [
        (close, "closed by the server: 1013 full"),
        (frame(r#"44{"message":"Invalid token"}"#), r#"CONNECT refused: {"message":"Invalid token"}"#),
        (frame("1"), "session ended by the server"),
        (frame("x"), "unreadable packet: x"),
        (vec![0x81, 0x80, 0, 0, 0, 0], "server broke WebSocket: "),
    ] {
        let reason = Bench::after(false, &[r#"0{"sid":"a"}"#]).hear(&heard).unwrap_err();
        assert!(reason.starts_with(expected), "{reason}");
    }
    let mut bench = Bench::after(true, &[r#"0{"sid":"a"}"#, r#"40{"sid":"b"}"#]);
    let denied = r#"430[{"success":false,"error":{"code":"ROOM_ACCESS_DENIED"}}]"#;
    assert_eq!(bench.hear_text(denied).unwrap_err(), "join refused: ROOM_ACCESS_DENIED");
    let refused = Bench::new(false).hear(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err();
    assert_eq!(refused, "handshake answered with status 503");
}

/// An answer to a poll or a POST.
fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The request lines and bodies for both sockets since it was last asked, polls first.
fn requests(bench: &mut Bench) -> Vec<String> {
    bench.connection.dispatch(&mut bench.speech);
    let text =
        [bench.speech.bytes(), bench.speech.posts()].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    bench.speech.clear();
    let texts = text.iter().filter(|text| !text.is_empty());
    let split = texts.map(|text| text.split_once("\r\n\r\n").unwrap());
    split.map(|(head, body)| format!("{} {body}", head.split(" HTTP/1.1").next().unwrap())).collect()
}

#[test]
fn a_poll_is_always_on_its_way_and_posts_wait_for_each_other() {
    let mut bench = Bench::over(Transport::Polling, Dialect::Chat, true);
    bench.speech.open();
    assert_eq!(requests(&mut bench), ["GET /socket.io/?EIO=4&transport=polling "]);
    let (poll, post) =
        ("GET /socket.io/?EIO=4&transport=polling&sid=a ", "POST /socket.io/?EIO=4&transport=polling&sid=a ");

    bench.hear(&answer(r#"0{"sid":"a","pingInterval":25000}"#)).unwrap();
    assert_eq!(requests(&mut bench), [poll.to_owned(), format!(r#"{post}40{{"userId":"lt-0"}}"#)]);
    // The answer to the POST is still to come, so the join and the pong wait, and go together.
    bench.hear(&answer("40{\"sid\":\"b\"}\u{1e}2")).unwrap();
    assert_eq!(requests(&mut bench), [poll]);
    bench.hear_on(Lane::Posts, &answer("ok")).unwrap();
    let join = r#"420["channel:join",{"channelId":"lt-t-0"}]"#;
    assert_eq!(requests(&mut bench), [format!("{post}{join}\u{1e}3")]);

    bench.hear(&answer(r#"430[{"success":true}]"#)).unwrap();
    assert!(bench.connection.is_ready());
}

#[test]
fn a_poll_that_is_refused_ends_the_connection_in_words() {
    let mut bench = Bench::over(Transport::Polling, Dialect::Chat, true);
    let refused = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad";
    assert_eq!(bench.hear(refused).unwrap_err(), "GET answered with status 400: bad");
    assert_eq!(bench.hear(&answer("2")).unwrap_err(), "the open packet has no sid");
}
