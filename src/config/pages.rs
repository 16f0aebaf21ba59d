//! Which pages the node has for operators, and where.

use super::resolved::Resolved;

/// Paths that the node answers whatever the configuration says, each with everything behind it.
const TAKEN: [&str; 10] = [
    "/socket.io",
    "/healthz",
    "/readyz",
    "/version",
    "/presence",
    "/typing",
    "/messages",
    "/poll",
    "/api",
    "/debug",
];

/// The pages whose place can be chosen; none where there is no such page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Where the node tells its health.
    pub health: Option<String>,
    /// Where the node shows its counters.
    pub metrics: Option<String>,
}

impl Pages {
    pub(super) fn new(resolved: &Resolved) -> Self {
        let page = |switch: &str, path: &str| resolved.switch(switch).then(|| resolved.text(path));
        Self {
            health: page("REALTIME_ENABLE_HEALTH", "REALTIME_HEALTH_PATH"),
            metrics: page("REALTIME_METRICS_ENABLED", "REALTIME_METRICS_PATH"),
        }
    }

    /// Checks that every page is the only one in its place.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.health.is_some() && self.health == self.metrics {
            return Err(
                "REALTIME_HEALTH_PATH and REALTIME_METRICS_PATH are the same: write two paths".to_owned()
            );
        }
        let pages = [("REALTIME_HEALTH_PATH", &self.health), ("REALTIME_METRICS_PATH", &self.metrics)];
        for (name, path) in pages.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?))) {
            let is_taken = |taken: &str| {
                let rest = path.strip_prefix(taken);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if path == "/" || TAKEN.into_iter().any(is_taken) {
                return Err(format!("{name}={path} has another page already: write another path"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_place_of_its_own() {
        let check = |health: Option<&str>, metrics: Option<&str>, expected: bool| {
            let pages = Pages { health: health.map(str::to_owned), metrics: metrics.map(str::to_owned) };
            assert_eq!(pages.check().is_ok(), expected, "{pages:?}");
        };
        check(Some("/health"), Some("/metrics"), true);
        check(Some("/realtime/health"), Some("/internal/metrics"), true);
        check(Some("/api-health"), None, true);
        check(None, None, true);
        check(Some("/x"), Some("/x"), false);
        check(Some("/"), None, false);
        check(Some("/healthz"), None, false);
        check(None, Some("/api/metrics"), false);
        check(None, Some("/socket.io/"), false);
    }
}
