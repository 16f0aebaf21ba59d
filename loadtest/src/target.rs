//! The server under test: its address and what a handshake asks it for.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::dialect::Dialect;

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
    /// The server's address.
    pub address: SocketAddr,
    /// The value of the `Host` header.
    pub host: String,
    /// The path and query of the WebSocket handshake or of a poll.
    pub request: String,
    /// How packets travel.
    pub transport: Transport,
}

impl Target {
    /// Reads `ws://host:port[/path]`; without a path it is the dialect's usual one.
    ///
    /// # Errors
    /// If the text is no such URL (`wss://` is not supported) or the host has no address.
    pub fn new(url: &str, dialect: Dialect, transport: Transport) -> Result<Self> {
        if transport == Transport::Polling && dialect != Dialect::Chat {
            bail!("only Socket.IO has a polling transport");
        }
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
        let path = if path.len() <= 1 { dialect.usual_path() } else { path };
        Ok(Self {
            address: address.with_context(|| format!("{host} has no address"))?,
            host: host.to_owned(),
            request: format!("{path}{}", dialect.query(transport)),
            transport,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_path_means_the_stock_one() {
        let target = Target::new("ws://127.0.0.1:3101", Dialect::Chat, Transport::WebSocket).unwrap();
        assert_eq!(target.address.to_string(), "127.0.0.1:3101");
        assert_eq!(target.host, "127.0.0.1:3101");
        assert_eq!(target.request, "/socket.io/?EIO=4&transport=websocket");
        let target = Target::new("http://127.0.0.1/own/", Dialect::Chat, Transport::WebSocket).unwrap();
        assert_eq!((target.address.port(), target.request.as_str()), (80, "/own/?EIO=4&transport=websocket"));
        assert_eq!(
            Target::new("ws://127.0.0.1:3101", Dialect::Raw, Transport::WebSocket).unwrap().request,
            "/"
        );
        let target = Target::new("ws://127.0.0.1:3101", Dialect::Chat, Transport::Polling).unwrap();
        assert_eq!(target.request, "/socket.io/?EIO=4&transport=polling");
        assert!(Target::new("ws://127.0.0.1:3101", Dialect::Raw, Transport::Polling).is_err());
        assert!(Target::new("wss://127.0.0.1:1", Dialect::Chat, Transport::WebSocket).is_err());
    }
}
