//! Replies of any shape, cut anywhere, are read as the crate `redis-protocol` reads them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a property that fails ends the test")]

use proptest::prelude::*;
use protocol::redis::{Decoder, DecoderLimits, List, Received, Reply};
use redis_protocol::resp3::decode::complete::decode;
use redis_protocol::resp3::types::OwnedFrame;

/// A reply and how it is written.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(Vec<u8>),
    List(u8, Vec<Tree>),
    Map(Vec<Tree>),
}

fn string(letter: char, text: &[u8]) -> Vec<u8> {
    [format!("{letter}{}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

fn leaf() -> impl Strategy<Value = Tree> {
    let text = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        text.clone().prop_map(|text| string('$', &text)),
        text.prop_map(|text| string('=', &[b"txt:", &text[..]].concat())),
        "[ -~]{0,20}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
        "[A-Z]{2,8} [ -~]{0,20}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        Just(b"_\r\n".to_vec()),
        any::<bool>().prop_map(|is_so| if is_so { b"#t\r\n".to_vec() } else { b"#f\r\n".to_vec() }),
        "-?[1-9][0-9]{20,30}".prop_map(|number| format!("({number}\r\n").into_bytes()),
    ]
    .prop_map(Tree::Leaf)
}

fn tree() -> impl Strategy<Value = Tree> {
    leaf().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(|trees| Tree::List(b'*', trees)),
            proptest::collection::vec(inner, 0..4).prop_map(Tree::Map),
        ]
    })
}

fn write(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Leaf(bytes) => out.extend(bytes),
        Tree::List(letter, trees) => {
            out.push(*letter);
            out.extend(format!("{}\r\n", trees.len()).bytes());
            trees.iter().for_each(|tree| write(tree, out));
        }
        Tree::Map(trees) => {
            out.extend(format!("%{}\r\n", trees.len()).bytes());
            for (number, tree) in trees.iter().enumerate() {
                out.extend(format!(":{number}\r\n").bytes());
                write(tree, out);
            }
        }
    }
}

/// What both readings are compared by.
fn shape(reply: Reply<'_>) -> String {
    match reply {
        Reply::Text(text) => format!("{text:?}"),
        Reply::Error(text) => format!("-{text:?}"),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "_".to_owned(),
        Reply::List(list) => shape_list(list),
        Reply::Map(list) => {
            let parts: Vec<String> = list.iter().map(shape).collect();
            shape_map(parts.chunks(2).map(|pair| pair.join("=")).collect())
        }
    }
}

fn shape_list(list: List<'_>) -> String {
    assert_eq!(list.iter().count(), list.len());
    format!("[{}]", list.iter().map(shape).collect::<Vec<_>>().join(" "))
}

fn shape_map(mut entries: Vec<String>) -> String {
    entries.sort();
    format!("{{{}}}", entries.join(" "))
}

fn shape_of_oracle(frame: &OwnedFrame) -> String {
    match frame {
        OwnedFrame::BlobString { data, .. }
        | OwnedFrame::SimpleString { data, .. }
        | OwnedFrame::BigNumber { data, .. }
        | OwnedFrame::VerbatimString { data, .. } => format!("{data:?}"),
        OwnedFrame::SimpleError { data, .. } => format!("-{:?}", data.as_bytes()),
        OwnedFrame::Number { data, .. } => data.to_string(),
        OwnedFrame::Boolean { data, .. } => u8::from(*data).to_string(),
        OwnedFrame::Null => "_".to_owned(),
        OwnedFrame::Array { data, .. } | OwnedFrame::Push { data, .. } => {
            format!("[{}]", data.iter().map(shape_of_oracle).collect::<Vec<_>>().join(" "))
        }
        OwnedFrame::Map { data, .. } => {
            let entry = |(key, value): (&OwnedFrame, &OwnedFrame)| {
                format!("{}={}", shape_of_oracle(key), shape_of_oracle(value))
            };
            shape_map(data.iter().map(entry).collect())
        }
        other => panic!("no {other:?} was written"),
    }
}

/// What the decoder makes of bytes that come in pieces of such lengths, in turns.
fn read(bytes: &[u8], lengths: &[usize]) -> Vec<String> {
    let (mut decoder, mut shapes) = (Decoder::new(DecoderLimits::default()), Vec::new());
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        rest = after;
        decoder.room()[..piece.len()].copy_from_slice(piece);
        decoder.filled(piece.len());
        while let Some(received) = decoder.take().unwrap() {
            shapes.push(match received {
                Received::Message { topic, payload } => format!("[{:?} {topic:?} {payload:?}]", b"message"),
                Received::Push(list) => shape_list(list),
                Received::Reply(reply) => shape(reply),
            });
        }
    }
    shapes
}

proptest! {
    #[test]
    fn replies_and_pushes_are_read_as_another_reader_reads_them(
        trees in proptest::collection::vec(tree(), 1..6),
        lengths in proptest::collection::vec(1usize..200, 1..5),
    ) {
        let mut bytes = Vec::new();
        for (number, tree) in trees.iter().enumerate() {
            match tree {
                // Some of them are pushes, which only come from outside of others.
                Tree::List(_, inside) if number % 2 == 0 && !inside.is_empty() => {
                    write(&Tree::List(b'>', inside.clone()), &mut bytes);
                }
                tree => write(tree, &mut bytes),
            }
            bytes.extend(b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\nb\r\n\r\n");
        }
        let (mut expected, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((frame, count)) = (!rest.is_empty()).then(|| decode(rest).unwrap().unwrap()) {
            expected.push(shape_of_oracle(&frame));
            rest = &rest[count..];
        }
        prop_assert_eq!(read(&bytes, &lengths), expected);
    }

    #[test]
    fn anything_at_all_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut decoder = Decoder::new(DecoderLimits::default());
        decoder.room()[..bytes.len()].copy_from_slice(&bytes);
        decoder.filled(bytes.len());
        while let Ok(Some(_)) = decoder.take() {}
    }
}
