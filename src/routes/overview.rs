//! The same counters in short, as JSON: what the former server answered under `/metrics`.

use core_shards::Now;
use protocol::chat::status::Status;
use serde_json::{Map, Value, json};

use super::Surroundings;
use super::kernel::{self, Usage};

/// The overview; `memory` in bytes, `cpu` in microseconds.
pub(super) fn json(surroundings: &Surroundings, now: Now) -> Value {
    let active = surroundings.session_count();
    let anonymous = surroundings.handshakes();
    let opened = surroundings.sum_engines(|engine| &engine.opened);
    let channels = surroundings.sum_shards(|shard| &shard.channels);
    let idle = surroundings.sum_shards(|shard| &shard.channels_idle);
    let presence = surroundings.users_by_status();
    let presence: Map<String, Value> =
        presence.iter().map(|(status, count)| (status.legacy_name().to_owned(), json!(count))).collect();
    let Usage { resident_bytes, user_ms, system_ms, .. } = kernel::usage();
    json!({
        "uptime": now.monotonic_us / 1_000_000,
        "connections": {
            "total": opened,
            "active": active,
            "authenticated": active - anonymous,
            "anonymous": anonymous,
        },
        "rooms": channels.saturating_sub(idle),
        "presence": presence,
        "events": surroundings.sum_shards(|shard| &shard.events),
        "memory": {"rss": resident_bytes},
        "cpu": {"user": 1_000 * user_ms, "system": 1_000 * system_ms},
    })
}

/// Whether a request asks for JSON: names it, and likes nothing that is text better.
pub(super) fn is_wanted(accept: Option<&str>) -> bool {
    let mut best = (0.0, false);
    for range in accept.unwrap_or_default().split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        let is_json = name.eq_ignore_ascii_case("application/json");
        let is_text = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
            || name.get(..23).is_some_and(|start| start.eq_ignore_ascii_case("application/openmetrics"));
        if (is_json || is_text) && quality > best.0 {
            best = (quality, is_json);
        }
    }
    best.1
}

impl Surroundings {
    /// Users by the status that others see. Of those who are offline, the ones of whom anything is kept.
    pub(super) fn users_by_status(&self) -> [(Status, u64); Status::COUNT] {
        let shown = |status: Status| self.sum_shards(|shard| &shard.users_shown[status as usize]);
        let visible: u64 =
            Status::ALL.into_iter().filter(|status| *status != Status::Offline).map(shown).sum();
        let known = self.sum_shards(|shard| &shard.users);
        Status::ALL.map(|status| match status {
            Status::Offline => (status, known.saturating_sub(visible)),
            _ => (status, shown(status)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        let check = |accept: &str, expected: bool| assert_eq!(is_wanted(Some(accept)), expected, "{accept}");
        check("application/json", true);
        check("application/json, text/plain, */*", true);
        check("Application/JSON;charset=utf-8;q=0.9, text/plain;q=0.8", true);
        check("text/plain, application/json", false);
        check("application/json;q=0", false);
        check("*/*", false);
        check("", false);
        check(
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            false,
        );
        check("é, application/json", true);
        assert!(!is_wanted(None));
    }
}
