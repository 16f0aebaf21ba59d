//! The `realtime-loadtest` program: runs the scenario that the command line asks for.
//!
//! It exits with 0 when everything was as wanted, with 1 when an objective was missed, and with 2 when the run
//! could not be made.

use std::process::ExitCode;

use clap::Parser;
use loadtest::cli::{Cli, Scenario};
use loadtest::compare;
use loadtest::scenario::{churn, fanout, idle, jitter, rest, saturate, slow, storm};

fn main() -> ExitCode {
    let finished = match Cli::parse().scenario {
        Scenario::Idle(args) => idle::main(&args),
        Scenario::Fanout(args) => fanout::main(&args),
        Scenario::Saturate(args) => saturate::main(&args),
        Scenario::Churn(args) => churn::main(&args),
        Scenario::Jitter(args) => jitter::main(&args),
        Scenario::Slow(args) => slow::main(&args),
        Scenario::Storm(args) => storm::main(&args),
        Scenario::Rest(args) => rest::main(&args),
        Scenario::Compare(args) => compare::main(&args),
    };
    match finished {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("realtime-loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}
