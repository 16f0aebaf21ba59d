//! The promise that no request can be read in two ways: probes that have cut other servers open, and what each gets.
//!
//! A probe is sent to a reader as a connection would see it, requests one after the other, whole and byte by byte.

use protocol::http::{BodyReader, Framing, HeadLimits, HttpError, Scanner};

const LIMITS: HeadLimits = HeadLimits::STANDARD;
const BODY_BYTES_MAX: usize = 1000;

/// What a connection makes of its bytes.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    /// Method, target and body of each request that was served.
    served: Vec<String>,
    /// Why the connection was closed; `None` when it waits for more, or was closed as the client wished.
    refused: Option<HttpError>,
}

/// Reads requests until the bytes end, a request is refused, or one asks for the connection to be closed.
fn outcome(pieces: &[&[u8]]) -> Outcome {
    let mut outcome = Outcome { served: Vec::new(), refused: None };
    let (mut buffer, mut pieces) = (Vec::new(), pieces.iter());
    loop {
        match next_request(&mut buffer, &mut pieces) {
            Ok(Some((line, keep_alive))) => {
                outcome.served.push(line);
                if !keep_alive {
                    return outcome;
                }
            }
            Ok(None) => return outcome,
            Err(error) => {
                outcome.refused = Some(error);
                return outcome;
            }
        }
    }
}

fn next_request<'a>(
    buffer: &mut Vec<u8>,
    pieces: &mut impl Iterator<Item = &'a &'a [u8]>,
) -> Result<Option<(String, bool)>, HttpError> {
    let mut scanner = Scanner::new();
    let (line, keep_alive, framing, head_bytes) = loop {
        if let Some(request) = scanner.parse(buffer, &LIMITS)? {
            let line = format!("{:?} {}", request.method, request.target);
            break (line, request.keep_alive, request.framing, request.head_bytes);
        }
        let Some(piece) = pieces.next() else { return Ok(None) };
        buffer.extend_from_slice(piece);
    };
    buffer.drain(..head_bytes);
    let mut reader = BodyReader::new(framing, BODY_BYTES_MAX)?;
    let mut body = Vec::new();
    loop {
        let consumed = reader.feed(buffer, &mut body)?;
        buffer.drain(..consumed);
        if reader.is_complete() {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Ok(Some((format!("{line} {body}").trim_end().to_owned(), keep_alive)));
        }
        let Some(piece) = pieces.next() else { return Ok(None) };
        buffer.extend_from_slice(piece);
    }
}

/// Checks which requests are served from `bytes`, and with which error the connection ends.
fn check(bytes: impl AsRef<[u8]>, served: &[&str], refused: Option<HttpError>) {
    let bytes = bytes.as_ref();
    let expected = Outcome { served: served.iter().map(|line| (*line).to_owned()).collect(), refused };
    let shown = bytes[..bytes.len().min(300)].escape_ascii().to_string();
    assert_eq!(outcome(&[bytes]), expected, "{shown}");
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(outcome(&single), expected, "byte by byte: {shown}");
}

fn refuse(bytes: impl AsRef<[u8]>, error: HttpError) {
    check(bytes, &[], Some(error));
}

