//! A server under comparison as a child process: started on a free port, ready when it says so, ended by
//! its process id.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::ServerArgs;
use crate::clock::Moment;
use crate::compare::cpus::{Affinity, while_on};
use crate::compare::lineup::{Lineup, Peer, SECRET};
use crate::target::Transport;

/// How long a server may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server may take to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a child is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A running server; it is killed when dropped.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    peer: Peer,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(super) fn start(lineup: &Lineup, peer: Peer, affinity: &Affinity) -> Result<Self> {
        let address = free_address()?;
        let mut command = lineup.command(peer, address);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let spawn = || command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()));
        let mut server = Self { child: while_on(affinity.server.as_ref(), spawn)?, address, peer };
        server.await_ready()?;
        Ok(server)
    }

    /// How to reach it, and who connections are to it.
    pub(super) fn args(&self) -> ServerArgs {
        ServerArgs {
            url: format!("ws://{}", self.address),
            secret: Some(SECRET.to_owned()),
            insecure: false,
            dialect: self.peer.dialect(),
            transport: Transport::WebSocket,
            server_pid: Some(self.child.id()),
        }
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
            if is_ready(self.address, self.peer.ready_path()).unwrap_or(false) {
                return Ok(());
            }
            sleep(LOOK_INTERVAL);
        }
        bail!("the server was not ready after {START_TIMEOUT:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already if `stop` went well; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address that nobody listens on at this moment.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    listener.local_addr().context("a bound socket has an address")
}

/// Whether `GET path` is answered with 200.
fn is_ready(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}
