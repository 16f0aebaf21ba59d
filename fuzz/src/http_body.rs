//! The promise of the body reader: the same body however the bytes are cut, within its bound and the bytes fed.

use protocol::http::{BodyReader, Framing, HttpError};

use crate::pieces::{pieces, split_choice};

const BODY_BYTES_MAX: usize = 300;

/// The first byte chooses the framing, the second how the rest is cut.
pub fn target(input: &[u8]) {
    let (framing, rest) = split_choice(input);
    let (choice, bytes) = split_choice(rest);
    let framing = match framing {
        0 => Framing::None,
        1..128 => Framing::Chunked,
        length => Framing::Length(u64::from(length - 128) * 5),
    };
    let whole = read(framing, &[bytes]);
    assert_eq!(read(framing, &pieces(bytes, choice)), whole, "a cut changed what is read");
}

/// The body, how many bytes it took, and whether it is whole.
fn read(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), HttpError> {
    let mut reader = BodyReader::new(framing, BODY_BYTES_MAX)?;
    let (mut body, mut consumed) = (Vec::new(), 0);
    for piece in pieces {
        let taken = reader.feed(piece, &mut body)?;
        assert!(taken == piece.len() || reader.is_complete(), "bytes are left of an incomplete body");
        consumed += taken;
        assert!(body.len() <= BODY_BYTES_MAX && body.len() <= consumed);
        assert!(body.capacity() <= 2 * consumed + 8, "{} bytes are held for {consumed}", body.capacity());
    }
    let after = reader.clone().feed(b"x", &mut Vec::new());
    assert!(!reader.is_complete() || after == Ok(0), "a complete body takes more");
    Ok((body, consumed, reader.is_complete()))
}

/// Bodies of every framing.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        b"\x01\x025\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n".to_vec(),
        b"\x01\x03a;name=\"value\"\r\n0123456789\r\n1\r\nx\r\n0;last\r\nTrailer: t\r\nOther: u\r\n\r\n"
            .to_vec(),
        b"\x01\x0000Ff\r\n".iter().copied().chain([b'z'; 255]).chain(*b"\r\n0\r\n\r\n").collect(),
        b"\x81\x04hello, and the next request".to_vec(),
        b"\0\0next".to_vec(),
    ]
}
