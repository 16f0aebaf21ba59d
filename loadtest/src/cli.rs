//! The command line: one subcommand per scenario.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Load, latency objectives and density for Socket.IO servers that speak the chat dialect.
#[derive(Debug, Parser)]
#[command(name = "realtime-loadtest", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub scenario: Scenario,
}

const EXAMPLES: &str = "\
Examples:
  Memory and CPU of 10,000 connections in channels of 10:
    realtime-loadtest idle --secret s3cret --connections 10000 --join-per-channel 10 --server-pid 4242

  1,000 messages a second to 100 members each, and fail if the slowest 1 % take longer than 50 ms or one is lost:
    realtime-loadtest fanout --secret s3cret --rooms 100 --members 100 --rate 1000 --p99-ms 50 --max-lost 0

  Two servers side by side, each on one core, the load on the others:
    realtime-loadtest compare --ours target/release/realtime --node loadtest/peers/node \\
      --server-cpus 0 --client-cpus 1-3 --markdown comparison.md

Exit code: 0 as wanted, 1 an objective was missed, 2 the run could not be made.";

/// The scenarios.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Hold connections that do nothing, and see what each costs the server
    Idle(IdleArgs),
    /// Send messages to rooms on a fixed schedule, and see when and whether every member has every message
    Fanout(FanoutArgs),
    /// Run idle and fanout against this project's server and the Node.js peer in turns, and compare
    Compare(CompareArgs),
}

/// Arguments of `idle`.
#[derive(Debug, Args)]
pub struct IdleArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many connections to hold
    #[arg(long, default_value = "1000")]
    pub connections: NonZeroU32,
    /// Join channels of this many members each; 0 joins none
    #[arg(long, default_value_t = 0, value_name = "MEMBERS")]
    pub join_per_channel: u32,
    /// How long to hold them
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub hold: Duration,
    /// Objective: resident memory of the server per connection, in bytes
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<f64>,
    /// Objective: connections that fail or are lost
    #[arg(long, value_name = "COUNT")]
    pub max_failed: Option<u64>,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Arguments of `fanout`.
#[derive(Debug, Args)]
pub struct FanoutArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many rooms
    #[arg(long, default_value = "10")]
    pub rooms: NonZeroU32,
    /// How many members each room has; every member must get every message, the sender included
    #[arg(long, default_value = "100")]
    pub members: NonZeroU32,
    /// The messages.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Objective: 99 of 100 messages take at most this many milliseconds
    #[arg(long, value_name = "MS")]
    pub p99_ms: Option<f64>,
    /// Objective: messages that a member never gets
    #[arg(long, value_name = "COUNT")]
    pub max_lost: Option<u64>,
    /// Objective: messages that a member gets again
    #[arg(long, value_name = "COUNT")]
    pub max_doubled: Option<u64>,
    /// Objective: messages that a member gets after a later one
    #[arg(long, value_name = "COUNT")]
    pub max_reordered: Option<u64>,
    /// Objective: connections that fail or are lost
    #[arg(long, value_name = "COUNT")]
    pub max_failed: Option<u64>,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The `realtime` program
    #[arg(long, value_name = "PROGRAM")]
    pub ours: PathBuf,
    /// The folder of the Node.js peer; `npm ci` must have been run in it
    #[arg(long, value_name = "FOLDER")]
    pub node: PathBuf,
    /// How many cores our server may use (REALTIME_CORES)
    #[arg(long, default_value_t = 1)]
    pub cores: u32,
    /// The CPUs that either server may run on, such as 0 or 0,2-3
    #[arg(long, value_name = "CPUS")]
    pub server_cpus: Option<String>,
    /// The CPUs that the load tester may run on
    #[arg(long, value_name = "CPUS")]
    pub client_cpus: Option<String>,
    /// How many times each server has its turn
    #[arg(long, default_value = "2")]
    pub rounds: NonZeroU32,
    /// How many connections
    #[arg(long, default_value = "10000")]
    pub connections: NonZeroU32,
    /// How many members each room has
    #[arg(long, default_value = "100")]
    pub members: NonZeroU32,
    /// How long connections are held idle
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub hold: Duration,
    /// The messages.
    #[command(flatten)]
    pub load: LoadArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Write the comparison to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Where the reports of the single runs go.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which server, and who we are to it.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// The server's address
    #[arg(long, default_value = "ws://127.0.0.1:3101")]
    pub url: String,
    /// Sign HS256 tokens with this secret
    #[arg(long, env = "LOADTEST_SECRET", hide_env_values = true, required_unless_present = "insecure")]
    pub secret: Option<String>,
    /// Send only a user id, for servers that ask for no token
    #[arg(long, conflicts_with = "secret")]
    pub insecure: bool,
    /// The server's process, to measure its memory and CPU (on this machine)
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
}

/// How the load tester itself works.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// Threads that hold the connections [default: one less than there are CPUs, at most 8]
    #[arg(long)]
    pub threads: Option<NonZeroU32>,
    /// Connections begun per second
    #[arg(long, default_value_t = 2000.0, value_name = "PER_SECOND", value_parser = positive)]
    pub connect_rate: f64,
    /// Connections on their way at the same time
    #[arg(long, default_value = "256", value_name = "COUNT")]
    pub connecting_max: NonZeroU32,
    /// How long a connection may take until it is ready
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub connect_timeout: Duration,
}

/// The messages of a run.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Messages per second, over all rooms
    #[arg(long, default_value_t = 100.0, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: f64,
    /// Bytes of content per message
    #[arg(long, default_value_t = 128, value_name = "BYTES")]
    pub payload: usize,
    /// How long to send
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How long to wait for the last messages
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub drain: Duration,
    /// Ask for an acknowledgement of every message
    #[arg(long)]
    pub acks: bool,
    /// Give every message a clientMessageId
    #[arg(long)]
    pub client_ids: bool,
}

/// Where reports go.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// Append one line of JSON per run to this file, or to standard output instead of the table with -
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl ClientArgs {
    /// The number of threads to use.
    pub fn threads(&self) -> NonZeroU32 {
        let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let default = cpus.saturating_sub(1).clamp(1, 8) as u32;
        self.threads.unwrap_or(NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN))
    }
}

/// A rate that something can be scheduled by.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.001 => Ok(rate),
        Ok(_) => Err("must be at least 0.001".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_server_needs_a_secret_or_the_word_that_it_needs_none() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["realtime-loadtest", "idle"], args].concat());
        assert!(parse(&["--insecure"]).is_ok() && parse(&["--secret", "s"]).is_ok());
        assert!(parse(&[]).is_err() && parse(&["--secret", "s", "--insecure"]).is_err());
    }

    #[test]
    fn rates_are_positive_numbers() {
        for (text, good) in
            [("1", true), ("0.5", true), ("0", false), ("-1", false), ("inf", false), ("NaN", false)]
        {
            assert_eq!(positive(text).is_ok(), good, "{text}");
        }
    }
}
