//! What nodes write for each other stays as it is: while a release is rolled out, two versions run side by side.
//!
//! A form that has to change takes a new version number, is read in both versions for one release, and only written in
//! the new one from the next release on. The rows of the former version stay here until then.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::fmt::Debug;

use protocol::chat::dialect::Dialect;
use protocol::chat::event::Kind;
use protocol::chat::status::Status;
use protocol::engine_io::sid::{NodeName, Sid};
use protocol::relay::Message;
use protocol::relay::forward::{Asker, Forwarding, Step, Target};
use protocol::relay::session::{KeptChannel, SessionRecord};
use protocol::relay::signal::{
    Change, Changes, CustomStamped, Lane, Piece, Signal, Summary, TypingSign, TypingTurn, Word,
};

const TABLE: &str = include_str!("relay_forms.tsv");
const RUN: &str = "0A1B2C3D";

/// Holds a form to its row: it is written so, and what is written so is read as this.
#[track_caller]
fn check<T: Debug + PartialEq>(name: &str, form: &T, written: &[u8], read: impl Fn(&[u8]) -> bool) {
    let row = TABLE.lines().filter_map(|line| line.split_once('\t')).find(|(of, _)| *of == name);
    let found = written.escape_ascii().to_string();
    let Some((_, expected)) = row else { panic!("no row for\n{name}\t{found}") };
    assert_eq!(found, expected, "{name} is written in another way: nodes of the last release cannot read it");
    assert!(read(&unescape(expected)), "{name} is not read as {form:?}");
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&letter, after) = rest.split_first().unwrap();
        rest = after;
        bytes.push(match letter {
            b't' => b'\t',
            b'n' => b'\n',
            b'r' => b'\r',
            b'x' => {
                let (digits, after) = rest.split_at(2);
                rest = after;
                u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}

#[test]
fn every_row_is_held() {
    let names: Vec<&str> = TABLE.lines().filter_map(|line| Some(line.split_once('\t')?.0)).collect();
    let source = include_str!("relay_forms.rs");
    let unheld: Vec<_> = names.iter().filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(unheld.is_empty() && names.len() > 25, "rows that no test reads: {unheld:?}");
}

#[test]
fn publications_keep_their_form() {
    for (name, kind) in [
        ("message", Kind::Message),
        ("reaction added", Kind::Reaction { is_added: true }),
        ("reaction removed", Kind::Reaction { is_added: false }),
        ("read", Kind::Read),
        ("relayed", Kind::Relay { event: "call:started".into() }),
    ] {
        let message = Message {
            kind,
            run: RUN,
            number: 70_000,
            id: "01ARYZ6S410000000000000000",
            key: 0x0102_0304_0506_0708,
            user: "\u{fc}7",
            body: br#""content":"hi""#,
            attachments: vec![b"", b"\x00\xff"],
        };
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        check(name, &message, &bytes, |bytes| Message::read(bytes).as_ref() == Some(&message));
    }
}

#[test]
fn signals_keep_their_form_and_nothing_else_is_read_as_one() {
    let sign = TypingSign {
        user: "u7",
        name: Some("Ann"),
        thread: None,
        room_type: Some("dm"),
        session: 7,
        turn: TypingTurn::Start,
    };
    let lane = Lane { generation: 2, core: 3, number: 70_000 };
    for (name, word) in [
        ("typing", Word::Typing(sign.clone())),
        ("typing ended", Word::Typing(TypingSign { name: None, turn: TypingTurn::Stop, ..sign.clone() })),
        (
            "typing ended everywhere",
            Word::Typing(TypingSign { thread: Some("t"), turn: TypingTurn::StopAll, ..sign.clone() }),
        ),
        (
            "typing ended in a thread with an empty name",
            Word::Typing(TypingSign { user: "\u{fc}7", thread: Some(""), turn: TypingTurn::StopAll, ..sign }),
        ),
        ("said", Word::Said { user: "u7", status: Status::Away }),
        ("rights of a user ended", Word::Revoked { user: Some("u7"), channel: Some("a") }),
        ("rights in a channel ended", Word::Revoked { user: None, channel: Some("a") }),
        ("rights of all ended", Word::Revoked { user: None, channel: None }),
        ("evicted", Word::Evicted { pid: "0A1B2C3D00SECRET" }),
        ("spent", Word::Spent { user: "u7", class: 4 }),
        ("notified", Word::Notified { user: "u7", name: "notification:read", id: Some("n1") }),
        ("all notified", Word::Notified { user: "u7", name: "notification:read_all", id: None }),
        ("epoch renounced", Word::Renounced { epoch: "AAAAAAAA" }),
        ("hello", Word::Hello),
        ("head", Word::Head(lane)),
        ("ask", Word::Ask { of: "0A1B2C3D", core: 1 }),
        ("changes", Word::Changes(Changes { lane, piece: None, bytes: b"" })),
        (
            "piece",
            Word::Changes(Changes { lane, piece: Some(Piece { index: 1, is_last: true }), bytes: b"" }),
        ),
    ] {
        let is_open = matches!(word, Word::Changes(_));
        let signal = Signal { run: RUN, word };
        let mut bytes = signal.bytes();
        check(name, &signal, &bytes, |bytes| Signal::read(bytes).as_ref() == Some(&signal));
        for end in 0..bytes.len() {
            assert_ne!(Signal::read(&bytes[..end]).as_ref(), Some(&signal), "{end} of {signal:?}");
        }
        bytes.push(0);
        assert_eq!(Signal::read(&bytes).is_some(), is_open, "more than {signal:?}");
        bytes[0] = b'2';
        assert_eq!(Signal::read(&bytes), None, "another version");
        bytes[..2].copy_from_slice(b"1?");
        assert_eq!(Signal::read(&bytes), None, "another word");
    }
}

#[test]
fn changes_of_presence_keep_their_form() {
    let custom =
        CustomStamped { text: Some("busy"), emoji: Some("!"), expires_at_unix_ms: Some(1 << 40), stamp: 9 };
    let summary = Summary {
        status: Some(Status::Online),
        connection_count: 2,
        last_seen_unix_ms: 1 << 40,
        choice: Some(Status::Away),
        choice_stamp: 8,
        custom,
    };
    for (name, change) in [
        ("user is", Change::Is { user: "u7", summary, is_said: true }),
        ("user is not there", Change::Is { user: "u7", summary: Summary::default(), is_said: false }),
        (
            "joined",
            Change::Joined { user: "u7", name: Some("Ann"), channel: "a", joined_at_unix_ms: 1 << 40 },
        ),
        ("left", Change::Left { user: "u7", channel: "a", was_lost: true }),
        ("gone", Change::Gone { user: "u7", last_seen_unix_ms: 1 << 40 }),
    ] {
        let mut written = Vec::new();
        change.write(&mut written);
        let lane = Lane { generation: 1, core: 0, number: 1 };
        check(name, &change, &written, |bytes| {
            Changes { lane, piece: None, bytes }.list() == Some(vec![change.clone()])
        });
    }
}

#[test]
fn records_of_sessions_keep_their_form() {
    for (name, dialect, said) in [
        ("session", None, None),
        ("primary session", Some(Dialect::Primary), Some(Status::Away)),
        ("legacy session", Some(Dialect::Legacy), Some(Status::Online)),
        ("hybrid session", Some(Dialect::Hybrid), None),
    ] {
        let record = SessionRecord {
            run: RUN,
            core: 3,
            fold: 70_000,
            user: "u7",
            sid: "sid",
            dialect,
            said,
            apart_end: 5,
            own_start: 6,
            followed: vec!["u8"],
            channels: vec![KeptChannel { name: "a", spellings: 3, start: 1 << 40 }],
        };
        let is_same = |bytes: &[u8]| SessionRecord::read(bytes).as_ref() == Some(&record);
        check(name, &record, &record.bytes(), is_same);
    }
}

#[test]
fn forwarded_requests_keep_their_form() {
    let asker = Asker { node: NodeName::parse(RUN).unwrap(), core: 3, number: 70_000 };
    let target = Target { sid: Sid::parse("AAEAAAACAAAAAAAAAAAAAAAAAAAAAA0A1B2C3D").unwrap(), surface: 1 };
    for (name, step) in [
        ("poll", Step::Poll(target)),
        ("post", Step::Post(target, b"4hi\x1e2".to_vec())),
        ("given up", Step::GiveUp(target)),
        ("waits", Step::Waits),
        ("answer", Step::Answer { status: 200, content_type: "text/html", body: b"ok".to_vec() }),
        (
            "answer in text",
            Step::Answer { status: 200, content_type: "text/plain; charset=UTF-8", body: b"6".to_vec() },
        ),
        (
            "answer in JSON",
            Step::Answer { status: 400, content_type: "application/json", body: b"{}".to_vec() },
        ),
        ("answer without a body", Step::Answer { status: 413, content_type: "", body: Vec::new() }),
    ] {
        let forwarding = Forwarding { asker, step };
        let mut bytes = Vec::new();
        forwarding.write(&mut bytes);
        check(name, &forwarding, &bytes, |bytes| Forwarding::read(bytes).as_ref() == Some(&forwarding));
    }
}
