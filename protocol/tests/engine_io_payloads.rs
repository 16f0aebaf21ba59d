//! Polling payloads come apart as in Node's parser, or differently for a written reason.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use protocol::engine_io::{Packet, PayloadLimits, Record, payload};

const TABLE: &str = include_str!("engine_io_payloads.tsv");
const LIMITS: PayloadLimits = PayloadLimits { records_max: 100, bytes_max: 100_000 };

#[test]
fn payloads_come_apart_as_in_node() {
    let rows = || TABLE.lines().filter(|line| !line.starts_with('#'));
    let differences: Vec<String> = rows().filter_map(difference).collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(rows().count() > 50);
}

fn difference(row: &str) -> Option<String> {
    let columns: Vec<&str> = row.split('\t').collect();
    let [body, node, ours, why] = columns[..] else {
        return Some(format!("a row has four columns: {row}"));
    };
    let body_text: String = serde_json::from_str(body).unwrap();
    let expected = if ours.is_empty() { node } else { ours };
    let expected: Vec<String> = serde_json::from_str(expected).unwrap();
    let found: Vec<String> = payload::records(&body_text, &LIMITS).map(|record| words(record.ok())).collect();
    let has_reason = ours.is_empty() == why.is_empty();
    (!has_reason || expected != found)
        .then(|| format!("{body}\t{node}\t{}", serde_json::to_string(&found).unwrap()))
}

fn words(record: Option<Record<'_>>) -> String {
    let (name, text) = match record {
        None => return "error".to_owned(),
        Some(Record::Binary(bytes)) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return format!("binary {hex}");
        }
        Some(Record::Text(packet)) => match packet {
            Packet::Open(text) => ("open", text),
            Packet::Close => ("close", ""),
            Packet::Ping(text) => ("ping", text),
            Packet::Pong(text) => ("pong", text),
            Packet::Message(text) => ("message", text),
            Packet::Binary(_) => ("binary frame", ""),
            Packet::Upgrade => ("upgrade", ""),
            Packet::Noop => ("noop", ""),
        },
    };
    format!("{name} {text}")
}
