//! What is shown per core, because the sum would hide that one of them has more to do than the others.

use core_shards::metrics::Counter;
use core_shards::{CoreId, ShardMetrics};

use super::page::{Page, Type};
use crate::engine::metrics::EngineMetrics;
use crate::routes::Surroundings;

/// A metric of each engine.
type OfEngine = (&'static str, Type, &'static str, fn(&EngineMetrics) -> &Counter);
/// A metric of each shard.
type OfShard = (&'static str, Type, &'static str, fn(&ShardMetrics) -> &Counter);

const OF_ENGINES: [OfEngine; 6] = [
    ("realtime_core_turns_total", Type::Counter, "Inputs handled.", |engine| &engine.turns),
    (
        "realtime_core_delayed_letters_total",
        Type::Counter,
        "Times that letters waited for a full mailbox.",
        |engine| &engine.delayed_letters,
    ),
    ("realtime_core_unsent_letters", Type::Gauge, "Letters that wait for full mailboxes.", |engine| {
        &engine.unsent_letters
    }),
    ("realtime_core_panics_total", Type::Counter, "Connection tasks that panicked.", |engine| &engine.panics),
    ("realtime_core_tasks", Type::Gauge, "Tasks of connections.", |engine| &engine.tasks),
    ("realtime_core_timer_wheel_entries", Type::Gauge, "Deadlines of connections.", |engine| {
        &engine.deadlines
    }),
];

const OF_SHARDS: [OfShard; 4] = [
    ("realtime_core_sessions", Type::Gauge, "Sessions by home core.", |shard| &shard.sessions),
    ("realtime_core_letters_total", Type::Counter, "Letters handled.", |shard| &shard.letters),
    ("realtime_core_stale_letters_total", Type::Counter, "Letters to somebody who was gone.", |shard| {
        &shard.stale_letters
    }),
    ("realtime_core_deadlines", Type::Gauge, "Deadlines of users, channels and tokens.", |shard| {
        &shard.deadlines
    }),
];

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    let engines = &surroundings.shared.metrics;
    let names: Vec<String> = (0..engines.len()).map(|core| core.to_string()).collect();
    let named = || names.iter().map(String::as_str);
    for (name, kind, help, field) in OF_SHARDS {
        let values = surroundings.shards.iter().map(|shard| field(shard).get());
        page.by("core", (name, kind, help), named().zip(values));
    }
    for (name, kind, help, field) in OF_ENGINES {
        page.by("core", (name, kind, help), named().zip(engines.iter().map(|engine| field(engine).get())));
    }
    processor(page, engines.iter().map(|engine| &**engine).zip(named()));
    let mut family =
        page.family("realtime_core_mailbox_depth", Type::Gauge, "Letters that wait in a core's mailbox.");
    for (core, name) in (0..surroundings.shared.core_count()).map(CoreId).zip(named()) {
        let (requests, results) = surroundings.shared.mailbox_depths(core);
        family.sample(&[("core", name), ("lane", "requests")], requests);
        family.sample(&[("core", name), ("lane", "results")], results);
    }
    let help = "By how much the core's clock woke later than it wanted to.";
    let mut family = page.histograms("realtime_core_loop_lag_seconds", help, 1e6);
    for (engine, name) in engines.iter().zip(named()) {
        family.sum(&[("core", name)], [&engine.lag]);
    }
}

fn processor<'a>(page: &mut Page, engines: impl Iterator<Item = (&'a EngineMetrics, &'a str)> + Clone) {
    let of = |field: fn(&EngineMetrics) -> &Counter, unit: f64| {
        engines.clone().map(move |(engine, name)| (name, field(engine).get() as f64 / unit))
    };
    let help = "How much of the last second the core was busy.";
    page.by("core", ("realtime_core_busy_ratio", Type::Gauge, help), of(|engine| &engine.busy_permille, 1e3));
    let help = "Processor time that the core has used.";
    page.by(
        "core",
        ("realtime_core_busy_seconds_total", Type::Counter, help),
        of(|engine| &engine.busy_us, 1e6),
    );
    let help = "Time for which the core could have run and had no processor.";
    page.by(
        "core",
        ("realtime_core_delayed_seconds_total", Type::Counter, help),
        of(|engine| &engine.delayed_us, 1e6),
    );
}
