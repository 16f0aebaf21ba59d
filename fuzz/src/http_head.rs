//! The promise of the request head reader: the same reading however the bytes are cut, and only unambiguous requests.

use protocol::http::{Cors, Framing, HeadLimits, Request, Scanner, query};
use protocol::websocket::handshake;

use crate::pieces::{pieces, split_choice};

const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 1024, headers_max: 16, target_bytes_max: 128 };

/// The first byte chooses how the rest is cut.
pub fn target(input: &[u8]) {
    let (choice, bytes) = split_choice(input);
    let whole = protocol::http::parse_head(bytes, &LIMITS);
    let mut scanner = Scanner::new();
    let mut fed = 0;
    let outcome = pieces(bytes, choice).iter().find_map(|piece| {
        fed += piece.len();
        scanner.parse(&bytes[..fed], &LIMITS).transpose()
    });
    assert_eq!(outcome.transpose().map(summary), whole.map(summary), "a cut changed what is read");
    if let Ok(Some(request)) = &whole {
        inspect(request, bytes);
    }
}

fn summary(request: Option<Request<'_>>) -> String {
    format!("{request:?}")
}

fn inspect(request: &Request<'_>, bytes: &[u8]) {
    assert!(request.head_bytes <= LIMITS.head_bytes_max && request.head_bytes <= bytes.len());
    assert!(bytes[..request.head_bytes].ends_with(b"\r\n\r\n"));
    assert!(request.path.starts_with('/') || request.path == "*");
    assert!(request.target.len() <= LIMITS.target_bytes_max);
    assert!(request.headers().count() <= LIMITS.headers_max);
    for (name, value) in request.headers() {
        assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']));
        assert!(request.header(name).is_some());
    }
    let lengths = request.header("content-length").is_some();
    let codings = request.header("transfer-encoding").is_some();
    assert_eq!(request.framing == Framing::Chunked, codings);
    assert_eq!(matches!(request.framing, Framing::Length(_)), lengths);

    for (name, _) in query::parameters(request.query) {
        assert!(query::get(request.query, &name).is_some());
    }
    let _ = request.path.split('/').map(query::decode_path).count();
    let origin = request.header("origin");
    assert!(Cors::from_setting("https://a.example").headers(origin).len() <= 3);
    let _ = handshake::upgrade(request, true).map_err(|error| error.response());
}

/// A polling request, an opening handshake and a REST call.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut upgrade = vec![2];
    handshake::push_request(
        &mut upgrade,
        "localhost:3101",
        "/socket.io/?EIO=4&transport=websocket",
        "dGhlIHNhbXBsZSBub25jZQ==",
    );
    upgrade.truncate(upgrade.len() - 2);
    upgrade.extend_from_slice(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: https://a.example\r\n\r\n");
    vec![
        upgrade,
        b"\0GET /socket.io/?EIO=4&transport=polling&t=a%20b+c HTTP/1.1\r\nHost: localhost:3101\r\nConnection: keep-alive\r\n\r\n".to_vec(),
        b"\x05POST /presence/general%2F1 HTTP/1.1\r\nHost: [::1]:3101\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}".to_vec(),
        b"\x07\r\nPOST http://a.example/typing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
        b"\x03OPTIONS * HTTP/1.0\r\nX-Empty:\r\nCookie: \xff\r\n\r\n".to_vec(),
    ]
}
