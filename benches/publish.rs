//! Guards one publish: 11,400 instructions (1.1 us) from checked JSON to frame and answer, 14,200 (1.3 us) with an id.

#[path = "setup/channel.rs"]
mod channel;
#[path = "setup/measure.rs"]
mod measure;

use criterion::{Criterion, Throughput};

use channel::Channel;

/// Messages that are sent in turn. A quarter of them is sent in half a receipt's life, so none is ever a retry.
const MESSAGES: usize = 4_096;
/// How far apart two messages are: 1,024 of them in five minutes.
const PERIOD_US: u64 = 300_000_000 / 1_024;

fn publish(criterion: &mut Criterion, name: &str, id: impl Fn(usize) -> Option<String>) {
    let packets = channel::messages(MESSAGES, id);
    let events = channel::events(&packets);
    let mut members = Channel::with_members(1);
    let mut round = events.iter().cycle();
    let mut sent_count = 0_usize;
    let mut group = criterion.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            members.pass(PERIOD_US);
            sent_count += 1;
            if sent_count.is_multiple_of(MESSAGES / 4) {
                members.expire();
            }
            members.say(0, round.next().expect("a cycle does not end"));
            let mut frame_count = 0;
            members.take(|_, _| frame_count += 1);
            assert_eq!(frame_count, 2, "the message and its acknowledgement");
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    publish(&mut criterion, "without_id", |_| None);
    publish(&mut criterion, "with_id", |number| Some(format!("9f1c2d3e-0000-4000-8000-{number:012}")));
    criterion.final_summary();
}
