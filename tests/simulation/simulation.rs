//! Whole nodes of one to five cores in one thread, each from one seed, against a reference model. A seed that fails
//! prints the command that replays it.
//!
//! ```text
//! schedule   every random choice              heard     what devices read
//! client     what devices write, and mean     model     what must follow from it
//! node       shards, one input at a time      faults    bugs planted to see the checker find them
//! lanes      mail between cores               coverage  whether the runs came everywhere
//! slots      the places of sessions           trace     what happened, as digest and as text
//! run        one seed from start to end
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "seeds come from the environment, and a promise that was broken ends the test"
)]

mod client;
mod coverage;
mod faults;
mod heard;
mod lanes;
mod model;
mod node;
mod run;
mod schedule;
mod slots;
mod trace;

use coverage::Coverage;
use faults::Fault;
use run::{Outcome, run};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 700;
/// Runs that a planted fault must strike in.
const STRIKES: u64 = 20;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

fn report(seed: u64, violation: &str) -> String {
    format!(
        "seed {seed}: {violation}\nreplay: SIMULATION_SEED={seed} cargo test -p core-shards --test simulation -- --nocapture one_seed"
    )
}

/// `SIMULATION_SEEDS=100000` makes it a long run, `SIMULATION_FIRST_SEED=5000` another one, and `SIMULATION_GO_ON=1`
/// lets it report every seed that fails.
#[test]
fn many_seeds_keep_every_promise() {
    let first = setting("SIMULATION_FIRST_SEED").unwrap_or(0);
    let count = setting("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (mut inputs, mut violations, mut coverage) = (0, 0, Coverage::default());
    for seed in first..first + count {
        let Outcome { violation, trace, coverage: covered, .. } = run(seed, None, false);
        if let Some(violation) = violation {
            violations += 1;
            assert!(setting("SIMULATION_GO_ON").is_some(), "{}", report(seed, &violation));
            eprintln!("{}", report(seed, &violation));
        }
        inputs += trace.input_count;
        coverage.add(covered);
        if (seed - first + 1).is_multiple_of(100) {
            eprintln!("{} of {count} seeds, {inputs} inputs", seed - first + 1);
        }
    }
    eprintln!("{coverage:?}");
    assert_eq!(violations, 0, "of {count} seeds so many fail");
    if count >= SEEDS {
        assert_eq!(coverage.unreached(), None, "{coverage:?}");
    }
}

/// Prints what happens in the run of `SIMULATION_SEED`, step by step. `SIMULATION_FAULT="Lose(Join)"` plants a fault.
#[test]
fn one_seed() {
    let asked = setting("SIMULATION_SEED");
    let seed = asked.unwrap_or(1);
    let name = std::env::var("SIMULATION_FAULT").unwrap_or_default();
    let fault = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
    let Outcome { violation, trace, .. } = run(seed, fault, asked.is_some());
    eprint!("{}", trace.text());
    if let Some(violation) = violation {
        panic!("{}", report(seed, &violation));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let (first, second) = (run(seed, None, false).trace, run(seed, None, true).trace);
        assert_eq!((first.digest, first.input_count), (second.digest, second.input_count), "seed {seed}");
        assert_ne!(first.digest, run(seed + 1, None, false).trace.digest, "seed {seed}");
    }
}

/// A checker that finds nothing proves nothing. Every `share`th fault is planted here, from `first` on.
fn plant_faults(first: usize, share: usize) {
    let mut missed = Vec::new();
    for fault in Fault::ALL.into_iter().skip(first).step_by(share) {
        let (mut strikes, mut caught, mut seed) = (0, 0, 0);
        while strikes < STRIKES && seed < 400 {
            let outcome = run(seed, Some(fault), false);
            seed += 1;
            let Some(struck) = outcome.struck else {
                assert_eq!(outcome.violation, None, "seed {seed} fails before {fault:?} is planted");
                continue;
            };
            strikes += 1;
            caught += u64::from(outcome.violation.is_some());
            if outcome.violation.is_none() && std::env::var("SIMULATION_MISSED").is_ok() {
                eprintln!("{fault:?} not caught with seed {}: {struck}", seed - 1);
            }
        }
        eprintln!("{fault:?}: caught in {caught} of {strikes} runs, {seed} seeds tried");
        if strikes < STRIKES || caught * 100 < strikes * fault.caught_percent_min() {
            missed.push(fault);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn planted_faults_are_caught() {
    plant_faults(0, 3);
}

#[test]
fn more_planted_faults_are_caught() {
    plant_faults(1, 3);
}

#[test]
fn still_more_planted_faults_are_caught() {
    plant_faults(2, 3);
}
