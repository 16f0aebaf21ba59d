//! A proxy in front of a server that can be bad: it swallows what comes on either way, or is slow.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Pieces that are on their way through a slow proxy.
const PIECES_MAX: usize = 64;

/// The proxy. Its threads end with the connections, or with the process.
pub(crate) struct Proxy {
    port: u16,
    ways: [Arc<Way>; 2],
}

/// One direction of all connections.
#[derive(Default)]
struct Way {
    swallows: AtomicBool,
    delay_ms: AtomicU64,
    /// No bound if it is 0.
    bytes_per_second: AtomicU64,
}

impl Proxy {
    /// Listens, and passes everything on to a port of the loopback.
    pub(crate) fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ways: [Arc<Way>; 2] = Default::default();
        let proxy = Self { port: listener.local_addr().unwrap().port(), ways: ways.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                for ((from, to), way) in [(client, server), back].into_iter().zip(&ways) {
                    let (pieces, waiting) = sync_channel(PIECES_MAX);
                    let (own, other) = (way.clone(), way.clone());
                    std::thread::spawn(move || write(to, &waiting, &other));
                    std::thread::spawn(move || read(from, &own, |piece| pieces.send(piece).is_ok()));
                }
            }
        });
        proxy
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Swallows from now on what goes to the server and what comes from it, or passes it on again. What was swallowed is
    /// lost, so only new connections are of use then.
    pub(crate) fn swallow(&self, to_server: bool, from_server: bool) {
        self.ways[0].swallows.store(to_server, Ordering::SeqCst);
        self.ways[1].swallows.store(from_server, Ordering::SeqCst);
    }

    /// Takes so long with everything, each way, and passes on so much of it in a second.
    pub(crate) fn slow_down(&self, delay_ms: u64, bytes_per_second: u64) {
        for way in &self.ways {
            way.delay_ms.store(delay_ms, Ordering::SeqCst);
            way.bytes_per_second.store(bytes_per_second, Ordering::SeqCst);
        }
    }
}

fn read(mut from: TcpStream, way: &Way, mut pass: impl FnMut((Instant, Vec<u8>)) -> bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let delay = Duration::from_millis(way.delay_ms.load(Ordering::SeqCst));
        let is_swallowed = way.swallows.load(Ordering::SeqCst);
        if !is_swallowed && !pass((Instant::now() + delay, bytes[..count].to_vec())) {
            break;
        }
    }
}

fn write(mut to: TcpStream, pieces: &Receiver<(Instant, Vec<u8>)>, way: &Way) {
    for (due, piece) in pieces {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let begin = Instant::now();
        if to.write_all(&piece).is_err() {
            break;
        }
        if let Some(us) =
            (1_000_000 * piece.len() as u64).checked_div(way.bytes_per_second.load(Ordering::SeqCst))
        {
            std::thread::sleep(Duration::from_micros(us).saturating_sub(begin.elapsed()));
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
