//! A node of one core with one channel: its members' home, the channel's home and the watching core are the same.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use core_shards::limits::RateLimits;
use core_shards::{
    CoreId, Ending, Event, FrameRef, Identity, Limits, Newcomer, Now, Outputs, Placement, SessionId, Shard,
};
use protocol::json::{Json, Validator};

/// The channel and everything that follows from what its members say.
pub(crate) struct Channel {
    shard: Shard,
    now: Now,
    out: Outputs,
}

impl Channel {
    /// A channel with users `user-0`, `user-1` and so on in it, one session each, in slots of the same numbers.
    pub(crate) fn with_members(member_count: u32) -> Self {
        let now = Now { monotonic_us: 1_000_000, unix_ms: 1_772_359_201_000 };
        let placement = Placement::new(1, (1, 2));
        // A benchmark says more in a second than a user may in a minute.
        let rate = RateLimits { is_enabled: false, points: 1, window_ms: 1 };
        let limits = Limits { rate, ..Limits::default() };
        let shard = Shard::new(CoreId(0), placement, limits, Default::default(), 7, now);
        let mut channel = Self { shard, now, out: Outputs::default() };
        let join = [r#"["channel:join",{"channelId":"general"}]"#.to_owned()];
        let join = events(&join)[0];
        for slot in 0..member_count {
            channel.connect(member(slot), Newcomer::plain(identity(slot)));
            channel.say(slot, &join);
            channel.take(|_, _| {});
        }
        assert_eq!(channel.shard.holdings().sessions, member_count as usize);
        channel
    }

    /// Hands an event of one member to the shard.
    pub(crate) fn say(&mut self, slot: u32, event: &Event<'_>) {
        self.say_as(member(slot), event);
    }

    /// Hands an event of a session to the shard.
    pub(crate) fn say_as(&mut self, session: SessionId, event: &Event<'_>) {
        self.shard.handle_event(session, event, self.now, &mut self.out);
    }

    /// Lets somebody in.
    pub(crate) fn connect(&mut self, session: SessionId, newcomer: Newcomer) {
        self.shard.handle_connect(session, newcomer, self.now, &mut self.out);
    }

    /// Whether somebody was let in and is still there.
    pub(crate) fn is_connected(&self, session: SessionId) -> bool {
        self.shard.is_connected(session)
    }

    /// Tells the shard that a session's connection is gone.
    pub(crate) fn disconnect(&mut self, session: SessionId, ending: Ending) {
        self.shard.handle_disconnect(session, ending, self.now, &mut self.out);
    }

    /// What is to be written, as text: the frames one after the other, each once.
    pub(crate) fn take_text(&mut self) -> String {
        let mut frames = Vec::new();
        self.out.take_deliveries(|frame, _| frames.push(frame));
        let text: Vec<u8> = frames.into_iter().flat_map(|frame| self.out.bytes(frame)).copied().collect();
        self.out.take_latency_marks();
        self.out.clear_frames();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Takes what is to be written, then forgets it, as the shell does once it is written.
    pub(crate) fn take(&mut self, each: impl FnMut(FrameRef, &[u32])) {
        self.out.take_deliveries(each);
        self.out.take_latency_marks();
        self.out.clear_frames();
    }

    /// Lets time pass. What is due is done at [`Channel::expire`].
    pub(crate) fn pass(&mut self, time_us: u64) {
        self.now.monotonic_us += time_us;
    }

    /// Tells the shard what time it is.
    pub(crate) fn expire(&mut self) {
        self.shard.handle_time(self.now, &mut self.out);
    }

    /// How many sent messages a retry would be recognised of.
    pub(crate) fn receipt_count(&self) -> usize {
        self.shard.holdings().receipts
    }
}

/// The packets of messages with 128 bytes of content: the array alone, and a `clientMessageId` where `id` gives one.
pub(crate) fn messages(count: usize, id: impl Fn(usize) -> Option<String>) -> Vec<String> {
    let content = "Lorem ipsum, dolor sit amet! 0123".repeat(4);
    let content = &content[..128];
    let message = |number| {
        let id = id(number).map(|id| format!(r#","clientMessageId":"{id}""#)).unwrap_or_default();
        format!(r#"["message:send",{{"channelId":"general","content":"{content}"{id}}}]"#)
    };
    (0..count).map(message).collect()
}

/// Validates packets as the shell does; each wants an acknowledgement.
pub(crate) fn events(packets: &[String]) -> Vec<Event<'_>> {
    let mut validator = Validator::new();
    let mut arguments =
        |packet| -> Json<'_> { validator.check(packet).expect("benchmarks write valid JSON") };
    packets
        .iter()
        .map(|packet| Event { arguments: arguments(packet), ack: Some(7), attachments: &[] })
        .collect()
}

/// The session of the user of that number.
pub(crate) const fn member(slot: u32) -> SessionId {
    SessionId { slot, generation: 0 }
}

/// The user of that number, as a token says it.
pub(crate) fn identity(number: u32) -> Identity {
    Identity {
        user: format!("user-{number}").into(),
        session: None,
        name: Some("Ann Example".into()),
        roles: Box::new([]),
        grants: None,
        expires_at_unix_ms: None,
    }
}
