//! The `realtime` binary: reads the configuration, starts the node, waits for a signal, stops.

use std::process::ExitCode;

use clap::Parser;
use realtime::config::{Cli, Command, Config};
use realtime::healthcheck;
use realtime::node::Node;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Healthcheck) => healthcheck::ask(cli.config.port),
        None => serve(&cli.config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("realtime: {message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log_level)
        .map_err(|error| format!("REALTIME_LOG_LEVEL: {error}: write error, warn, info or debug"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Registered before the cores start, so that no signal falls between.
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|error| error.to_string())?;
    let node = Node::start(config)?;
    if config.is_insecure() {
        eprintln!("\n  open http://{}/ in two browser tabs\n", node.address());
    }
    if let Some(signal) = signals.forever().next() {
        tracing::info!(signal, "stopping");
    }
    node.stop();
    Ok(())
}
