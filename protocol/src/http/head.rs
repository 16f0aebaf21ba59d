//! Owns the meaning of a request head: method, target, framing and the headers that decide about trust.
//!
//! The grammar of tokens is httparse's; the rules of RFC 9110 and 9112 on top are here, always in the strict reading.

use core::mem::MaybeUninit;

use memchr::memchr;

use super::error::HttpError;
use super::scanner::Scanner;

/// The most headers that [`HeadLimits::headers_max`] can ask for; a larger number is taken as this one.
const HEADERS_CEILING: usize = 128;

/// Headers that decide about framing or trust, and so may come only once.
const SINGLE: [&str; 11] = [
    "host",
    "content-length",
    "content-type",
    "authorization",
    "origin",
    "expect",
    "sec-websocket-key",
    "sec-websocket-version",
    "x-api-key",
    "x-plugin-secret",
    "x-real-ip",
];
const HOST: usize = 0;

/// The bounds on a request head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The largest head, its last empty line included.
    pub head_bytes_max: usize,
    /// The most headers, at most 128.
    pub headers_max: usize,
    /// The longest request target.
    pub target_bytes_max: usize,
}

impl HeadLimits {
    /// Bounds that every known client stays far below: 16 KiB, 64 headers, a target of 4 KiB.
    pub const STANDARD: Self = Self { head_bytes_max: 16 << 10, headers_max: 64, target_bytes_max: 4 << 10 };
}

/// The methods that a route can ask for (RFC 9110 section 9; they are case-sensitive).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: as GET, answered without a body.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
    /// OPTIONS, also a browser's question before a cross-origin request.
    Options,
    /// Any other method, which no route has.
    Other,
}

/// The versions that are read here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0: the connection is closed after the answer.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the body after the head is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is no body.
    None,
    /// The body has this many bytes, maybe 0.
    Length(u64),
    /// The body comes in chunks.
    Chunked,
}

/// A request is a head that was read and found unambiguous; it borrows the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// The version of the request line.
    pub version: Version,
    /// The request target as it was sent, in ASCII.
    pub target: &'a str,
    /// The target's path, still percent-encoded; it begins with `/`, or is `*`.
    pub path: &'a str,
    /// What follows the first `?` of the target, still encoded; empty when there is none.
    pub query: &'a str,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the connection may serve another request: HTTP/1.1 without `Connection: close`.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// The length of the head; the body begins after it.
    pub head_bytes: usize,
    /// The header lines, each with its line end.
    fields: &'a [u8],
}

impl<'a> Request<'a> {
    /// The value of the first header of this name, in any case; `None` when there is none or it is not UTF-8.
    ///
    /// Headers that decide about framing or trust (Host, Authorization, Origin, …) cannot occur twice.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The values of all headers of this name, in the order of the wire; those that are not UTF-8 are left out.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.lines().filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        named.filter_map(|(_, value)| core::str::from_utf8(value).ok())
    }

    /// The headers in the order of the wire, values without surrounding blanks; those that are not UTF-8 are left out.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.lines().filter_map(|(name, value)| {
            Some((core::str::from_utf8(name).ok()?, core::str::from_utf8(value).ok()?))
        })
    }

    /// Whether a header that is a comma-separated list contains `token`, in any case and on any of its lines.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
    }

    fn lines(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.fields;
        core::iter::from_fn(move || {
            // The grammar was checked: every line has a colon and ends with CR LF.
            let (name, after) = rest.split_at_checked(memchr(b':', rest)?)?;
            let (value, after) = after.split_at_checked(memchr(b'\n', after)? + 1)?;
            rest = after;
            Some((name, value[1..].trim_ascii()))
        })
    }
}

/// Reads a request head at the start of `bytes`; `None` when it is incomplete and still within the limits.
///
/// This looks at all of `bytes` each time. A head that arrives in many pieces is read by one [`Scanner`] instead.
pub fn parse<'a>(bytes: &'a [u8], limits: &HeadLimits) -> Result<Option<Request<'a>>, HttpError> {
    Scanner::new().parse(bytes, limits)
}

