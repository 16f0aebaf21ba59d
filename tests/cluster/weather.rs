//! The way between a node and its Redis, as bad as a test wants it: slow, narrow, silent in one direction or both
//! without an end of the connection, or deaf for pushes alone while commands are answered.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::pushes::PushFilter;

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sky {
    /// How long every byte takes more.
    pub(crate) delay: Duration,
    /// Bytes per second of each connection and direction; 0 for as many as come.
    pub(crate) bytes_per_second: u64,
    /// One chunk in so many is late by another 200 ms, as when a packet has to be sent again; 0 for none.
    pub(crate) one_late_in: u32,
    /// Whether what the node says vanishes.
    pub(crate) is_mute: bool,
    /// Whether what Redis says vanishes.
    pub(crate) is_deaf: bool,
    /// Whether pushes of Redis vanish, and answers arrive.
    pub(crate) drops_pushes: bool,
    /// Whether new connections are closed at once.
    pub(crate) refuses: bool,
}

/// A way to a Redis server.
pub(crate) struct Weather {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    sky: Mutex<Sky>,
    target: SocketAddr,
    open: Mutex<Vec<TcpStream>>,
    is_over: Mutex<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToRedis,
    FromRedis,
}

impl Weather {
    /// Opens a way to `target`, clear at first.
    pub(crate) fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sky, open) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { sky, target, open, is_over: Mutex::new(false) });
        let inner = shared.clone();
        std::thread::spawn(move || {
            for node in listener.incoming().map_while(Result::ok) {
                if *inner.is_over.lock().unwrap() {
                    return;
                }
                if inner.sky().refuses {
                    continue;
                }
                let Ok(redis) = TcpStream::connect(inner.target) else { continue };
                let _ = (node.set_nodelay(true), redis.set_nodelay(true));
                let ends = [&node, &redis].into_iter().filter_map(|it| it.try_clone().ok());
                inner.open.lock().unwrap().extend(ends);
                let (Ok(node_too), Ok(redis_too)) = (node.try_clone(), redis.try_clone()) else { continue };
                carry(inner.clone(), Direction::ToRedis, node, redis);
                carry(inner.clone(), Direction::FromRedis, redis_too, node_too);
            }
        });
        Self { address, shared }
    }

    /// `redis://…` of this way.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Changes the weather, for connections that are open, too.
    pub(crate) fn set(&self, sky: Sky) {
        *self.shared.sky.lock().unwrap() = sky;
    }

    /// Lets everything pass again. What has vanished stays away, so the connections that lost something end.
    pub(crate) fn clear(&self) {
        let before = std::mem::take(&mut *self.shared.sky.lock().unwrap());
        if before.is_mute || before.is_deaf {
            self.cut_all();
        }
    }

    /// Breaks every connection there is.
    pub(crate) fn cut_all(&self) {
        for stream in std::mem::take(&mut *self.shared.open.lock().unwrap()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Weather {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap() = true;
        self.cut_all();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn sky(&self) -> Sky {
        *self.sky.lock().unwrap()
    }
}

/// Carries bytes one way: one thread reads and stamps them, one writes them when their time has come.
fn carry(shared: Arc<Shared>, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
    // A few chunks: who reads slowly makes the other side wait, as a full socket does.
    let (sender, chunks) = sync_channel::<(Instant, Vec<u8>)>(64);
    let writing = shared.clone();
    std::thread::spawn(move || {
        write_in_time(&writing, direction, &chunks, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let (mut chunk, mut number) = (vec![0; 16 * 1024], 0u32);
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let sky = shared.sky();
            number = number.wrapping_add(1);
            let is_late = sky.one_late_in > 0 && number.is_multiple_of(sky.one_late_in);
            let late = if is_late { Duration::from_millis(200) } else { Duration::ZERO };
            if sender.send((Instant::now() + sky.delay + late, chunk[..count].to_vec())).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
    });
}

fn write_in_time(
    shared: &Shared,
    direction: Direction,
    chunks: &Receiver<(Instant, Vec<u8>)>,
    to: &mut TcpStream,
) {
    let mut filter = PushFilter::default();
    for (due, mut bytes) in chunks {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sky = shared.sky();
        let vanishes = match direction {
            Direction::ToRedis => sky.is_mute,
            Direction::FromRedis => sky.is_deaf,
        };
        if vanishes {
            continue;
        }
        if direction == Direction::FromRedis {
            bytes = filter.pass(&bytes, sky.drops_pushes);
        }
        let takes = (bytes.len() as u64 * 1_000_000).checked_div(sky.bytes_per_second);
        std::thread::sleep(takes.map_or(Duration::ZERO, Duration::from_micros));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}
