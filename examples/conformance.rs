//! The conformance application: what public protocol suites and stock clients are pointed at, on the
//! same engine as the chat node. Socket.IO at `/socket.io/`, bare Engine.IO that sends every message
//! back at `/engine.io/`, a bare WebSocket that does the same at `/echo`; one port, one core.
//!
//! Started by its environment, see [`options`]. It serves suites on a developer's machine and has no
//! authentication: keep it on loopback.

#[path = "conformance/arguments.rs"]
mod arguments;
#[path = "conformance/client_events.rs"]
mod client_events;
#[path = "conformance/fixture.rs"]
mod fixture;
#[path = "conformance/handshake.rs"]
mod handshake;
#[path = "conformance/interop_events.rs"]
mod interop_events;
#[path = "conformance/namespace.rs"]
mod namespace;
#[path = "conformance/options.rs"]
mod options;
#[path = "conformance/packets.rs"]
mod packets;
#[path = "conformance/recovery.rs"]
mod recovery;
#[path = "conformance/seating.rs"]
mod seating;

use std::process::ExitCode;

use realtime::engine::threads::Engine;
use realtime::rt::choose_driver;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use fixture::Fixture;
use options::Options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One core is enough for suites, and makes the order in which two connections are served plain.
const CORE_COUNT: u16 = 1;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let options = Options::from_environment()?;
    let driver = choose_driver(options.driver, usize::from(CORE_COUNT))?.driver;
    // Registered before the core starts, so that no signal falls between.
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|error| error.to_string())?;
    let (settings, address) = (options.settings(), options.address);
    let engine = Engine::start(settings, driver, CORE_COUNT, address, move |_, _, _| Fixture::new(&options))
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on {} with {driver}", engine.address);
    signals.forever().next();
    engine.stop();
    Ok(())
}
