//! Every setting on one page: what the node acts on, what this version only checks, what is for the tools around it.

use super::rule::Rule;
use super::setting::Setting;

/// All settings, in the order in which people read them.
pub const SETTINGS: &[Setting] = &[
    // Where and on what
    Setting::acted("REALTIME_PORT", "port", number(0, 65_535), "Port to listen on").or("3101"),
    Setting::acted("REALTIME_HOST", "host", Rule::Address, "Address to listen on")
        .or_else("0.0.0.0; in development mode 127.0.0.1"),
    Setting::acted("REALTIME_CORES", "cores", number(1, 1_024), "Cores to use")
        .or_else("as many as this process may use"),
    Setting::acted("REALTIME_IO_DRIVER", "io-driver", Rule::OneOf(DRIVERS), "How to talk to the kernel")
        .or("auto"),
    // Connections
    Setting::acted(
        "REALTIME_WEBSOCKET_MAX_CONNECTIONS",
        "max-connections",
        number(1, U32),
        "Sessions that the node holds at most; more are answered 503 and retry",
    )
    .or("10000"),
    Setting::acted(
        "REALTIME_WEBSOCKET_PING_INTERVAL",
        "ping-interval",
        ms(10, HOUR_MS),
        "Milliseconds between a pong and the next ping",
    )
    .or("25000"),
    Setting::acted(
        "REALTIME_WEBSOCKET_PING_TIMEOUT",
        "ping-timeout",
        ms(10, HOUR_MS),
        "Milliseconds that a pong may take; slow mobile links want 20000",
    )
    .or("5000"),
    // Who comes in
    Setting::acted(
        "REALTIME_JWT_SECRET",
        "jwt-secret",
        Rule::Text,
        "Secret that signs tokens, a PEM key, or Hasura's {\"type\",\"key\"}; required unless in development mode",
    )
    .secret(),
    Setting::acted(
        "REALTIME_JWT_ALGORITHM",
        "jwt-algorithm",
        Rule::Algorithm,
        "The one algorithm that tokens may be signed with: HS256, HS384, HS512, RS256, ES256, EdDSA and so on",
    )
    .or("HS256"),
    Setting::acted(
        "REALTIME_AUTH_REQUIRED",
        "auth-required",
        Rule::Switch,
        "Whether clients must prove who they are; false is development mode, as --dev",
    )
    .or("true"),
    Setting::acted(
        "REALTIME_ALLOW_ANONYMOUS",
        "allow-anonymous",
        Rule::Switch,
        "Whether clients without a token come in, as guests",
    )
    .or("false"),
    Setting::acted(
        "REALTIME_JWT_USER_CLAIM",
        "jwt-user-claim",
        Rule::Text,
        "Claim that names the user, looked at before userId, x-hasura-user-id, sub and user_id",
    ),
    Setting::acted(
        "REALTIME_JWT_REQUIRED_CLAIMS",
        "jwt-required-claims",
        Rule::List,
        "Claims that a token must have, separated by commas; `role` keeps refresh tokens out",
    ),
    Setting::acted("REALTIME_JWT_ISSUER", "jwt-issuer", Rule::Text, "Issuer that a token must name"),
    Setting::acted("REALTIME_JWT_AUDIENCE", "jwt-audience", Rule::Text, "Audience that a token must name"),
    Setting::acted(
        "REALTIME_JWT_EXPIRY",
        "jwt-expiry",
        Rule::OneOf(&["ignore", "disconnect"]),
        "What happens when a connected client's token ends: `ignore`, or `disconnect` after a warning and 60 s",
    )
    .or("ignore"),
    Setting::acted(
        "REALTIME_CORS_ORIGIN",
        "cors-origin",
        Rule::Origins,
        "Origins of pages that may connect, separated by commas; `*` for all",
    )
    .or("*"),
    // Bounds
    Setting::acted(
        "REALTIME_MAX_MESSAGE_LENGTH",
        "max-message-length",
        number(1, U32),
        "Characters of a message's content at most",
    )
    .or("10000"),
    Setting::acted(
        "REALTIME_MAX_PAYLOAD",
        "max-payload",
        Rule::Number { min: 1_000, max: 100_000_000, unit: "bytes" },
        "Bytes of one packet from a client at most",
    )
    .or("1000000"),
    Setting::acted(
        "REALTIME_MAX_ROOMS_PER_SOCKET",
        "max-rooms-per-socket",
        number(1, 10_000),
        "Channels that one session may join",
    )
    .or("256"),
    Setting::acted(
        "REALTIME_MAX_QUEUE_BYTES",
        "max-queue-bytes",
        Rule::Number { min: 16_384, max: U32, unit: "bytes" },
        "Bytes that may wait for a client that does not read, before it is disconnected to come back and catch up",
    )
    .or("262144"),
    // What the operator sees
    Setting::acted("REALTIME_METRICS_ENABLED", "metrics-enabled", Rule::Switch, "Whether GET /metrics answers")
        .or("true"),
    Setting::acted(
        "REALTIME_LOG_LEVEL",
        "log-level",
        Rule::LogFilter,
        "What is logged: error, warn, info, debug, or a filter such as realtime=debug",
    )
    .or("info"),
    Setting::acted(
        "REALTIME_FAULT_INJECTION",
        "fault-injection",
        Rule::Switch,
        "Whether /debug/panic-connection and /debug/panic-core break things on purpose; development mode only",
    )
    .or("false")
    .hidden(),
    // Checked, not acted on: presence and typing
    Setting::pending("REALTIME_ENABLE_PRESENCE", Rule::Switch, "Whether there is presence")
        .or("true")
        .already("false"),
    Setting::pending("REALTIME_PRESENCE_TIMEOUT", ms(0, HOUR_MS), "Grace before a user is offline").or("30000"),
    Setting::pending("REALTIME_PRESENCE_SYNC_INTERVAL", ms(100, HOUR_MS), "Presence between nodes").or("10000"),
    Setting::pending("REALTIME_ENABLE_TYPING", Rule::Switch, "Whether there are typing indicators")
        .or("true")
        .already("false"),
    Setting::pending("REALTIME_TYPING_TIMEOUT", ms(100, HOUR_MS), "Until somebody stops typing").or("3000"),
    Setting::pending("REALTIME_TYPING_DEBOUNCE", ms(0, HOUR_MS), "Repeats that are not passed on").or("300"),
    // Checked, not acted on: Redis
    Setting::pending("REALTIME_REDIS_ENABLED", Rule::Switch, "Whether nodes meet over Redis").already("false"),
    Setting::pending("REALTIME_REDIS_URL", Rule::Url(&["redis", "rediss"]), "Before the four below"),
    Setting::pending("REALTIME_REDIS_HOST", Rule::Text, "Where Redis is").or("redis"),
    Setting::pending("REALTIME_REDIS_PORT", number(1, 65_535), "Its port").or("6379"),
    Setting::pending("REALTIME_REDIS_DB", number(0, 65_535), "Its database; a cluster has 0 only").or("1"),
    Setting::pending("REALTIME_REDIS_PASSWORD", Rule::Text, "Its password").secret(),
    Setting::pending("REALTIME_HEALTH_CHECK_INTERVAL", seconds(1, 3_600), "Between looks at Redis").or("30"),
    // Checked, not acted on: limits
    Setting::pending("REALTIME_RATE_LIMIT_ENABLED", Rule::Switch, "Whether a user's events are limited")
        .or("true")
        .already("false"),
    Setting::pending("REALTIME_RATE_LIMIT_POINTS", number(1, 1_000_000), "Events in a duration").or("100"),
    Setting::pending("REALTIME_RATE_LIMIT_DURATION", seconds(1, 86_400), "The duration").or("60"),
    Setting::pending("REALTIME_MAX_CONNECTIONS_PER_USER", number(0, U32), "Sessions of a user; 0 for any")
        .or("0")
        .already("0"),
    Setting::pending("REALTIME_HISTORY_SIZE", number(0, 1_000_000), "Messages that a channel keeps").already("0"),
    Setting::pending("REALTIME_HISTORY_TTL", seconds(1, 31_536_000), "How long it keeps them"),
    // Checked, not acted on: who may join what. To go on without would open what was meant to be shut.
    Setting::pending("REALTIME_ROOM_DEFAULT", Rule::OneOf(&["allow", "deny"]), "Who joins what no rule names")
        .or("allow")
        .unenforced("allow"),
    Setting::pending("REALTIME_CLAIM_MODE", Rule::OneOf(&["exclusive", "additive"]), "What channel claims mean")
        .unenforced(""),
    Setting::pending("REALTIME_PRIVATE_PREFIXES", Rule::List, "Channels that need a grant").unenforced(""),
    Setting::pending("REALTIME_PERMISSION_WEBHOOK_URL", Rule::Url(&["http", "https"]), "Who is asked")
        .unenforced(""),
    Setting::pending("REALTIME_PERMISSION_WEBHOOK_SECRET", Rule::Text, "What signs the question").secret(),
    Setting::pending("REALTIME_PERMISSION_WEBHOOK_TIMEOUT", ms(1, 60_000), "How long an answer may take"),
    Setting::pending("REALTIME_PERMISSION_WEBHOOK_TTL", seconds(0, 86_400), "How long an answer holds"),
    Setting::pending("REALTIME_ADMIN_ROLES", Rule::List, "Roles that may join everything"),
    // Checked, not acted on: REST, dialects and leftovers of older servers
    Setting::pending("REALTIME_API_KEY", Rule::Text, "Key of back ends").secret(),
    Setting::pending("REALTIME_REST_AUTH", Rule::OneOf(&["off", "optional", "required"]), "REST's callers"),
    Setting::pending(
        "REALTIME_DIALECT",
        Rule::OneOf(&["auto", "primary", "legacy", "both"]),
        "Names of events for sockets that have not shown which they use",
    )
    .or("auto")
    .already("primary"),
    Setting::pending("REALTIME_ALLOW_CLIENT_DISPATCH", Rule::Switch, "Clients' events as they are")
        .or("false")
        .already("false"),
    Setting::pending("REALTIME_RELAY_EVENTS", Rule::List, "Events that are passed on"),
    Setting::pending("REALTIME_JOIN_BROADCAST", Rule::Switch, "Whether joins are told").or("false").already("false"),
    Setting::pending("REALTIME_IMPLICIT_JOIN", Rule::Switch, "Whether sending joins").or("false").already("false"),
    Setting::pending("REALTIME_ENABLE_COMPRESSION", Rule::Switch, "Compressed frames").or("false").already("false"),
    Setting::pending("REALTIME_METRICS_PATH", Rule::Path, "Where metrics are").or("/metrics").already("/metrics"),
    Setting::pending("REALTIME_ENABLE_HEALTH", Rule::Switch, "Whether GET /health answers")
        .or("true")
        .already("true"),
    Setting::pending("REALTIME_HEALTH_PATH", Rule::Path, "Where health is").or("/health").already("/health"),
    // For the tools around the node
    Setting::elsewhere("REALTIME_ENABLED", Rule::Switch, "Whether the plugin is started").or("true"),
    Setting::elsewhere("REALTIME_ROUTE", Rule::Text, "Name of the virtual host")
        .or_else("realtime.${BASE_DOMAIN:-localhost}"),
    Setting::elsewhere("REALTIME_MEMORY", Rule::Text, "Memory limit of the container").or("256M"),
    Setting::elsewhere("REALTIME_SERVER_URL", Rule::Text, "Where back ends find the node"),
];

