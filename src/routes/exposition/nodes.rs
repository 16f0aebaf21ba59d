//! What is known of other nodes' users. Nothing on a node that is alone.

use core_shards::ShardMetrics;
use core_shards::metrics::Counter;

use super::page::Page;
use crate::routes::Surroundings;

/// A name, what it says, and where it is counted.
type Line = (&'static str, &'static str, fn(&ShardMetrics) -> &Counter);

const GAUGES: [Line; 3] = [
    ("realtime_nodes_alive", "Other nodes that live, as their leases say.", |shard| &shard.nodes_alive),
    (
        "realtime_presence_remotes",
        "Users with devices on other nodes, once for each of those nodes.",
        |shard| &shard.remotes,
    ),
    ("realtime_presence_venues", "Channels that those are in.", |shard| &shard.venues),
];

const COUNTERS: [Line; 6] = [
    (
        "realtime_nodes_lost_total",
        "Nodes whose users were taken to be gone, because their leases had ended.",
        |shard| &shard.nodes_lost,
    ),
    (
        "realtime_node_fences_total",
        "Times that this node found its own lease gone, and told the others of its users anew.",
        |shard| &shard.fences,
    ),
    (
        "realtime_presence_states_asked_total",
        "Times that all users of another node's core were asked for, because changes were missed.",
        |shard| &shard.presence_states_asked,
    ),
    (
        "realtime_presence_remotes_refused_total",
        "Users of other nodes and channels of theirs that were not noted, because there was no room.",
        |shard| &shard.remotes_refused,
    ),
    ("realtime_signals_refused_total", "Signals of other nodes that could not be read.", |shard| {
        &shard.signals_refused
    }),
    ("realtime_signals_void_total", "Signals of nodes that were taken to be gone.", |shard| {
        &shard.signals_void
    }),
];

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    if surroundings.redis.cores().is_empty() {
        return;
    }
    for (name, help, field) in GAUGES {
        page.gauge(name, help, surroundings.sum_shards(field));
    }
    for (name, help, field) in COUNTERS {
        page.counter(name, help, surroundings.sum_shards(field));
    }
}
