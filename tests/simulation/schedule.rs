//! Every random choice of a run, from one seed: how large the node is, what its users are inclined to, what comes next.

use core_shards::Limits;
use serde_json::json;

use crate::client::{Device, Draft, INVALID, Intent, send_text};

/// Users of a node; a name with a quote and one with a letter of two bytes, because they are escaped and counted.
pub(crate) const USERS: [&str; 6] = ["ann", "bob", "c\"lé", "dan", "eve", "fay"];

/// The name that a user's token carries, for those whose token does.
pub(crate) fn display_name(user: &str) -> Option<&'static str> {
    (user == "ann").then_some("Ann \"A\" Lee")
}

/// Channels in their canonical spelling; some are closed to most users.
const CHANNELS: [&str; 8] =
    ["general", "odd:name", "thread:9", "dm:ann:bob", "user:ann", "user:bob", "raum ü", "news"];

/// Characters of content that the simulated node accepts.
const CONTENT_CHARS_MAX: usize = 40;

/// Packets that a device writes before it waits for the node to read some.
const PIPE_PACKETS_MAX: usize = 24;

/// What a device does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Join,
    Leave,
    Send,
    Retry,
    /// The same message over and over.
    Insist,
    /// Join, send and perhaps leave without waiting for any answer.
    Rush,
    Ping,
    Refresh,
    Invalid,
    Disconnect,
}

const DEEDS: [Deed; 10] = [
    Deed::Join,
    Deed::Leave,
    Deed::Send,
    Deed::Retry,
    Deed::Insist,
    Deed::Rush,
    Deed::Ping,
    Deed::Refresh,
    Deed::Invalid,
    Deed::Disconnect,
];

/// What happens next in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Act,
    Turn,
    PassTime,
    LookAtClock,
}

/// The source of all choices of one run, and those made once for the whole of it.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) random: fastrand::Rng,
    pub(crate) core_count: u16,
    pub(crate) letters_max: usize,
    pub(crate) limits: Limits,
    pub(crate) device_count: usize,
    pub(crate) user_count: usize,
    /// Cores serve their sockets before their mail, so that lanes fill up.
    pub(crate) are_sockets_first: bool,
    channel_count: usize,
    inclinations: [u32; DEEDS.len()],
    turns_in_ten: u32,
    contents: u64,
    /// Per user: messages that may be sent again.
    drafts: Vec<Vec<Draft>>,
}

impl Schedule {
    /// The choices of a seed. With `is_spread` there are at least two cores.
    pub(crate) fn new(seed: u64, is_spread: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Some seeds never leave, others hardly send: rare combinations come up sooner than with one mixture.
        let usual = [20, 8, 30, 8, 1, 8, 3, 2, 4, 5];
        let inclinations = usual.map(|weight| weight * random.u32(0..4));
        Self {
            core_count: random.u16(if is_spread { 2..6 } else { 1..6 }),
            letters_max: random.usize(1..6),
            limits: Limits {
                channels_per_session_max: random.usize(1..5),
                message_chars_max: CONTENT_CHARS_MAX,
                ..Limits::default()
            },
            device_count: random.usize(2..14),
            user_count: random.usize(1..=USERS.len()),
            are_sockets_first: random.u32(0..3) == 0,
            channel_count: random.usize(1..=CHANNELS.len()),
            inclinations,
            turns_in_ten: random.u32(2..8),
            contents: 0,
            drafts: vec![Vec::new(); USERS.len()],
            random,
        }
    }

    /// True in `numerator` of `denominator` cases.
    pub(crate) fn chance(&mut self, numerator: u32, denominator: u32) -> bool {
        self.random.u32(0..denominator) < numerator
    }

    /// One of `count` things.
    pub(crate) fn choose(&mut self, count: usize) -> usize {
        self.random.usize(0..count)
    }

    pub(crate) fn step(&mut self) -> Step {
        match self.random.u32(0..100) {
            0..6 => Step::PassTime,
            6..9 => Step::LookAtClock,
            _ if self.random.u32(0..10) < self.turns_in_ten => Step::Turn,
            _ => Step::Act,
        }
    }

    /// How much time passes: microseconds on the monotonic clock, and how far the wall clock jumps, in milliseconds.
    pub(crate) fn time_passes(&mut self) -> (u64, i64) {
        const HOUR_MS: i64 = 3_600_000;
        let passed_us = self.random.u64(0..30_000);
        let jump_ms = match self.random.u32(0..12) {
            0 => self.random.i64(-HOUR_MS..=HOUR_MS),
            1..4 => self.random.i64(-20..=20),
            _ => 0,
        };
        (passed_us, jump_ms)
    }

    /// Makes a connected device do something; true if it is to disconnect.
    pub(crate) fn act(&mut self, device: &mut Device) -> bool {
        if device.pipe.len() > PIPE_PACKETS_MAX {
            return false;
        }
        match self.deed() {
            Deed::Join => self.join(device),
            Deed::Leave => self.leave(device),
            Deed::Send => self.send(device),
            Deed::Retry => {
                let drafts = self.drafts[device.user].len();
                if drafts > 0 {
                    let chosen = self.choose(drafts);
                    self.retry(device, chosen);
                }
            }
            Deed::Insist => self.insist(device),
            Deed::Rush => self.rush(device),
            Deed::Ping => self.ping(device),
            Deed::Refresh => {
                let is_same_user = self.chance(2, 3);
                device.write(String::new(), self.random.bool(), Vec::new(), Intent::Refresh { is_same_user });
            }
            Deed::Invalid => {
                let (text, intent) = INVALID[self.choose(INVALID.len())].clone();
                device.write(text.to_owned(), self.random.bool(), Vec::new(), intent);
            }
            Deed::Disconnect => return true,
        }
        false
    }

