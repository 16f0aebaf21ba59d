//! What a core keeps of sessions that are there and do nothing, counted by the allocator.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use core_shards::{
    CoreId, Ending, Event, Identity, Limits, Newcomer, Now, Outputs, Placement, SessionId, Shard,
};
use protocol::json::Validator;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How users come to one core and what they join.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    /// Members of each channel, one channel a user.
    members_per_channel: u32,
    /// The display name in everybody's token.
    name: Option<&'static str>,
    /// Whether sessions can be taken up again.
    takes_cursor: bool,
}

impl Crowd {
    /// Lets the user of a slot in and has it join.
    fn admit(&self, shard: &mut Shard, slot: u32, now: Now, out: &mut Outputs) {
        let session = SessionId { slot, generation: 0 };
        let identity = Identity {
            user: format!("user-{slot}").into(),
            session: None,
            name: self.name.map(Into::into),
            roles: Box::new([]),
            grants: None,
            expires_at_unix_ms: Some(now.unix_ms + 3_600_000),
        };
        let newcomer = Newcomer { takes_cursor: self.takes_cursor, ..Newcomer::plain(identity) };
        shard.handle_connect(session, newcomer, now, out);
        let packet =
            format!(r#"["channel:join",{{"channelId":"room-{}"}}]"#, slot / self.members_per_channel);
        let mut validator = Validator::new();
        let arguments = validator.check(&packet).expect("the packet is valid JSON");
        shard.handle_event(session, &Event { arguments, ack: Some(1), attachments: &[] }, now, out);
        out.take_deliveries(|_, _| {});
        out.clear_frames();
    }
}

/// An empty core, and the time.
fn core() -> (Shard, Now) {
    let now = Now { monotonic_us: 1_000_000, unix_ms: 1_772_359_201_000 };
    let placement = Placement::new(1, (1, 2));
    (Shard::new(CoreId(0), placement, Limits::default(), Default::default(), 7, now), now)
}

fn kept_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Counts in one test: the allocator knows nothing of several at the same time.
#[test]
fn an_idle_member_costs_its_core_at_most_360_bytes_and_a_lost_one_200_more() {
    // The index of users is as full at the one as at the other.
    const FIRST: u32 = 1_250;
    const LAST: u32 = 5_000;
    /// The session without its connection, where its user stopped reading, the deadline of both, and its place in
    /// the order of losses.
    const LOST_BYTES_MAX: usize = 200;
    let check = |crowd: Crowd, bytes_max: usize| {
        let ((mut shard, now), mut out) = (core(), Outputs::default());
        (0..FIRST).for_each(|slot| crowd.admit(&mut shard, slot, now, &mut out));
        let before = kept_bytes();
        (FIRST..LAST).for_each(|slot| crowd.admit(&mut shard, slot, now, &mut out));
        let all_there = kept_bytes();
        for slot in FIRST..LAST {
            shard.handle_disconnect(SessionId { slot, generation: 0 }, Ending::Lost, now, &mut out);
        }
        let bytes = (all_there - before) / (LAST - FIRST) as usize;
        let lost_bytes = (kept_bytes() - all_there) / (LAST - FIRST) as usize;
        let holdings = shard.holdings();
        assert_eq!((holdings.sessions, holdings.detached), (FIRST as usize, (LAST - FIRST) as usize));
        assert!(bytes <= bytes_max && lost_bytes <= LOST_BYTES_MAX, "{bytes} + {lost_bytes}: {crowd:?}");
    };
    let ten = Crowd { members_per_channel: 10, name: None, takes_cursor: true };
    check(ten, 360);
    check(Crowd { takes_cursor: false, ..ten }, 360);
    check(Crowd { name: Some("Ann Example"), ..ten }, 392);
    // A big channel has an index of its members, and notes whose presence it has yet to tell.
    check(Crowd { members_per_channel: LAST, ..ten }, 410);
    // Whoever is alone in a channel pays for all of it.
    check(Crowd { members_per_channel: 1, ..ten }, 768);
}
