//! A connected socket: readiness through the reactor, bytes by direct calls that never block.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A socket registered with this core's reactor. Dropping it closes the connection.
pub struct Socket {
    stream: monoio::net::TcpStream,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Socket({})", self.fd())
    }
}

impl Socket {
    /// Registers a descriptor with the reactor of this thread.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let stream = std::net::TcpStream::from(fd);
        monoio::net::TcpStream::from_std(stream).map(|stream| Self { stream })
    }

    /// Gives up the socket for a reactor on another core, which gets a descriptor of its own: a wait
    /// that was dropped may keep ours open until the kernel has confirmed its end.
    ///
    /// # Errors
    /// When the process is out of descriptors; the connection is closed.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        #[expect(unsafe_code, reason = "fcntl(2)")]
        // SAFETY: the descriptor is open while `self` lives; the result is checked before it is owned.
        let copy = unsafe { libc::fcntl(self.fd(), libc::F_DUPFD_CLOEXEC, 0) };
        if copy < 0 { Err(io::Error::last_os_error()) } else { Ok(owned(copy)) }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Waits until there is something to read, the end of the stream included. May be dropped at any time.
    pub async fn readable(&self) -> io::Result<()> {
        // Relaxed readiness would spin on the epoll driver, since we read behind monoio's back.
        self.stream.readable(false).await
    }

    /// Waits until there is room to write. May be dropped at any time.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable(false).await
    }

    /// Reads what is there: `Ok(0)` at the end of the stream, `WouldBlock` if there is nothing.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, libc::MSG_DONTWAIT)
    }

    /// Looks at what is there without taking it.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, libc::MSG_DONTWAIT | libc::MSG_PEEK)
    }

    #[expect(unsafe_code, reason = "recv(2)")]
    fn recv_with(&self, buffer: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
        // SAFETY: the buffer is valid for writes of its whole length during the call.
        let count = unsafe { libc::recv(self.fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Writes as much as the socket takes, possibly less than all; `WouldBlock` if it takes nothing.
    #[expect(unsafe_code, reason = "send(2)")]
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the buffer is valid for reads of its whole length during the call.
        let count = unsafe { libc::send(self.fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Says that nothing more will be written; what was written is still delivered.
    pub fn shutdown_write(&self) {
        self.shutdown(libc::SHUT_WR);
    }

    /// Ends reading: a task that waits for this socket wakes up and reads the end, but may still write.
    pub fn shutdown_read(&self) {
        self.shutdown(libc::SHUT_RD);
    }

    /// Ends both directions: a task that waits for this socket wakes up and reads the end.
    pub fn shutdown_both(&self) {
        self.shutdown(libc::SHUT_RDWR);
    }

    #[expect(unsafe_code, reason = "shutdown(2)")]
    fn shutdown(&self, how: libc::c_int) {
        // SAFETY: no memory is involved; an error means that the peer has gone already.
        unsafe { libc::shutdown(self.fd(), how) };
    }
}

#[expect(unsafe_code, reason = "an open descriptor becomes owned")]
pub(super) fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: every caller has just opened, or taken out of its owner, this very descriptor.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
