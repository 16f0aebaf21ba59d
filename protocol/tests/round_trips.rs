//! What is written for a client is what a client reads.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use protocol::engine_io::sid::NodeName;
use protocol::engine_io::{Packet, PayloadLimits, Record, Sid, payload};
use protocol::json::{Json, Validator};
use protocol::socket_io::{self, Assembler, Kind, encode};

const LIMITS: PayloadLimits = PayloadLimits { records_max: 20, bytes_max: 100_000 };

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[a-z0-9/é_-]{1,12}"]
}

fn arguments() -> impl Strategy<Value = Vec<String>> {
    let argument = prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#"{"a":[1,{"b":"}"}]}"#.to_owned()),
    ];
    prop::collection::vec(argument, 0..5)
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn config() -> ProptestConfig {
    use proptest::test_runner::FileFailurePersistence;
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as _);
    ProptestConfig { failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn events_come_back(namespace in namespace(), id in any::<Option<u64>>(), name in any::<String>(), arguments in arguments()) {
        prop_assume!(!socket_io::is_reserved(&name));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let text = text(|out| encode::push_event(out, &namespace, id, &name, &arguments));
        let packet = socket_io::parse(&text).unwrap();
        prop_assert_eq!((packet.kind, packet.namespace, packet.id), (Kind::Event, &*namespace, id));
        let mut validator = Validator::new();
        let data = validator.check(packet.data).unwrap();
        prop_assert_eq!(socket_io::check(&packet, Some(data), 0), Ok(()));
        let items: Vec<_> = data.items().collect();
        prop_assert_eq!(items[0].as_str().unwrap(), name);
        let read: Vec<&str> = items[1..].iter().map(|item| item.as_raw()).collect();
        prop_assert_eq!(read, arguments);
    }

    #[test]
    fn binary_packets_come_back(
        namespace in namespace(),
        id in any::<u64>(),
        is_event in any::<bool>(),
        attachments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..=socket_io::ATTACHMENTS_MAX),
    ) {
        let placeholders: Vec<String> =
            (0..attachments.len()).map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#)).collect();
        let data = format!(r#"["name",{}]"#, placeholders.join(","));
        let mut text = text(|out| match is_event {
            true => encode::push_event_head(out, &namespace, Some(id), attachments.len()),
            false => encode::push_ack_head(out, &namespace, id, attachments.len()),
        });
        text.push_str(&data);
        let mut assembler = Assembler::new();
        prop_assert_eq!(assembler.text(&text), Ok(None));
        let mut complete = None;
        for attachment in &attachments {
            prop_assert!(complete.is_none());
            complete = assembler.binary(attachment, 10_000).unwrap();
        }
        let complete = complete.unwrap();
        prop_assert_eq!(&complete.attachments, &attachments);
        let packet = complete.packet();
        let kind = if is_event { Kind::BinaryEvent } else { Kind::BinaryAck };
        prop_assert_eq!((packet.kind, packet.namespace, packet.id, packet.data), (kind, &*namespace, Some(id), &*data));
        let mut validator = Validator::new();
        let data = validator.check(packet.data).unwrap();
        prop_assert_eq!(socket_io::check(&packet, Some(data), attachments.len()), Ok(()));
        prop_assert!(socket_io::check(&packet, Some(data), attachments.len() - 1).is_err());
    }

    #[test]
    fn handshakes_and_refusals_come_back(namespace in namespace(), words in any::<String>(), pid in any::<Option<String>>()) {
        let connect = text(|out| encode::push_connect(out, &namespace, &words, pid.as_deref()));
        let refusal = text(|out| encode::push_connect_error(out, &namespace, &words, None));
        for (text, kind, field) in [(&connect, Kind::Connect, "sid"), (&refusal, Kind::ConnectError, "message")] {
            let packet = socket_io::parse(text).unwrap();
            prop_assert_eq!((packet.kind, packet.namespace), (kind, &*namespace));
            let mut validator = Validator::new();
            let data = validator.check(packet.data).unwrap();
            prop_assert_eq!(socket_io::check(&packet, Some(data), 0), Ok(()));
            prop_assert_eq!(data.get(field).unwrap().as_str().unwrap(), words.as_str());
            let expected = pid.as_deref().filter(|_| kind == Kind::Connect);
            let read = data.get("pid").and_then(Json::as_str);
            prop_assert_eq!(read.as_deref(), expected);
        }
    }

    #[test]
    fn payloads_come_back(messages in prop::collection::vec(any::<Result<String, Vec<u8>>>(), 1..10)) {
        let is_sendable = |message: &Result<String, Vec<u8>>| !message.as_ref().is_ok_and(|text| text.contains('\u{1e}'));
        prop_assume!(messages.iter().all(is_sendable));
        let body = text(|out| {
            for message in &messages {
                match message {
                    Ok(text) => payload::push_text(out, format!("4{text}").as_bytes()),
                    Err(bytes) => payload::push_binary(out, bytes),
                }
            }
        });
        let read: Vec<_> = payload::records(&body, &LIMITS).map(Result::unwrap).collect();
        let expected: Vec<_> = messages
            .iter()
            .map(|message| match message {
                Ok(text) => Record::Text(Packet::Message(text)),
                Err(bytes) => Record::Binary(bytes.clone()),
            })
            .collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn session_ids_come_back_and_nothing_else_does(core: u16, slot: u32, secret: [u8; 16], name in "[A-Z0-9]{8}", is_named: bool, noise in "[A-Za-z0-9_-]{30}([A-Z0-9]{8})?") {
        let node = NodeName::parse(&name).filter(|_| is_named);
        let sid = Sid { node, core, slot, secret };
        prop_assert_eq!(Sid::parse(&sid.to_text()), Some(sid));
        prop_assert!(Sid::parse(&noise).is_none_or(|sid| sid.to_text() == noise));
    }

    #[test]
    fn nothing_that_arrives_does_harm(text in any::<String>(), near in "[0-6][0-9/,\\-]{0,6}[\\[{]?[\"a-z_:0-9{}\\[\\],\\\\]{0,20}") {
        for text in [&text, &near] {
            let mut assembler = Assembler::new();
            let _ = assembler.text(text);
            let _ = assembler.binary(text.as_bytes(), 100);
            let _ = socket_io::parse(text);
            let _ = payload::records(text, &LIMITS).count();
            let _ = protocol::engine_io::query::parse(text);
            let _ = protocol::engine_io::Open::parse(text);
        }
    }
}
