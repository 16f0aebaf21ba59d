//! Random messages in random fragments and random pieces are heard as they were said.

use proptest::prelude::*;
use protocol::websocket::frame::{self, Opcode};
use protocol::websocket::{CloseCode, Role};

use super::stream::{FIN, LIMITS, Said, frame as raw_frame, said};

/// One thing that a client says.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    /// A message, whether it is text, and where it is cut into fragments; controls may go between them.
    Message {
        text: String,
        is_text: bool,
        cuts: Vec<prop::sample::Index>,
        between: Vec<Vec<u8>>,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

impl Word {
    /// Appends the frames of this word, and what they mean in the order of its ends.
    pub(crate) fn push(&self, out: &mut Vec<u8>, meaning: &mut Vec<Said>, key: Option<[u8; 4]>) {
        match self {
            Self::Ping(payload) => {
                out.extend(raw_frame(FIN | 0x9, payload, key));
                meaning.push(Said::Ping(payload.clone()));
            }
            Self::Pong(payload) => {
                out.extend(raw_frame(FIN | 0xa, payload, key));
                meaning.push(Said::Pong(payload.clone()));
            }
            Self::Message { text, is_text, cuts, between } => {
                let bytes = text.as_bytes();
                let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                ends.sort_unstable();
                let mut start = 0;
                for (fragment, end) in ends.iter().enumerate() {
                    out.extend(raw_frame(opcode(fragment, *is_text), &bytes[start..*end], key));
                    if let Some(payload) = between.get(fragment) {
                        Self::Ping(payload.clone()).push(out, meaning, key);
                    }
                    start = *end;
                }
                out.extend(raw_frame(FIN | opcode(ends.len(), *is_text), &bytes[start..], key));
                meaning.push(if *is_text { Said::Text(text.clone()) } else { Said::Binary(bytes.to_vec()) });
            }
        }
    }
}

fn opcode(fragment: usize, is_text: bool) -> u8 {
    match (fragment, is_text) {
        (0, true) => 0x1,
        (0, false) => 0x2,
        _ => 0x0,
    }
}

pub(crate) fn words() -> impl Strategy<Value = Vec<Word>> {
    let control = || prop::collection::vec(any::<u8>(), 0..=125);
    let text = prop_oneof![4 => ".{0,40}", 1 => "[a-zä€𝄞]{100,300}", 1 => "\\PC{0,3}"];
    let message = (
        text,
        any::<bool>(),
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        prop::collection::vec(control(), 0..3),
    )
        .prop_map(|(text, is_text, cuts, between)| Word::Message { text, is_text, cuts, between });
    let word =
        prop_oneof![6 => message, 1 => control().prop_map(Word::Ping), 1 => control().prop_map(Word::Pong)];
    prop::collection::vec(word, 0..8)
}

/// Text around the length where a header grows to eight bytes of length.
pub(crate) fn long_text() -> impl Strategy<Value = String> {
    (65_530..65_540_usize).prop_map(|length| "é".repeat(length / 2) + if length % 2 == 1 { "e" } else { "" })
}

/// Cuts `stream` into pieces of the given lengths, again and again.
pub(crate) fn pieces<'a>(stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

pub(crate) fn piece_lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..4_usize, 1..60_usize, 100..2000_usize], 1..6)
}

proptest! {
    #[test]
    fn what_a_client_says_is_heard_by_the_server(
        words in words(), key in any::<[u8; 4]>(), lengths in piece_lengths(),
    ) {
        let (mut stream, mut meaning) = (Vec::new(), Vec::new());
        words.iter().for_each(|word| word.push(&mut stream, &mut meaning, Some(key)));
        prop_assert_eq!(said(Role::Server, &LIMITS, pieces(&stream, &lengths)), meaning);
    }

    #[test]
    fn what_a_server_says_is_heard_by_the_client(words in words(), lengths in piece_lengths()) {
        let (mut stream, mut meaning) = (Vec::new(), Vec::new());
        words.iter().for_each(|word| word.push(&mut stream, &mut meaning, None));
        frame::push_close(&mut stream, CloseCode::SERVICE_RESTART, "back soon");
        meaning.push(Said::Close(Some((1012, "back soon".to_owned()))));
        prop_assert_eq!(said(Role::Client, &LIMITS, pieces(&stream, &lengths)), meaning);
    }

    #[test]
    fn the_encoder_makes_what_the_decoder_reads(
        payload in prop_oneof![".{0,20}", ".{120,140}", long_text()], key in any::<[u8; 4]>(),
    ) {
        let mut masked = Vec::new();
        frame::push_masked_frame(&mut masked, Opcode::Text, payload.as_bytes(), key);
        prop_assert_eq!(said(Role::Server, &LIMITS, [masked.as_slice()]), [Said::Text(payload.clone())]);
        let mut plain = Vec::new();
        frame::push_frame_with(&mut plain, Opcode::Text, |out| out.extend_from_slice(payload.as_bytes()));
        prop_assert_eq!(said(Role::Client, &LIMITS, [plain.as_slice()]), [Said::Text(payload)]);
    }

    #[test]
    fn any_bytes_mean_the_same_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..200), lengths in piece_lengths(), deflate in any::<bool>(),
    ) {
        let limits = protocol::websocket::Limits { message_bytes_max: 100, fragments_max: 3, deflate };
        for role in [Role::Server, Role::Client] {
            let whole = said(role, &limits, [bytes.as_slice()]);
            prop_assert_eq!(said(role, &limits, pieces(&bytes, &lengths)), whole);
        }
    }
}
