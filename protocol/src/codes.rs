//! The one page of error and close codes: what a refused request or a closed connection is told,
//! over WebSocket, polling and REST alike. Every variant is also a metric label.

use crate::websocket::CloseCode;

/// Why a request was refused. The names are wire format: clients compare them as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    /// The token is missing, malformed, not signed by us, or not an access token.
    AuthenticationFailed,
    /// The token was valid once.
    TokenExpired,
    /// The user may not be in this channel.
    RoomAccessDenied,
    /// The request needs a right that the session does not have.
    Forbidden,
    /// A field is missing, of the wrong type, or over its bound.
    ValidationError,
    /// No such event.
    UnknownEvent,
    /// The content is longer than the node accepts.
    PayloadTooLarge,
    /// The session has not joined the channel.
    NotJoined,
    /// The session is in as many channels as it may be.
    MaxRoomsExceeded,
    /// The user has used up the points of this kind of event.
    RateLimitExceeded,
    /// A queue between the sender and the channel is full; nothing was accepted, retry later.
    ServerBusy,
    /// The node broke its own promise.
    InternalError,
    /// No such HTTP route.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The user has as many connections as one may have.
    TooManyConnections,
}

impl ErrorCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::AuthenticationFailed,
        Self::TokenExpired,
        Self::RoomAccessDenied,
        Self::Forbidden,
        Self::ValidationError,
        Self::UnknownEvent,
        Self::PayloadTooLarge,
        Self::NotJoined,
        Self::MaxRoomsExceeded,
        Self::RateLimitExceeded,
        Self::ServerBusy,
        Self::InternalError,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooManyConnections,
    ];

    /// The code's name on the wire, such as `NOT_JOINED`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::RoomAccessDenied => "ROOM_ACCESS_DENIED",
            Self::Forbidden => "FORBIDDEN",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::UnknownEvent => "UNKNOWN_EVENT",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::NotJoined => "NOT_JOINED",
            Self::MaxRoomsExceeded => "MAX_ROOMS_EXCEEDED",
            Self::RateLimitExceeded => "RATE_LIMIT_EXCEEDED",
            Self::ServerBusy => "SERVER_BUSY",
            Self::InternalError => "INTERNAL_ERROR",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::TooManyConnections => "TOO_MANY_CONNECTIONS",
        }
    }

    /// The family that clients switch on: the `type` field of an `error` event.
    pub const fn family(self) -> &'static str {
        match self {
            Self::AuthenticationFailed | Self::TokenExpired => "auth",
            Self::RoomAccessDenied | Self::Forbidden => "authorization",
            Self::ValidationError | Self::UnknownEvent | Self::PayloadTooLarge => "validation",
            Self::NotJoined | Self::MaxRoomsExceeded | Self::TooManyConnections => "state",
            Self::RateLimitExceeded => "rate_limit",
            Self::ServerBusy | Self::InternalError => "server",
            Self::NotFound | Self::MethodNotAllowed => "route",
        }
    }

    /// The HTTP status of the same refusal over REST.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::AuthenticationFailed | Self::TokenExpired => 401,
            Self::RoomAccessDenied | Self::Forbidden | Self::NotJoined => 403,
            Self::ValidationError | Self::UnknownEvent => 400,
            Self::PayloadTooLarge => 413,
            Self::MaxRoomsExceeded => 409,
            Self::RateLimitExceeded | Self::TooManyConnections => 429,
            Self::ServerBusy => 503,
            Self::InternalError => 500,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
        }
    }

    /// Whether the same request may succeed later, so that a client should try it again by itself.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::RateLimitExceeded | Self::ServerBusy | Self::InternalError => true,
            Self::AuthenticationFailed
            | Self::TokenExpired
            | Self::RoomAccessDenied
            | Self::Forbidden
            | Self::ValidationError
            | Self::UnknownEvent
            | Self::PayloadTooLarge
            | Self::NotJoined
            | Self::MaxRoomsExceeded
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooManyConnections => false,
        }
    }
}

