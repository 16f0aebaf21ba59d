//! The promises of permessage-deflate: any offer is judged, any bytes are inflated within the bound, and what was
//! compressed comes back.

use protocol::websocket::deflate::{self, Deflater, InflateError, Inflater};

const INFLATED_BYTES_MAX: usize = 2000;

/// The input is an offer when it is text, and a compressed message, and a message.
pub fn target(input: &[u8]) {
    if let Ok(offer) = core::str::from_utf8(input) {
        let verdict = deflate::is_acceptable([offer]);
        let declined_first = format!("x-unknown, {offer}");
        assert_eq!(
            deflate::is_acceptable([declined_first.as_str()]),
            verdict,
            "another offer changed the verdict"
        );
    }

    let mut out = b"before".to_vec();
    let outcome = Inflater::new().inflate(input, &mut out, INFLATED_BYTES_MAX);
    assert!(out.starts_with(b"before") && out.len() <= 6 + INFLATED_BYTES_MAX);
    assert!(out.capacity() <= 2 * INFLATED_BYTES_MAX + 2048, "{} bytes were taken", out.capacity());
    assert!(outcome.is_ok() || out.len() == 6, "an error left something behind");

    let mut compressed = Vec::new();
    Deflater::new().deflate(input, &mut compressed);
    let mut back = Vec::new();
    let bytes_max = input.len();
    assert_eq!(Inflater::new().inflate(&compressed, &mut back, bytes_max), Ok(()));
    assert_eq!(back, input);
    if let Some(too_small) = bytes_max.checked_sub(1) {
        let outcome = Inflater::new().inflate(&compressed, &mut back, too_small);
        assert_eq!(outcome, Err(InflateError::TooBig));
    }
}

/// Offers of browsers and libraries, and compressed messages.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut bomb = Vec::new();
    Deflater::new().deflate(&[b'a'; 4000], &mut bomb);
    let mut event = Vec::new();
    Deflater::new().deflate(
        b"42[\"message\",{\"content\":\"hello hello hello\",\"channelId\":\"general\"}]",
        &mut event,
    );
    vec![
        b"permessage-deflate; client_max_window_bits".to_vec(),
        b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=\"12\", permessage-deflate"
            .to_vec(),
        b"permessage-deflate;server_no_context_takeover;client_no_context_takeover, x-webkit-deflate-frame"
            .to_vec(),
        bomb,
        event,
        vec![0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
    ]
}