/// Reads a whole head, which the scanner found to have no bare CR, bare LF or NUL.
pub(super) fn read<'a>(head: &'a [u8], limits: &HeadLimits) -> Result<Request<'a>, HttpError> {
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_CEILING];
    let slots = &mut slots[..limits.headers_max.min(HEADERS_CEILING)];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, slots) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HttpError::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(HttpError::TooManyHeaders),
        Err(_) if is_of_another_version(head) => return Err(HttpError::Version),
        Err(_) => return Err(HttpError::Malformed),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(HttpError::Malformed);
    };
    let method = method_of(method);
    let version = if version == 1 { Version::Http11 } else { Version::Http10 };
    let (path, query) = split_target(target, method)?;
    let fields = Fields::of(parsed.headers)?;
    if version == Version::Http11 && !fields.has_host {
        return Err(HttpError::Host);
    }
    let framing = fields.framing(version)?;
    let keep_alive = version == Version::Http11 && !fields.close;
    let expects_continue = fields.expects_continue && version == Version::Http11 && framing != Framing::None;
    Ok(Request {
        method,
        version,
        target,
        path,
        query,
        framing,
        keep_alive,
        expects_continue,
        head_bytes: head.len(),
        fields: field_lines(head),
    })
}

fn method_of(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        _ => Method::Other,
    }
}

/// Whether the request line ends as one of another HTTP version does, as `PRI * HTTP/2.0`.
fn is_of_another_version(head: &[u8]) -> bool {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Some(version) = line.rsplit(|byte| *byte == b' ').next().and_then(|word| word.strip_prefix(b"HTTP/"))
    else {
        return false;
    };
    match version {
        [major, b'.', minor] => {
            major.is_ascii_digit() && minor.is_ascii_digit() && !matches!(version, b"1.0" | b"1.1")
        }
        _ => false,
    }
}

