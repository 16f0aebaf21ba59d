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
    Setting::acted(
        "REALTIME_DRAIN_DELAY",
        "drain-delay",
        seconds(0, 3_600),
        "Seconds that a node that is to go still takes connections, until balancers have learnt that it is not ready",
    )
    .or("0"),
    Setting::acted(
        "REALTIME_DRAIN_SECONDS",
        "drain-seconds",
        seconds(0, 3_600),
        "Seconds over which a node that goes sends its sessions away; 0 for all at once",
    )
    .or_else("10; in development mode 0"),
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
    Setting::acted(
        "REALTIME_MEMORY_MAX",
        "memory-max",
        Rule::Number { min: 32, max: U32, unit: "MiB" },
        "MiB that the process is to fit in; a third of it is for what the node remembers: histories, lost sessions, \
         retries",
    )
    .or_else("what the container or the machine allows"),
    Setting::acted(
        "REALTIME_MAX_CONNECTIONS_PER_USER",
        "max-connections-per-user",
        number(0, U32),
        "Sessions that one user may have at the same time; 0 for any number",
    )
    .or("0"),
    // How much of it
    Setting::acted(
        "REALTIME_RATE_LIMIT_ENABLED",
        "rate-limit-enabled",
        Rule::Switch,
        "Whether what a user does is limited, over Socket.IO and REST together",
    )
    .or("true"),
    Setting::acted(
        "REALTIME_RATE_LIMIT_POINTS",
        "rate-limit-points",
        number(1, 1_000_000),
        "What a user may do in a duration: so many messages, typing indicators, presence changes, receipts, and five \
         times as many joins",
    )
    .or("100"),
    Setting::acted(
        "REALTIME_RATE_LIMIT_DURATION",
        "rate-limit-duration",
        seconds(1, 86_400),
        "Seconds of that duration, which begins with the first",
    )
    .or("60"),
    // Presence and typing
    Setting::acted(
        "REALTIME_ENABLE_PRESENCE",
        "enable-presence",
        Rule::Switch,
        "Whether users see who is there",
    )
    .or("true"),
    Setting::acted(
        "REALTIME_PRESENCE_TIMEOUT",
        "presence-timeout",
        ms(0, HOUR_MS),
        "Milliseconds that a user without a connection counts as present",
    )
    .or("30000"),
    Setting::acted("REALTIME_ENABLE_TYPING", "enable-typing", Rule::Switch, "Whether users see who types")
        .or("true"),
    Setting::acted(
        "REALTIME_TYPING_TIMEOUT",
        "typing-timeout",
        ms(100, HOUR_MS),
        "Milliseconds until somebody who says nothing more about it does not type any more",
    )
    .or("3000"),
    Setting::acted(
        "REALTIME_TYPING_DEBOUNCE",
        "typing-debounce",
        ms(0, HOUR_MS),
        "Milliseconds in which a repeat is not passed on; less than the timeout",
    )
    .or("300"),
    // What is kept for those who come back
    Setting::acted(
        "REALTIME_HISTORY_SIZE",
        "history-size",
        number(0, 1_000_000),
        "Messages that a channel keeps; 0 for none",
    )
    .or("1000"),
    Setting::acted(
        "REALTIME_HISTORY_TTL",
        "history-ttl",
        seconds(1, 31_536_000),
        "Seconds that a channel keeps a message",
    )
    .or("300"),
    Setting::acted(
        "REALTIME_RECOVERY",
        "recovery",
        Rule::OneOf(&["auto", "on", "off"]),
        "Whose lost sessions can be taken up again: `auto` leaves out clients that stumble over the extra argument",
    )
    .or("auto"),
    Setting::acted(
        "REALTIME_RECOVERY_WINDOW",
        "recovery-window",
        ms(0, HOUR_MS),
        "Milliseconds in which a lost session can be taken up again; 0 for never",
    )
    .or("120000"),
    Setting::acted(
        "REALTIME_OFFLINE_TTL",
        "offline-ttl",
        seconds(0, 604_800),
        "Seconds that the node remembers what an absent user saw last, to tell what was missed; 0 for never",
    )
    .or("300"),
    // Who may join what
    Setting::acted(
        "REALTIME_ROOM_DEFAULT",
        "room-default",
        Rule::OneOf(&["allow", "deny"]),
        "What holds for channels that no other rule names",
    )
    .or("allow"),
    Setting::acted(
        "REALTIME_PRIVATE_PREFIXES",
        "private-prefixes",
        Rule::List,
        "Beginnings of channels that nobody joins without a grant, separated by commas; `none` for no such channels",
    )
    .or("private-,private:,dm:"),
    Setting::acted(
        "REALTIME_ADMIN_ROLES",
        "admin-roles",
        Rule::List,
        "Roles that may join every channel, separated by commas; `none` for no such roles",
    )
    .or("owner,admin,service"),
    Setting::acted(
        "REALTIME_CLAIM_MODE",
        "claim-mode",
        Rule::OneOf(&["exclusive", "additive"]),
        "Whether a token that names channels (rooms, channels, x-hasura-channels) opens only those, or those, too",
    )
    .or("exclusive"),
    Setting::acted(
        "REALTIME_PERMISSION_WEBHOOK_URL",
        "permission-webhook-url",
        Rule::Url(&["http", "https"]),
        "Who is asked whether a user may join",
    )
    .or_else("nobody"),
    Setting::acted(
        "REALTIME_PERMISSION_WEBHOOK_SECRET",
        "permission-webhook-secret",
        Rule::Text,
        "Secret that signs the questions: X-Realtime-Signature is sha256= and the HMAC of the body",
    )
    .secret(),
    Setting::acted(
        "REALTIME_PERMISSION_WEBHOOK_TIMEOUT",
        "permission-webhook-timeout",
        ms(10, 60_000),
        "Milliseconds that an answer may take; no answer is a no",
    )
    .or("2000"),
    Setting::acted(
        "REALTIME_PERMISSION_WEBHOOK_TTL",
        "permission-webhook-ttl",
        seconds(0, 86_400),
        "Seconds that a yes holds if the answer does not say; a no holds 5",
    )
    .or("60"),
    // Back ends
    Setting::acted(
        "REALTIME_API_KEY",
        "api-key",
        Rule::Text,
        "Key that back ends send as X-API-Key; it may speak for every user",
    )
    .secret(),
    Setting::acted(
        "PLUGIN_INTERNAL_SECRET",
        "plugin-internal-secret",
        Rule::Text,
        "Key that neighbouring plugins send as X-Plugin-Secret, and that the webhook is sent",
    )
    .secret(),
    Setting::acted(
        "REALTIME_REST_AUTH",
        "rest-auth",
        Rule::OneOf(&["required", "optional", "off"]),
        "Whether REST asks for a key or a token; `optional` looks at those that are sent. Less than required works in \
         development mode only",
    )
    .or_else("required; in development mode optional"),
    // What clients hear
    Setting::acted(
        "REALTIME_DIALECT",
        "dialect",
        Rule::OneOf(&["auto", "primary", "legacy", "both"]),
        "Names of events for clients that do not say which they know; `auto` goes by their first join",
    )
    .or("auto"),
    Setting::acted(
        "REALTIME_JOIN_BROADCAST",
        "join-broadcast",
        Rule::Switch,
        "Whether everybody hears user:joined and user:left, not only clients of the former server",
    )
    .or("false"),
    Setting::acted(
        "REALTIME_IMPLICIT_JOIN",
        "implicit-join",
        Rule::Switch,
        "Whether a user may send to a channel without having joined it, if joining is allowed",
    )
    .or("false"),
    Setting::acted(
        "REALTIME_ALLOW_CLIENT_DISPATCH",
        "allow-client-dispatch",
        Rule::Switch,
        "Whether clients may have events of their own sent to a channel (`dispatch`)",
    )
    .or("false"),
    Setting::acted(
        "REALTIME_RELAY_EVENTS",
        "relay-events",
        Rule::List,
        "Events of clients that are passed on as they are, separated by commas",
    )
    .or_else("none"),
    // What the operator sees
    Setting::acted("REALTIME_METRICS_ENABLED", "metrics-enabled", Rule::Switch, "Whether there are metrics")
        .or("true"),
    Setting::acted(
        "REALTIME_METRICS_PATH",
        "metrics-path",
        Rule::Path,
        "Where the metrics are",
    )
    .or("/metrics"),
    Setting::acted("REALTIME_ENABLE_HEALTH", "enable-health", Rule::Switch, "Whether there is a health page")
        .or("true"),
    Setting::acted("REALTIME_HEALTH_PATH", "health-path", Rule::Path, "Where the health is").or("/health"),
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
    // Other nodes
    Setting::acted(
        "REALTIME_REDIS_ENABLED",
        "redis-enabled",
        Rule::Switch,
        "Whether this node and others on the same Redis behave as one",
    )
    .or("false"),
    Setting::acted(
        "REALTIME_REDIS_URL",
        "redis-url",
        Rule::Url(&["redis", "rediss"]),
        "Where Redis is, and who the node is there; of a cluster several hosts with commas between; before the five below",
    ),
    Setting::acted("REALTIME_REDIS_HOST", "redis-host", Rule::Text, "Host of Redis").or("redis"),
    Setting::acted("REALTIME_REDIS_PORT", "redis-port", number(1, 65_535), "Port of Redis").or("6379"),
    Setting::acted("REALTIME_REDIS_DB", "redis-db", number(0, 65_535), "Its database; a cluster has 0 only").or("1"),
    Setting::acted("REALTIME_REDIS_USERNAME", "redis-username", Rule::Text, "User of its access control list"),
    Setting::acted("REALTIME_REDIS_PASSWORD", "redis-password", Rule::Text, "Its password").secret(),
    Setting::acted(
        "REALTIME_REDIS_CA",
        "redis-ca",
        Rule::Text,
        "File with certificates of authorities that Redis' own may come from, beside the usual ones",
    ),
    Setting::acted("REALTIME_REDIS_PREFIX", "redis-prefix", Rule::Text, "How all keys begin").or("rt"),
    Setting::acted(
        "REALTIME_REDIS_PARTITIONS",
        "redis-partitions",
        number(1, 16),
        "Over how many parts of Redis channels are spread; the same on every node",
    )
    .or("4"),
    Setting::acted(
        "REALTIME_HEALTH_CHECK_INTERVAL",
        "health-check-interval",
        seconds(1, 3_600),
        "Seconds between two looks at how long Redis takes, as the health page tells, and whether the log has to say that \
         it is missing",
    )
    .or("30"),
    Setting::acted(
        "REALTIME_PRESENCE_SYNC_INTERVAL",
        "presence-sync-interval",
        ms(100, HOUR_MS),
        "Milliseconds after which nodes make sure again that they know the same of each other's users",
    )
    .or("10000"),
    // Checked, not acted on: leftovers of older servers
    Setting::pending("REALTIME_ENABLE_COMPRESSION", Rule::Switch, "Compressed frames").or("false").already("false"),
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
            if let Standing::Pending { already } = setting.standing {
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