/// A request with these header lines besides Host, and a body.
fn post(lines: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: x\r\n{lines}\r\n{body}")
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn well_formed_requests_are_served_in_order() {
    check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &["Get /"], None);
    check(SMUGGLED.repeat(3), &["Get /smuggled"; 3], None);
    check(post("Content-Length: 5\r\n", "hello") + SMUGGLED, &["Post /a hello", "Get /smuggled"], None);
    check(
        post("Transfer-Encoding: Chunked\r\n", "2\r\nhi\r\n0\r\n\r\n") + SMUGGLED,
        &["Post /a hi", "Get /smuggled"],
        None,
    );
    check(post("Content-Length: 2\r\n", "hi\r\n") + SMUGGLED, &["Post /a hi", "Get /smuggled"], None);
    check("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned() + SMUGGLED, &["Get /"], None);
    check("GET / HTTP/1.0\r\n\r\n".to_owned() + SMUGGLED, &["Get /"], None);
    check("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned() + SMUGGLED, &["Get /"], None);
    check("GET / HTTP/1.1\r\nHost:\r\n\r\n", &["Get /"], None);
    check("BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", &["Other /pot"], None);
}

#[test]
fn lengths_that_disagree_are_refused() {
    refuse(post("Content-Length: 0\r\nContent-Length: 37\r\n", SMUGGLED), HttpError::DuplicateHeader);
    refuse(post("Content-Length: 2\r\nContent-Length: 2\r\n", "hi"), HttpError::DuplicateHeader);
    for value in ["+5", "-1", "0x5", "5, 5", "5,5", "", "5 5", "5.0", "٣", "1e1", "5;"] {
        refuse(post(&format!("Content-Length: {value}\r\n"), "hello"), HttpError::ContentLength);
    }
    refuse(post("Content-Length : 5\r\n", "hello"), HttpError::Malformed);
    refuse(post("Content-Length: 99999999999999999999\r\n", ""), HttpError::BodyTooBig);
    refuse(post("Content-Length: 1001\r\n", ""), HttpError::BodyTooBig);
    refuse(post("Content-Length: 10737418240\r\n", ""), HttpError::BodyTooBig);
}

#[test]
fn lengths_and_codings_do_not_mix() {
    refuse(
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        HttpError::FramingConflict,
    );
    refuse(
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        HttpError::FramingConflict,
    );
    refuse(post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello"), HttpError::FramingConflict);
    refuse(
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", ""),
        HttpError::TransferEncoding,
    );
    refuse(
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", ""),
        HttpError::TransferEncoding,
    );
    refuse(
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""),
        HttpError::TransferEncoding,
    );
    for value in [
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "chunked;q=1",
        "xchunked",
        "chun ked",
        "",
        "\"chunked\"",
        "chunked,",
    ] {
        refuse(post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"), HttpError::TransferEncoding);
    }
    refuse(post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), HttpError::Malformed);
    refuse(post("Transfer-Encoding\r\n : chunked\r\n", "0\r\n\r\n"), HttpError::Malformed);
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HttpError::FramingConflict);
}

#[test]
fn chunks_are_read_strictly() {
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    for body in [
        "\r\n\r\n",
        "0\n\n",
        "0\r\n\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 ;a\r\nhello\r\n0\r\n\r\n",
        "g\r\n\r\n",
        "5;\rhello\r\n0\r\n\r\n",
        "00000000000000000\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nA: b\nC: d\r\n\r\n",
    ] {
        refuse(chunked(body) + SMUGGLED, HttpError::Chunk);
    }
    refuse(chunked("3e9\r\n"), HttpError::BodyTooBig);
    refuse(chunked("10000000000000005\r\nhello"), HttpError::BodyTooBig);
    check(
        chunked("5;a=b;c=\"d\"\r\nhello\r\n0\r\nTrailer: t\r\n\r\n") + SMUGGLED,
        &["Post /a hello", "Get /smuggled"],
        None,
    );
    let endless_extension = format!("5;{}", "a".repeat(5000));
    refuse(chunked(&endless_extension), HttpError::Chunk);
    let endless_trailer = format!("0\r\n{}", "A: b\r\n".repeat(5000));
    refuse(chunked(&endless_trailer), HttpError::Chunk);
}

#[test]
fn line_ends_and_control_characters_are_read_strictly() {
    refuse("GET / HTTP/1.1\nHost: x\n\n".to_owned() + SMUGGLED, HttpError::BareLineEnd);
    refuse("GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", HttpError::BareLineEnd);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n", HttpError::BareLineEnd);
    refuse("GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", HttpError::BareLineEnd);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", HttpError::Nul);
    refuse("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", HttpError::Nul);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", HttpError::Malformed);
    refuse("GET / HTTP/1.1\r\nHost: x\r\n\tA: b\r\n\r\n", HttpError::Malformed);
    refuse("GET / HTTP/1.1\r\n Host: x\r\n\r\n", HttpError::Malformed);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nA: \x1b\r\n\r\n", HttpError::Malformed);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nA: \x7f\r\n\r\n", HttpError::Malformed);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", HttpError::Malformed);
    refuse("GET / HTTP/1.1\r\nHost: x\r\n: no name\r\n\r\n", HttpError::Malformed);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nna(me: b\r\n\r\n", HttpError::Malformed);
}

#[test]
fn hosts_are_counted() {
    refuse("GET / HTTP/1.1\r\nA: b\r\n\r\n", HttpError::Host);
    refuse("GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", HttpError::Host);
    refuse("GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", HttpError::Host);
    for host in ["a b", "a,b", "a/b", "a@b", "a?b", "a#b", "<a>"] {
        refuse(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), HttpError::Host);
    }
    for host in ["x", "chat.example:3101", "[::1]:3101", "127.0.0.1"] {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), &["Get /"], None);
    }
}

