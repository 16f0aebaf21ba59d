//! How the node stands with Redis, as its pages tell: from the counters of all cores' ways there, and from looks at them
//! at the interval that the operator has set. Asks Redis nothing: that is done each second by each core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use core_shards::metrics::Counter;
use core_shards::{Now, ShardMetrics};
use serde_json::{Value, json};

use crate::redis::{StoreMetrics, Trouble};

/// How long after its start a node that has heard nothing of Redis, good or bad, is nothing to write about.
const STARTS_MS: u64 = 2_000;

/// The number of the state in which a partition misses nothing.
const LIVE: usize = 2;

/// What the node knows of the Redis over which it meets others.
#[derive(Debug)]
pub struct RedisHealth {
    /// The counters of each core's way; none where nodes do not meet.
    cores: Vec<Arc<StoreMetrics>>,
    /// Those of each core's shard, which says how far partitions are with what was missed.
    shards: Vec<Arc<ShardMetrics>>,
    interval_ms: u64,
    /// Everything was heard at some time since the start.
    has_met: AtomicBool,
    next_look_ms: AtomicU64,
    /// What the slowest core's last round trip took, at the last look.
    latency_us: AtomicU64,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The node is alone by its settings.
    Disabled,
    /// Everything is heard, and commands are carried out.
    Connected,
    /// Everything is heard, and commands are refused.
    Troubled(Trouble),
    /// It was so, and is not any more.
    Lost(Option<Trouble>),
    /// It was not yet so.
    NotYet(Option<Trouble>),
}

impl RedisHealth {
    /// Begins to look, once in so many milliseconds. Without `cores` the node is alone.
    pub fn new(cores: Vec<Arc<StoreMetrics>>, shards: Vec<Arc<ShardMetrics>>, interval_ms: u64) -> Self {
        let (has_met, next_look_ms, latency_us) = Default::default();
        Self { cores, shards, interval_ms, has_met, next_look_ms, latency_us }
    }

    /// The counters of each core's way.
    pub(super) fn cores(&self) -> &[Arc<StoreMetrics>] {
        &self.cores
    }

    /// How it stands.
    pub(super) fn standing(&self, now: Now) -> Standing {
        if self.cores.is_empty() {
            return Standing::Disabled;
        }
        let trouble = self.cores.iter().find_map(|core| core.current_trouble(now.unix_ms));
        if self.is_up() {
            self.has_met.store(true, Ordering::Relaxed);
            return trouble.map_or(Standing::Connected, Standing::Troubled);
        }
        match self.has_met.load(Ordering::Relaxed) {
            true => Standing::Lost(trouble),
            false => Standing::NotYet(trouble),
        }
    }

    /// Whether all cores hear everything, and nothing that was missed is still missing.
    pub(super) fn is_up(&self) -> bool {
        self.cores.iter().all(|core| core.is_up()) && self.live() == self.sum(|core| &core.groups)
    }

    /// Partitions that miss nothing, as counted each second.
    fn live(&self) -> u64 {
        self.shards.iter().map(|shard| shard.partitions[LIVE].get()).sum()
    }

    fn sum(&self, field: fn(&StoreMetrics) -> &Counter) -> u64 {
        self.cores.iter().map(|core| field(core).get()).sum()
    }

    /// Looks, if it is time to. To be called about once a second, by one core.
    pub(super) fn look(&self, now: Now) {
        let standing = self.standing(now);
        if standing == Standing::Disabled || now.monotonic_ms() < self.next_look_ms.load(Ordering::Relaxed) {
            return;
        }
        let slowest_us = self.cores.iter().map(|core| core.last_round_trip_us.get()).max().unwrap_or(0);
        let is_starting = match standing {
            Standing::Connected => slowest_us == 0,
            Standing::NotYet(trouble) => trouble.is_none() && now.monotonic_ms() < STARTS_MS,
            _ => false,
        };
        if is_starting {
            // Nothing has gone round yet: the next second tells more.
            return;
        }
        self.next_look_ms.store(now.monotonic_ms() + self.interval_ms, Ordering::Relaxed);
        self.latency_us.store(slowest_us, Ordering::Relaxed);
        match standing {
            Standing::Lost(trouble) | Standing::NotYet(trouble) => {
                let trouble = trouble.map_or("none is reported", Trouble::label);
                tracing::warn!(trouble, "without Redis: what is said here is heard here only, for now");
            }
            Standing::Troubled(trouble) => {
                tracing::warn!(trouble = trouble.label(), "Redis refuses what it is asked for");
            }
            Standing::Disabled | Standing::Connected => {}
        }
    }

