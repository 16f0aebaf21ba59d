//! What nodes write for each other: read from whatever the store holds, and written back it is the same.

use protocol::engine_io::Sid;
use protocol::engine_io::sid::NodeName;
use protocol::relay::Message;
use protocol::relay::forward::{Asker, Forwarding, Step, Target};
use protocol::relay::signal::{Signal, Word};

/// Takes the input for a publication, a signal and a word about a polling request.
///
/// # Panics
/// If what was read is written differently, or holds more than the input.
pub fn target(data: &[u8]) {
    if let Some(message) = Message::read(data) {
        let mut written = Vec::new();
        message.write(&mut written);
        assert_eq!(Message::read(&written), Some(message));
    }
    if let Some(forwarding) = Forwarding::read(data) {
        let mut written = Vec::new();
        forwarding.write(&mut written);
        assert_eq!(written, data);
    }
    if let Some(signal) = Signal::read(data) {
        assert!(signal.bytes().len() <= data.len());
        assert_eq!(Signal::read(&signal.bytes()).as_ref(), Some(&signal));
        if let Word::Changes(changes) = signal.word {
            let list = changes.list().unwrap_or_default();
            let mut written = Vec::new();
            list.iter().for_each(|change| change.write(&mut written));
            assert!(list.is_empty() || written == changes.bytes);
        }
    }
}

/// One of each thing that is read.
pub fn seeds() -> Vec<Vec<u8>> {
    let message = b"1m0A1B2C3D\x00\x00\x00\x0701ARYZ6S410000000000000000\
        \x00\x00\x00\x01u\x00\x00\x00\x00\x00\x00\x00\x02{}\x00\x00\x00\x01b";
    let changes =
        b"1c0A1B2C3D\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x09\x01\x00\x00\x00\x00\x01\
        j\x00\x00\x00\x01u\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x05\
        l\x00\x00\x00\x01u\x00\x00\x00\x01a\x01g\x00\x00\x00\x01u\x00\x00\x00\x00\x00\x00\x00\x05";
    let mut seeds = vec![message.to_vec(), changes.to_vec()];
    for word in [b"1q0A1B2C3Dwords", b"1a0A1B2C3Dwords"] {
        seeds.push(word.to_vec());
    }
    if let Some(node) = NodeName::parse("0A1B2C3D") {
        let sid = Sid { node: Some(node), core: 3, slot: 7, secret: *b"0123456789abcdef" };
        let (asker, on) = (Asker { node, core: 1, number: 9 }, Target { sid, surface: 0 });
        let answer = Step::Answer { status: 200, content_type: "text/html", body: b"ok".to_vec() };
        let steps = [Step::Poll(on), Step::Post(on, b"42[]".to_vec()), Step::GiveUp(on), Step::Waits, answer];
        seeds.extend(steps.map(|step| {
            let mut bytes = Vec::new();
            Forwarding { asker, step }.write(&mut bytes);
            bytes
        }));
    }
    seeds
}
