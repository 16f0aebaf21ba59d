//! Owns the writing of responses: status line, headers, body, and nothing that a value could smuggle in.

use std::io::Write as _;

/// A response is what one request is answered with; its body is complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The media type of the body; empty to leave the header out.
    pub content_type: &'static str,
    /// Further headers, in the order in which they are written.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A response with a body of any type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// A response with a JSON body, which the caller wrote.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A response with a body of plain text.
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=UTF-8", body)
    }

    /// A response without a body.
    pub fn empty(status: u16) -> Self {
        Self::new(status, "", Vec::new())
    }

    /// Adds a header; control characters in the value are written as spaces.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds several headers, as [`super::Cors::headers`] returns them.
    #[must_use]
    pub fn with_all(mut self, headers: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.headers.extend(headers);
        self
    }
}

/// The interim answer that lets a client that expects it send its body (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends a response with its length and what becomes of the connection.
///
/// `head_only` leaves the body out but not its length, as an answer to HEAD. Statuses that never have a body (1xx,
/// 204, 304) are written without body and length.
pub fn push_response(out: &mut Vec<u8>, response: &Response, keep_alive: bool, head_only: bool) {
    let status = response.status;
    let has_body = !matches!(status, 100..=199 | 204 | 304);
    let connection = if keep_alive { "keep-alive" } else { "close" };
    // Writing to a Vec cannot fail.
    let _ = write!(out, "HTTP/1.1 {status} {}\r\nConnection: {connection}\r\n", reason_phrase(status));
    if has_body {
        let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
        if !response.content_type.is_empty() {
            push_header(out, "Content-Type", response.content_type);
        }
    }
    for (name, value) in &response.headers {
        push_header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    if has_body && !head_only {
        out.extend_from_slice(&response.body);
    }
}

fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// The words for a status code, empty for one that this service does not use.
const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(response: &Response, keep_alive: bool, head_only: bool, expected: &str) {
        let mut out = Vec::new();
        push_response(&mut out, response, keep_alive, head_only);
        assert_eq!(String::from_utf8(out).as_deref(), Ok(expected));
    }

    #[test]
    fn a_response_is_written_with_length_and_connection() {
        check(
            &Response::json(200, "{}").with("Cache-Control", "no-store"),
            true,
            false,
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\
             Cache-Control: no-store\r\n\r\n{}",
        );
        check(
            &Response::text(404, "no"),
            false,
            true,
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\
             Content-Type: text/plain; charset=UTF-8\r\n\r\n",
        );
        check(
            &Response::empty(200),
            true,
            false,
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        );
    }

    #[test]
    fn a_status_without_a_body_has_no_length() {
        let mut response = Response::text(204, "never sent");
        check(&response, true, false, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
        response.status = 304;
        check(&response, true, false, "HTTP/1.1 304 Not Modified\r\nConnection: keep-alive\r\n\r\n");
    }

    #[test]
    fn a_value_cannot_begin_another_header() {
        check(
            &Response::empty(204).with("X", "a\r\nSet-Cookie: b\0é"),
            true,
            false,
            "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\nX: a  Set-Cookie: b é\r\n\r\n",
        );
    }
}
