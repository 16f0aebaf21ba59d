//! Who is connected, who came and went, and what they are in.

use core_shards::metrics::Counter;
use protocol::codes::CloseReason;

use super::page::{Page, Type};
use crate::engine::metrics::{EngineMetrics, Rejection};
use crate::routes::Surroundings;

/// The gauge that the specification calls a total.
pub(super) fn count(page: &mut Page, surroundings: &Surroundings) {
    page.gauge("realtime_connections_total", "Active connections.", surroundings.session_count());
}

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    sessions(page, surroundings);
    comings_and_goings(page, surroundings);
    page.gauge(
        "realtime_users",
        "Users with a connection.",
        surroundings.sum_shards(|shard| &shard.users_connected),
    );
    page.gauge(
        "realtime_users_kept",
        "Users of whom anything is kept.",
        surroundings.sum_shards(|shard| &shard.users),
    );
    let idle = surroundings.sum_shards(|shard| &shard.channels_idle);
    let channels = surroundings.sum_shards(|shard| &shard.channels);
    page.gauge("realtime_channels", "Channels with a member.", channels.saturating_sub(idle));
    page.gauge("realtime_channels_idle", "Channels that nobody is in and whose past is kept.", idle);
    page.gauge(
        "realtime_subscriptions",
        "Memberships of sessions, those of lost ones included while they may come back.",
        surroundings.sum_shards(|shard| &shard.subscriptions),
    );
}

fn sessions(page: &mut Page, surroundings: &Surroundings) {
    let active = surroundings.session_count();
    page.gauge("realtime_connections_active", "Active connections, under a name that says so.", active);
    let sum = |field: fn(&EngineMetrics) -> &Counter| surroundings.sum_engines(field);
    page.by(
        "transport",
        ("realtime_connections", Type::Gauge, "Active connections by transport."),
        [("websocket", sum(|engine| &engine.websockets)), ("polling", sum(|engine| &engine.pollings))],
    );
    page.gauge(
        "realtime_connections_limit",
        "Connections that the node takes.",
        surroundings.shared.settings.sessions_max,
    );
    page.gauge(
        "realtime_inflight_handshakes",
        "Connections that have not said yet who they are.",
        surroundings.handshakes(),
    );
    page.gauge(
        "realtime_detached_sessions",
        "Sessions without a connection that are kept for a while.",
        surroundings.sum_shards(|shard| &shard.detached),
    );
}

fn comings_and_goings(page: &mut Page, surroundings: &Surroundings) {
    let sum = |field: fn(&EngineMetrics) -> &Counter| surroundings.sum_engines(field);
    page.counter("realtime_accepted_total", "TCP connections accepted.", sum(|engine| &engine.accepted));
    page.counter("realtime_opened_total", "Sessions opened.", sum(|engine| &engine.opened));
    page.counter(
        "realtime_moved_total",
        "Sessions handed to their user's home core.",
        sum(|engine| &engine.moved),
    );
    page.counter(
        "realtime_forwarded_requests_total",
        "Polling requests that another node was asked to answer.",
        sum(|engine| &engine.forwarded),
    );
    page.counter(
        "realtime_served_requests_total",
        "Polling requests that were answered for other nodes.",
        sum(|engine| &engine.served),
    );
    let closed = |reason: CloseReason| surroundings.sum_engines(|engine| &engine.closed[reason as usize]);
    page.by(
        "reason",
        ("realtime_closed_total", Type::Counter, "Sessions ended."),
        CloseReason::ALL.map(|reason| (reason.label(), closed(reason))),
    );
    page.counter(
        "realtime_slow_disconnects_total",
        "Sessions ended because their clients did not read.",
        closed(CloseReason::SlowReader),
    );
    page.by(
        "reason",
        ("realtime_rejected_total", Type::Counter, "Turned away before a session."),
        Rejection::ALL.map(|(rejection, label)| {
            (label, surroundings.sum_engines(|engine| &engine.rejected[rejection as usize]))
        }),
    );
}
