//! The second socket of a connection that polls: takes requests with packets, and brings their answers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// The bit that tells the token of this socket from that of the connection's main one.
const BIT: usize = 1 << (usize::BITS - 2);

/// The socket, and what it did not take yet.
pub(super) struct Posts {
    stream: TcpStream,
    unsent: Vec<u8>,
    reached: bool,
}

/// The token of the second socket of the connection whose main one has `slot`.
pub(super) const fn token(slot: usize) -> Token {
    Token(slot | BIT)
}

/// The slot of a token, and whether it is that of a second socket.
pub(super) const fn slot(token: usize) -> (usize, bool) {
    (token & !BIT, token & BIT != 0)
}

impl Posts {
    /// Begins to connect to `server`, and has `registry` report it as `token`.
    pub(super) fn begin(server: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, unsent: Vec::new(), reached: false })
    }

    /// Handles that it can be written to: it is reached, or takes more of what is waiting.
    pub(super) fn handle_writable(&mut self) -> Result<(), String> {
        if !self.reached {
            if let Some(error) = self.stream.take_error().unwrap_or_else(Some) {
                return Err(format!("connect: {}", error.kind()));
            }
            self.reached = true;
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)
    }

    /// Reads once; 0 if there is nothing to be read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Err("the server ended the TCP connection for POSTs".to_owned()),
                Ok(read) => Ok(read),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(format!("read: {}", error.kind())),
            };
        }
    }

    /// Writes `bytes`, or keeps what the kernel does not take. There is at most one request here.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while self.reached && !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("write: {}", error.kind())),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends it from this side.
    pub(super) fn part(&self) {
        // One that the server has ended already refuses this, and is gone all the same.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}
