//! Starting processes that end with the tests, and ports that nobody else is given.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};

/// Below the ports that the kernel gives to connections, so that a killed server finds its port free again. The buses
/// of cluster nodes are 10,000 above.
const PORTS: std::ops::Range<u16> = 22_000..22_700;

/// An order to start a process, and where to send it.
type Order = (Command, Sender<Child>);

/// Starts a process from a thread that lives as long as the tests: a process that asked to be killed with its parent
/// is killed with the thread that started it.
#[track_caller]
pub(super) fn spawn(command: Command) -> Child {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in taken {
                let child = command.spawn().expect("setpriv (util-linux) and redis-server must be installed");
                let _ = answer.send(child);
            }
        });
        orders
    });
    let (answer, child) = channel();
    orders.send((command, answer)).unwrap();
    child.recv().expect("setpriv (util-linux) and redis-server must be installed")
}

/// A port that is free together with the one 10,000 above, and that no other test is given as long as this process lives.
pub(super) fn find_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    static LOCKS: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("realtime-redis-ports");
    std::fs::create_dir_all(&folder).unwrap();
    let count = PORTS.end - PORTS.start;
    let first = u16::try_from(std::process::id() % u32::from(count)).unwrap();
    for _ in 0..count {
        let port = PORTS.start + (first + TAKEN.fetch_add(1, Ordering::Relaxed)) % count;
        // A server that was killed listens to nothing, and wants its port again.
        let lock = File::create(folder.join(port.to_string())).unwrap();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if lock.try_lock().is_ok() && is_free(port) && is_free(port + 10_000) {
            LOCKS.lock().unwrap().push(lock);
            return port;
        }
    }
    panic!("no port between {} and {} is free", PORTS.start, PORTS.end);
}