    /// What the health page says; the latency in milliseconds is that of the last look.
    pub(super) fn page(&self, now: Now) -> Value {
        let (status, trouble) = match self.standing(now) {
            Standing::Disabled => return json!({"status": "disabled"}),
            Standing::Connected => ("connected", None),
            Standing::Troubled(trouble) => ("connected", Some(trouble)),
            Standing::Lost(trouble) | Standing::NotYet(trouble) => ("disconnected", trouble),
        };
        let mut page = json!({
            "status": status,
            "latency": self.latency_us.load(Ordering::Relaxed) as f64 / 1e3,
            "partitions": {
                "heard": self.sum(|core| &core.groups_up),
                "live": self.live(),
                "total": self.sum(|core| &core.groups),
            },
        });
        if let Some(trouble) = trouble {
            page["trouble"] = json!(trouble.label());
        }
        page
    }
}

impl Standing {
    /// Whether new clients are welcome. They are where Redis was lost, too: the others would have lost it as well, and
    /// a node that was never together with the others is no place to begin.
    pub(super) const fn is_ready(self) -> bool {
        !matches!(self, Self::NotYet(_))
    }

    /// Whether nothing is missing.
    pub(super) const fn is_whole(self) -> bool {
        matches!(self, Self::Disabled | Self::Connected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(core_count: usize) -> RedisHealth {
        let cores: Vec<Arc<StoreMetrics>> = (0..core_count).map(|_| Arc::default()).collect();
        for core in &cores {
            core.groups.set(2);
            core.links.set(1);
        }
        let shards = (0..core_count).map(|_| Arc::default()).collect();
        RedisHealth::new(cores, shards, 30_000)
    }

    fn set_up(health: &RedisHealth, number: usize, is_up: bool) {
        let count = if is_up { 2 } else { 1 };
        health.cores[number].groups_up.set(count);
        health.cores[number].links_up.set(u64::from(is_up));
        health.shards[number].partitions[LIVE].set(count);
    }

    fn at(monotonic_ms: u64) -> Now {
        Now { monotonic_us: 1_000 * monotonic_ms, unix_ms: 0 }
    }

    #[test]
    fn a_node_is_ready_once_it_has_met_redis_and_stays_so() {
        let health = health(2);
        assert_eq!(health.standing(at(0)), Standing::NotYet(None));
        assert!(!health.standing(at(0)).is_ready());
        health.cores[1].trouble.set(Trouble::NotAuthenticated as u64 + 1);
        set_up(&health, 0, true);
        assert_eq!(health.standing(at(0)), Standing::NotYet(Some(Trouble::NotAuthenticated)));
        assert_eq!(health.page(at(0))["trouble"], "not_authenticated");
        set_up(&health, 1, true);
        let standing = health.standing(at(0));
        assert_eq!(standing, Standing::Troubled(Trouble::NotAuthenticated));
        assert!(standing.is_ready() && !standing.is_whole());
        assert_eq!(health.page(at(0))["status"], "connected");
        health.cores[1].trouble.set(0);
        assert_eq!(health.standing(at(0)), Standing::Connected);
        health.shards[1].partitions[LIVE].set(1);
        assert_eq!(health.standing(at(0)), Standing::Lost(None), "something is still missing");
        health.shards[1].partitions[LIVE].set(2);
        set_up(&health, 0, false);
        let standing = health.standing(at(0));
        assert!(standing.is_ready() && !standing.is_whole(), "{standing:?}");
        assert_eq!(health.page(at(0))["status"], "disconnected");
        assert_eq!(health.page(at(0))["partitions"], json!({"heard": 3, "live": 3, "total": 4}));
    }

    #[test]
    fn without_redis_a_node_is_whole() {
        let health = RedisHealth::new(Vec::new(), vec![Arc::default()], 30_000);
        assert!(health.standing(at(0)).is_ready() && health.standing(at(0)).is_whole());
        assert_eq!(health.page(at(0)), json!({"status": "disabled"}));
        health.look(at(0));
    }

    #[test]
    fn the_latency_is_that_of_the_slowest_core_at_the_last_look() {
        let health = health(2);
        let latency = |us: u64, now_ms: u64| {
            health.cores[1].last_round_trip_us.set(us);
            health.look(at(now_ms));
            health.page(at(0))["latency"].as_f64()
        };
        assert_eq!(latency(420, 999), Some(0.0), "the node has hardly started");
        (0..2).for_each(|number| set_up(&health, number, true));
        assert_eq!(latency(420, 1_000), Some(0.42));
        assert_eq!(latency(900, 30_999), Some(0.42));
        assert_eq!(latency(900, 31_000), Some(0.9));
    }
}
