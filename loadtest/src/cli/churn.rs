//! The arguments of `churn`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::cli::{BoundArgs, ClientArgs, LoadArgs, OutputArgs, ServerArgs, positive};
use crate::fleet::Parting;

const EXAMPLES: &str = "\
Examples:
  200 users come and as many go every second while 1,000 stay, who may not miss a message:
    realtime-loadtest churn --secret s3cret --rooms 100 --members 10 --churn-rate 200 --stay 5s --duration 20s \\
      --server-pid 4242 --max-lost 0 --max-failed 0";

/// Arguments of `churn`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ChurnArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many rooms
    #[arg(long, default_value = "100")]
    pub rooms: NonZeroU32,
    /// How many members of each room stay; every one of them must get every message
    #[arg(long, default_value = "10")]
    pub members: NonZeroU32,
    /// The messages.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Visitors that come per second, over all rooms; as many go
    #[arg(long, default_value_t = 100.0, value_name = "PER_SECOND", value_parser = positive)]
    pub churn_rate: f64,
    /// How long a visitor stays
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub stay: Duration,
    /// How visitors leave
    #[arg(long, value_enum, default_value = "goodbye")]
    pub parting: Parting,
    /// How long messages flow before the first visitor, to know what the server needs without visitors
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub calm: Duration,
    /// Objective: 99 of 100 messages take at most this many milliseconds while visitors come and go
    #[arg(long, value_name = "MS")]
    pub p99_ms: Option<f64>,
    /// Objective: CPU time of the server per visit, in microseconds
    #[arg(long, value_name = "US")]
    pub max_cpu_us: Option<f64>,
    /// Objectives that all messages have in common.
    #[command(flatten)]
    pub bounds: BoundArgs,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}