#[test]
fn headers_that_decide_about_trust_come_once() {
    for name in ["Authorization", "Origin", "Sec-WebSocket-Key", "X-API-Key", "Content-Type"] {
        refuse(post(&format!("{name}: a\r\n{}: b\r\n", name.to_lowercase()), ""), HttpError::DuplicateHeader);
    }
}

#[test]
fn request_lines_are_read_strictly() {
    refuse("GET / HTTP/2.0\r\nHost: x\r\n\r\n", HttpError::Version);
    refuse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpError::Version);
    refuse("GET / HTTP/1.2\r\nHost: x\r\n\r\n", HttpError::Version);
    refuse("GET / HTTP/0.9\r\n\r\n", HttpError::Version);
    for line in [
        "GET /",
        "GET / HTTP/1.1 ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "G(T / HTTP/1.1",
        "GET / /b HTTP/1.1",
        "GET",
    ] {
        refuse(format!("{line}\r\nHost: x\r\n\r\n"), HttpError::Malformed);
    }
    refuse(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", HttpError::Nul);
    refuse("CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", HttpError::Target);
    refuse("GET example HTTP/1.1\r\nHost: x\r\n\r\n", HttpError::Target);
    refuse("\r\n\r\n".to_owned() + SMUGGLED, HttpError::Malformed);
}

#[test]
fn every_part_of_a_head_is_bounded() {
    refuse(format!("GET / HTTP/1.1\r\nHost: x\r\n{}: b\r\n\r\n", "A".repeat(70_000)), HttpError::HeadTooBig);
    refuse(format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(1 << 20)), HttpError::HeadTooBig);
    refuse(format!("GET / HTTP/1.1\r\nHost: x\r\n{}", "A: b\r\n".repeat(1 << 16)), HttpError::TooManyHeaders);
    refuse(format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(96)), HttpError::TooManyHeaders);
    check(format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(63)), &["Get /"], None);
    refuse(format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(64)), HttpError::TooManyHeaders);
    refuse(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000)), HttpError::TargetTooLong);
    refuse(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(4096)), HttpError::TargetTooLong);
    refuse("A".repeat(1 << 20), HttpError::TargetTooLong);
}

#[test]
fn a_client_that_expects_to_be_asked_is_recognised() {
    let expects = |head: &str| {
        let request = protocol::http::parse_head(head.as_bytes(), &LIMITS).expect("valid").expect("whole");
        (request.expects_continue, request.framing)
    };
    let lines = "Expect: 100-Continue\r\nContent-Length: 5\r\n";
    assert_eq!(expects(&post(lines, "")), (true, Framing::Length(5)));
    assert_eq!(expects("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"), (false, Framing::None));
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(expects(old), (false, Framing::Length(5)));
    refuse(post("Expect: tea\r\n", ""), HttpError::Expectation);
}

#[test]
fn every_refusal_has_a_status_and_a_body() {
    let errors = [
        (HttpError::Malformed, 400),
        (HttpError::BareLineEnd, 400),
        (HttpError::Nul, 400),
        (HttpError::Target, 400),
        (HttpError::Host, 400),
        (HttpError::DuplicateHeader, 400),
        (HttpError::ContentLength, 400),
        (HttpError::FramingConflict, 400),
        (HttpError::Chunk, 400),
        (HttpError::Timeout, 408),
        (HttpError::BodyTooBig, 413),
        (HttpError::TargetTooLong, 414),
        (HttpError::Expectation, 417),
        (HttpError::HeadTooBig, 431),
        (HttpError::TooManyHeaders, 431),
        (HttpError::TransferEncoding, 501),
        (HttpError::Version, 505),
    ];
    for (error, status) in errors {
        assert_eq!(error.status(), status, "{error:?}");
        assert_eq!(error.response().body, error.reason().as_bytes());
    }
}
