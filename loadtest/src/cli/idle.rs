//! The arguments of `idle`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::cli::{ClientArgs, OutputArgs, ServerArgs};

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
