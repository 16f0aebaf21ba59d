//! The way to Redis, for nodes that have one. Sums over the cores; nothing is said by a node that is alone.

use core_shards::ShardMetrics;
use core_shards::metrics::Counter;

use super::page::{Page, Type};
use crate::redis::{StoreMetrics, Trouble};
use crate::routes::Surroundings;

/// States of a partition, by their numbers.
const STATES: [&str; 3] = ["adrift", "repairing", "live"];

/// A metric of each core's way.
type OfStore = (&'static str, Type, &'static str, fn(&StoreMetrics) -> &Counter);

const SUMS: [OfStore; 15] = [
    ("realtime_redis_links", Type::Gauge, "Connections to Redis that there should be.", |core| &core.links),
    ("realtime_redis_links_up", Type::Gauge, "Connections that carry out commands.", |core| &core.links_up),
    ("realtime_redis_partitions", Type::Gauge, "Partitions whose feeds should be heard.", |core| {
        &core.groups
    }),
    ("realtime_redis_partitions_heard", Type::Gauge, "Partitions whose feeds are heard.", |core| {
        &core.groups_up
    }),
    ("realtime_redis_topics", Type::Gauge, "Topics that are wanted.", |core| &core.topics),
    ("realtime_redis_in_flight", Type::Gauge, "Commands under way.", |core| &core.in_flight),
    ("realtime_redis_in_flight_bytes", Type::Gauge, "Their bytes, and those not yet written.", |core| {
        &core.in_flight_bytes
    }),
    ("realtime_redis_commands_total", Type::Counter, "Commands sent.", |core| &core.commands),
    (
        "realtime_redis_refused_total",
        Type::Counter,
        "Commands refused because too much was under way.",
        |core| &core.refused,
    ),
    (
        "realtime_redis_dropped_total",
        Type::Counter,
        "Signals dropped because too much was under way, or nobody was there.",
        |core| &core.dropped,
    ),
    ("realtime_redis_feed_messages_total", Type::Counter, "Messages of topics that came.", |core| {
        &core.messages
    }),
    ("realtime_redis_writes_total", Type::Counter, "Writes: each carries all commands of a turn.", |core| {
        &core.writes
    }),
    ("realtime_redis_connects_total", Type::Counter, "Attempts to connect.", |core| &core.attempts),
    ("realtime_redis_subscriptions_total", Type::Counter, "Commands of subscription sent.", |core| {
        &core.subscriptions
    }),
    (
        "realtime_redis_canary_misses_total",
        Type::Counter,
        "Canaries that did not come back in time.",
        |core| &core.canary_misses,
    ),
];

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    let cores = surroundings.redis.cores();
    if cores.is_empty() {
        return;
    }
    let sum =
        |field: fn(&StoreMetrics) -> &Counter| -> u64 { cores.iter().map(|core| field(core).get()).sum() };
    let is_up = surroundings.redis.is_up();
    page.gauge("realtime_redis_up", "Whether Redis is there for all cores.", u64::from(is_up));
    for (name, kind, help, field) in SUMS {
        page.family(name, kind, help).sample(&[], sum(field));
    }
    page.by(
        "direction",
        ("realtime_redis_bytes_total", Type::Counter, "Bytes exchanged with Redis."),
        [("in", sum(|core| &core.received_bytes)), ("out", sum(|core| &core.sent_bytes))],
    );
    page.counter(
        "realtime_redis_reconnects_total",
        "Connections that were up and were lost, to be made anew.",
        sum(|core| &core.losses),
    );
    page.by(
        "kind",
        ("realtime_redis_errors_total", Type::Counter, "What was wrong with Redis."),
        Trouble::ALL.map(|(trouble, label)| {
            (label, cores.iter().map(|core| core.troubles[trouble as usize].get()).sum::<u64>())
        }),
    );
    channels(page, surroundings);
    let help = "From a canary's departure until it was heard: the whole way to Redis and back.";
    page.histograms("realtime_redis_round_trip_seconds", help, 1e6)
        .sum(&[], cores.iter().map(|core| &core.round_trip));
}

/// What losing and finding Redis again meant for the channels.
fn channels(page: &mut Page, surroundings: &Surroundings) {
    let sum = |field: fn(&ShardMetrics) -> &Counter| surroundings.sum_shards(field);
    let states = STATES.iter().enumerate();
    page.by(
        "state",
        (
            "realtime_redis_partition_states",
            Type::Gauge,
            "Partitions by how far they are with what was missed.",
        ),
        states.map(|(number, state)| (*state, surroundings.sum_shards(|shard| &shard.partitions[number]))),
    );
    let gauge = ("realtime_redis_appends_waiting", "Publications that Redis has not confirmed.");
    page.gauge(gauge.0, gauge.1, sum(|shard| &shard.appends_waiting));
    page.counter(
        "realtime_redis_appends_refused_total",
        "Publications refused because Redis was away for too long, or refused them.",
        sum(|shard| &shard.appends_refused),
    );
    page.counter(
        "realtime_redis_provisional_total",
        "Publications handed out here before Redis had them.",
        sum(|shard| &shard.provisional),
    );
    page.counter(
        "realtime_redis_catch_ups_total",
        "Times that a partition was asked for what its feed had not brought.",
        sum(|shard| &shard.catch_ups),
    );
    page.counter(
        "realtime_redis_gaps_total",
        "Gaps that could not be filled and were announced to the members of a channel.",
        sum(|shard| &shard.gaps),
    );
    page.counter(
        "realtime_redis_tails_lost_total",
        "Times that Redis had lost the end of a partition without knowing it.",
        sum(|shard| &shard.tails_lost),
    );
}
