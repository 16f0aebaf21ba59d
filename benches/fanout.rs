//! Guards one delivery: 25 instructions (1.9 ns) to note one of 16 messages for one of 1,000 members, 41 alone.

#[path = "setup/channel.rs"]
mod channel;
#[path = "setup/measure.rs"]
mod measure;

use criterion::{BenchmarkId, Criterion, Throughput};

use channel::Channel;

const MEMBERS: u32 = 1_000;

/// What a socket is to be sent at the end of the turn: one range of the shared frames, as long as they lie side by side.
#[derive(Clone, Copy, Default)]
struct Pending {
    start: u32,
    end: u32,
}

fn fan_out(criterion: &mut Criterion) {
    let packets = channel::messages(1, |_| None);
    let events = channel::events(&packets);
    let mut members = Channel::with_members(MEMBERS);
    let mut pending = vec![Pending::default(); MEMBERS as usize];
    let mut dirty = Vec::with_capacity(MEMBERS as usize);
    let mut group = criterion.benchmark_group("fanout");
    for message_count in [1, 16] {
        group.throughput(Throughput::Elements(u64::from(message_count * MEMBERS)));
        group.bench_function(BenchmarkId::new("messages", message_count), |bencher| {
            bencher.iter(|| {
                for _ in 0..message_count {
                    members.say(0, &events[0]);
                }
                members.take(|frame, slots| {
                    for &slot in slots {
                        let waiting = &mut pending[slot as usize];
                        if waiting.end == 0 {
                            dirty.push(slot);
                            *waiting = Pending { start: frame.start, end: frame.end };
                        } else if waiting.end == frame.start {
                            waiting.end = frame.end;
                        }
                    }
                });
                assert_eq!(dirty.len(), MEMBERS as usize);
                // One write for each socket, but for the kernel's part.
                for slot in dirty.drain(..) {
                    let Pending { start, end } = std::mem::take(&mut pending[slot as usize]);
                    assert!(start < end);
                }
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    fan_out(&mut criterion);
    criterion.final_summary();
}
