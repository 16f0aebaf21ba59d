//! The arguments of `jitter`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::cli::{BoundArgs, ClientArgs, LoadArgs, OutputArgs, ServerArgs};
use crate::fleet::Parting;

const EXAMPLES: &str = "\
Examples:
  1,000 members whose connections break every 10 seconds on average; nothing may be lost, doubled or reordered:
    realtime-loadtest jitter --secret s3cret --rooms 10 --members 100 --cut-every 10s --away 1s \\
      --max-lost 0 --max-doubled 0 --max-reordered 0 --max-unresumed 0

  The same chances again:
    realtime-loadtest jitter --secret s3cret --seed 42";

/// Arguments of `jitter`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct JitterArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many rooms
    #[arg(long, default_value = "10")]
    pub rooms: NonZeroU32,
    /// How many members each room has; all but its sender lose their connections
    #[arg(long, default_value = "100")]
    pub members: NonZeroU32,
    /// The messages.
    #[command(flatten)]
    pub load: LoadArgs,
    /// How long a connection lives on average
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub cut_every: Duration,
    /// How long a member stays away
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub away: Duration,
    /// How connections are cut
    #[arg(long, value_enum, default_value = "reset")]
    pub parting: Parting,
    /// Begin the session anew each time instead of resuming it; what was missed is then lost
    #[arg(long)]
    pub no_resume: bool,
    /// What chance depends on, to have the same cuts again [default: another one for each run]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Objective: 99 of 100 members that came back had everything after at most this many milliseconds
    #[arg(long, value_name = "MS")]
    pub replay_p99_ms: Option<f64>,
    /// Objective: sessions that the server did not resume
    #[arg(long, value_name = "COUNT")]
    pub max_unresumed: Option<u64>,
    /// Objectives that all messages have in common.
    #[command(flatten)]
    pub bounds: BoundArgs,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}
