//! The servers that can be compared: what they are called, how they are spoken to and started, and what is missing
//! where they are not installed. Running one is for `compare::server`.

use std::env;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::cli::CompareArgs;
use crate::dialect::Dialect;

/// The secret that all servers check tokens with.
pub(super) const SECRET: &str = "comparison-secret-of-32-bytes-or-more";
/// Connections that this project's node takes.
const CONNECTIONS_MAX: &str = "20000";

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// This project's node
    Realtime,
    /// This project's node on epoll instead of io_uring
    RealtimeEpoll,
    /// Another build of this project's node (--baseline)
    Baseline,
    /// Socket.IO on Node.js
    Node,
    /// Socket.IO on Node.js, one process per core
    NodeCluster,
    /// Two of this project's nodes on one Redis
    RealtimeNodes,
    /// Two processes of Socket.IO on one Redis, by its redis-adapter
    NodeRedis,
    /// Two processes of Socket.IO on one Redis, by its redis-streams-adapter
    NodeStreams,
    /// Socket.IO in Rust, on tokio
    Socketioxide,
    /// uWebSockets, bare protocol
    Uwebsockets,
    /// Centrifugo
    Centrifugo,
    /// A server on Centrifugo's library
    Centrifuge,
    /// A send loop, bare protocol
    Floor,
}

/// Where the servers' programs are.
#[derive(Clone, Debug)]
pub(super) struct Lineup {
    ours: PathBuf,
    baseline: Option<PathBuf>,
    floor: PathBuf,
    folder: PathBuf,
    cores: NonZeroU32,
}

impl Peer {
    /// Its name in tables and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::RealtimeEpoll => "realtime-epoll",
            Self::Baseline => "baseline",
            Self::Node => "node",
            Self::NodeCluster => "node-cluster",
            Self::RealtimeNodes => "realtime-nodes",
            Self::NodeRedis => "node-redis",
            Self::NodeStreams => "node-streams",
            Self::Socketioxide => "socketioxide",
            Self::Uwebsockets => "uwebsockets",
            Self::Centrifugo => "centrifugo",
            Self::Centrifuge => "centrifuge",
            Self::Floor => "floor",
        }
    }

    /// How it is spoken to.
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::Uwebsockets | Self::Floor => Dialect::Raw,
            Self::Centrifugo | Self::Centrifuge => Dialect::Centrifugo,
            _ => Dialect::Chat,
        }
    }

    /// Whether it is several nodes that meet over Redis.
    pub(super) const fn shares_redis(self) -> bool {
        matches!(self, Self::RealtimeNodes | Self::NodeRedis | Self::NodeStreams)
    }

    /// Where it says that it is ready.
    pub(super) const fn ready_path(self) -> &'static str {
        if matches!(self, Self::Centrifugo) { "/health" } else { "/readyz" }
    }
}

impl Lineup {
    /// Finds the programs that `args` name, and the others beside this one.
    ///
    /// # Errors
    /// If this program does not know where it is.
    pub(super) fn new(args: &CompareArgs) -> Result<Self> {
        let own = env::current_exe().context("this program does not know where it is")?;
        let folder = args.peers_folder.canonicalize();
        Ok(Self {
            ours: args.ours.clone().unwrap_or_else(|| own.with_file_name("realtime")),
            baseline: args.baseline.clone(),
            floor: own.with_file_name("realtime-loadtest-floor"),
            folder: folder.with_context(|| format!("no folder {}", args.peers_folder.display()))?,
            cores: args.cores,
        })
    }

    /// The folder of the peers.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is missing to run `peer`, and the command that installs it; `None` if nothing is.
    pub(super) fn missing(&self, peer: Peer) -> Option<String> {
        let (needed, remedy) = match peer {
            Peer::Realtime | Peer::RealtimeEpoll => (self.ours.clone(), "cargo build --release"),
            Peer::Baseline => (self.baseline.clone().unwrap_or_default(), "--baseline PROGRAM"),
            Peer::Floor => (self.floor.clone(), "cargo build --release -p loadtest"),
            Peer::Node => (self.folder.join("node/node_modules/socket.io"), "loadtest/peers/setup.sh node"),
            Peer::NodeCluster => (
                self.folder.join("node/node_modules/@socket.io/cluster-adapter"),
                "loadtest/peers/setup.sh node-cluster",
            ),
            Peer::RealtimeNodes => (self.ours.clone(), "cargo build --release"),
            Peer::NodeRedis | Peer::NodeStreams => (
                self.folder.join("node/node_modules/@socket.io/redis-streams-adapter"),
                "loadtest/peers/setup.sh node",
            ),
            Peer::Socketioxide => (self.socketioxide(), "loadtest/peers/setup.sh socketioxide"),
            Peer::Uwebsockets => (self.python(), "loadtest/peers/setup.sh uwebsockets"),
            Peer::Centrifugo => {
                (self.folder.join("centrifugo/bin/centrifugo"), "loadtest/peers/setup.sh centrifugo")
            }
            Peer::Centrifuge => (self.centrifuge(), "loadtest/peers/setup.sh centrifuge"),
        };
        (!needed.exists()).then(|| format!("{}: no {}; {remedy}", peer.name(), needed.display()))
    }

