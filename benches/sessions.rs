//! Guards a session in a storm: 6,800 instructions (0.9 us) to come and go, 24,100 (2.3 us) to join a channel of 10.

#[path = "setup/channel.rs"]
mod channel;
#[path = "setup/measure.rs"]
mod measure;

use core_shards::{Ending, Newcomer, SessionId};
use criterion::{Criterion, Throughput};

use channel::Channel;

/// Members who are there all the time.
const MEMBERS: u32 = 9;
/// After how many sessions the shard is told the time.
const SESSIONS_PER_TICK: u32 = 64;
/// How far apart sessions are.
const PERIOD_US: u64 = 100;

/// Lets a user come and go, and do something in between. It is the same one, as in a storm: others would be listed as
/// members for as long as they may come back.
struct Turnstile {
    members: Channel,
    newcomer: Newcomer,
    turn: u32,
}

impl Turnstile {
    fn new() -> Self {
        let newcomer = Newcomer::plain(channel::identity(MEMBERS));
        Self { members: Channel::with_members(MEMBERS), newcomer, turn: 0 }
    }

    /// The user comes, does what `stay` does, and goes.
    fn pass(&mut self, stay: impl FnOnce(&mut Channel, SessionId)) {
        self.turn = self.turn.wrapping_add(1);
        let session = SessionId { slot: MEMBERS, generation: self.turn };
        self.members.pass(PERIOD_US);
        self.members.connect(session, self.newcomer.clone());
        assert!(self.members.is_connected(session), "a newcomer is let in");
        stay(&mut self.members, session);
        self.members.disconnect(session, Ending::Left);
        self.members.take(|_, _| {});
        if self.turn.is_multiple_of(SESSIONS_PER_TICK) {
            self.members.expire();
        }
    }
}

fn sessions(criterion: &mut Criterion) {
    let packets = ["join", "leave"].map(|verb| format!(r#"["channel:{verb}",{{"channelId":"general"}}]"#));
    let [join, leave] = channel::events(&packets)[..] else { unreachable!("two packets are two events") };
    let mut group = criterion.benchmark_group("sessions");
    group.throughput(Throughput::Elements(1));
    let mut turnstile = Turnstile::new();
    group.bench_function("connect", |bencher| bencher.iter(|| turnstile.pass(|_, _| {})));
    group.bench_function("connect_and_join", |bencher| {
        bencher.iter(|| turnstile.pass(|members, session| members.say_as(session, &join)));
    });
    let mut members = Channel::with_members(MEMBERS + 1);
    group.bench_function("join", |bencher| {
        bencher.iter(|| {
            members.pass(PERIOD_US);
            members.say(0, &leave);
            members.say(0, &join);
            let mut frame_count = 0;
            members.take(|_, _| frame_count += 1);
            assert!(frame_count > 0, "the answers to both, and what who joins is told");
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    sessions(&mut criterion);
    criterion.final_summary();
}
