//! The bounds and choices of a shard, as the configuration has them.

use std::sync::Arc;

use core_shards::Limits;
use core_shards::limits::{DefaultDialect, Expiry, MemoryBounds, RateLimits, Recovery};
use protocol::chat::{event, request};
use protocol::codes::ErrorCode;

use super::access;
use super::resolved::Resolved;

/// Reads everything that a shard is told.
pub(super) fn limits(resolved: &Resolved) -> Limits {
    let ms = |name: &str| resolved.number::<u64>(name);
    let seconds = |name: &str| 1_000 * resolved.number::<u64>(name);
    Limits {
        channels_per_session_max: resolved.number("REALTIME_MAX_ROOMS_PER_SOCKET"),
        message_chars_max: resolved.number("REALTIME_MAX_MESSAGE_LENGTH"),
        connections_per_user_max: resolved.number("REALTIME_MAX_CONNECTIONS_PER_USER"),
        expiry: match resolved.text("REALTIME_JWT_EXPIRY").as_str() {
            "disconnect" => Expiry::Disconnect,
            _ => Expiry::Ignore,
        },
        session_timeout_ms: ms("REALTIME_WEBSOCKET_PING_INTERVAL") + ms("REALTIME_WEBSOCKET_PING_TIMEOUT"),
        presence_enabled: resolved.switch("REALTIME_ENABLE_PRESENCE"),
        presence_grace_ms: ms("REALTIME_PRESENCE_TIMEOUT"),
        presence_sync_ms: ms("REALTIME_PRESENCE_SYNC_INTERVAL"),
        typing_enabled: resolved.switch("REALTIME_ENABLE_TYPING"),
        typing_timeout_ms: ms("REALTIME_TYPING_TIMEOUT"),
        typing_debounce_ms: ms("REALTIME_TYPING_DEBOUNCE"),
        rate: RateLimits {
            is_enabled: resolved.switch("REALTIME_RATE_LIMIT_ENABLED"),
            points: resolved.number("REALTIME_RATE_LIMIT_POINTS"),
            window_ms: seconds("REALTIME_RATE_LIMIT_DURATION"),
        },
        history_size_max: resolved.number("REALTIME_HISTORY_SIZE"),
        history_life_ms: seconds("REALTIME_HISTORY_TTL"),
        recovery_window_ms: ms("REALTIME_RECOVERY_WINDOW"),
        recovery: recovery(&resolved.text("REALTIME_RECOVERY")),
        offline_life_ms: seconds("REALTIME_OFFLINE_TTL"),
        dialect: DefaultDialect::from_name(&resolved.text("REALTIME_DIALECT")).unwrap_or_default(),
        relays_dispatch: resolved.switch("REALTIME_ALLOW_CLIENT_DISPATCH"),
        relay_events: Arc::from(resolved.names("REALTIME_RELAY_EVENTS")),
        tells_joins: resolved.switch("REALTIME_JOIN_BROADCAST"),
        joins_implicitly: resolved.switch("REALTIME_IMPLICIT_JOIN"),
        access: Arc::new(access::rules(resolved)),
        // How much there is, is found out at start.
        memory: MemoryBounds::default(),
    }
}

/// Checks the names of events that are passed on.
///
/// # Errors
/// A sentence that names the first event that already means something.
pub(super) fn check_relays(limits: &Limits) -> Result<(), String> {
    let is_known = |name: &str| {
        let parsed = request::parse(name, None);
        !parsed.is_err_and(|refusal| refusal.code == ErrorCode::UnknownEvent)
    };
    match limits.relay_events.iter().find(|name| event::is_reserved(name) || is_known(name)) {
        Some(name) => Err(format!(
            "REALTIME_RELAY_EVENTS has {name}, which is the node's own: write events that it does not know"
        )),
        None => Ok(()),
    }
}

fn recovery(name: &str) -> Recovery {
    let named = Recovery::ALL.into_iter().find(|(_, known)| *known == name);
    named.map_or(Recovery::Auto, |(recovery, _)| recovery)
}

