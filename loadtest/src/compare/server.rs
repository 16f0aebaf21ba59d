//! A server under comparison as a child process: started on a free port, ready when it says so, ended by
//! its process id.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
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

/// How many nodes a server has that meets over Redis.
const NODES: usize = 2;

/// A running process; it is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running server; it is killed when dropped.
pub(super) struct Server {
    process: Running,
    addresses: Vec<SocketAddr>,
    peer: Peer,
    /// What its nodes meet over.
    _redis: Option<Running>,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(super) fn start(lineup: &Lineup, peer: Peer, affinity: &Affinity) -> Result<Self> {
        let node_count = if peer.shares_redis() { NODES } else { 1 };
        let addresses = free_addresses(node_count)?;
        let (mut command, redis) = if peer.shares_redis() {
            let (redis, address) = start_redis()?;
            (lineup.nodes(peer, &addresses, address), Some(redis))
        } else {
            (lineup.command(peer, addresses[0]), None)
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let spawn = || command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()));
        let process = Running(while_on(affinity.server.as_ref(), spawn)?);
        let mut server = Self { process, addresses, peer, _redis: redis };
        server.await_ready()?;
        Ok(server)
    }

    /// How to reach it, and who connections are to it.
    pub(super) fn args(&self) -> ServerArgs {
        ServerArgs {
            url: format!(
                "ws://{}",
                self.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
            ),
            secret: Some(SECRET.to_owned()),
            insecure: false,
            dialect: self.peer.dialect(),
            transport: Transport::WebSocket,
            server_pid: Some(self.process.0.id()),
        }
    }

    /// Asks it to end, and kills it if it does not.
    pub(super) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.process.0), Signal::TERM).context("cannot end a server")?;
        let start = Moment::now();
        while Moment::now().since(start) < STOP_TIMEOUT {
            if self.process.0.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    fn await_ready(&mut self) -> Result<()> {
        let start = Moment::now();
        while Moment::now().since(start) < START_TIMEOUT {
            if let Some(status) = self.process.0.try_wait()? {
                bail!("the server ended before it was ready: {status}");
            }
            let path = self.peer.ready_path();
            if self.addresses.iter().all(|address| is_ready(*address, path).unwrap_or(false)) {
                return Ok(());
            }
            sleep(LOOK_INTERVAL);
        }
        bail!("the server was not ready after {START_TIMEOUT:?}")
    }
}

/// Starts a Redis that keeps nothing on disk, on whatever CPU there is, and waits until it answers.
fn start_redis() -> Result<(Running, SocketAddr)> {
    let address = free_addresses(1)?[0];
    let mut command = Command::new("redis-server");
    command.args(["--save", "", "--appendonly", "no", "--bind"]).arg(address.ip().to_string());
    command.args(["--port", &address.port().to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
    let redis = Running(command.spawn().context("cannot start redis-server: install redis-server")?);
    let start = Moment::now();
    while Moment::now().since(start) < START_TIMEOUT {
        if answers_ping(address).unwrap_or(false) {
            return Ok((redis, address));
        }
        sleep(LOOK_INTERVAL);
    }
    bail!("redis-server was not ready after {START_TIMEOUT:?}")
}

fn answers_ping(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(answer == *b"+PONG")
}

/// Different loopback addresses that nobody listens on at this moment.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port");
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect::<Result<_>>()?;
    let address = |listener: &TcpListener| listener.local_addr().context("a bound socket has an address");
    listeners.iter().map(address).collect()
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
