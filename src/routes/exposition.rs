//! The counters of all cores as Prometheus text (exposition format 0.0.4). Labels come from fixed
//! lists, never from users or channels.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use core_shards::ShardMetrics;
use core_shards::metrics::Counter;
use protocol::codes::{CloseReason, ErrorCode};

use super::VERSION;
use crate::auth::Denial;
use crate::chat::{ChatMetrics, ChatNode};
use crate::engine::core::Shared;
use crate::engine::metrics::{EngineMetrics, LATENCY_BOUNDS_US, Rejection};
use crate::rt::Driver;

/// The whole scrape.
pub(super) fn text(
    shared: &Shared<ChatNode>,
    shards: &[Arc<ShardMetrics>],
    doors: &[Arc<ChatMetrics>],
    driver: Driver,
) -> String {
    let mut page = Page::default();
    let engines = &shared.metrics;
    let sessions = shared.session_count.load(Ordering::Relaxed) as u64;
    page.gauge("realtime_connections_total", "Active connections.", sessions);
    page.counter("realtime_messages_total", "Messages that were given their place in a channel.", || {
        sum(shards, |shard| &shard.publications)
    });
    page.counter("realtime_presence_updates_total", "Changes of a user's presence.", || {
        sum(shards, |shard| &shard.presence_updates)
    });
    latency(&mut page, engines);
    connections(&mut page, engines);
    traffic(&mut page, engines, shards);
    page.gauge("realtime_users", "Users with a session.", sum(shards, |shard| &shard.users));
    page.gauge("realtime_channels", "Channels with a member.", sum(shards, |shard| &shard.channels));
    page.gauge(
        "realtime_subscriptions",
        "Memberships of sessions.",
        sum(shards, |shard| &shard.subscriptions),
    );
    page.labelled("realtime_refusals_total", "counter", "Refused requests.", "code", || {
        ErrorCode::ALL.map(|code| (code.name(), sum(shards, |shard| &shard.refusals[code as usize]))).to_vec()
    });
    page.labelled("realtime_auth_failures_total", "counter", "Refused identities.", "reason", || {
        Denial::ALL.map(|(denial, label)| (label, sum(doors, |door| &door.denials[denial as usize]))).to_vec()
    });
    cores(&mut page, engines, shards);
    let info = format!("{{version=\"{VERSION}\"}}");
    page.line("realtime_build_info", "gauge", "The version that runs.", &info, 1);
    let info = format!("{{driver=\"{driver}\"}}");
    page.line("realtime_io_driver_info", "gauge", "The driver that was chosen at start.", &info, 1);
    let is_draining = u64::from(shared.is_draining.load(Ordering::Relaxed));
    page.gauge("realtime_draining", "Whether the node is going down.", is_draining);
    page.0
}

fn latency(page: &mut Page, engines: &[Arc<EngineMetrics>]) {
    let name = "realtime_latency_ms";
    page.head(
        name,
        "histogram",
        "From a message's arrival to the end of the turn that wrote it to a core's sockets.",
    );
    let (mut counts, mut total_us) = ([0; LATENCY_BOUNDS_US.len() + 1], 0);
    for engine in engines {
        let (buckets, sum_us) = engine.latency.snapshot();
        counts.iter_mut().zip(buckets).for_each(|(count, bucket)| *count += bucket);
        total_us += sum_us;
    }
    let mut cumulated = 0;
    for (bound_us, count) in LATENCY_BOUNDS_US.iter().zip(counts) {
        cumulated += count;
        page.sample(&format!("{name}_bucket{{le=\"{}\"}}", *bound_us as f64 / 1000.0), cumulated);
    }
    cumulated += counts[LATENCY_BOUNDS_US.len()];
    page.sample(&format!("{name}_bucket{{le=\"+Inf\"}}"), cumulated);
    let _ = writeln!(page.0, "{name}_sum {}", total_us as f64 / 1000.0);
    page.sample(&format!("{name}_count"), cumulated);
}

fn connections(page: &mut Page, engines: &[Arc<EngineMetrics>]) {
    page.labelled("realtime_connections", "gauge", "Active connections by transport.", "transport", || {
        vec![
            ("websocket", sum(engines, |engine| &engine.websockets)),
            ("polling", sum(engines, |engine| &engine.pollings)),
        ]
    });
    page.counter("realtime_accepted_total", "TCP connections accepted.", || {
        sum(engines, |engine| &engine.accepted)
    });
    page.counter("realtime_opened_total", "Sessions opened.", || sum(engines, |engine| &engine.opened));
    page.counter("realtime_moved_total", "Sessions handed to their user's home core.", || {
        sum(engines, |engine| &engine.moved)
    });
    page.labelled("realtime_closed_total", "counter", "Sessions ended.", "reason", || {
        let ended = |reason: CloseReason| sum(engines, |engine| &engine.closed[reason as usize]);
        CloseReason::ALL.map(|reason| (reason.label(), ended(reason))).to_vec()
    });
    page.labelled("realtime_rejected_total", "counter", "Turned away before a session.", "reason", || {
        let rejected = |rejection: Rejection| sum(engines, |engine| &engine.rejected[rejection as usize]);
        Rejection::ALL.map(|(rejection, label)| (label, rejected(rejection))).to_vec()
    });
}

