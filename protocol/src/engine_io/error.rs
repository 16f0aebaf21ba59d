//! The replies to requests that Engine.IO refuses.

use std::fmt;

/// Why a request is refused; codes and words are those of Node's engine.io 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The `transport` parameter is missing or names none.
    TransportUnknown = 0,
    /// The session is not, or no longer, known.
    SessionUnknown = 1,
    /// A handshake by another method than GET.
    BadHandshakeMethod = 2,
    /// The request does not fit the state of its session.
    BadRequest = 3,
    /// The application refused the handshake.
    Forbidden = 4,
    /// The client speaks another revision of the protocol than 4.
    UnsupportedVersion = 5,
}

impl ErrorCode {
    /// The message that clients show.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::TransportUnknown => "Transport unknown",
            Self::SessionUnknown => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedVersion => "Unsupported protocol version",
        }
    }

    /// The HTTP status of the reply: 403 for [`ErrorCode::Forbidden`], 400 for all others.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            _ => 400,
        }
    }

    /// The reply's JSON body.
    #[must_use]
    pub const fn body(self) -> &'static str {
        match self {
            Self::TransportUnknown => r#"{"code":0,"message":"Transport unknown"}"#,
            Self::SessionUnknown => r#"{"code":1,"message":"Session ID unknown"}"#,
            Self::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Self::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            Self::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            Self::UnsupportedVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_says_code_and_message() {
        let codes = [
            ErrorCode::TransportUnknown,
            ErrorCode::SessionUnknown,
            ErrorCode::BadHandshakeMethod,
            ErrorCode::BadRequest,
            ErrorCode::Forbidden,
            ErrorCode::UnsupportedVersion,
        ];
        for (number, code) in codes.into_iter().enumerate() {
            assert_eq!(code.body(), format!("{{\"code\":{number},\"message\":\"{}\"}}", code.message()));
            assert_eq!(code as usize, number);
        }
    }
}
