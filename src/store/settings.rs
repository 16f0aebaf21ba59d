//! What a store is told: where Redis is, and for how long what is kept there.

use core_shards::Limits;

use crate::config::redis::RedisConfig;
use crate::redis::RedisSettings;

/// What a store needs to know. The same on all cores, and in everything but the client's name on all nodes.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Where Redis is.
    pub redis: RedisSettings,
    /// How all keys and topics begin.
    pub prefix: String,
    /// How many partitions there are.
    pub partitions: u16,
    /// Publications of a channel that are told to whoever opens it.
    pub history_size_max: usize,
    /// How long publications are kept, in ms.
    pub stream_life_ms: u64,
    /// How long a node's sessions are kept after it was last heard of, in ms.
    pub session_life_ms: u64,
    /// How long absences are kept, in ms.
    pub absence_life_ms: u64,
}

impl StoreSettings {
    /// The settings of a node.
    pub fn new(config: &RedisConfig, limits: &Limits, client_name: String) -> Self {
        Self {
            redis: RedisSettings { client_name, ..config.settings.clone() },
            prefix: config.prefix.clone(),
            partitions: config.partitions,
            history_size_max: limits.history_size_max,
            // Lives are renewed when an eighth of them is over, and nothing may end before its time.
            stream_life_ms: limits.history_life_ms.max(limits.recovery_window_ms).max(STREAM_LIFE_MIN_MS) / 7
                * 8,
            session_life_ms: limits.recovery_window_ms.max(1),
            absence_life_ms: limits.offline_life_ms.max(1),
        }
    }

    /// How many publications a stream keeps: what is remembered, or what a short loss of the feed takes to repair.
    pub(super) fn kept_max(&self) -> usize {
        self.history_size_max.max(KEPT_MIN)
    }

    /// How long a channel's state is kept.
    pub(super) fn state_life_ms(&self) -> u64 {
        self.stream_life_ms.max(STATE_LIFE_MIN_MS)
    }
}

/// Long enough for a node to find its way back to Redis.
const STREAM_LIFE_MIN_MS: u64 = 60_000;

/// See [`StoreSettings::kept_max`].
const KEPT_MIN: usize = 256;

/// A channel whose state is forgotten begins a new epoch, which its members are told: a day of silence is worth it.
const STATE_LIFE_MIN_MS: u64 = 24 * 60 * 60_000;

/// What is said to users of a partition is kept up to this count, for nodes that lost the feed for a while.
pub(super) const USERS_KEPT_MAX: usize = 4_096;

/// Receipts of a partition that one of its two tables takes, about 15 MB: a retry is recognised for ten minutes or, under
/// load, while fewer than so many others came. The node that answered first knows it for longer.
pub(super) const RECEIPTS_MAX: usize = 100_000;

/// How long a node lives in the eyes of others after it said so.
pub(super) const LEASE_MS: u64 = 10_000;
