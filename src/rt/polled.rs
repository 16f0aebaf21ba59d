//! A descriptor that the reactor itself waits for: the few of a core that are no connections.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A descriptor of the reactor. Dropping it closes it.
pub(super) struct Polled {
    stream: monoio::net::TcpStream,
}

impl std::fmt::Debug for Polled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Polled({})", self.fd())
    }
}

impl Polled {
    /// Registers a descriptor with the reactor of this thread, whatever it is of.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let stream = std::net::TcpStream::from(fd);
        monoio::net::TcpStream::from_std(stream).map(|stream| Self { stream })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Waits until there is something to read. May be dropped at any time.
    pub(super) async fn readable(&self) -> io::Result<()> {
        // Relaxed readiness would spin on the epoll driver, since we read behind monoio's back.
        self.stream.readable(false).await
    }
}
