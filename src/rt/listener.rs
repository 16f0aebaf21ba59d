//! Accepting connections: readiness through the reactor, accept(2) directly. Every core has a
//! listener of its own on the same port (SO_REUSEPORT), and the kernel spreads connections over them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::polled::Polled;
use super::socket::owned;

/// How many connections the kernel holds for us while we are busy.
const BACKLOG: i32 = 4096;

/// What a socket may hold unsent before it counts as full. The default lets 4 MB pile up for a
/// reader that stopped; with this the bound on our own queue decides.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// One core's listener.
#[derive(Debug)]
pub struct Listener {
    socket: Polled,
}

/// Binds a listening socket, which may be one of several on the same address. Its connections send without delay and
/// count as full early.
pub fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = unbound(address)?;
    socket.set_reuse_port(true)?;
    // Connections inherit both from their listener.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Makes sure that nobody else listens on an address. [`bind`] would not notice: another process of the same user
/// may share the port, and the kernel would give each of the two half of the connections.
///
/// # Errors
/// `AddrInUse` when somebody listens there, whether sharing or not.
pub fn find_free(address: SocketAddr) -> io::Result<()> {
    unbound(address)?.bind(&address.into())
}

fn unbound(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM.nonblocking().cloexec(),
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

impl Listener {
    /// Registers a bound socket with the reactor of this thread.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Polled::new(fd).map(|socket| Self { socket })
    }

    /// Waits for connections. May be dropped at any time: nothing has been accepted yet.
    pub async fn ready(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Ends listening at once: whoever connects is refused, and whoever was not accepted is reset. Dropping the listener
    /// alone would leave it open for as long as the ring looks at it, and clients would wait for nobody.
    #[expect(unsafe_code, reason = "shutdown(2)")]
    pub fn close(&self) {
        // SAFETY: no memory is involved; an error means that it did not listen.
        unsafe { libc::shutdown(self.socket.fd(), libc::SHUT_RDWR) };
    }

    /// Takes one connection: non-blocking, closed on exec, with the options of [`bind`].
    ///
    /// # Errors
    /// `WouldBlock` when none waits; `EMFILE` and its like mean that the caller should pause.
    #[expect(unsafe_code, reason = "accept4(2)")]
    pub fn accept(&self) -> io::Result<OwnedFd> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: null addresses are allowed; the result is checked before it is owned.
        let fd =
            unsafe { libc::accept4(self.socket.fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(owned(fd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{self, Driver};

    #[test]
    fn a_listener_that_was_closed_refuses_while_it_is_still_there() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket2::SockRef::from(&listener).local_addr().unwrap().as_socket().unwrap();
        let refused = rt::run(Driver::Epoll, async || {
            let listener = Listener::new(listener).unwrap();
            listener.close();
            std::net::TcpStream::connect(address).unwrap_err().kind()
        });
        assert_eq!(refused.unwrap(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_connection_has_the_options_of_its_listener() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket2::SockRef::from(&listener).local_addr().unwrap().as_socket().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let accepted = rt::run(Driver::Epoll, async || {
            let listener = Listener::new(listener).unwrap();
            listener.ready().await.unwrap();
            listener.accept().unwrap()
        });
        let accepted = accepted.unwrap();
        let socket = socket2::SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
        drop(client);
    }
}
