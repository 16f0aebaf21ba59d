//! The client's side of HTTP: requests as they are written, answers as they come.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::server::PATIENCE;

/// Opens a connection that gives up after a while.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads what comes next. A ring in the same process may interrupt the wait, which then goes on.
pub(crate) fn read(stream: &mut TcpStream, chunk: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A connection on which requests follow each other.
pub(crate) struct Http {
    /// The socket.
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status; 0 when the connection ended instead.
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Http {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self { stream: connect(address), buffer: Vec::new() }
    }

    /// Writes a request.
    pub(crate) fn send(&mut self, method: &str, target: &str, body: &str) {
        self.stream.write_all(request(method, target, body).as_bytes()).unwrap();
    }

    /// Writes a request and waits for its answer.
    pub(crate) fn request(&mut self, method: &str, target: &str, body: &str) -> Answer {
        self.send(method, target, body);
        self.answer()
    }

    /// Reads one answer. Status 0 says that the connection ended.
    pub(crate) fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.take_answer() {
                return answer;
            }
            let mut chunk = [0; 16 * 1024];
            match read(&mut self.stream, &mut chunk) {
                Ok(0) => break,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("no answer: {error}"),
            }
        }
        let head = String::from_utf8_lossy(&self.buffer).into_owned();
        Answer { status: 0, head, body: String::new() }
    }

    /// Waits until the other side has closed; returns what came before.
    pub(crate) fn closed(mut self) -> String {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed: {error}"),
        }
        self.buffer.extend_from_slice(&rest);
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let head_bytes = self.buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.buffer[..head_bytes].to_vec()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        let end = head_bytes + length.unwrap_or(0);
        let body = String::from_utf8(self.buffer.get(head_bytes..end)?.to_vec()).unwrap();
        self.buffer.drain(..end);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body })
    }
}

/// A request as clients write it.
pub(crate) fn request(method: &str, target: &str, body: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: node\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
