//! A round-robin balancer of TCP connections, without any memory of who was where: the worst that clients and nodes can
//! have between them. Who cannot be reached is passed over.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a target may take to accept.
const CONNECTING: Duration = Duration::from_millis(500);

/// A running balancer.
pub(crate) struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    targets: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
    is_over: AtomicBool,
    accepted: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Balancer {
    /// Starts one before these targets.
    pub(crate) fn start(targets: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { targets: Mutex::new(targets.to_vec()), ..Shared::default() });
        let inner = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if inner.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let inner = inner.clone();
                std::thread::spawn(move || inner.serve(client));
            }
        });
        Self { address, shared }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections to these from now on.
    pub(crate) fn aim(&self, targets: &[SocketAddr]) {
        *self.shared.targets.lock().unwrap() = targets.to_vec();
    }

    /// How many connections were accepted.
    pub(crate) fn accepted_count(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Breaks every connection there is.
    pub(crate) fn cut_all(&self) {
        for stream in std::mem::take(&mut *self.shared.open.lock().unwrap()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.cut_all();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) {
        let Some(target) = self.connect() else { return };
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let _ = (client.set_nodelay(true), target.set_nodelay(true));
        let (Ok(from), Ok(to)) = (client.try_clone(), target.try_clone()) else { return };
        self.open.lock().unwrap().extend([&client, &target].into_iter().filter_map(|it| it.try_clone().ok()));
        std::thread::spawn(move || carry(from, to));
        carry(target, client);
    }

    /// A connection to the next target that accepts one.
    fn connect(&self) -> Option<TcpStream> {
        let targets = self.targets.lock().unwrap().clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut in_turn = (0..targets.len()).map(|step| targets[(turn + step) % targets.len()]);
        in_turn.find_map(|target| TcpStream::connect_timeout(&target, CONNECTING).ok())
    }
}

/// Carries bytes one way until either end is gone.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut chunk) {
        if count == 0 || to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
