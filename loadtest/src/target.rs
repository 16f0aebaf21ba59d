//! The server under test: its address and what a handshake asks it for.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::dialect::Dialect;
use crate::seating::{Room, Seat};

/// How packets travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Each packet in a WebSocket message
    #[default]
    #[value(name = "websocket")]
    WebSocket,
    /// In the bodies of HTTP requests and answers (socketio only)
    Polling,
}

/// Where a run connects to, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The addresses of the server's nodes, at least one.
    addresses: Vec<SocketAddr>,
    /// The value of the `Host` header.
    pub host: String,
    /// The path and query of the WebSocket handshake or of a poll.
    pub request: String,
    /// How packets travel.
    pub transport: Transport,
}

impl Target {
    /// Reads `ws://host:port[/path]`; without a path it is the dialect's usual one. Further nodes may follow, each as
    /// `,host:port`.
    ///
    /// # Errors
    /// If the text is no such URL (`wss://` is not supported) or a host has no address.
    pub fn new(url: &str, dialect: Dialect, transport: Transport) -> Result<Self> {
        if transport == Transport::Polling && dialect != Dialect::Chat {
            bail!("only Socket.IO has a polling transport");
        }
        let Some(rest) = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://")) else {
            bail!("the URL must begin with ws:// (TLS is not supported): {url}");
        };
        let (rest, others) =
            rest.split_once(',').map_or((rest, None), |(first, others)| (first, Some(others)));
        let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let hosts = [host].into_iter().chain(others.into_iter().flat_map(|others| others.split(',')));
        let path = if path.len() <= 1 { dialect.usual_path() } else { path };
        Ok(Self {
            addresses: hosts.map(resolve).collect::<Result<_>>()?,
            host: host.to_owned(),
            request: format!("{path}{}", dialect.query(transport)),
            transport,
        })
    }

    /// The address of the first node.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The node that a member of a room connects to: the members of a room sit at all nodes in turn, and so do those
    /// who send.
    pub fn address_of(&self, seat: Seat, room: Room) -> SocketAddr {
        self.addresses[(seat.0.wrapping_add(room.0)) as usize % self.addresses.len()]
    }
}

/// The address of `host:port`, or of port 80 of `host`.
fn resolve(host: &str) -> Result<SocketAddr> {
    let address = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_socket_addrs()
    } else {
        (host, 80).to_socket_addrs()
    };
    let address = address.with_context(|| format!("cannot resolve {host}"))?.next();
    address.with_context(|| format!("{host} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_path_means_the_stock_one() {
        let target = Target::new("ws://127.0.0.1:3101", Dialect::Chat, Transport::WebSocket).unwrap();
        assert_eq!(target.address().to_string(), "127.0.0.1:3101");
        assert_eq!(target.host, "127.0.0.1:3101");
        assert_eq!(target.request, "/socket.io/?EIO=4&transport=websocket");
        let target = Target::new("http://127.0.0.1/own/", Dialect::Chat, Transport::WebSocket).unwrap();
        assert_eq!(
            (target.address().port(), target.request.as_str()),
            (80, "/own/?EIO=4&transport=websocket")
        );
        assert_eq!(
            Target::new("ws://127.0.0.1:3101", Dialect::Raw, Transport::WebSocket).unwrap().request,
            "/"
        );
        let target = Target::new("ws://127.0.0.1:3101", Dialect::Chat, Transport::Polling).unwrap();
        assert_eq!(target.request, "/socket.io/?EIO=4&transport=polling");
        assert!(Target::new("ws://127.0.0.1:3101", Dialect::Raw, Transport::Polling).is_err());
        assert!(Target::new("ws://127.0.0.1:1,", Dialect::Chat, Transport::WebSocket).is_err());
    }

    #[test]
    fn the_members_of_a_room_and_those_who_send_sit_at_all_nodes() {
        let url = "ws://127.0.0.1:1,127.0.0.1:2";
        let target = Target::new(url, Dialect::Chat, Transport::WebSocket).unwrap();
        let port = |seat, room| target.address_of(Seat(seat), Room(room)).port();
        assert_eq!([port(0, 0), port(1, 0), port(2, 1), port(3, 1)], [1, 2, 2, 1]);
        assert_eq!(target.host, "127.0.0.1:1");
        assert!(Target::new("wss://127.0.0.1:1", Dialect::Chat, Transport::WebSocket).is_err());
    }
}
