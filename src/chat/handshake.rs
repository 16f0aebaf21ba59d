//! From the words of a handshake, and of its end, to those of the shard.

use core_shards::limits::{DefaultDialect, Limits, Recovery};
use core_shards::{Ending, Newcomer, Resume};
use protocol::chat::dialect::Dialect;
use protocol::chat::status::Status;
use protocol::codes::CloseReason;

use crate::auth::Greeting;
use crate::engine::application::Opening;

/// Whether a client is known not to take an argument more than it expects behind every event: Python calls handlers
/// with a fixed number of them. Its clients name themselves over HTTP; its bare WebSocket client says nothing of itself
/// but an origin, while browsers, which have one, always say what they are, and Node's has none.
pub(super) fn stumbles_over_cursors(opening: &Opening) -> bool {
    match &opening.user_agent {
        Some(agent) => agent.get(..6).is_some_and(|name| name.eq_ignore_ascii_case("python")),
        None => opening.is_websocket && opening.has_origin,
    }
}

/// What the shard is told of somebody who comes in.
pub(super) fn newcomer(greeting: Greeting, is_plain: bool, limits: &Limits) -> Newcomer {
    let Greeting { identity, hints } = greeting;
    let takes_cursor = match limits.recovery {
        Recovery::Off => false,
        Recovery::On => hints.recovery.unwrap_or(true),
        Recovery::Auto => hints.recovery.unwrap_or(!is_plain),
    };
    let resume = hints.pid.zip(hints.offset).map(|(pid, offset)| Resume { pid, offset });
    Newcomer {
        identity,
        dialect: hints.dialect.and_then(dialect),
        takes_cursor,
        resume: resume.filter(|_| takes_cursor),
        said: hints.status.as_deref().and_then(Status::parse),
    }
}

const fn dialect(hint: DefaultDialect) -> Option<Dialect> {
    match hint {
        DefaultDialect::Auto => None,
        DefaultDialect::Primary => Some(Dialect::Primary),
        DefaultDialect::Legacy => Some(Dialect::Legacy),
        DefaultDialect::Hybrid => Some(Dialect::Hybrid),
    }
}

/// What a closed connection means for its session.
pub(super) const fn ending(reason: CloseReason) -> Ending {
    match reason {
        // Closing a tab closes the connection like any other; who means to go says so in a packet of its own.
        CloseReason::ClientClosed
        | CloseReason::TransportLost
        | CloseReason::ShuttingDown
        | CloseReason::Evicted
        | CloseReason::Panicked => Ending::Lost,
        // What was handed out last may not have arrived, for nobody knows how long.
        CloseReason::PingTimeout | CloseReason::SlowReader => Ending::TimedOut,
        CloseReason::ProtocolViolation
        | CloseReason::InvalidText
        | CloseReason::PayloadTooLarge
        | CloseReason::ConnectTimeout
        | CloseReason::TokenExpired
        | CloseReason::TooManyPings
        | CloseReason::ServerDisconnect => Ending::Left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_take_no_further_argument_are_known_by_their_handshake() {
        let check = |user_agent: Option<&str>, is_websocket, has_origin, expected| {
            let opening = Opening {
                user_agent: user_agent.map(str::to_owned),
                is_websocket,
                has_origin,
                ..Opening::default()
            };
            assert_eq!(stumbles_over_cursors(&opening), expected, "{opening:?}");
        };
        check(Some("python-requests/2.32.3"), false, false, true);
        check(Some("Python/3.11 aiohttp/3.9.1"), true, true, true);
        check(Some("Mozilla/5.0 (X11; Linux x86_64)"), true, true, false);
        check(Some("node-XMLHttpRequest"), false, false, false);
        check(None, true, true, true);
        check(None, true, false, false);
        check(None, false, true, false);
        check(Some("€"), false, false, false);
    }
}
