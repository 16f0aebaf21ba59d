//! The arguments of `slow`.

use std::num::NonZeroU32;

use clap::Args;

use crate::cli::{BoundArgs, ClientArgs, LoadArgs, OutputArgs, ServerArgs, share};

const EXAMPLES: &str = "\
Examples:
  1 of 10 members reads nothing; the others get every message within 50 ms, and the server lets the slow ones go:
    realtime-loadtest slow --secret s3cret --rooms 10 --members 100 --slow-share 0.1 --rate 500 --payload 4096 \\
      --server-pid 4242 --p99-ms 50 --max-lost 0 --max-slow-left 0

  Half of them reads, but only 1,000 bytes a second:
    realtime-loadtest slow --secret s3cret --slow-share 0.5 --slow-bytes-per-s 1000";

/// Arguments of `slow`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SlowArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many rooms
    #[arg(long, default_value = "10")]
    pub rooms: NonZeroU32,
    /// How many members each room has, slow ones included
    #[arg(long, default_value = "100")]
    pub members: NonZeroU32,
    /// The messages.
    #[command(flatten)]
    pub load: LoadArgs,
    /// The share of the members that is slow, from 0 to 1; a room's sender never is
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", value_parser = share)]
    pub slow_share: f64,
    /// How much a slow member reads while messages are sent; 0 for nothing at all
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    pub slow_bytes_per_s: u32,
    /// How much the kernel keeps for a slow member that does not read. Below the largest segment of the interface (64 KiB
    /// on loopback) a full buffer may take the kernel minutes to open again
    #[arg(long, default_value_t = 131_072, value_name = "BYTES")]
    pub slow_receive_buffer: usize,
    /// Objective: 99 of 100 messages to members that are not slow take at most this many milliseconds
    #[arg(long, value_name = "MS")]
    pub p99_ms: Option<f64>,
    /// Objective: slow members that the server still holds at the end
    #[arg(long, value_name = "COUNT")]
    pub max_slow_left: Option<u64>,
    /// Objective: the most memory that the server ever had, in MiB
    #[arg(long, value_name = "MIB")]
    pub max_server_mib: Option<f64>,
    /// Objectives that all messages have in common.
    #[command(flatten)]
    pub bounds: BoundArgs,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}
