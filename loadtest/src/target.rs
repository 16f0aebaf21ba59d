//! The server under test: its address, and the local addresses that connections to it start from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, bail};

use crate::seating::Seat;

/// Connections per loopback source address. A source address has about 28,000 ports towards one server, and
/// finding a free one gets slow above some 12,000.
const CONNECTIONS_PER_SOURCE: u32 = 8_000;

/// Where a run connects to, and from where.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's address.
    pub address: SocketAddr,
    /// The value of the `Host` header.
    pub host: String,
    /// The path and query of the WebSocket handshake.
    pub request: String,
    /// The second-last byte of the source addresses; different runs use different ones so that the ports a run
    /// has just closed do not stand in the way of the next.
    source_net: u8,
}

impl Target {
    /// Reads `ws://host:port[/path]`; without a path it is `/socket.io/`. `run` picks the source addresses.
    ///
    /// # Errors
    /// If the text is no such URL (`wss://` is not supported) or the host has no address.
    pub fn new(url: &str, run: u32) -> Result<Self> {
        let Some(rest) = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://")) else {
            bail!("the URL must begin with ws:// (TLS is not supported): {url}");
        };
        let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let address = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_socket_addrs()
        } else {
            (host, 80).to_socket_addrs()
        };
        let address = address.with_context(|| format!("cannot resolve {host}"))?.next();
        let path = if path.len() <= 1 { "/socket.io/" } else { path };
        Ok(Self {
            address: address.with_context(|| format!("{host} has no address"))?,
            host: host.to_owned(),
            request: format!("{path}?EIO=4&transport=websocket"),
            source_net: (run % 250) as u8 + 1,
        })
    }

    /// The address that `seat` connects from; `None` leaves it to the kernel, for servers that are not on an
    /// IPv4 loopback address.
    pub fn source(&self, seat: Seat) -> Option<SocketAddr> {
        let IpAddr::V4(server) = self.address.ip() else {
            return None;
        };
        let host = (seat.0 / CONNECTIONS_PER_SOURCE) % 250 + 2;
        let source = Ipv4Addr::new(127, 0, self.source_net, host as u8);
        server.is_loopback().then(|| SocketAddr::new(IpAddr::V4(source), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_path_means_the_stock_one() {
        let target = Target::new("ws://127.0.0.1:3101", 0).unwrap();
        assert_eq!(target.address.to_string(), "127.0.0.1:3101");
        assert_eq!(target.host, "127.0.0.1:3101");
        assert_eq!(target.request, "/socket.io/?EIO=4&transport=websocket");
        let target = Target::new("http://127.0.0.1/own/", 0).unwrap();
        assert_eq!((target.address.port(), target.request.as_str()), (80, "/own/?EIO=4&transport=websocket"));
        assert!(Target::new("wss://127.0.0.1:1", 0).is_err());
    }

    #[test]
    fn many_connections_to_loopback_start_from_several_addresses() {
        let target = Target::new("ws://127.0.0.1:3101", 4).unwrap();
        let source = |seat| target.source(Seat(seat)).unwrap().to_string();
        assert_eq!([source(0), source(7_999), source(8_000)], ["127.0.5.2:0", "127.0.5.2:0", "127.0.5.3:0"]);
        assert!(Target::new("ws://192.0.2.1:80", 0).unwrap().source(Seat(0)).is_none());
    }
}
