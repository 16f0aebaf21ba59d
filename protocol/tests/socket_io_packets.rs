//! The verdict on several hundred packets, good and bad, is that of Node's parser, or differs for a written reason.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use protocol::json::Validator;
use protocol::socket_io::{self, Assembler, Kind, Packet};
use serde_json::{Map, Value};

const TABLE: &str = include_str!("socket_io_packets.tsv");
const BYTES_MAX: usize = 1_000_000;

#[test]
fn packets_are_judged_as_in_node() {
    let rows = || TABLE.lines().filter(|line| !line.starts_with('#'));
    let differences: Vec<String> = rows().filter_map(difference).collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(rows().count() > 700);
}

fn difference(row: &str) -> Option<String> {
    let columns: Vec<&str> = row.split('\t').collect();
    let [packet, attachments, node, ours, why] = columns[..] else {
        return Some(format!("a row has five columns: {row}"));
    };
    let text: String = serde_json::from_str(packet).unwrap();
    let expected = if ours.is_empty() { node } else { ours };
    let found = verdict(&text, attachments.parse().unwrap());
    let has_reason = ours.is_empty() == why.is_empty();
    (!has_reason || !is_same(expected, &found)).then(|| format!("{packet}\t{attachments}\t{node}\t{found}"))
}

/// `waits`, `refused` (the connection is closed), `dropped` (the packet means nothing), `unusable` (answered with an
/// error), or `taken` and what was understood.
fn verdict(text: &str, attachments: u8) -> String {
    let mut assembler = Assembler::new();
    let mut verdict = match assembler.text(text) {
        Ok(Some(packet)) => examine(&packet, 0),
        Ok(None) => "waits".to_owned(),
        Err(error) => refusal(error),
    };
    for attachment in 0..attachments {
        if verdict != "waits" && verdict != "refused" {
            assert!(assembler.binary(&[attachment], BYTES_MAX).is_err());
            return "refused".to_owned();
        }
        if let Ok(Some(complete)) = assembler.binary(&[attachment], BYTES_MAX) {
            verdict = examine(&complete.packet(), complete.attachments.len());
        }
    }
    verdict
}

fn examine(packet: &Packet<'_>, attachments: usize) -> String {
    let mut validator = Validator::new();
    let data = match packet.data {
        "" => None,
        text => match validator.check(text) {
            Ok(json) => Some(json),
            Err(error) => return if error.is_well_formed() { "unusable" } else { "refused" }.to_owned(),
        },
    };
    if let Err(error) = socket_io::check(packet, data, attachments) {
        return refusal(error);
    }
    let mut taken = Map::new();
    taken.insert("kind".to_owned(), kind_name(packet.kind).into());
    taken.insert("namespace".to_owned(), packet.namespace.into());
    if let Some(id) = packet.id {
        taken.insert("id".to_owned(), id.into());
    }
    if let Some(data) = data {
        taken.insert("data".to_owned(), serde_json::from_str(data.as_raw()).unwrap());
    }
    format!("taken {}", Value::Object(taken))
}

fn refusal(error: socket_io::ParseError) -> String {
    if error.closes() { "refused" } else { "dropped" }.to_owned()
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Connect => "connect",
        Kind::Disconnect => "disconnect",
        Kind::Event | Kind::BinaryEvent => "event",
        Kind::Ack | Kind::BinaryAck => "ack",
        Kind::ConnectError => "connect_error",
    }
}

fn is_same(expected: &str, found: &str) -> bool {
    match (expected.strip_prefix("taken "), found.strip_prefix("taken ")) {
        (Some(expected), Some(found)) => match serde_json::from_str(expected) {
            Ok(expected) => is_same_value(&expected, &serde_json::from_str(found).unwrap()),
            Err(_) => false,
        },
        _ => expected == found,
    }
}

/// JavaScript has one kind of number: 1.0 is 1, and -0 is written 0.
fn is_same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same_value(a, b)))
        }
        _ => a == b,
    }
}
