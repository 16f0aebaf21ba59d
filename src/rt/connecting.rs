//! Connecting to a server: connect(2) begins, readiness says when it is done.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::socket::Socket;

/// After this much silence the kernel asks the peer whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
/// How often it asks.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
/// How long what was sent may stay unacknowledged before the connection breaks.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// Connects to an address. May be dropped at any time, which closes the socket.
///
/// The kernel gives up a peer that acknowledges nothing for ten seconds.
///
/// # Errors
/// The kernel's. There is no timeout but its own, of minutes.
pub async fn connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM.nonblocking().cloexec(),
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        outcome => outcome?,
    }
    // Registered before it was begun, an unconnected socket would count as ended.
    let socket = Socket::new(socket.into())?;
    socket.writable().await?;
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(socket),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::rt::{self, Driver};

    #[test]
    fn a_connection_carries_bytes_both_ways() {
        for driver in [Driver::Uring, Driver::Epoll] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let peer = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
            });
            rt::run(driver, || async move {
                let socket = connect(address).await.unwrap();
                assert_eq!(socket.send(b"hello").unwrap(), 5);
                socket.readable().await;
                assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 5);
            })
            .unwrap();
            peer.join().unwrap();
        }
    }

    #[test]
    fn a_refused_connection_is_an_error() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let outcome = rt::run(Driver::Epoll, || async move { connect(address).await.map(drop) }).unwrap();
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