/// Why a session ended. The label of `realtime_closed_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    /// The client sent a close packet or frame, or disconnected from the namespace.
    ClientClosed,
    /// The TCP connection ended without a word.
    TransportLost,
    /// No pong, nor anything else, within the ping timeout.
    PingTimeout,
    /// A frame, packet or polling request broke its protocol.
    ProtocolViolation,
    /// A text message was not UTF-8.
    InvalidText,
    /// A message was longer than `maxPayload`.
    PayloadTooLarge,
    /// No namespace was joined in time.
    ConnectTimeout,
    /// The client does not read: its queue reached its bound. It should reconnect and recover.
    SlowReader,
    /// The token expired and was not refreshed in the grace time.
    TokenExpired,
    /// The server asked the client to go: a kick.
    ServerDisconnect,
    /// The node is going down; clients come back to another, or to the next one.
    ShuttingDown,
    /// The connection's own task panicked.
    Panicked,
    /// A newer connection of the same client took the session over.
    Evicted,
    /// WebSocket pings came faster than they are worth answering.
    TooManyPings,
}

impl CloseReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::ClientClosed,
        Self::TransportLost,
        Self::PingTimeout,
        Self::ProtocolViolation,
        Self::InvalidText,
        Self::PayloadTooLarge,
        Self::ConnectTimeout,
        Self::SlowReader,
        Self::TokenExpired,
        Self::ServerDisconnect,
        Self::ShuttingDown,
        Self::Panicked,
        Self::Evicted,
        Self::TooManyPings,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::TransportLost => "transport_lost",
            Self::PingTimeout => "ping_timeout",
            Self::ProtocolViolation => "protocol_violation",
            Self::InvalidText => "invalid_text",
            Self::PayloadTooLarge => "payload_too_large",
            Self::ConnectTimeout => "connect_timeout",
            Self::SlowReader => "slow_reader",
            Self::TokenExpired => "token_expired",
            Self::ServerDisconnect => "server_disconnect",
            Self::ShuttingDown => "shutting_down",
            Self::Panicked => "panicked",
            Self::Evicted => "evicted",
            Self::TooManyPings => "too_many_pings",
        }
    }

    /// The WebSocket close code and reason text that the peer is sent.
    pub const fn websocket(self) -> (CloseCode, &'static str) {
        match self {
            Self::ClientClosed | Self::TransportLost | Self::PingTimeout => (CloseCode::NORMAL, ""),
            Self::ProtocolViolation => (CloseCode::PROTOCOL_ERROR, "protocol violation"),
            Self::InvalidText => (CloseCode::INVALID_PAYLOAD, "text is not UTF-8"),
            Self::PayloadTooLarge => (CloseCode::TOO_BIG, "payload too large"),
            Self::ConnectTimeout => (CloseCode::POLICY, "connect timeout"),
            Self::SlowReader => (CloseCode::TRY_AGAIN_LATER, "slow reader: reconnect and recover"),
            Self::TokenExpired => (CloseCode::POLICY, "token expired: refresh it and reconnect"),
            Self::ServerDisconnect => (CloseCode::NORMAL, "server disconnect"),
            Self::ShuttingDown => (CloseCode::SERVICE_RESTART, "service restart: reconnect"),
            Self::Panicked => (CloseCode::INTERNAL, "internal error"),
            Self::Evicted => (CloseCode::NORMAL, "session taken over by a newer connection"),
            Self::TooManyPings => (CloseCode::POLICY, "too many pings"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_in_the_order_of_their_numbers() {
        for (number, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number, "{}", code.name());
        }
        for (number, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{}", reason.label());
        }
    }

    #[test]
    fn close_reasons_fit_a_close_frame() {
        for reason in CloseReason::ALL {
            let (code, text) = reason.websocket();
            assert!(code.is_allowed_on_the_wire(), "{}", reason.label());
            assert!(text.len() <= 123, "{}", reason.label());
        }
    }
}
