//! What was repaired after connections were lost, and what is kept for that.

use core_shards::metrics::{Recovery, RecoverySource};

use super::page::{Page, Type};
use crate::routes::Surroundings;

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    let mut family = page.family(
        "realtime_recover_total",
        Type::Counter,
        "Who wanted what had happened meanwhile, or was told it, and whether all of it was there.",
    );
    for (source, label) in RecoverySource::ALL {
        for (recovery, result) in Recovery::ALL {
            let count =
                surroundings.sum_shards(|shard| &shard.recoveries[source as usize][recovery as usize]);
            family.sample(&[("source", label), ("result", result)], count);
        }
    }
    let mut family =
        page.histograms("realtime_recovered_messages", "Publications that were told after the fact.", 1.0);
    for (source, label) in RecoverySource::ALL {
        let parts = surroundings.shards.iter().map(|shard| &shard.recovered[source as usize]);
        family.sum(&[("source", label)], parts);
    }
    page.counter(
        "realtime_missed_told_total",
        "Publications told to users who had been away.",
        surroundings.sum_shards(|shard| &shard.missed_messages),
    );
    page.counter(
        "realtime_missed_lost_total",
        "Publications that users who had been away were told to be lost.",
        surroundings.sum_shards(|shard| &shard.missed_lost),
    );
    kept(page, surroundings);
}

fn kept(page: &mut Page, surroundings: &Surroundings) {
    page.gauge(
        "realtime_history_entries",
        "Publications in the histories of channels.",
        surroundings.sum_shards(|shard| &shard.history_entries),
    );
    page.gauge(
        "realtime_history_bytes",
        "What they cost.",
        surroundings.sum_shards(|shard| &shard.history_bytes),
    );
    page.gauge(
        "realtime_journal_entries",
        "Publications kept for sessions that come back.",
        surroundings.sum_shards(|shard| &shard.journal_entries),
    );
    page.gauge(
        "realtime_journal_bytes",
        "What they cost, those in histories counted twice.",
        surroundings.sum_shards(|shard| &shard.journal_bytes),
    );
    page.counter(
        "realtime_channels_evicted_total",
        "Channels forgotten early though something of them was kept.",
        surroundings.sum_shards(|shard| &shard.homes_evicted),
    );
}
