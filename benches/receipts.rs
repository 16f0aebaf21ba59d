//! Guards receipts: 7,500 instructions (0.5 us) to answer a retry, 14,200 (1.9 us) for a message with 100,000 kept.

#[path = "setup/channel.rs"]
mod channel;
#[path = "setup/measure.rs"]
mod measure;

use core_shards::limits::RECEIPT_LIFE_MS;
use criterion::{Criterion, Throughput};

use channel::Channel;

/// Receipts that are kept while the numbers are taken.
const RECEIPTS: usize = 100_000;
/// Messages that are sent in turn: more than are remembered, so none is ever a retry.
const MESSAGES: usize = 131_072;
/// After how many messages the shard is told the time.
const MESSAGES_PER_TICK: usize = 16;

fn receipts(criterion: &mut Criterion) {
    let packets = channel::messages(MESSAGES, |number| Some(format!("9f1c2d3e-0000-4000-8000-{number:012}")));
    let events = channel::events(&packets);
    let mut members = Channel::with_members(1);
    let mut round = events.iter().cycle();
    let mut sent_count = 0_usize;
    let mut send = |members: &mut Channel| {
        members.pass(RECEIPT_LIFE_MS * 1_000 / RECEIPTS as u64);
        sent_count += 1;
        if sent_count.is_multiple_of(MESSAGES_PER_TICK) {
            members.expire();
        }
        members.say(0, round.next().expect("a cycle does not end"));
        let mut frame_count = 0;
        members.take(|_, _| frame_count += 1);
        assert_eq!(frame_count, 2, "the message and its acknowledgement");
    };
    for _ in 0..MESSAGES {
        send(&mut members);
    }
    assert!(members.receipt_count().abs_diff(RECEIPTS) <= MESSAGES_PER_TICK);
    let mut group = criterion.benchmark_group("receipts");
    group.throughput(Throughput::Elements(1));
    group.bench_function("message", |bencher| bencher.iter(|| send(&mut members)));
    assert!(members.receipt_count().abs_diff(RECEIPTS) <= MESSAGES_PER_TICK);
    let retry = channel::messages(1, |_| Some("sent twice".to_owned()));
    let retry = &channel::events(&retry)[0];
    members.say(0, retry);
    members.take(|_, _| {});
    group.bench_function("retry", |bencher| {
        bencher.iter(|| {
            members.say(0, retry);
            let mut frame_count = 0;
            members.take(|_, _| frame_count += 1);
            assert_eq!(frame_count, 1, "the acknowledgement alone");
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    receipts(&mut criterion);
    criterion.final_summary();
}
