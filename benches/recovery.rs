//! Guards recovery: 47,500 instructions (5 us) to resume after 100 missed messages, 165 us to replay 1,000 by `since`.

#[path = "setup/channel.rs"]
mod channel;
#[path = "setup/measure.rs"]
mod measure;

use std::time::{Duration, Instant};

use core_shards::{Ending, Newcomer, Resume, SessionId};
use criterion::{Criterion, Throughput};

use channel::Channel;

/// What a session missed while it was away.
const MISSED: u64 = 100;
/// What a channel's history has to tell.
const HISTORY: u64 = 1_000;
/// The user who loses the connection, in a slot beyond those of the members.
const AWAY: u32 = 7;

/// The session of one connection of the user.
const fn connection(generation: u32) -> SessionId {
    SessionId { slot: AWAY, generation }
}

/// The user, who takes cursors and has perhaps been here before.
fn newcomer(resume: Option<Resume>) -> Newcomer {
    Newcomer { takes_cursor: true, resume, ..Newcomer::plain(channel::identity(AWAY)) }
}

/// What follows the last `before` in `text`, up to the quotation mark.
fn quoted<'a>(text: &'a str, before: &str) -> &'a str {
    let (_, rest) = text.rsplit_once(before).expect("the frames say it");
    rest.split_once('"').map_or(rest, |(quoted, _)| quoted)
}

/// The time that `count` returns take, each of a session that missed [`MISSED`] messages.
fn resume(count: u64) -> Duration {
    let packets = channel::messages(1, |_| None);
    let message = channel::events(&packets)[0];
    let join = [r#"["channel:join",{"channelId":"general"}]"#.to_owned()];
    let mut members = Channel::with_members(1);
    members.connect(connection(0), newcomer(None));
    let greeting = members.take_text();
    let pid = quoted(&greeting, r#""pid":""#).to_owned();
    members.say_as(connection(0), &channel::events(&join)[0]);
    members.say(0, &message);
    let mut offset = cursor(&members.take_text());

    let mut took = Duration::ZERO;
    for generation in 0..count as u32 {
        members.pass(1_000);
        members.disconnect(connection(generation), Ending::Lost);
        for _ in 0..MISSED {
            members.say(0, &message);
            members.take(|_, _| {});
        }
        members.expire();
        let resume = Resume { pid: pid.as_str().into(), offset: offset.as_str().into() };
        let newcomer = newcomer(Some(resume));
        let begun = Instant::now();
        members.connect(connection(generation + 1), newcomer);
        took += begun.elapsed();
        let replayed = members.take_text();
        assert_eq!(replayed.matches(r#""message","#).count() as u64, MISSED);
        offset = cursor(&replayed);
    }
    took
}

/// The cursor of the last event in `text`.
fn cursor(text: &str) -> String {
    format!("c0.{}", quoted(text, r#","c0."#))
}

/// The time that `count` joins take, each of which is told [`HISTORY`] messages.
fn since(count: u64) -> Duration {
    let packets = channel::messages(1, |_| None);
    let message = channel::events(&packets)[0];
    let mut members = Channel::with_members(1);
    for _ in 0..HISTORY {
        members.say(0, &message);
        members.take(|_, _| {});
    }
    members.connect(connection(0), newcomer(None));
    members.take(|_, _| {});
    let join = |since: &str| [format!(r#"["channel:join",{{"channelId":"general"{since}}}]"#)];
    let leave = [r#"["channel:leave",{"channelId":"general"}]"#.to_owned()];
    let leave = channel::events(&leave)[0];
    let plain = join("");
    members.say_as(connection(0), &channel::events(&plain)[0]);
    let joined = members.take_text();
    let epoch = quoted(&joined, r#""epoch":""#);
    let join = join(&format!(r#","since":{{"epoch":"{epoch}","offset":0}}"#));
    let join = channel::events(&join)[0];
    let mut took = Duration::ZERO;
    for _ in 0..count {
        members.say_as(connection(0), &leave);
        members.take(|_, _| {});
        let begun = Instant::now();
        members.say_as(connection(0), &join);
        took += begun.elapsed();
        let told = members.take_text();
        assert_eq!(told.matches(r#""content":"#).count() as u64, HISTORY);
    }
    took
}

fn recovery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recovery");
    group.throughput(Throughput::Elements(MISSED));
    group.bench_function("resume", |bencher| bencher.iter_custom(resume));
    group.throughput(Throughput::Elements(HISTORY));
    group.bench_function("since", |bencher| bencher.iter_custom(since));
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    recovery(&mut criterion);
    criterion.final_summary();
}
