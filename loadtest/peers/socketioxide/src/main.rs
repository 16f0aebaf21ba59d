//! The chat dialect on socketioxide: token check, channels with acknowledgement, messages to everyone in the channel.
//! It does what a message needs and nothing more (no history, no presence, no rate limits), so that a comparison never
//! flatters the other side.
//!
//! Every event is a task of its own there, so with several threads two messages of one sender may change places; a
//! comparison on several cores says so.
//!
//! Environment: `PORT` (3101), `HOST` (127.0.0.1), `SECRET` (empty: `auth.userId` is believed), `THREADS` (1: one thread
//! with the current-thread scheduler; more: that many workers). `/readyz` says when it listens.

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use socketioxide::SocketIo;
use socketioxide::handler::ConnectHandler;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

mod chat;
mod token;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let threads: usize = variable("THREADS", "1").parse()?;
    runtime(threads)?.block_on(serve())
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = if threads > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr =
        format!("{}:{}", variable("HOST", "127.0.0.1"), variable("PORT", "3101")).parse()?;
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_secs(25))
        .ping_timeout(Duration::from_secs(20))
        .max_payload(1_000_000)
        // The default of 128 packets ends members that read well as soon as a burst is longer.
        .max_buffer_size(16_384)
        .with_state(token::Verifier::new(&variable("SECRET", "")))
        .build_layer();
    io.ns("/", chat::welcome.with(chat::authenticate));
    let app = Router::new().route("/readyz", get(|| async { "{}" })).layer(layer);

    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.tap_io(|stream| {
        // A connection without it is slower, and nothing else.
        let _ = stream.set_nodelay(true);
    });
    println!("listening on {address}");
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        served = async { axum::serve(listener, app).await } => Ok(served?),
        _ = terminate.recv() => Ok(()),
    }
}

/// An environment variable, or what it is by default.
fn variable(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
