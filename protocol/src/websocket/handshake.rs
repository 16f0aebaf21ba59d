//! Owns the opening handshake of RFC 6455 section 4, from both sides.

use core::fmt;

use super::deflate;
use crate::http::{self, Framing, Method, Response, Version};

/// The most bytes of a server's answer that a client reads.
const RESPONSE_HEAD_BYTES_MAX: usize = 16 << 10;
const RESPONSE_HEADERS_MAX: usize = 64;
const KEY_CHARACTERS: usize = 24;

/// An upgrade is what was agreed with a client, to be written with [`push_response`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upgrade {
    /// The proof that the key was read, for `Sec-WebSocket-Accept`.
    pub accept: [u8; 28],
    /// Whether permessage-deflate was agreed, without context takeover in both directions.
    pub deflate: bool,
}

/// Why a request is not an opening handshake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UpgradeError {
    /// The request is not a GET in HTTP/1.1 (400).
    NotGet,
    /// `Upgrade` does not list `websocket` (400).
    NotWebSocket,
    /// `Connection` does not list `upgrade`, or also lists `close` (400).
    Connection,
    /// The request announces a body (400).
    Body,
    /// `Sec-WebSocket-Version` is not 13 (426).
    Version,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64 (400).
    Key,
    /// `Sec-WebSocket-Extensions` does not follow its grammar (400).
    Extensions,
}

