//! The names that every plugin of the product has.

use protocol::codes::ErrorCode;

use super::page::{Page, Type};
use crate::chat::ChatNode;
use crate::engine::Application;
use crate::engine::metrics::{METHODS, ROUTE_OTHER, ROUTE_SURFACE, STATUSES};
use crate::routes::{Surroundings, VERSION};

const PLUGIN: (&str, &str) = ("plugin", "realtime");

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    requests(page, surroundings);
    page.histograms(
        "nself_plugin_request_duration_seconds",
        "From a request's head to the end of its answer, without those of Socket.IO, which wait on purpose.",
        1e6,
    )
    .sum(&[PLUGIN], surroundings.shared.metrics.iter().map(|engine| &engine.requests.duration));
    page.family("nself_plugin_in_flight_requests", Type::Gauge, "HTTP requests that are being answered.")
        .sample(&[PLUGIN], surroundings.sum_engines(|engine| &engine.requests.in_flight));
    let mut family = page.family("nself_plugin_errors_total", Type::Counter, "Refused events and calls.");
    for kind in KINDS {
        let codes = ErrorCode::ALL.into_iter().filter(|code| code.family() == kind);
        let count: u64 =
            codes.map(|code| surroundings.sum_shards(|shard| &shard.refusals[code as usize])).sum();
        family.sample(&[PLUGIN, ("kind", kind)], count);
    }
    page.family("nself_plugin_build_info", Type::Gauge, "The version that runs.")
        .sample(&[PLUGIN, ("version", VERSION)], 1);
}

/// The families of codes.
const KINDS: [&str; 7] = ["auth", "authorization", "validation", "state", "rate_limit", "server", "route"];

/// Those that were asked at least once: a thousand series of nothing would help nobody.
fn requests(page: &mut Page, surroundings: &Surroundings) {
    let engines = &surroundings.shared.metrics;
    let total: u64 = engines.iter().map(|engine| engine.requests.total()).sum();
    page.counter("realtime_http_requests_total", "HTTP requests answered.", total);
    let mut family = page.family("nself_plugin_requests_total", Type::Counter, "HTTP requests answered.");
    let mut routes = vec![(ROUTE_SURFACE, "/socket.io"), (ROUTE_OTHER, "other")];
    routes.extend((ROUTE_OTHER + 1..).zip(ChatNode::ROUTES.iter().copied()));
    for (route, route_name) in routes {
        for (method, method_name) in METHODS.iter().enumerate() {
            for (place, status) in STATUSES.iter().enumerate() {
                let count: u64 =
                    engines.iter().map(|engine| engine.requests.answered(route, method, place)).sum();
                if count == 0 {
                    continue;
                }
                let status = if *status == 0 { "other".to_owned() } else { status.to_string() };
                let labels = [PLUGIN, ("route", route_name), ("method", method_name), ("status", &status)];
                family.sample(&labels, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::metrics::ROUTES_MAX;

    use super::*;

    #[test]
    fn every_route_and_every_kind_is_counted() {
        assert!(ROUTE_OTHER < ROUTES_MAX - ChatNode::ROUTES.len());
        for code in ErrorCode::ALL {
            assert!(KINDS.contains(&code.family()), "{}", code.name());
        }
    }
}
