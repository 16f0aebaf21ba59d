//! The arguments of `compare`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::{ClientArgs, OutputArgs};
use crate::compare::lineup::Peer;
use crate::compare::work::Work;

const EXAMPLES: &str = "\
Examples:
  Installs the peers from their registries, then lets everybody do everything three times (about an hour):
    loadtest/peers/setup.sh
    realtime-loadtest compare --rounds 3 --markdown comparison.md --json comparison.jsonl

  One server core of this build against one of another build, on one work:
    realtime-loadtest compare --peers realtime,baseline --baseline old/realtime --work fanout-1000x10

  Is everything still delivered once and in order? A few hundred connections, under three minutes:
    realtime-loadtest compare --short";

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// Which servers [default: all that are installed]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PEERS")]
    pub peers: Vec<Peer>,
    /// What they do [default: everything]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKS")]
    pub work: Vec<Work>,
    /// How many times each server does each work; they take turns
    #[arg(long, default_value = "3")]
    pub rounds: NonZeroU32,
    /// A few hundred connections, a few seconds each, one round: fails if anything is lost, doubled, out of order or
    /// not connected, whatever the time it takes
    #[arg(long)]
    pub short: bool,
    /// Install the servers first, from their registries
    #[arg(long)]
    pub setup: bool,
    /// The `realtime` program [default: beside this program]
    #[arg(long, value_name = "PROGRAM")]
    pub ours: Option<PathBuf>,
    /// Another build of it, for the peer `baseline`
    #[arg(long, value_name = "PROGRAM")]
    pub baseline: Option<PathBuf>,
    /// The folder of the peers
    #[arg(long, default_value = "loadtest/peers", value_name = "FOLDER")]
    pub peers_folder: PathBuf,
    /// How many cores each server may use
    #[arg(long, default_value = "1")]
    pub cores: NonZeroU32,
    /// The CPUs that servers run on, such as 0 or 0,2-3 [default: the first ones, if there are at least four]
    #[arg(long, value_name = "CPUS")]
    pub server_cpus: Option<String>,
    /// The CPUs that the load tester runs on [default: all others, if there are at least four]
    #[arg(long, value_name = "CPUS")]
    pub client_cpus: Option<String>,
    /// Connections of the works storm and idle
    #[arg(long, default_value = "10000")]
    pub connections: NonZeroU32,
    /// How long connections are held idle
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub hold: Duration,
    /// How long messages are sent
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Duration,
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

impl CompareArgs {
    /// How many rounds there are.
    pub const fn rounds(&self) -> u32 {
        if self.short { 1 } else { self.rounds.get() }
    }
}
