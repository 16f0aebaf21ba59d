//! One connection with its socket: begins it, reads into the thread's buffer, and keeps what the kernel did not
//! take.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt};

use crate::connection::{Connection, Exchange};
use crate::speech::Speech;

/// How much a connection may have waiting for the kernel to take.
const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// A connection and its socket.
pub(super) struct Line {
    stream: TcpStream,
    /// What the kernel did not take yet; empty and without heap memory nearly always.
    unsent: Vec<u8>,
    /// The peer has accepted the TCP connection.
    reached: bool,
    pub(super) connection: Connection,
}

impl Line {
    /// Begins to connect to `server`, from `source` if there is one.
    pub(super) fn begin(
        connection: Connection,
        server: SocketAddr,
        source: Option<SocketAddr>,
    ) -> io::Result<Self> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(source) = source {
            bind(&socket, &source)?;
        }
        match connect(&socket, &server) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from_std(socket.into());
        Ok(Self { stream, unsent: Vec::new(), reached: false, connection })
    }

    /// Has `registry` report the socket as `token`, whenever something changes.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Handles that the socket can be written to: it is reached, or takes more of what is waiting.
    pub(super) fn handle_writable(&mut self, exchange: &mut Exchange<'_>) -> Result<(), String> {
        if !self.reached {
            if let Some(error) = self.stream.take_error().unwrap_or_else(Some) {
                return Err(format!("connect: {}", error.kind()));
            }
            self.reached = true;
            exchange.speech.upgrade(&exchange.plan.target);
            return self.say(exchange.speech);
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)
    }

    /// Handles that the socket can be read: reads until it is empty and answers.
    pub(super) fn handle_readable(
        &mut self,
        buffer: &mut [u8],
        exchange: &mut Exchange<'_>,
    ) -> Result<(), String> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err("the server ended the TCP connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("read: {}", error.kind())),
            };
            exchange.now = crate::clock::Moment::now();
            let handled = self.connection.handle_bytes(&mut buffer[..read], exchange);
            self.say(exchange.speech)?;
            handled?;
            // A read that did not fill the buffer has emptied the socket (epoll(7), edge-triggered streams).
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Writes what is in `speech` and clears it.
    pub(super) fn say(&mut self, speech: &mut Speech) -> Result<(), String> {
        let said = if speech.bytes().is_empty() { Ok(()) } else { self.write(speech.bytes()) };
        speech.clear();
        said
    }

    /// Whether a message of usual size may be given to [`Self::say`].
    pub(super) fn takes_messages(&self) -> bool {
        self.connection.is_ready() && self.unsent.len() < UNSENT_BYTES_MAX
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            let stuck = self.unsent.len() > 2 * UNSENT_BYTES_MAX;
            return if stuck { Err("the server reads nothing".to_owned()) } else { Ok(()) };
        }
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent = bytes.to_vec();
                    return Ok(());
                }
                Err(error) => return Err(format!("write: {}", error.kind())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_costs_the_tester_little() {
        assert!(size_of::<Option<Line>>() <= 128, "{}", size_of::<Option<Line>>());
    }
}