impl UpgradeError {
    /// The status code of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Version => 426,
            Self::NotGet
            | Self::NotWebSocket
            | Self::Connection
            | Self::Body
            | Self::Key
            | Self::Extensions => 400,
        }
    }

    /// The text of the answer.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotGet => "a WebSocket is opened by a GET in HTTP/1.1",
            Self::NotWebSocket => "Upgrade: websocket is missing",
            Self::Connection => "Connection: Upgrade is missing",
            Self::Body => "a WebSocket request has no body",
            Self::Version => "Sec-WebSocket-Version must be 13",
            Self::Key => "Sec-WebSocket-Key is malformed",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed",
        }
    }

    /// The answer, to be sent before the connection is closed; with 426 it names the version to use.
    pub fn response(self) -> Response {
        let response = Response::text(self.status(), self.reason());
        match self {
            Self::Version => response.with("Upgrade", "websocket").with("Sec-WebSocket-Version", "13"),
            _ => response,
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for UpgradeError {}

/// Checks an opening handshake by RFC 6455 section 4.2.1; `offer_deflate` says whether compression may be agreed.
///
/// Origins are [`http::Cors`]'s. Subprotocols are not looked at and none is chosen.
pub fn upgrade(request: &http::Request<'_>, offer_deflate: bool) -> Result<Upgrade, UpgradeError> {
    if request.method != Method::Get || request.version != Version::Http11 {
        return Err(UpgradeError::NotGet);
    }
    if !request.lists("upgrade", "websocket") {
        return Err(UpgradeError::NotWebSocket);
    }
    if !request.lists("connection", "upgrade") || !request.keep_alive {
        return Err(UpgradeError::Connection);
    }
    if !matches!(request.framing, Framing::None | Framing::Length(0)) {
        return Err(UpgradeError::Body);
    }
    if request.header("sec-websocket-version") != Some("13") {
        return Err(UpgradeError::Version);
    }
    let key = request.header("sec-websocket-key").filter(|key| is_key(key)).ok_or(UpgradeError::Key)?;
    let deflate = offer_deflate
        && deflate::is_acceptable(request.values("sec-websocket-extensions"))
            .map_err(|deflate::MalformedOffer| UpgradeError::Extensions)?;
    Ok(Upgrade { accept: accept(key), deflate })
}

/// Appends the 101 head that answers an opening handshake; frames may follow at once.
pub fn push_response(out: &mut Vec<u8>, upgrade: &Upgrade) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&upgrade.accept);
    out.extend_from_slice(b"\r\n");
    if upgrade.deflate {
        out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        out.extend_from_slice(deflate::RESPONSE.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a client's opening handshake; `key` is 16 random bytes in base64, 24 characters.
///
/// `host` and `target` are written as they are, so they must not come from a stranger.
pub fn push_request(out: &mut Vec<u8>, host: &str, target: &str, key: &str) {
    for part in
        ["GET ", target, " HTTP/1.1\r\nHost: ", host, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"]
    {
        out.extend_from_slice(part.as_bytes());
    }
    for part in ["Sec-WebSocket-Key: ", key, "\r\nSec-WebSocket-Version: 13\r\n\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Why a client's opening handshake failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The server answered with this status instead of 101.
    Status(u16),
    /// The answer is not HTTP, or longer than 16 KiB.
    Malformed,
    /// The answer is a 101 that does not belong to the key.
    Accept,
}

/// Reads a server's answer to [`push_request`] at the start of `bytes` and returns its length; frames follow it.
///
/// `None` when it is incomplete.
pub fn read_response(bytes: &[u8], key: &str) -> Result<Option<usize>, Refusal> {
    let window = &bytes[..bytes.len().min(RESPONSE_HEAD_BYTES_MAX)];
    let Some(end) = memchr::memmem::find(window, b"\r\n\r\n") else {
        return if window.len() < RESPONSE_HEAD_BYTES_MAX { Ok(None) } else { Err(Refusal::Malformed) };
    };
    let mut headers = [httparse::EMPTY_HEADER; RESPONSE_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&window[..end + 4]);
    let Ok(httparse::Status::Complete(head_bytes)) = parsed else { return Err(Refusal::Malformed) };
    match response.code {
        Some(101) => {}
        code => return Err(code.map_or(Refusal::Malformed, Refusal::Status)),
    }
    let mut accepts =
        response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    match accepts.next() {
        Some(header) if header.value == accept(key) => Ok(Some(head_bytes)),
        _ => Err(Refusal::Accept),
    }
}

fn accept(key: &str) -> [u8; 28] {
    let text = tungstenite::handshake::derive_accept_key(key.as_bytes());
    text.as_bytes().try_into().expect("SHA-1 is 20 bytes, which are 28 characters in base64")
}

/// Whether this is the base64 of 16 bytes: 22 characters and two for padding.
fn is_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == KEY_CHARACTERS && key.strip_suffix("==").is_some_and(|digits| digits.bytes().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const FIELDS: [(&str, &str); 5] = [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];

    /// The outcome of the RFC's request with one header replaced or added.
    fn with(line: &str, name: &str, value: &str, offer_deflate: bool) -> Result<Upgrade, UpgradeError> {
        let mut fields = FIELDS.to_vec();
        fields.retain(|(field, _)| *field != name);
        fields.push((name, value));
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{line}\r\n{lines}\r\n");
        let request = http::parse_head(head.as_bytes(), &HeadLimits::STANDARD);
        upgrade(&request.expect("a valid head").expect("a whole head"), offer_deflate)
    }

    fn check(name: &str, value: &str, expected: Result<bool, UpgradeError>) {
        let outcome = with("GET /chat HTTP/1.1", name, value, true).map(|upgrade| upgrade.deflate);
        assert_eq!(outcome, expected, "{name}: {value}");
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted_and_answered() {
        let upgrade = with("GET /chat HTTP/1.1", "Origin", "http://example.com", false).expect("valid");
        assert_eq!(&upgrade.accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let mut out = Vec::new();
        push_response(&mut out, &upgrade);
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(String::from_utf8(out).as_deref(), Ok(head));
    }

    #[test]
    fn lists_and_cases_are_read_as_the_rfc_says() {
        check("Upgrade", "foo, WebSocket", Ok(false));
        check("Connection", "keep-alive, upgrade", Ok(false));
        check("Content-Length", "0", Ok(false));
        check("Sec-WebSocket-Protocol", &"a, ".repeat(4000), Ok(false));
    }

    #[test]
    fn every_missing_or_wrong_part_is_refused() {
        check("Upgrade", "websockets", Err(UpgradeError::NotWebSocket));
        check("Connection", "keep-alive", Err(UpgradeError::Connection));
        check("Connection", "close, upgrade", Err(UpgradeError::Connection));
        check("Content-Length", "5", Err(UpgradeError::Body));
        check("Transfer-Encoding", "chunked", Err(UpgradeError::Body));
        for version in ["12", "8", "", "13, 8", "013"] {
            check("Sec-WebSocket-Version", version, Err(UpgradeError::Version));
        }
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZSBub25jZQAA",
        ] {
            check("Sec-WebSocket-Key", key, Err(UpgradeError::Key));
        }
        for line in ["POST / HTTP/1.1", "GET / HTTP/1.0", "get / HTTP/1.1"] {
            assert_eq!(with(line, "Origin", "a", false), Err(UpgradeError::NotGet), "{line}");
        }
        assert_eq!(UpgradeError::Version.status(), 426);
        assert!(
            UpgradeError::Version.response().headers.contains(&("Sec-WebSocket-Version", "13".to_owned()))
        );
    }

    #[test]
    fn compression_is_agreed_only_when_both_want_it() {
        let offer = "permessage-deflate; client_max_window_bits";
        check("Sec-WebSocket-Extensions", offer, Ok(true));
        check("Sec-WebSocket-Extensions", "permessage-deflate;", Err(UpgradeError::Extensions));
        let unwanted = with("GET / HTTP/1.1", "Sec-WebSocket-Extensions", offer, false);
        assert_eq!(unwanted.map(|upgrade| upgrade.deflate), Ok(false));
        let mut out = Vec::new();
        push_response(&mut out, &Upgrade { accept: [b'a'; 28], deflate: true });
        assert!(String::from_utf8_lossy(&out).contains(deflate::RESPONSE));
    }

    #[test]
    fn both_sides_of_the_handshake_agree() {
        let mut request = Vec::new();
        push_request(&mut request, "localhost:3101", "/socket.io/?EIO=4&transport=websocket", KEY);
        let head = http::parse_head(&request, &HeadLimits::STANDARD).expect("valid").expect("whole");
        let upgrade = upgrade(&head, true).expect("an upgrade");
        let mut response = Vec::new();
        push_response(&mut response, &upgrade);
        for cut in 0..response.len() {
            assert_eq!(read_response(&response[..cut], KEY), Ok(None));
        }
        let head_bytes = response.len();
        response.extend_from_slice(&[0x81, 0x00]);
        assert_eq!(read_response(&response, KEY), Ok(Some(head_bytes)));
        assert_eq!(read_response(&response, "AAAAAAAAAAAAAAAAAAAAAA=="), Err(Refusal::Accept));
        assert_eq!(read_response(b"HTTP/1.1 503 Busy\r\n\r\n", KEY), Err(Refusal::Status(503)));
        assert_eq!(read_response(b"nonsense\r\n\r\n", KEY), Err(Refusal::Malformed));
        assert_eq!(read_response(&[b'a'; RESPONSE_HEAD_BYTES_MAX], KEY), Err(Refusal::Malformed));
    }
}
