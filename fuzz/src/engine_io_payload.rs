//! Polling payloads and queries: bounded, and written back they come apart the same way.

use protocol::engine_io::{Open, Packet, PayloadLimits, Record, Sid, payload, query};

const LIMITS: PayloadLimits = PayloadLimits { records_max: 16, bytes_max: 4096 };

/// Takes the input apart as a polling body, as a query, as a handshake's reply and as a session id.
///
/// # Panics
/// If a bound is passed, or if what was read is written differently.
pub fn target(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else {
        return;
    };
    let records: Vec<_> = payload::records(body, &LIMITS).collect();
    assert!(!records.is_empty() && records.len() <= LIMITS.records_max + 1);
    assert!(records.iter().rev().skip(1).all(Result::is_ok), "went on after an error");
    let messages: Vec<_> = records.into_iter().map_while(Result::ok).filter(is_message).collect();
    if !messages.is_empty() {
        let written = write(&messages);
        let again: Vec<_> =
            payload::records(&written, &PayloadLimits { bytes_max: written.len(), ..LIMITS }).collect();
        assert_eq!(again, messages.into_iter().map(Ok).collect::<Vec<_>>());
    }
    if let Ok(query) = query::parse(body) {
        assert!(query.pairs().count() <= body.len() + 1);
        assert!(query.get("EIO").is_some_and(|revision| revision == "4"));
    }
    if let Some(open) = Open::parse(body) {
        assert!(body.contains(open.sid));
    }
    if let Some(sid) = Sid::parse(body) {
        assert_eq!(sid.to_text(), body);
    }
}

/// One of each thing that is read.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "4hello\u{1e}bAQIDBA==\u{1e}2probe\u{1e}4\u{1e}b-_8\u{1e}6",
        "EIO=4&transport=polling&t=P0&sid=a%20b+c",
        r#"{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000,"maxPayload":1000000}"#,
        "AAMBAgMEMDEyMzQ1Njc4OWFiY2RlZg",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn is_message(record: &Record<'_>) -> bool {
    matches!(record, Record::Binary(_) | Record::Text(Packet::Message(_)))
}

fn write(messages: &[Record<'_>]) -> String {
    let mut out = Vec::new();
    for message in messages {
        match message {
            Record::Text(Packet::Message(text)) => {
                payload::push_text(&mut out, format!("4{text}").as_bytes())
            }
            Record::Binary(bytes) => payload::push_binary(&mut out, bytes),
            Record::Text(_) => {}
        }
    }
    String::from_utf8(out).expect("made of text and base64")
}