fn traffic(page: &mut Page, engines: &[Arc<EngineMetrics>], shards: &[Arc<ShardMetrics>]) {
    page.counter("realtime_events_total", "Events received.", || sum(shards, |shard| &shard.events));
    page.counter("realtime_deliveries_total", "Messages handed to sessions.", || {
        sum(shards, |shard| &shard.deliveries)
    });
    page.counter("realtime_encodes_total", "Messages encoded: once each, however many receive it.", || {
        sum(shards, |shard| &shard.encodes)
    });
    page.counter(
        "realtime_duplicates_suppressed_total",
        "Retries answered with the first acknowledgement.",
        || sum(shards, |shard| &shard.duplicates),
    );
    page.counter("realtime_receipts_evicted_total", "Receipts forgotten before their time.", || {
        sum(shards, |shard| &shard.receipts_evicted)
    });
    page.labelled("realtime_bytes_total", "counter", "Bytes read and written.", "direction", || {
        vec![
            ("in", sum(engines, |engine| &engine.bytes_in)),
            ("out", sum(engines, |engine| &engine.bytes_out)),
        ]
    });
    page.counter("realtime_writes_total", "Write calls for sessions.", || {
        sum(engines, |engine| &engine.writes)
    });
    page.counter("realtime_blocked_writes_total", "Write calls that were not taken whole.", || {
        sum(engines, |engine| &engine.blocked_writes)
    });
    page.gauge(
        "realtime_outq_bytes",
        "Bytes waiting for clients.",
        sum(engines, |engine| &engine.queued_bytes),
    );
    page.counter("realtime_http_requests_total", "HTTP requests.", || {
        sum(engines, |engine| &engine.requests)
    });
}

fn cores(page: &mut Page, engines: &[Arc<EngineMetrics>], shards: &[Arc<ShardMetrics>]) {
    let mut by_core = |name, kind, help, values: Vec<u64>| {
        page.head(name, kind, help);
        for (core, value) in values.into_iter().enumerate() {
            page.sample(&format!("{name}{{core=\"{core}\"}}"), value);
        }
    };
    let of_engines =
        |field: fn(&EngineMetrics) -> &Counter| engines.iter().map(|engine| field(engine).get()).collect();
    let of_shards =
        |field: fn(&ShardMetrics) -> &Counter| shards.iter().map(|shard| field(shard).get()).collect();
    by_core("realtime_core_sessions", "gauge", "Sessions by home core.", of_shards(|shard| &shard.sessions));
    by_core("realtime_core_turns_total", "counter", "Inputs handled.", of_engines(|engine| &engine.turns));
    by_core("realtime_core_letters_total", "counter", "Letters handled.", of_shards(|shard| &shard.letters));
    by_core(
        "realtime_core_delayed_letters_total",
        "counter",
        "Times that letters waited for a full mailbox.",
        of_engines(|engine| &engine.delayed_letters),
    );
    by_core("realtime_core_stale_letters_total", "counter", "Letters to somebody who was gone.", {
        of_shards(|shard| &shard.stale_letters)
    });
    by_core("realtime_core_panics_total", "counter", "Connection tasks that panicked.", {
        of_engines(|engine| &engine.panics)
    });
}

fn sum<M>(cores: &[Arc<M>], field: impl Fn(&M) -> &Counter) -> u64 {
    // Gauges may go below zero on one core for a moment, and wrap; their sum does not.
    cores.iter().fold(0, |total, core| total.wrapping_add(field(core).get()))
}

/// The text under construction.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn line(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: u64) {
        self.head(name, kind, help);
        self.sample(&format!("{name}{labels}"), value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.line(name, "gauge", help, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl FnOnce() -> u64) {
        self.line(name, "counter", help, "", value());
    }

    fn labelled(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl FnOnce() -> Vec<(&'static str, u64)>,
    ) {
        self.head(name, kind, help);
        for (value_of_label, value) in values() {
            self.sample(&format!("{name}{{{label}=\"{value_of_label}\"}}"), value);
        }
    }
}
