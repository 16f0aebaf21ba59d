//! The promise of the decoder of Redis' replies: the same reading however the bytes are cut, and never more memory than
//! was allowed.

use protocol::redis::{Decoder, DecoderLimits, List, Received, Reply, Violation};

use crate::pieces::{pieces, split_choice};

const LIMITS: DecoderLimits = DecoderLimits { reply_bytes_max: 2_048, elements_max: 256 };

/// The first byte chooses how the rest is cut.
pub fn target(input: &[u8]) {
    let (choice, bytes) = split_choice(input);
    let whole = read(&[bytes]);
    let cut = read(&pieces(bytes, choice));
    // Where reading ends differs: of a reply that becomes too long, more may be there already when it is found out.
    let shorter = whole.0.len().min(cut.0.len());
    assert_eq!(whole.0[..shorter], cut.0[..shorter], "a cut changed what is read");
    if whole.1.is_none() || cut.1.is_none() {
        assert_eq!(whole, cut, "a cut changed whether all is read");
    }
}

fn read(pieces: &[&[u8]]) -> (Vec<String>, Option<Violation>) {
    let (mut decoder, mut received) = (Decoder::new(LIMITS), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let room = decoder.room();
            assert!(!room.is_empty(), "there is always room");
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            decoder.filled(now.len());
            rest = later;
            loop {
                match decoder.take() {
                    Ok(Some(one)) => received.push(inspect(one)),
                    Ok(None) => break,
                    Err(violation) => return (received, Some(violation)),
                }
            }
        }
    }
    (received, None)
}

fn inspect(received: Received<'_>) -> String {
    match received {
        Received::Message { topic, payload } => format!("{topic:?} {payload:?}"),
        Received::Push(list) => format!(">{}", inspect_list(list)),
        Received::Reply(reply) => inspect_reply(reply),
    }
}

fn inspect_list(list: List<'_>) -> String {
    assert_eq!(list.iter().count(), list.len(), "an aggregate has as many elements as it says");
    list.iter().map(inspect_reply).collect::<Vec<_>>().join(" ")
}

fn inspect_reply(reply: Reply<'_>) -> String {
    let _ = reply.field(b"version");
    match reply {
        Reply::Text(text) => format!("{text:?}"),
        Reply::Error(text) => format!("-{text:?}"),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "_".to_owned(),
        Reply::List(list) => format!("[{}]", inspect_list(list)),
        Reply::Map(list) => format!("{{{}}}", inspect_list(list)),
    }
}

/// The beginning of a connection, messages, and a list of lists.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        b"\x02%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$7\r\nmodules\r\n*0\r\n+OK\r\n".to_vec(),
        b"\x03>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n:1\r\n".to_vec(),
        b"\x01*2\r\n*3\r\n$3\r\n1-1\r\n*2\r\n+m\r\n$-1\r\n_\r\n#t\r\n|1\r\n+ttl\r\n:5\r\n=7\r\ntxt:abc\r\n!3\r\nOOM\r\n".to_vec(),
        b"\x05-MOVED 3999 127.0.0.1:6381\r\n~2\r\n,1.5\r\n(12345678901234567890\r\n>3\r\n$8\r\nsmessage\r\n$0\r\n\r\n$0\r\n\r\n".to_vec(),
    ]
}
