//! The arguments of `rest`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::cli::{BoundArgs, ClientArgs, OutputArgs, ServerArgs, positive, share};

const EXAMPLES: &str = "\
Examples:
  A back end that posts 2,000 messages a second over 16 connections, to 100 channels of 10 members each:
    realtime-loadtest rest --secret s3cret --api-key k3y --rooms 100 --members 10 --rate 2000 --server-pid 4242

  One reader in ten has no socket and asks GET /poll instead; fail if anything is lost or comes twice:
    realtime-loadtest rest --secret s3cret --api-key k3y --poll-share 0.1 --max-lost 0 --max-doubled 0";

/// Arguments of `rest`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RestArgs {
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// The key of the back end, sent as X-API-Key
    #[arg(long, env = "LOADTEST_API_KEY", hide_env_values = true, required_unless_present = "insecure")]
    pub api_key: Option<String>,
    /// How to connect.
    #[command(flatten)]
    pub client: ClientArgs,
    /// How many rooms
    #[arg(long, default_value = "10")]
    pub rooms: NonZeroU32,
    /// How many members each room has; every member must get every message once
    #[arg(long, default_value = "100")]
    pub members: NonZeroU32,
    /// Connections that post, each with one request on its way at a time; no more than there are rooms, because the
    /// messages of a room are posted in order
    #[arg(long, default_value = "16", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub posters: u32,
    /// Readers without a socket that ask GET /poll, as a share of the members
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    pub poll_share: f64,
    /// How long the server may hold a poll that has nothing to tell, in whole seconds
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u8).range(1..=30))]
    pub poll_wait: u8,
    /// Messages per second, over all rooms
    #[arg(long, default_value_t = 100.0, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: f64,
    /// Bytes of content per message
    #[arg(long, default_value_t = 128, value_name = "BYTES")]
    pub payload: usize,
    /// How long to post
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How long to wait for the last messages
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub drain: Duration,
    /// Objective: 99 of 100 messages are with a member after at most this many milliseconds
    #[arg(long, value_name = "MS")]
    pub p99_ms: Option<f64>,
    /// Objective: 99 of 100 posts are answered after at most this many milliseconds
    #[arg(long, value_name = "MS")]
    pub answer_p99_ms: Option<f64>,
    /// Objective: server CPU per request, in microseconds, its deliveries included
    #[arg(long, value_name = "US")]
    pub max_cpu_us: Option<f64>,
    /// Objectives that all messages have in common; pollers count as members do.
    #[command(flatten)]
    pub bounds: BoundArgs,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}
