//! The arguments of `fanout`.

use std::num::NonZeroU32;

use clap::Args;

use crate::cli::{BoundArgs, ClientArgs, LoadArgs, OutputArgs, ServerArgs};

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
    /// Objectives that all messages have in common.
    #[command(flatten)]
    pub bounds: BoundArgs,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}
