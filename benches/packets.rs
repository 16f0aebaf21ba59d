//! Guards reading one `message:send`: 6,650 instructions (480 ns) to a request, 2,000 of them to check its JSON.

#[path = "setup/channel.rs"]
mod channel;
#[path = "setup/measure.rs"]
mod measure;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use protocol::chat::request::{self, Request};
use protocol::engine_io::{self, Packet};
use protocol::json::{Json, Validator};
use protocol::socket_io::{self, Assembler};

/// Reads a packet as the shell and the shard do together.
fn read<'a>(text: &'a str, assembler: &mut Assembler, validator: &mut Validator) -> Option<Request<'a>> {
    let Ok(Packet::Message(text)) = engine_io::parse(text) else { return None };
    let packet = assembler.text(text).ok()??;
    let json = validator.check(packet.data).ok()?;
    socket_io::check(&packet, Some(json), 0).ok()?;
    parse(json)
}

fn parse(json: Json<'_>) -> Option<Request<'_>> {
    let mut items = json.items();
    let name = items.next().and_then(Json::as_str)?;
    request::parse(&name, items.next()).ok()
}

fn packets(criterion: &mut Criterion) {
    let arrays = channel::messages(1, |_| Some("9f1c2d3e-0000-4000-8000-000000000001".to_owned()));
    let array = &arrays[0];
    let text = format!("427{array}");
    let (mut assembler, mut validator) = (Assembler::new(), Validator::new());
    let mut group = criterion.benchmark_group("packets");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let request = read(black_box(&text), &mut assembler, &mut validator);
            assert!(matches!(request, Some(Request::Send(_))));
        });
    });
    group.bench_function("check", |bencher| {
        bencher.iter(|| validator.check(black_box(array)).is_ok());
    });
    let json = validator.check(array).expect("benchmarks write valid JSON");
    group.bench_function("parse", |bencher| {
        bencher.iter(|| parse(black_box(json)).is_some());
    });
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    packets(&mut criterion);
    criterion.final_summary();
}
