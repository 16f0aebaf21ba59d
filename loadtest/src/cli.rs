//! The command line: one subcommand per scenario, each with a file of its own, and what they share.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::dialect::Dialect;
use crate::target::Transport;

pub use churn::ChurnArgs;
pub use compare::CompareArgs;
pub use fanout::FanoutArgs;
pub use idle::IdleArgs;
pub use jitter::JitterArgs;
pub use rest::RestArgs;
pub use saturate::SaturateArgs;
pub use slow::SlowArgs;
pub use storm::StormArgs;

pub mod churn;
pub mod compare;
pub mod fanout;
pub mod idle;
pub mod jitter;
pub mod rest;
pub mod saturate;
pub mod slow;
pub mod storm;

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

  How many messages a second a room of 1,000 takes, and how soon 10,000 are back after they all lost the connection:
    realtime-loadtest saturate --secret s3cret --rooms 1 --members 1000 --server-pid 4242
    realtime-loadtest storm --secret s3cret --connections 10000 --members 10 --back-ms 1000 --max-failed 0

  Nothing may be lost, doubled or reordered although every connection breaks every 10 seconds:
    realtime-loadtest jitter --secret s3cret --cut-every 10s --max-lost 0 --max-doubled 0 --max-reordered 0

  Every server that is installed, side by side on the same works:
    realtime-loadtest compare --markdown comparison.md

Exit code: 0 as wanted, 1 an objective was missed, 2 the run could not be made.";

/// The scenarios.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Hold connections that do nothing, and see what each costs the server
    Idle(IdleArgs),
    /// Send messages to rooms on a fixed schedule, and see when and whether every member has every message
    Fanout(FanoutArgs),
    /// Send more and more messages until they come late or get lost, and see what the last rate was that held
    Saturate(SaturateArgs),
    /// Drop everybody at once, and see how soon all are back
    Storm(StormArgs),
    /// Let users come and go while others stay, who must have every message
    Churn(ChurnArgs),
    /// Cut connections at random, resume their sessions, and see whether a message is lost or comes twice
    Jitter(JitterArgs),
    /// Let some members read slowly or not at all, and see that the others do not notice
    Slow(SlowArgs),
    /// Post messages as a back end does, and see when and whether everybody has every message
    Rest(RestArgs),
    /// Run several servers through the same works in turns, and compare
    Compare(CompareArgs),
}

/// Which server, and who we are to it.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// The server's address; further nodes of the same server behind it: ws://127.0.0.1:3101,127.0.0.1:3102
    #[arg(long, default_value = "ws://127.0.0.1:3101")]
    pub url: String,
    /// Sign HS256 tokens with this secret
    #[arg(long, env = "LOADTEST_SECRET", hide_env_values = true, required_unless_present = "insecure")]
    pub secret: Option<String>,
    /// Send only a user id, for servers that ask for no token
    #[arg(long, conflicts_with = "secret")]
    pub insecure: bool,
    /// How the server is spoken to
    #[arg(long = "protocol", value_enum, default_value_t)]
    pub dialect: Dialect,
    /// How packets travel
    #[arg(long, value_enum, default_value_t)]
    pub transport: Transport,
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
    /// Loopback addresses that connections start from, 127.0.x.2 and so on [default: one for every 10,000 connections]
    #[arg(long, value_name = "COUNT")]
    pub sources: Option<NonZeroU32>,
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

/// Objectives that all scenarios with messages have in common.
#[derive(Clone, Debug, Default, Args)]
pub struct BoundArgs {
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
}

/// Where reports go.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// Append one line of JSON per run to this file, or to standard output instead of the table with -
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots and tables to this file: HTML that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the plots of that page to this folder, one SVG file each
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
}

impl ClientArgs {
    /// The number of threads to use.
    pub fn threads(&self) -> NonZeroU32 {
        let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let default = cpus.saturating_sub(1).clamp(1, 8) as u32;
        self.threads.unwrap_or(NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN))
    }
}

/// A part of a whole, from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) => Err("must be from 0 to 1".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A rate that something can be scheduled by.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
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