#[cfg(test)]
mod tests {
    use super::super::command_line::Flags;
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Limits {
        let variables = variables.iter().map(|(name, text)| (name.into(), text.into()));
        let resolved = Resolved::new(&Flags::default(), variables);
        assert_eq!(resolved.problems(), &[] as &[String]);
        limits(&resolved)
    }

    #[test]
    fn without_a_configuration_the_shards_own_defaults_hold() {
        assert_eq!(format!("{:?}", read(&[])), format!("{:?}", Limits::default()));
    }

    #[test]
    fn only_events_that_mean_nothing_here_are_passed_on() {
        let check = |names: &str, is_good: bool| {
            let limits = read(&[("REALTIME_RELAY_EVENTS", names)]);
            assert_eq!(check_relays(&limits).is_ok(), is_good, "{names}");
        };
        check("none", true);
        check("stream:start,location:update", true);
        check("stream:start,message:send", false);
        check("ping", false);
        check("error", false);
    }

    #[test]
    fn every_setting_of_a_shard_reaches_it() {
        let before = Limits::default();
        let check = |name: &str, text: &str, is_there: &dyn Fn(&Limits) -> bool| {
            assert!(!is_there(&before) && is_there(&read(&[(name, text)])), "{name}");
        };
        check("REALTIME_MAX_ROOMS_PER_SOCKET", "7", &|limits| limits.channels_per_session_max == 7);
        check("REALTIME_MAX_MESSAGE_LENGTH", "7", &|limits| limits.message_chars_max == 7);
        check("REALTIME_MAX_CONNECTIONS_PER_USER", "7", &|limits| limits.connections_per_user_max == 7);
        check("REALTIME_JWT_EXPIRY", "disconnect", &|limits| limits.expiry == Expiry::Disconnect);
        check("REALTIME_WEBSOCKET_PING_TIMEOUT", "20000", &|limits| limits.session_timeout_ms == 45_000);
        check("REALTIME_ENABLE_PRESENCE", "no", &|limits| !limits.presence_enabled);
        check("REALTIME_PRESENCE_TIMEOUT", "0", &|limits| limits.presence_grace_ms == 0);
        check("REALTIME_ENABLE_TYPING", "no", &|limits| !limits.typing_enabled);
        check("REALTIME_TYPING_TIMEOUT", "5000", &|limits| limits.typing_timeout_ms == 5_000);
        check("REALTIME_TYPING_DEBOUNCE", "0", &|limits| limits.typing_debounce_ms == 0);
        check("REALTIME_RATE_LIMIT_ENABLED", "no", &|limits| !limits.rate.is_enabled);
        check("REALTIME_RATE_LIMIT_POINTS", "7", &|limits| limits.rate.points == 7);
        check("REALTIME_RATE_LIMIT_DURATION", "7", &|limits| limits.rate.window_ms == 7_000);
        check("REALTIME_HISTORY_SIZE", "0", &|limits| limits.history_size_max == 0);
        check("REALTIME_HISTORY_TTL", "7", &|limits| limits.history_life_ms == 7_000);
        check("REALTIME_RECOVERY", "On", &|limits| limits.recovery == Recovery::On);
        check("REALTIME_RECOVERY", "off", &|limits| limits.recovery == Recovery::Off);
        check("REALTIME_RECOVERY_WINDOW", "0", &|limits| limits.recovery_window_ms == 0);
        check("REALTIME_OFFLINE_TTL", "7", &|limits| limits.offline_life_ms == 7_000);
        check("REALTIME_DIALECT", "both", &|limits| limits.dialect == DefaultDialect::Hybrid);
        check("REALTIME_DIALECT", "legacy", &|limits| limits.dialect == DefaultDialect::Legacy);
        check("REALTIME_ALLOW_CLIENT_DISPATCH", "yes", &|limits| limits.relays_dispatch);
        check("REALTIME_RELAY_EVENTS", "a,b", &|limits| *limits.relay_events == ["a".into(), "b".into()]);
        check("REALTIME_JOIN_BROADCAST", "yes", &|limits| limits.tells_joins);
        check("REALTIME_IMPLICIT_JOIN", "yes", &|limits| limits.joins_implicitly);
        check("REALTIME_ROOM_DEFAULT", "deny", &|limits| !limits.access.default_allows);
    }
}
