//! The scenario `compare`: the same works on several servers in turns, each run against a fresh process.
//!
//! Everything is measured on the same machine in the same run, and the servers take turns within each round, so that
//! whatever else the machine does meets all of them.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::cli::{ClientArgs, CompareArgs};
use crate::compare::board::Board;
use crate::compare::cpus::{Affinity, pin};
use crate::compare::finding::Finding;
use crate::compare::lineup::{Lineup, Peer};
use crate::compare::server::Server;
use crate::compare::work::{Extent, Work};
use crate::report::conclusion::illustrate;
use crate::report::machine::Machine;
use crate::report::page::Illustrated;
use crate::report::write_json;

mod board;
mod cpus;
mod finding;
pub mod lineup;
mod markdown;
mod server;
pub mod work;

/// Who must be there for a short comparison, so that it cannot pass by comparing nothing.
const SHORT_PEERS_MIN: [Peer; 3] = [Peer::Realtime, Peer::Node, Peer::Floor];

/// A run's report with what it was a run of.
#[derive(Serialize)]
struct Entry<'a> {
    peer: &'static str,
    work: &'a str,
    round: u32,
    #[serde(flatten)]
    report: &'a serde_json::Value,
}

/// Runs the comparison and prints it; true if no run was amiss or that was not asked.
///
/// # Errors
/// If a server that was asked for is not installed, or a report cannot be written.
pub fn main(args: &CompareArgs) -> Result<bool> {
    let lineup = Lineup::new(args)?;
    if args.setup {
        set_up(args, &lineup)?;
    }
    let peers = peers(args, &lineup)?;
    let works = if args.work.is_empty() { Work::value_variants() } else { &args.work };
    let affinity = Affinity::new(args.server_cpus.as_deref(), args.client_cpus.as_deref(), args.cores.get())?;
    pin(affinity.client.as_ref())?;

    let extent = Extent::new(args);
    let mut board = Board::new(args, works, &extent);
    board.note_condition("CPUs", affinity.text());
    let rounds = args.rounds();
    for round in 1..=rounds {
        for &work in works {
            for &peer in peers.iter().filter(|&&peer| work.suits(peer)) {
                eprintln!("round {round} of {rounds}: {}, {}", work.title(&extent), peer.name());
                match turn(args, &lineup, &affinity, &extent, peer, work) {
                    Ok(finding) => {
                        write_entry(args, peer, &work.title(&extent), round, &finding)?;
                        board.enter(peer, work, &finding);
                    }
                    Err(error) => board.enter_failure(peer, work, &error),
                }
            }
        }
    }
    finish(args, board)
}

/// Prints the board and writes it where it is wanted; false if a short comparison found something amiss.
fn finish(args: &CompareArgs, board: Board) -> Result<bool> {
    board.amiss().iter().for_each(|amiss| eprintln!("AMISS: {amiss}"));
    let is_good = board.amiss().is_empty() || !args.short;
    let machine = Machine::here();
    let page = board.into_report().page();
    illustrate(&args.output, || page.clone(), &machine)?;
    let mut page = page;
    page.conditions.extend(machine.conditions());
    let text = markdown::text(&page);
    println!("{text}");
    if let Some(file) = &args.markdown {
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(is_good)
}

/// Runs `work` against a fresh process of `peer`.
fn turn(
    args: &CompareArgs,
    lineup: &Lineup,
    affinity: &Affinity,
    extent: &Extent,
    peer: Peer,
    work: Work,
) -> Result<Finding> {
    let server = Server::start(lineup, peer, affinity)?;
    let threads = args.client.threads.or_else(|| affinity.client_threads());
    let client = ClientArgs { threads, ..args.client.clone() };
    let finding = work.run(extent, server.args(), &client)?;
    server.stop()?;
    Ok(finding)
}

/// The servers that take part: those that are asked for, or all that are installed.
fn peers(args: &CompareArgs, lineup: &Lineup) -> Result<Vec<Peer>> {
    if !args.peers.is_empty() {
        let missing = args.peers.iter().find_map(|&peer| lineup.missing(peer));
        return missing.map_or_else(|| Ok(args.peers.clone()), |line| bail!("{line}"));
    }
    let mut peers = Vec::new();
    for &peer in Peer::value_variants() {
        match lineup.missing(peer) {
            Some(line) => eprintln!("{line}"),
            None if peer == Peer::NodeCluster && args.cores.get() < 2 && !args.short => {
                eprintln!("{}: has nothing to share on one core; --cores 2", peer.name());
            }
            None => peers.push(peer),
        }
    }
    let required = if args.short { &SHORT_PEERS_MIN[..] } else { &[] };
    for peer in required {
        ensure!(peers.contains(peer), "a short comparison needs at least {}", peer.name());
    }
    Ok(peers)
}

/// Installs the servers that are asked for, or all.
fn set_up(args: &CompareArgs, lineup: &Lineup) -> Result<()> {
    let script = lineup.folder().join("setup.sh");
    let mut command = Command::new(&script);
    command.args(args.peers.iter().map(|peer| peer.name()));
    let status = command.status().with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(status.success(), "{} failed", script.display());
    Ok(())
}

fn write_entry(args: &CompareArgs, peer: Peer, work: &str, round: u32, finding: &Finding) -> Result<()> {
    let entry = Entry { peer: peer.name(), work, round, report: &finding.report };
    args.output.json.as_ref().map_or(Ok(()), |file| write_json(file, &entry))
}
