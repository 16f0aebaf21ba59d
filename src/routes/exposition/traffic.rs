//! What clients say, what they are told, and how long that takes.

use core_shards::ShardMetrics;
use core_shards::metrics::{Counter, EventClass};

use super::page::{Page, Type};
use crate::engine::metrics::Carrier;
use crate::routes::Surroundings;

/// The units of a scrape's times, of which the counters have a million in a second.
const SECONDS: f64 = 1e6;
const MILLISECONDS: f64 = 1e3;

/// What the specification names: messages, changes of presence, latency.
pub(super) fn specified(page: &mut Page, surroundings: &Surroundings) {
    page.counter(
        "realtime_messages_total",
        "Messages that were given their place in a channel.",
        surroundings.sum_shards(|shard| &shard.published[EventClass::Message as usize]),
    );
    page.counter(
        "realtime_presence_updates_total",
        "Changes of a user's presence that were told.",
        surroundings.sum_shards(|shard| &shard.presence_updates),
    );
    let latency = surroundings.shared.metrics.iter().map(|engine| &engine.latency);
    page.histograms(
        "realtime_latency_ms",
        "From a message's arrival to the end of the turn that wrote it to a core's sockets.",
        MILLISECONDS,
    )
    .sum(&[], latency);
}

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    events(page, surroundings);
    deliveries(page, surroundings);
    bytes(page, surroundings);
    times(page, surroundings);
}

fn events(page: &mut Page, surroundings: &Surroundings) {
    page.counter(
        "realtime_received_total",
        "Event packets received, whether they could be read or not.",
        surroundings.sum_shards(|shard| &shard.events),
    );
    let of = |class: EventClass, field: fn(&ShardMetrics, usize) -> &Counter| {
        surroundings.sum_shards(|shard| field(shard, class as usize))
    };
    let mut family = page.family(
        "realtime_events_total",
        Type::Counter,
        "Events received, and events handed to sessions.",
    );
    for (class, label) in EventClass::ALL {
        family.sample(
            &[("direction", "in"), ("class", label)],
            of(class, |shard, class| &shard.received[class]),
        );
        family.sample(
            &[("direction", "out"), ("class", label)],
            of(class, |shard, class| &shard.delivered[class]),
        );
    }
    page.by(
        "class",
        ("realtime_publications_total", Type::Counter, "Events that were given their place in a channel."),
        EventClass::ALL[..4]
            .iter()
            .map(|(class, label)| (*label, of(*class, |shard, class| &shard.published[class]))),
    );
    page.counter(
        "realtime_duplicates_suppressed_total",
        "Retries answered with the first acknowledgement.",
        surroundings.sum_shards(|shard| &shard.duplicates),
    );
    page.gauge(
        "realtime_receipts",
        "Acknowledgements remembered for retries.",
        surroundings.sum_shards(|shard| &shard.receipts),
    );
    page.counter(
        "realtime_receipts_evicted_total",
        "Acknowledgements forgotten before their time.",
        surroundings.sum_shards(|shard| &shard.receipts_evicted),
    );
}

fn deliveries(page: &mut Page, surroundings: &Surroundings) {
    page.counter(
        "realtime_deliveries_total",
        "Publications handed to sessions.",
        surroundings.sum_shards(|shard| &shard.deliveries),
    );
    page.counter(
        "realtime_encodes_total",
        "Publications encoded: once for each form that is read, however many read it.",
        surroundings.sum_shards(|shard| &shard.encodes),
    );
    page.counter(
        "realtime_volatile_encodes_total",
        "Typing, presence and the like encoded, in the same way.",
        surroundings.sum_shards(|shard| &shard.volatile_encodes),
    );
    page.counter(
        "realtime_coalesced_total",
        "Volatile frames replaced by later ones before slow readers took them.",
        surroundings.sum_engines(|engine| &engine.coalesced),
    );
    page.by(
        "reason",
        ("realtime_dropped_total", Type::Counter, "What was never told, though nobody was too slow for it."),
        [("crowd", surroundings.sum_shards(|shard| &shard.presence_dropped))],
    );
    page.histograms("realtime_fanout_size", "Sessions that a publication went to.", 1.0)
        .sum(&[], surroundings.shards.iter().map(|shard| &shard.fanout));
}

fn bytes(page: &mut Page, surroundings: &Surroundings) {
    let mut family = page.family("realtime_bytes_total", Type::Counter, "Bytes read and written.");
    for (carrier, label) in Carrier::ALL {
        let received = surroundings.sum_engines(|engine| &engine.bytes_in[carrier as usize]);
        family.sample(&[("direction", "in"), ("transport", label)], received);
        let sent = surroundings.sum_engines(|engine| &engine.bytes_out[carrier as usize]);
        family.sample(&[("direction", "out"), ("transport", label)], sent);
    }
    page.histograms("realtime_message_size_bytes", "Messages as their senders wrote them.", 1.0)
        .sum(&[], surroundings.shards.iter().map(|shard| &shard.message_bytes));
    page.counter(
        "realtime_writes_total",
        "Write calls for sessions.",
        surroundings.sum_engines(|engine| &engine.writes),
    );
    page.counter(
        "realtime_blocked_writes_total",
        "Write calls that were not taken whole.",
        surroundings.sum_engines(|engine| &engine.blocked_writes),
    );
    page.gauge(
        "realtime_outq_bytes",
        "Bytes waiting for clients.",
        surroundings.sum_engines(|engine| &engine.queued_bytes),
    );
    page.gauge(
        "realtime_half_received_bytes",
        "Bytes of requests and messages that have not arrived whole.",
        surroundings.sum_engines(|engine| &engine.half_received_bytes),
    );
}

fn times(page: &mut Page, surroundings: &Surroundings) {
    let shards = &surroundings.shards;
    let mut family = page.histograms(
        "realtime_publish_to_deliver_seconds",
        "From a publication's arrival until it was handed to members, ordered on their core or on another.",
        SECONDS,
    );
    family.sum(&[("path", "local")], shards.iter().map(|shard| &shard.delivery_local));
    family.sum(&[("path", "across")], shards.iter().map(|shard| &shard.delivery_across));
    page.histograms("realtime_ping_rtt_seconds", "From a ping to its pong.", SECONDS)
        .sum(&[], surroundings.shared.metrics.iter().map(|engine| &engine.round_trip));
}