    fn deed(&mut self) -> Deed {
        let sum: u32 = self.inclinations.iter().sum();
        let mut chosen = self.random.u32(0..sum.max(1));
        let weighted = DEEDS.into_iter().zip(self.inclinations);
        for (deed, weight) in weighted {
            if chosen < weight {
                return deed;
            }
            chosen -= weight;
        }
        Deed::Join
    }

    fn join(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.join_channel(device, &channel);
    }

    /// Writes a join of this very channel.
    pub(crate) fn join_channel(&mut self, device: &mut Device, channel: &str) {
        let (field, spelled) = self.spell(channel);
        let text = json!(["channel:join", { field: spelled }]).to_string();
        device.write(text, self.random.bool(), Vec::new(), Intent::Join { channel: channel.to_owned() });
    }

    fn leave(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.leave_channel(device, channel);
    }

    fn leave_channel(&mut self, device: &mut Device, channel: String) {
        let (field, spelled) = self.spell(&channel);
        let text = json!(["channel:leave", { field: spelled }]).to_string();
        device.write(text, self.random.bool(), Vec::new(), Intent::Leave { channel });
    }

    fn send(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.send_to(device, channel);
    }

    fn send_to(&mut self, device: &mut Device, channel: String) {
        let is_too_long = self.chance(1, 40);
        // Ids come from a small stock: the same id means other messages in other channels and for other users.
        let client_message_id = self.random.bool().then(|| format!("m{}", self.random.u32(0..60)));
        self.draft(device, channel, client_message_id, is_too_long);
    }

    fn draft(
        &mut self,
        device: &mut Device,
        channel: String,
        client_message_id: Option<String>,
        is_too_long: bool,
    ) {
        let draft = Draft { channel, content: self.content(is_too_long), client_message_id, is_too_long };
        let drafts = &mut self.drafts[device.user];
        if drafts.len() == 8 {
            drafts.remove(0);
        }
        drafts.push(draft.clone());
        self.write_draft(device, draft);
    }

    fn retry(&mut self, device: &mut Device, chosen: usize) {
        let draft = self.drafts[device.user][chosen].clone();
        let content = self.content(draft.is_too_long);
        self.write_draft(device, Draft { content, ..draft });
    }

    fn insist(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.join_channel(device, &channel);
        let id = Some(format!("i{}", self.contents));
        self.draft(device, channel, id, false);
        for _ in 0..self.random.usize(6..14) {
            self.retry(device, self.drafts[device.user].len() - 1);
        }
    }

    fn rush(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.join_channel(device, &channel);
        for _ in 0..self.random.u32(0..4) {
            self.send_to(device, channel.clone());
        }
        if self.random.bool() {
            self.leave_channel(device, channel.clone());
        }
        if self.chance(1, 4) {
            self.join_channel(device, &channel);
        }
    }

    fn ping(&mut self, device: &mut Device) {
        if self.chance(1, 4) {
            return device.write(r#"["pong",{"timestamp":1}]"#.to_owned(), false, Vec::new(), Intent::Pong);
        }
        let stamps =
            [None, Some(json!(1_772_359_201_000_u64)), Some(json!("when")), Some(json!({ "at": [1] }))];
        let timestamp = stamps[self.choose(stamps.len())].clone();
        let text = match &timestamp {
            Some(timestamp) => json!(["ping", { "timestamp": timestamp }]).to_string(),
            None => r#"["ping"]"#.to_owned(),
        };
        device.write(text, self.random.bool(), Vec::new(), Intent::Ping { timestamp });
    }

    fn write_draft(&mut self, device: &mut Device, draft: Draft) {
        let (field, spelled) = self.spell(&draft.channel);
        let attachment_count = if self.chance(1, 10) { self.random.usize(1..3) } else { 0 };
        let attachment = |number: usize| draft.content.bytes().map(|byte| byte ^ number as u8).collect();
        let attachments = (0..attachment_count).map(attachment).collect();
        let id_field = if self.random.bool() { "clientMessageId" } else { "tempId" };
        let text = send_text(&draft, field, id_field, &spelled, attachment_count);
        device.write(text, self.chance(3, 4), attachments, Intent::Send(draft));
    }

    /// Content that was never sent before, sometimes with characters that need escapes.
    fn content(&mut self, is_too_long: bool) -> String {
        self.contents += 1;
        let spice = ["", " \"quoted\"", " ü€😀", " \\ \n"][self.choose(4)];
        let tail = "é".repeat(if is_too_long { CONTENT_CHARS_MAX } else { 0 });
        format!("text {}{spice}{tail}", self.contents)
    }

    fn channel(&mut self) -> String {
        CHANNELS[self.random.usize(0..self.channel_count)].to_owned()
    }

    /// One of the spellings of a channel: field and name.
    fn spell(&mut self, channel: &str) -> (&'static str, String) {
        let field = ["channelId", "roomName", "room_id"][self.choose(3)];
        let is_prefixed = ["thread:", "dm:", "user:"].iter().any(|prefix| channel.starts_with(prefix));
        let spelled = if !is_prefixed && self.random.bool() {
            format!("channel:{channel}")
        } else {
            channel.to_owned()
        };
        (field, spelled)
    }
}
