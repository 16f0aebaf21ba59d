//! One HTTP connection for one request at a time, as a back end keeps it: blocking, kept alive, opened again when it
//! is lost. It reads what the server under test answers and is no client for other servers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::answer::AnswerReader;

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

/// A connection that is opened when it is first needed.
pub struct Caller {
    address: SocketAddr,
    timeout: Duration,
    /// The header lines that every request has.
    headers: String,
    stream: Option<TcpStream>,
    request: Vec<u8>,
}

/// The answer to one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body; text that is not UTF-8 has replacement characters.
    pub body: String,
}

impl Caller {
    /// Calls `address`, whose name is `host`, with `key` as its X-API-Key; waits `timeout` for each answer.
    pub fn new(address: SocketAddr, host: &str, key: Option<&str>, timeout: Duration) -> Self {
        let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
        Self {
            address,
            timeout,
            headers: format!("Host: {host}\r\n{key}"),
            stream: None,
            request: Vec::new(),
        }
    }

    /// Asks for `path`.
    ///
    /// # Errors
    /// If the connection cannot be made or is lost; the next request opens another.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\n{}\r\n", self.headers)?;
        self.exchange(|| {})
    }

    /// Posts the JSON text `body` to `path`; `sent` is called when the request has been handed to the kernel.
    ///
    /// # Errors
    /// If the connection cannot be made or is lost, when it is not known whether the server has acted; the next
    /// request opens another.
    pub fn post(&mut self, path: &str, body: &[u8], sent: impl FnOnce()) -> io::Result<Answer> {
        self.request.clear();
        write!(
            self.request,
            "POST {path} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.headers,
            body.len()
        )?;
        self.request.extend_from_slice(body);
        self.exchange(sent)
    }

    /// Sends the request and reads its answer.
    fn exchange(&mut self, sent: impl FnOnce()) -> io::Result<Answer> {
        // What is left of a connection after an error is of no use, so it is only put back after an answer.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.write_all(&self.request)?;
        sent();
        let (answer, is_kept) = read_answer(&mut stream)?;
        if is_kept {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(stream)
    }
}

/// Reads the answer to the one request that is on its way, and says whether the connection is good for another.
fn read_answer(stream: &mut impl Read) -> io::Result<(Answer, bool)> {
    let (mut reader, mut buffer) = (AnswerReader::default(), [0; READ_BYTES]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let read = reader.feed(&mut &buffer[..count]);
        if let Some(answer) = read.map_err(|why| io::Error::new(ErrorKind::InvalidData, why))? {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            return Ok((Answer { status: answer.status, body }, answer.is_kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(u16, &str, bool)>) {
        let read = read_answer(&mut text.as_bytes()).ok();
        let expected =
            expected.map(|(status, body, is_kept)| (Answer { status, body: body.to_owned() }, is_kept));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn answers_are_read_to_their_length() {
        let long = "x".repeat(3 * READ_BYTES);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest", Some((200, "{}", true)));
        check("HTTP/1.1 429 No\r\ncontent-length:0\r\nConnection: close\r\n\r\n", Some((429, "", false)));
        check(
            &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len()),
            Some((200, &long, true)),
        );
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", None);
        check("HTTP/1.1 200 OK\r\n\r\n", None);
        check("nonsense\r\n\r\n", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", None);
        check("", None);
        check(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2 * READ_BYTES)), None);
    }
}
