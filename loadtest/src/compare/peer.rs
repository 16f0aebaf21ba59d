//! A server under comparison as a child process: started on a free port, ready when `/readyz` says so, ended by
//! its process id.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::CompareArgs;
use crate::clock::Moment;
use crate::compare::cpus::{Affinity, while_on};

/// How long a server may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server may take to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a child is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// This project's.
    Ours,
    /// Socket.IO on Node.js.
    Node,
}

impl Kind {
    /// Its name in tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "realtime",
            Self::Node => "node",
        }
    }
}

/// A running server; it is killed when dropped.
pub(super) struct Peer {
    child: Child,
    address: SocketAddr,
}

impl Peer {
    /// Starts a server and waits until it is ready.
    pub(super) fn start(args: &CompareArgs, kind: Kind, affinity: &Affinity, secret: &str) -> Result<Self> {
        let address = free_address()?;
        let mut command = command(args, kind, address, secret);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let spawn = || command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()));
        let mut peer = Self { child: while_on(affinity.server.as_ref(), spawn)?, address };
        peer.await_ready()?;
        Ok(peer)
    }

    /// Its address for connections.
    pub(super) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and kills it if it does not.
    pub(super) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("cannot end a server")?;
        let start = Moment::now();
        while Moment::now().since(start) < STOP_TIMEOUT {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    fn await_ready(&mut self) -> Result<()> {
        let start = Moment::now();
        while Moment::now().since(start) < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended before it was ready: {status}");
            }
            if is_ready(self.address).unwrap_or(false) {
                return Ok(());
            }
            sleep(LOOK_INTERVAL);
        }
        bail!("the server was not ready after {START_TIMEOUT:?}")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has ended already if `stop` went well; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(args: &CompareArgs, kind: Kind, address: SocketAddr, secret: &str) -> Command {
    let port = address.port().to_string();
    match kind {
        Kind::Ours => {
            let mut command = Command::new(&args.ours);
            command.env("REALTIME_PORT", port).env("REALTIME_HOST", "127.0.0.1");
            command.env("REALTIME_JWT_SECRET", secret);
            command.env("REALTIME_CORES", args.cores.to_string());
            command.env("REALTIME_WEBSOCKET_MAX_CONNECTIONS", "20000");
            command.env("REALTIME_RATE_LIMIT_ENABLED", "false");
            command
        }
        Kind::Node => {
            let mut command = Command::new("node");
            command.arg("server.mjs").current_dir(&args.node);
            command.env("PORT", port).env("HOST", "127.0.0.1").env("SECRET", secret);
            command.env("NODE_ENV", "production");
            command
        }
    }
}

/// A loopback address that nobody listens on at this moment.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    listener.local_addr().context("a bound socket has an address")
}

/// Whether `GET /readyz` is answered with 200.
fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}
