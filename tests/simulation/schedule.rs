//! Every random choice of a run, from one seed: how large the node is, what its users are inclined to, what comes next.

mod deeds;
mod limits;

use core_shards::Limits;
use protocol::chat::dialect::Dialect;

use crate::client::{Device, Draft};
use deeds::DEEDS;

/// Users of a node; a name with a quote and one with a letter of two bytes, because they are escaped and counted.
pub(crate) const USERS: [&str; 6] = ["ann", "bob", "c\"lé", "dan", "eve", "fay"];

/// The name that a user's token carries, for those whose token does.
pub(crate) fn display_name(user: &str) -> Option<&'static str> {
    (user == "ann").then_some("Ann \"A\" Lee")
}

/// Channels in their canonical spelling; some are closed to most users.
pub(crate) const CHANNELS: [&str; 8] =
    ["general", "odd:name", "thread:9", "dm:ann:bob", "user:ann", "user:bob", "raum ü", "news"];

/// What happens next in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Act,
    Receive,
    Turn,
    PassTime,
    LookAtClock,
    Decide,
    Revoke,
}

/// How a client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// As if it had never been here.
    Anew,
    /// With what it remembers.
    Resuming,
    /// With a cursor that it should have replaced.
    WithOldCursor,
    /// With the private id of another device.
    AsAnother,
    WithNonsense,
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
    /// Nobody joins anything or asks about anybody for the time being: what is heard is exact.
    pub(crate) is_calm: bool,
    /// How much time passes at once, at most, in microseconds.
    time_step_us_max: u64,
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
        Self {
            core_count: random.u16(if is_spread { 2..6 } else { 1..6 }),
            letters_max: random.usize(1..6),
            limits: limits::choose(&mut random),
            device_count: random.usize(2..14),
            user_count: random.usize(1..=USERS.len()),
            are_sockets_first: random.u32(0..3) == 0,
            is_calm: false,
            time_step_us_max: [30_000, 30_000, 400_000][random.usize(0..3)],
            channel_count: random.usize(1..=CHANNELS.len()),
            inclinations: deeds::inclinations(&mut random),
            turns_in_ten: random.u32(2..8),
            contents: 0,
            drafts: vec![Vec::new(); USERS.len()],
            random,
        }
    }

    /// A device of a user, with the client library that it happens to have.
    pub(crate) fn device(&mut self, user: usize) -> Device {
        let dialects = [
            None,
            None,
            Some(Dialect::Primary),
            Some(Dialect::Legacy),
            Some(Dialect::Legacy),
            Some(Dialect::Hybrid),
        ];
        let dialect = dialects[self.choose(dialects.len())];
        Device::new(user, dialect, self.chance(3, 4))
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
        match self.random.u32(0..200) {
            0..12 => Step::PassTime,
            12..20 => Step::LookAtClock,
            20..32 => Step::Receive,
            32..37 => Step::Decide,
            37 => Step::Revoke,
            _ if self.random.u32(0..10) < self.turns_in_ten => Step::Turn,
            _ => Step::Act,
        }
    }

    /// How a client comes back that remembers something.
    pub(crate) fn comes_back(&mut self) -> Return {
        match self.random.u32(0..20) {
            0..4 => Return::Anew,
            4..15 => Return::Resuming,
            15..17 => Return::WithOldCursor,
            17..19 => Return::AsAnother,
            _ => Return::WithNonsense,
        }
    }

    /// How much time passes: microseconds on the monotonic clock, and how far the wall clock jumps, in milliseconds.
    pub(crate) fn time_passes(&mut self) -> (u64, i64) {
        const HOUR_MS: i64 = 3_600_000;
        let passed_us = self.random.u64(0..self.time_step_us_max);
        let jump_ms = match self.random.u32(0..12) {
            0 => self.random.i64(-HOUR_MS..=HOUR_MS),
            1..4 => self.random.i64(-20..=20),
            _ => 0,
        };
        (passed_us, jump_ms)
    }

    pub(crate) fn channel(&mut self) -> String {
        CHANNELS[self.random.usize(0..self.channel_count)].to_owned()
    }
}
