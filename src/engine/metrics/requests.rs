//! Counters of HTTP requests: which there were, how they were answered, how many are being answered.

use core_shards::metrics::{Counter, Histogram, Microseconds};
use protocol::http::head::Method;

/// Methods that are told apart, and one for the others.
pub const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "OPTIONS", "other"];

/// Statuses that are told apart, and 0 for the others.
pub const STATUSES: [u16; 22] = [
    101, 200, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 417, 426, 429, 431, 500, 501, 503, 505,
    0,
];

/// Routes that an application may name, with two for the engine's own and for those that it does not know.
pub const ROUTES_MAX: usize = 16;

/// The route of the surfaces.
pub const ROUTE_SURFACE: usize = 0;
/// The route of whatever has none.
pub const ROUTE_OTHER: usize = 1;

/// What one core was asked over HTTP.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    /// Requests answered, by route, method and status.
    answered: [[[Counter; STATUSES.len()]; METHODS.len()]; ROUTES_MAX],
    /// Requests that are being answered (gauge).
    pub in_flight: Counter,
    /// From a request's head until its answer was written, without those of surfaces, whose polls wait on purpose.
    pub duration: Histogram<Microseconds>,
}

impl RequestMetrics {
    /// Counts an answer. `method` is none if the request could not be read.
    pub fn count(&self, route: usize, method: Option<Method>, status: u16) {
        let method = match method {
            Some(Method::Get) => 0,
            Some(Method::Head) => 1,
            Some(Method::Post) => 2,
            Some(Method::Options) => 3,
            _ => METHODS.len() - 1,
        };
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        self.answered[route.min(ROUTES_MAX - 1)][method][status].increment();
    }

    /// How many requests of a route were answered, by the numbers of method and status.
    pub fn answered(&self, route: usize, method: usize, status: usize) -> u64 {
        self.answered[route][method][status].get()
    }

    /// How many requests came in and were answered, whichever they were.
    pub fn total(&self) -> u64 {
        self.answered.iter().flatten().flatten().map(Counter::get).sum()
    }
}

/// The number of the route of a path that is none of the surfaces.
pub fn route_of(path: &str, routes: &[&str]) -> usize {
    let segment = path.split('/').nth(1).unwrap_or_default();
    let known = routes.iter().position(|route| route.strip_prefix('/') == Some(segment));
    known.map_or(ROUTE_OTHER, |known| ROUTE_OTHER + 1 + known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_named_by_the_first_part_of_its_path() {
        let routes = ["/", "/presence", "/api"];
        let check = |path: &str, expected: usize| assert_eq!(route_of(path, &routes), expected, "{path}");
        check("/", 2);
        check("/presence", 3);
        check("/presence/general", 3);
        check("/presences", ROUTE_OTHER);
        check("/api/broadcast/batch", 4);
        check("*", 2);
        check("", 2);
    }

    #[test]
    fn an_answer_counts_once_whatever_it_was() {
        let metrics = RequestMetrics::default();
        metrics.count(ROUTE_OTHER, Some(Method::Get), 404);
        metrics.count(ROUTE_OTHER, None, 400);
        metrics.count(usize::MAX, Some(Method::Patch), 299);
        assert_eq!(metrics.answered(ROUTE_OTHER, 0, 6), 1);
        assert_eq!(metrics.answered(ROUTE_OTHER, METHODS.len() - 1, 3), 1);
        assert_eq!(metrics.answered(ROUTES_MAX - 1, METHODS.len() - 1, STATUSES.len() - 1), 1);
        assert_eq!(metrics.total(), 3);
    }
}
