//! One connection with its socket: begins it, reads into the thread's buffer, and keeps what the kernel did not
//! take.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use std::time::Duration;

use clap::ValueEnum;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use rustix::net::{bind, connect, ipproto, shutdown, socket_with, sockopt};

use crate::clock::Moment;
use crate::connection::{Connection, Exchange, Lane};
use crate::dialect::Dialect;
use crate::fleet::posts::Posts;
use crate::speech::Speech;

/// How much a connection may have waiting for the kernel to take.
const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// How many sockets of clients that have vanished a thread keeps open; beyond that the oldest is closed.
const VANISHED_MAX: u32 = 1_000;

/// How a connection is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Parting {
    /// With a goodbye of the protocol and a WebSocket close frame, as somebody who leaves for good
    Goodbye,
    /// With a WebSocket close frame, as a tab that is closed
    Close,
    /// With the end of the TCP stream and not a word before it, as a client that crashed
    Cut,
    /// With a TCP reset, as a client whose machine forgot the connection
    Reset,
    /// Not at all: the socket stays open and nobody is there, as a client that lost its network
    Vanish,
}

impl Parting {
    /// How many sockets each thread may keep open for clients that have ended their connections like this.
    pub const fn kept_open_max(self) -> u32 {
        match self {
            Self::Vanish => VANISHED_MAX,
            Self::Goodbye | Self::Close | Self::Cut | Self::Reset => 0,
        }
    }

    /// Its name on the command line and in reports.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A connection and its socket.
pub(super) struct Line {
    stream: TcpStream,
    /// What the kernel did not take yet; empty and without heap memory nearly always.
    unsent: Vec<u8>,
    /// The peer has accepted the TCP connection.
    reached: bool,
    /// When it was begun, which may be long after it was due.
    begun: Moment,
    /// The server has ended its side: there is an end to read behind the last byte.
    is_ending: bool,
    /// How many bytes may be read until somebody says otherwise.
    may_read: u32,
    /// There for connections that poll.
    posts: Option<Box<Posts>>,
    pub(super) connection: Connection,
}

impl Line {
    /// Begins to connect to `server`, from `source` if there is one, with a `receive_buffer` of so many bytes or what
    /// the kernel thinks best.
    pub(super) fn begin(
        connection: Connection,
        server: SocketAddr,
        source: Option<SocketAddr>,
        receive_buffer: Option<usize>,
    ) -> io::Result<Self> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(bytes) = receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        if let Some(source) = source {
            bind(&socket, &source)?;
        }
        match connect(&socket, &server) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from_std(socket.into());
        Ok(Self {
            stream,
            unsent: Vec::new(),
            reached: false,
            begun: Moment::now(),
            is_ending: false,
            may_read: u32::MAX,
            posts: None,
            connection,
        })
    }

    /// Gives it a second socket.
    pub(super) fn add_posts(&mut self, posts: Posts) {
        self.posts = Some(Box::new(posts));
    }

    /// Lets at most `bytes` be read from here on, or everything if that is the highest number.
    pub(super) const fn limit_reading(&mut self, bytes: u32) {
        self.may_read = bytes;
    }

    /// Notes that the server has ended its side; what it said last is heard even by those who read slowly.
    pub(super) const fn note_end(&mut self) {
        self.is_ending = true;
        self.may_read = u32::MAX;
    }

    /// How long ago it was begun.
    pub(super) fn age(&self, now: Moment) -> Duration {
        now.since(self.begun)
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
            exchange.speech.open();
            return self.say(exchange.speech);
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)
    }

    /// Handles that the socket can be read: reads until it is empty, or as much as may be read, and answers.
    pub(super) fn handle_readable(
        &mut self,
        buffer: &mut [u8],
        exchange: &mut Exchange<'_>,
    ) -> Result<(), String> {
        loop {
            let end = buffer.len().min(self.may_read as usize);
            if end == 0 {
                return Ok(());
            }
            let buffer = &mut buffer[..end];
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err("the server ended the TCP connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("read: {}", error.kind())),
            };
            if self.may_read != u32::MAX {
                self.may_read -= read as u32;
            }
            exchange.now = Moment::now();
            let handled = self.connection.handle_bytes(Lane::Main, &mut buffer[..read], exchange);
            self.say(exchange.speech)?;
            handled?;
            // A read that did not fill the buffer has emptied the socket (epoll(7), edge-triggered streams), but the end
            // of the stream is announced together with the last bytes and read on its own.
            if read < buffer.len() && !self.is_ending {
                return Ok(());
            }
        }
    }

    /// Handles that the second socket can be written to or read.
    pub(super) fn handle_posts(
        &mut self,
        is_readable: bool,
        buffer: &mut [u8],
        exchange: &mut Exchange<'_>,
    ) -> Result<(), String> {
        let Some(posts) = &mut self.posts else { return Ok(()) };
        posts.handle_writable()?;
        while is_readable && let Some(posts) = &mut self.posts {
            let read = posts.read(buffer)?;
            if read == 0 {
                break;
            }
            exchange.now = Moment::now();
            self.connection.handle_bytes(Lane::Posts, &mut buffer[..read], exchange)?;
            self.say(exchange.speech)?;
        }
        Ok(())
    }

    /// Writes what is in `speech` and clears it.
    pub(super) fn say(&mut self, speech: &mut Speech) -> Result<(), String> {
        self.connection.dispatch(speech);
        let mut said = if speech.bytes().is_empty() { Ok(()) } else { self.write(speech.bytes()) };
        if let Some(posts) = self.posts.as_mut().filter(|_| !speech.posts().is_empty()) {
            said = said.and_then(|()| posts.write(speech.posts()));
        }
        speech.clear();
        said
    }

    /// Leaves the socket to the caller, open and silent; `None` if the kernel does not let it go silent.
    pub(super) fn vanish(mut self, registry: &Registry) -> Option<TcpStream> {
        registry.deregister(&mut self.stream).ok()?;
        Some(self.stream)
    }

    /// Ends the connection. Neither side resets it unless that is wanted or something was left unread.
    /// A second socket ends as the first does, but for the reset.
    pub(super) fn part(mut self, parting: Parting, dialect: Dialect, speech: &mut Speech) {
        // A connection that the server has ended already refuses all of this, and is gone all the same.
        match parting {
            Parting::Goodbye | Parting::Close => {
                if self.connection.is_ready() {
                    self.connection.leave(dialect, parting == Parting::Goodbye, speech);
                    let _ = self.say(speech);
                }
                let _ = shutdown(&self.stream, Shutdown::Write);
            }
            Parting::Cut => {
                let _ = shutdown(&self.stream, Shutdown::Write);
            }
            Parting::Reset => {
                let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
            }
            Parting::Vanish => {}
        }
        if let Some(posts) = &self.posts {
            posts.part();
        }
    }

    /// Whether a message of usual size may be given to [`Self::say`].
    pub(super) fn takes_messages(&self) -> bool {
        self.connection.is_ready() && self.unsent.len() + self.connection.waiting_bytes() < UNSENT_BYTES_MAX
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
