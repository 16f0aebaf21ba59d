//! Socket.IO packets with attachments, as one connection sends them: lines of text, a line that begins with `#` being
//! a binary message.

use protocol::json::Validator;
use protocol::socket_io::{self, ATTACHMENTS_MAX, Assembler, Packet};

const BYTES_MAX: usize = 4096;

/// Feeds an assembler line by line until it refuses one, and checks every packet that comes out.
///
/// # Panics
/// If more is held than arrived or than is allowed, or if a packet has other parts than its text.
pub fn target(data: &[u8]) {
    let mut assembler = Assembler::new();
    let mut validator = Validator::new();
    for line in data.split(|&byte| byte == b'\n') {
        let outcome = match (line.strip_prefix(b"#"), std::str::from_utf8(line)) {
            (Some(bytes), _) => assembler.binary(bytes, BYTES_MAX).map(|complete| {
                let Some(complete) = complete else {
                    return;
                };
                assert_eq!(complete.packet().attachment_count, complete.attachments.len());
                examine(&complete.packet(), &mut validator);
            }),
            (None, Ok(text)) if text.len() <= BYTES_MAX => assembler
                .text(text)
                .map(|packet| packet.iter().for_each(|packet| examine(packet, &mut validator))),
            _ => return,
        };
        if outcome.is_err() {
            return;
        }
        assert!(assembler.held_bytes() <= BYTES_MAX.min(data.len()), "held more than arrived");
    }
}

/// Connections that say every kind of packet.
pub fn seeds() -> Vec<Vec<u8>> {
    let connections = [
        "0{\"token\":\"t\"}\n20[\"channel:join\",{\"channelId\":\"c1\"}]\n31[1]\n1",
        "0/admin?x=1,{}\n2/admin,7[\"a\"]\n1/admin,\n4{\"message\":\"no\"}",
        "51-/a,7[\"x\",{\"_placeholder\":true,\"num\":0}]\n#bytes\n2[\"connect\"]",
        "62-3[{\"_placeholder\":true,\"num\":1},{\"b\":{\"_placeholder\":true,\"num\":0}}]\n#\n#b\n2[\"a\"]",
    ];
    connections.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn examine(packet: &Packet<'_>, validator: &mut Validator) {
    assert!(packet.namespace.starts_with('/') && !packet.namespace.contains([',', '?']));
    assert!(packet.attachment_count <= ATTACHMENTS_MAX);
    assert!(packet.kind.is_binary() == (packet.attachment_count > 0));
    let data = match packet.data {
        "" => None,
        text => match validator.check(text) {
            Ok(json) => Some(json),
            Err(_) => return,
        },
    };
    if socket_io::check(packet, data, packet.attachment_count).is_err() {
        return;
    }
    if let Some(name) = data.and_then(|data| data.items().next()?.as_str()) {
        let is_event = matches!(packet.kind, socket_io::Kind::Event | socket_io::Kind::BinaryEvent);
        assert!(!(is_event && socket_io::is_reserved(&name)), "a reserved name came through");
    }
}