const DRIVERS: &[&str] = &["auto", "uring", "epoll"];
const HOUR_MS: u64 = 3_600_000;
const U32: u64 = u32::MAX as u64;

const fn number(min: u64, max: u64) -> Rule {
    Rule::Number { min, max, unit: "" }
}

const fn ms(min: u64, max: u64) -> Rule {
    Rule::Number { min, max, unit: "milliseconds" }
}

const fn seconds(min: u64, max: u64) -> Rule {
    Rule::Number { min, max, unit: "seconds" }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::setting::{Fallback, Standing};
    use super::*;

    #[test]
    fn every_default_obeys_its_own_rule() {
        for setting in SETTINGS {
            if let Fallback::Text(default) = setting.fallback {
                assert!(setting.rule.read(default).is_ok(), "{}", setting.name);
            }
            if let Standing::Pending { already } | Standing::Unenforced { already } = setting.standing {
                assert!(already.is_empty() || setting.rule.read(already).is_ok(), "{}", setting.name);
            }
        }
    }

    #[test]
    fn no_name_and_no_flag_is_taken_twice() {
        let mut names = HashSet::new();
        for setting in SETTINGS {
            assert!(names.insert(setting.name), "{}", setting.name);
            assert!(setting.flag.is_none_or(|flag| names.insert(flag)), "{}", setting.name);
        }
    }
}