/// Splits a target into path and query (RFC 9112 section 3.2; the authority form belongs to CONNECT, which is not served).
fn split_target(target: &str, method: Method) -> Result<(&str, &str), HttpError> {
    if !target.is_ascii() || target.contains('#') {
        return Err(HttpError::Target);
    }
    if target == "*" && method == Method::Options {
        return Ok((target, ""));
    }
    let local = match target.starts_with('/') {
        true => target,
        false => after_authority(target).ok_or(HttpError::Target)?,
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// What follows the authority of an absolute address: empty, or beginning with `/` or `?`.
fn after_authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    (end > 0).then(|| &rest[end..])
}

/// The header lines of a head: what is between its request line and its last empty line.
fn field_lines(head: &[u8]) -> &[u8] {
    let start = head.len() - head.strip_prefix(b"\r\n").unwrap_or(head).len();
    let line_end = memchr(b'\n', &head[start..]).map_or(head.len(), |at| start + at + 1);
    head[line_end..].strip_suffix(b"\r\n").unwrap_or_default()
}

/// What the headers say about framing and the connection.
#[derive(Default)]
struct Fields {
    has_host: bool,
    content_length: Option<u64>,
    transfer_encodings: u32,
    /// The only Transfer-Encoding is exactly `chunked`.
    chunked: bool,
    close: bool,
    expects_continue: bool,
}

impl Fields {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, HttpError> {
        let mut fields = Self::default();
        let mut seen = [false; SINGLE.len()];
        for header in headers {
            if let Some(place) = SINGLE.iter().position(|name| header.name.eq_ignore_ascii_case(name)) {
                if seen[place] {
                    return Err(if place == HOST { HttpError::Host } else { HttpError::DuplicateHeader });
                }
                seen[place] = true;
                core::str::from_utf8(header.value).map_err(|_| HttpError::Malformed)?;
            }
            fields.read(header)?;
        }
        Ok(fields)
    }

    fn read(&mut self, header: &httparse::Header<'_>) -> Result<(), HttpError> {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("host") {
            if !value.iter().all(|byte| is_of_a_host(*byte)) {
                return Err(HttpError::Host);
            }
            self.has_host = true;
        } else if header.name.eq_ignore_ascii_case("content-length") {
            self.content_length = Some(content_length(value)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            self.transfer_encodings += 1;
            self.chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            let mut items = value.split(|byte| *byte == b',');
            self.close |= items.any(|item| item.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if header.name.eq_ignore_ascii_case("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(HttpError::Expectation);
            }
            self.expects_continue = true;
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, HttpError> {
        match (self.transfer_encodings, self.content_length) {
            (0, None) => Ok(Framing::None),
            (0, Some(length)) => Ok(Framing::Length(length)),
            (_, Some(_)) => Err(HttpError::FramingConflict),
            (_, None) if version == Version::Http10 => Err(HttpError::FramingConflict),
            (1, None) if self.chunked => Ok(Framing::Chunked),
            (_, None) => Err(HttpError::TransferEncoding),
        }
    }
}

/// Whether a byte can be part of a host and port (RFC 3986 section 3.2.2).
const fn is_of_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b':'
                | b'['
                | b']'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

/// Reads a plain decimal number; one that does not fit is a body that is too big.
fn content_length(value: &[u8]) -> Result<u64, HttpError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::ContentLength);
    }
    let digits = core::str::from_utf8(value).map_err(|_| HttpError::ContentLength)?;
    digits.parse().map_err(|_| HttpError::BodyTooBig)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Result<Request<'_>, HttpError> {
        parse(head.as_bytes(), &HeadLimits::STANDARD).map(|request| request.expect("a whole head"))
    }

    #[test]
    fn a_request_is_taken_apart() {
        let head = "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: chat.example:3101\r\n\
                    content-length: 5\r\nX-Blank: \t padded \t\r\nX-Empty:\r\n\r\nhello";
        let request = request(head).expect("a valid request");
        assert_eq!((request.method, request.version), (Method::Post, Version::Http11));
        assert_eq!((request.path, request.query), ("/socket.io/", "EIO=4&transport=polling"));
        assert_eq!(request.framing, Framing::Length(5));
        assert_eq!(&head[request.head_bytes..], "hello");
        assert!(request.keep_alive && !request.expects_continue);
        assert_eq!(request.header("CONTENT-LENGTH"), Some("5"));
        assert_eq!(request.header("x-blank"), Some("padded"));
        assert_eq!(request.header("x-empty"), Some(""));
        assert_eq!(request.header("x-none"), None);
        assert_eq!(request.headers().count(), 4);
    }

    #[test]
    fn every_form_of_target_has_a_path_and_a_query() {
        let check = |line: &str, expected: Result<(&str, &str), HttpError>| {
            let head = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
            let outcome = request(&head).map(|request| (request.path.to_owned(), request.query.to_owned()));
            assert_eq!(outcome, expected.map(|(path, query)| (path.to_owned(), query.to_owned())), "{line}");
        };
        check("GET /", Ok(("/", "")));
        check("GET /a%20b?c=%3F?d", Ok(("/a%20b", "c=%3F?d")));
        check("GET http://chat.example/a?b", Ok(("/a", "b")));
        check("GET HTTPS://chat.example", Ok(("/", "")));
        check("GET http://chat.example?b", Ok(("/", "b")));
        check("OPTIONS *", Ok(("*", "")));
        check("GET *", Err(HttpError::Target));
        check("GET http:///a", Err(HttpError::Target));
        check("GET ftp://chat.example/a", Err(HttpError::Target));
        check("CONNECT chat.example:443", Err(HttpError::Target));
        check("GET a", Err(HttpError::Target));
        check("GET /a#b", Err(HttpError::Target));
        check("GET /ä", Err(HttpError::Target));
    }

    #[test]
    fn a_head_after_an_empty_line_is_the_same_head() {
        let request = request("\r\nGET /a HTTP/1.1\r\nHost: b\r\n\r\n").expect("a valid request");
        assert_eq!((request.path, request.header("host"), request.head_bytes), ("/a", Some("b"), 30));
    }

    #[test]
    fn lists_are_read_over_commas_and_lines() {
        let head =
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nConnection: x,, close\r\n\r\n";
        let request = request(head).expect("a valid request");
        assert!(request.lists("connection", "upgrade") && request.lists("Connection", "close"));
        assert!(!request.lists("connection", "keep") && !request.lists("upgrade", "websocket"));
        assert!(!request.keep_alive);
    }

    #[test]
    fn a_value_that_is_not_utf8_is_not_seen() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: \xff\r\nX: y\r\n\r\n";
        let request = parse(head, &HeadLimits::STANDARD).expect("tolerated").expect("a whole head");
        assert_eq!(request.header("cookie"), None);
        assert_eq!(request.header("x"), Some("y"));
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: \xff\r\n\r\n";
        assert_eq!(parse(head, &HeadLimits::STANDARD).err(), Some(HttpError::Malformed));
    }
}
