//! Owns the reasons for which a request cannot be read, and the status that answers each.

use core::fmt;

use super::response::Response;

/// An error is why a request was not read; the caller answers with its status and closes the connection.
///
/// After any of these the place where the next request begins is not known, so the connection cannot be kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HttpError {
    /// The head is not HTTP: a bad token, a folded header, a space before a colon (400).
    Malformed,
    /// A line ends with a bare CR or LF (400, RFC 9112 section 2.2).
    BareLineEnd,
    /// The head contains a NUL (400).
    Nul,
    /// The request target is not a path, an absolute address or `*` in ASCII (400).
    Target,
    /// HTTP/1.1 without exactly one well-formed Host (400, RFC 9112 section 3.2).
    Host,
    /// A header that decides about framing or trust comes twice (400).
    DuplicateHeader,
    /// Content-Length is not a plain decimal number (400).
    ContentLength,
    /// Content-Length together with Transfer-Encoding, or Transfer-Encoding in HTTP/1.0 (400, RFC 9112 section 6.1).
    FramingConflict,
    /// A chunk, its extension or the trailer is malformed or beyond its bound (400).
    Chunk,
    /// The request did not arrive in time; only the caller has a clock (408).
    Timeout,
    /// The body is larger than the caller takes (413).
    BodyTooBig,
    /// The request target is longer than [`super::HeadLimits::target_bytes_max`] (414).
    TargetTooLong,
    /// The client expects something other than `100-continue` (417).
    Expectation,
    /// The head is longer than [`super::HeadLimits::head_bytes_max`] (431).
    HeadTooBig,
    /// There are more headers than [`super::HeadLimits::headers_max`] (431).
    TooManyHeaders,
    /// Transfer-Encoding is something other than exactly `chunked` (501).
    TransferEncoding,
    /// The version is neither HTTP/1.0 nor HTTP/1.1 (505).
    Version,
}

impl HttpError {
    /// The status code of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed
            | Self::BareLineEnd
            | Self::Nul
            | Self::Target
            | Self::Host
            | Self::DuplicateHeader
            | Self::ContentLength
            | Self::FramingConflict
            | Self::Chunk => 400,
            Self::Timeout => 408,
            Self::BodyTooBig => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooBig | Self::TooManyHeaders => 431,
            Self::TransferEncoding => 501,
            Self::Version => 505,
        }
    }

    /// The text of the answer: a short English sentence, for the person who debugs the client.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the request head is malformed",
            Self::BareLineEnd => "a line does not end with CR LF",
            Self::Nul => "the request head contains NUL",
            Self::Target => "the request target is malformed",
            Self::Host => "exactly one Host is required",
            Self::DuplicateHeader => "a header that may come once comes twice",
            Self::ContentLength => "Content-Length is malformed",
            Self::FramingConflict => "Transfer-Encoding is not possible here",
            Self::Chunk => "the chunked body is malformed",
            Self::Timeout => "the request did not arrive in time",
            Self::BodyTooBig => "the body is too big",
            Self::TargetTooLong => "the request target is too long",
            Self::Expectation => "only 100-continue can be expected",
            Self::HeadTooBig => "the request head is too big",
            Self::TooManyHeaders => "there are too many headers",
            Self::TransferEncoding => "only chunked is understood as Transfer-Encoding",
            Self::Version => "only HTTP/1.1 and HTTP/1.0 are understood",
        }
    }

    /// The answer as plain text, to be sent with `keep_alive` false.
    pub fn response(self) -> Response {
        Response::text(self.status(), self.reason())
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for HttpError {}
