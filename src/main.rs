//! The `realtime` binary: reads the configuration, starts the node, waits for a signal, stops.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use realtime::config::Config;
use realtime::config::command_line::{Cli, Command};
use realtime::config::report::Report;
use realtime::config::resolved::Resolved;
use realtime::healthcheck;
use realtime::node::Node;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for what the operator has to write differently; clap's own for flags that do not exist.
const CONFIGURATION: u8 = 2;
/// Exit code for what stands in the way outside of the configuration.
const WORLD: u8 = 1;

/// Why the program ends: the exit code and a message for people.
type Failure = (u8, String);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let resolved = Resolved::new(&cli.flags(), std::env::vars_os());
    match run(cli.command.as_ref(), &resolved) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            tell(&format!("realtime: {message}\n"));
            ExitCode::from(code)
        }
    }
}

fn run(command: Option<&Command>, resolved: &Resolved) -> Result<(), Failure> {
    let config = || Config::new(resolved).map_err(refusal);
    match command {
        None => serve(&config()?),
        Some(Command::Healthcheck) => {
            let config = config()?;
            healthcheck::ask(config.port, &config.pages).map_err(|message| (WORLD, message))
        }
        Some(Command::CheckConfig(_)) => check_config(resolved),
        Some(Command::Token(request)) => {
            let token = request.mint(&config()?).map_err(|message| (CONFIGURATION, message))?;
            print(&format!("{token}\n"))
        }
    }
}

/// Writes to stderr, if anybody takes it: a node serves on without its log.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes to stdout; a reader that has gone away, as `head` does, is no reason to panic.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let outcome = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    outcome.map_err(|error| (WORLD, format!("cannot write to stdout: {error}")))
}

fn refusal(problems: Vec<String>) -> Failure {
    let list: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    (
        CONFIGURATION,
        format!("the configuration does not hold:{list}\n`realtime check-config` shows all of it"),
    )
}

fn check_config(resolved: &Resolved) -> Result<(), Failure> {
    let report = Report::new(resolved);
    print(&report.text)?;
    match report.is_good {
        true => Ok(()),
        false => Err((CONFIGURATION, "the configuration does not hold".to_owned())),
    }
}

/// The wait for signals, which ends with this, however the node ends.
struct Waiting(signal_hook::iterator::Handle);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn serve(config: &Config) -> Result<(), Failure> {
    config.check().map_err(|message| (CONFIGURATION, message))?;
    let filter = EnvFilter::try_new(&config.log_level)
        .map_err(|error| (CONFIGURATION, format!("REALTIME_LOG_LEVEL: {error}")))?;
    // A log that cannot be written is no reason to panic, which is how errors of the log would be told otherwise.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.log_internal_errors(false).init();
    // Registered before the cores start, so that no signal falls between.
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|error| (WORLD, error.to_string()))?;
    let node = Node::start(config).map_err(|message| (WORLD, message))?;
    if config.is_insecure() {
        tell(&format!("\n  open http://{}/ in two browser tabs\n\n", node.address()));
    }
    let (stopper, waiting) = (node.stopper(), Waiting(signals.handle()));
    let ended = std::thread::spawn(move || {
        let _waiting = waiting;
        node.wait();
    });
    let mut is_asked = false;
    for signal in &mut signals {
        tracing::info!(signal, "{}", if is_asked { "stopping at once" } else { "stopping" });
        is_asked = true;
        stopper.ask();
    }
    ended.join().map_err(|_| (WORLD, "the node did not end as it should".to_owned()))
}
