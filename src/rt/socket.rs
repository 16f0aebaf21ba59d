//! A connected socket: readiness as its core notes it, bytes by direct calls that never block.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::readiness::Registration;

/// A send neither waits nor raises a signal.
pub(super) const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A socket registered with its core. Dropping it closes the connection.
pub struct Socket {
    registration: Registration,
    fd: OwnedFd,
}

const _: () = assert!(size_of::<Socket>() <= 8, "there is one for each connection");

impl std::fmt::Debug for Socket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Socket({})", self.fd())
    }
}

impl Socket {
    /// Registers a descriptor with the core of this thread.
    ///
    /// # Errors
    /// The kernel's: the connection is closed.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Registration::new(fd.as_raw_fd()).map(|registration| Self { registration, fd })
    }

    /// Gives up the socket for another core.
    pub fn into_fd(self) -> OwnedFd {
        let Self { registration, fd } = self;
        registration.end(fd.as_raw_fd());
        fd
    }

    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Waits until there is something to read, the end of the stream included. May be dropped at any time; only one
    /// task may wait at a time.
    pub async fn readable(&self) {
        poll_fn(|context| self.registration.poll_readable(context)).await;
    }

    /// Waits until there is room to write. May be dropped at any time; only one task may wait at a time.
    ///
    /// # Errors
    /// When the kernel cannot watch for room.
    pub async fn writable(&self) -> io::Result<()> {
        self.registration.expect_room(self.fd())?;
        poll_fn(|context| self.registration.poll_writable(context)).await;
        Ok(())
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
        let outcome = usize::try_from(count).map_err(|_| io::Error::last_os_error());
        match &outcome {
            Ok(count) if *count == buffer.len() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whatever comes from here on is an event of its own.
            _ => self.registration.drained(),
        }
        outcome
    }

    /// Writes as much as the socket takes, possibly less than all; `WouldBlock` if it takes nothing.
    #[expect(unsafe_code, reason = "send(2)")]
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the buffer is valid for reads of its whole length during the call.
        let count = unsafe { libc::send(self.fd(), bytes.as_ptr().cast(), bytes.len(), SEND_FLAGS) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// What has gone wrong with the connection, and forgets it.
    ///
    /// # Errors
    /// The kernel's, if it cannot say.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        socket2::SockRef::from(&self.fd).take_error()
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

    /// Ends both directions for good. A peer that takes what it was sent still gets it; one that takes nothing is
    /// [reset](Self::reset), or the kernel would keep what is unsent, and ask for minutes whether there is room.
    pub fn give_up(&self) {
        if self.is_stalled() { self.reset() } else { self.shutdown_both() }
    }

    /// Ends both directions: a task that waits for this socket wakes up and reads the end, and as soon as it drops the
    /// socket, what is unsent is forgotten and the peer sees a reset.
    #[expect(unsafe_code, reason = "setsockopt(2)")]
    pub fn reset(&self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let length = size_of_val(&linger) as libc::socklen_t;
        let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
        // SAFETY: the option is valid for reads of its length during the call; where it fails, the socket just closes.
        unsafe { libc::setsockopt(self.fd(), level, name, (&raw const linger).cast(), length) };
        self.shutdown_both();
    }

    /// Whether the peer has taken nothing for longer than the kernel waits before it tries again: its window is closed,
    /// or it does not answer.
    #[expect(unsafe_code, reason = "getsockopt(2)")]
    fn is_stalled(&self) -> bool {
        const BACKOFF: usize = std::mem::offset_of!(libc::tcp_info, tcpi_backoff);
        let mut info = [0u8; BACKOFF + 1];
        let mut length = info.len() as libc::socklen_t;
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
        // SAFETY: the buffer is valid for writes of the length that is given; the kernel fills no more of it.
        unsafe { libc::getsockopt(self.fd(), level, name, info.as_mut_ptr().cast(), &raw mut length) };
        info[BACKOFF] > 0
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
