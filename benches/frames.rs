//! Guards one WebSocket frame: 440 instructions (40 ns) to decode 200 masked bytes, 1,480 (110 ns) to encode them.

#[path = "setup/measure.rs"]
mod measure;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use protocol::chat::dialect::{Form, Style};
use protocol::chat::event::{self, Kind, Stamp};
use protocol::websocket::frame::{Opcode, push_frame, push_masked_frame};
use protocol::websocket::{Decoder, Limits, Role};

/// Frames in one read: what a busy client had waiting.
const FRAMES_PER_READ: u64 = 64;
const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 64, deflate: false };

fn decode(criterion: &mut Criterion) {
    let payload = [b'x'; 200];
    let mut received = Vec::new();
    for number in 0..FRAMES_PER_READ {
        push_masked_frame(&mut received, Opcode::Text, &payload, [0x37, 0xfa, 0x21, number as u8]);
    }
    let mut input = received.clone();
    let mut decoder = Decoder::new(Role::Server);
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(FRAMES_PER_READ));
    // Frames are unmasked in place, so every pass needs them masked again; the copy is about 3 ns of each frame.
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            input.copy_from_slice(&received);
            let mut feed = decoder.feed(&mut input, &LIMITS);
            let mut event_count = 0;
            while let Ok(Some(event)) = feed.next() {
                black_box(event);
                event_count += 1;
            }
            assert_eq!(event_count, FRAMES_PER_READ);
        });
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let payload = [b'x'; 200];
    let body =
        [br#""channelId":"general","userId":"user-1","content":""#.as_slice(), &payload, b"\""].concat();
    let stamp =
        Stamp { id: "01HF8Z6S410000000000000000", offset: 1_234_567, timestamp_ms: 1_772_359_201_000 };
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode/frame", |bencher| {
        bencher.iter(|| {
            out.clear();
            push_frame(&mut out, Opcode::Text, black_box(&payload));
        });
    });
    group.bench_function("encode/message", |bencher| {
        bencher.iter(|| {
            out.clear();
            let form = Form::plain(Style::Primary);
            let (stamp, body) = (black_box(stamp), black_box(&body));
            event::push_publication(&mut out, &Kind::Message, form, stamp, "general", body, &[]);
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    decode(&mut criterion);
    encode(&mut criterion);
    criterion.final_summary();
}