    /// The command that starts nodes of `peer` on `addresses`, which meet on `redis`. All are one process with children.
    pub(super) fn nodes(&self, peer: Peer, addresses: &[SocketAddr], redis: SocketAddr) -> Command {
        let mut command = self.script("node", "node", "nodes.mjs");
        match peer {
            Peer::RealtimeNodes => command.arg(&self.ours),
            _ => command.arg("node").arg("server.mjs"),
        };
        let node = self.node(&self.ours, addresses[0]);
        let set = node.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(set).env("REALTIME_CORES", "1").env("REALTIME_REDIS_ENABLED", "true");
        let url = format!("redis://{redis}/0");
        command.env("REALTIME_REDIS_URL", &url).env("REDIS_URL", url);
        command.env("ADAPTER", if peer == Peer::NodeStreams { "streams" } else { "pubsub" });
        let ports: Vec<String> = addresses.iter().map(|address| address.port().to_string()).collect();
        command.env("PORTS", ports.join(",")).env("HOST", addresses[0].ip().to_string());
        command.env("SECRET", SECRET).env("NODE_ENV", "production");
        command
    }

    /// The command that starts `peer` on `address`.
    pub(super) fn command(&self, peer: Peer, address: SocketAddr) -> Command {
        let mut command = match peer {
            Peer::RealtimeNodes | Peer::NodeRedis | Peer::NodeStreams => unreachable!("they are nodes"),
            Peer::Realtime | Peer::RealtimeEpoll => self.node(&self.ours, address),
            Peer::Baseline => self.node(self.baseline.as_deref().unwrap_or(&self.ours), address),
            Peer::Node => self.script("node", "node", "server.mjs"),
            Peer::NodeCluster => self.script("node", "node", "cluster.mjs"),
            Peer::Socketioxide => Command::new(self.socketioxide()),
            Peer::Uwebsockets => self.script("uwebsockets", self.python(), "server.py"),
            Peer::Centrifugo => self.centrifugo(address),
            Peer::Centrifuge => Command::new(self.centrifuge()),
            Peer::Floor => Command::new(&self.floor),
        };
        if peer == Peer::RealtimeEpoll {
            command.env("REALTIME_IO_DRIVER", "epoll");
        }
        let cores = self.cores.to_string();
        command.env("PORT", address.port().to_string()).env("HOST", address.ip().to_string());
        command.env("SECRET", SECRET).env("NODE_ENV", "production");
        command.env("THREADS", &cores).env("WORKERS", &cores).env("GOMAXPROCS", &cores);
        command
    }

    fn node(&self, program: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(program);
        command.env("REALTIME_PORT", address.port().to_string());
        command.env("REALTIME_HOST", address.ip().to_string());
        command.env("REALTIME_JWT_SECRET", SECRET);
        command.env("REALTIME_CORES", self.cores.to_string());
        command.env("REALTIME_WEBSOCKET_MAX_CONNECTIONS", CONNECTIONS_MAX);
        command.env("REALTIME_RATE_LIMIT_ENABLED", "false");
        command.env("REALTIME_LOG_LEVEL", "warn");
        command
    }

    fn script(&self, folder: &str, program: impl AsRef<std::ffi::OsStr>, script: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(script).current_dir(self.folder.join(folder));
        command
    }

    /// Centrifugo takes its settings as a file and as variables with their names in it.
    fn centrifugo(&self, address: SocketAddr) -> Command {
        let mut command = Command::new(self.folder.join("centrifugo/bin/centrifugo"));
        command.arg("--config").arg(self.folder.join("centrifugo/config.json"));
        command.env("CENTRIFUGO_HTTP_SERVER_PORT", address.port().to_string());
        command.env("CENTRIFUGO_HTTP_SERVER_ADDRESS", address.ip().to_string());
        command.env("CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY", SECRET);
        command
    }

    fn socketioxide(&self) -> PathBuf {
        self.folder.join("socketioxide/target/release/realtime-peer-socketioxide")
    }

    fn python(&self) -> PathBuf {
        self.folder.join("uwebsockets/.venv/bin/python")
    }

    fn centrifuge(&self) -> PathBuf {
        self.folder.join("centrifuge/bin/centrifuge")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_called_the_same_in_tables_and_on_the_command_line() {
        for peer in Peer::value_variants() {
            assert_eq!(Peer::from_str(peer.name(), false), Ok(*peer));
        }
    }

    #[test]
    fn what_is_missing_is_said_with_the_command_that_installs_it() {
        let nowhere = PathBuf::from("/nowhere");
        let lineup = Lineup {
            ours: nowhere.join("realtime"),
            baseline: None,
            floor: env::current_exe().unwrap(),
            folder: nowhere,
            cores: NonZeroU32::MIN,
        };
        assert_eq!(
            lineup.missing(Peer::Uwebsockets).as_deref(),
            Some(
                "uwebsockets: no /nowhere/uwebsockets/.venv/bin/python; loadtest/peers/setup.sh uwebsockets"
            )
        );
        assert!(lineup.missing(Peer::Baseline).is_some_and(|line| line.ends_with("--baseline PROGRAM")));
        assert_eq!(lineup.missing(Peer::Floor), None);
    }
}
