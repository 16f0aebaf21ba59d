//! The arguments of `saturate`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::cli::{ClientArgs, OutputArgs, ServerArgs, positive};

const EXAMPLES: &str = "\
Examples:
  How many messages a second one room of 1,000 members takes before the slowest 1 % take longer than 50 ms:
    realtime-loadtest saturate --secret s3cret --rooms 1 --members 1000 --rate 100 --server-pid 4242

  Small steps over 1,000 rooms of 10, and fail if fewer than 40,000 messages are delivered a second:
    realtime-loadtest saturate --secret s3cret --rooms 1000 --members 10 --rate 2000 --growth 1.2 \\
      --min-deliveries 40000";

/// Arguments of `saturate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SaturateArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many rooms
    #[arg(long, default_value = "1")]
    pub rooms: NonZeroU32,
    /// How many members each room has; every member must get every message, the sender included
    #[arg(long, default_value = "1000")]
    pub members: NonZeroU32,
    /// Messages per second of the first step, over all rooms
    #[arg(long, default_value_t = 50.0, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: f64,
    /// How many times more messages the next step has, until one does not hold
    #[arg(long, default_value_t = 1.5, value_name = "FACTOR", value_parser = growth)]
    pub growth: f64,
    /// How often the span between the last rate that held and the first that did not is halved
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    pub bisections: u32,
    /// How often a step is tried before it counts as one that does not hold
    #[arg(long, default_value = "2", value_name = "COUNT")]
    pub tries: NonZeroU32,
    /// How many steps at the longest
    #[arg(long, default_value = "40", value_name = "COUNT")]
    pub steps_max: NonZeroU32,
    /// How long each step sends
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub step: Duration,
    /// How long to wait for the last messages of a step
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub drain: Duration,
    /// Bytes of content per message
    #[arg(long, default_value_t = 128, value_name = "BYTES")]
    pub payload: usize,
    /// A step holds if 99 of 100 messages take at most this many milliseconds, and none is lost
    #[arg(long, default_value_t = 50.0, value_name = "MS", value_parser = positive)]
    pub p99_ms: f64,
    /// Objective: messages received per second, over all members, in the best step that held
    #[arg(long, value_name = "PER_SECOND")]
    pub min_deliveries: Option<f64>,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A factor that makes a step larger than the one before it.
fn growth(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= 1.01 => Ok(factor),
        Ok(_) => Err("must be at least 1.01".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
