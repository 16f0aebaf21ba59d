//! The arguments of `storm`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::cli::{ClientArgs, OutputArgs, ServerArgs};
use crate::fleet::Parting;

const EXAMPLES: &str = "\
Examples:
  10,000 clients in channels of 10 lose their connections and are all back within a second, three times:
    realtime-loadtest storm --secret s3cret --connections 10000 --members 10 --rounds 3 --server-pid 4242 \\
      --back-ms 1000 --max-failed 0

  The same after a reset of every TCP connection, with at most 64 handshakes on their way:
    realtime-loadtest storm --secret s3cret --connections 10000 --parting reset --connecting-max 64";

/// Arguments of `storm`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StormArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many connections
    #[arg(long, default_value = "10000")]
    pub connections: NonZeroU32,
    /// How many members each channel has
    #[arg(long, default_value = "10")]
    pub members: NonZeroU32,
    /// How connections end
    #[arg(long, value_enum, default_value = "cut")]
    pub parting: Parting,
    /// Ask for the session that was lost, with its channel, instead of beginning anew and joining again
    #[arg(long)]
    pub resume: bool,
    /// How many times everybody is dropped
    #[arg(long, default_value = "3")]
    pub rounds: NonZeroU32,
    /// How long everybody stays before they are dropped
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub calm: Duration,
    /// Objective: milliseconds until all are joined again, in the worst round
    #[arg(long, value_name = "MS")]
    pub back_ms: Option<f64>,
    /// Objective: CPU time of the server per connection that ends and comes back, in microseconds, in the worst round
    #[arg(long, value_name = "US")]
    pub max_cpu_us: Option<f64>,
    /// Objective: connections that fail or are lost, over all rounds
    #[arg(long, value_name = "COUNT")]
    pub max_failed: Option<u64>,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}
