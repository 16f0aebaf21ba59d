//! Two or three whole nodes of one or two cores that share a store, in one thread, each run from one seed: lines break,
//! the store dies, comes back with all of its memory, with none or without the end of it, nodes are killed. A seed that
//! fails prints the command that replays it.
//!
//! ```text
//! world     one run: what happens next, and when it is quiet
//! nodes     shards, the letters between them, and their lines
//! clients   who is in which channel, and what each was told
//! checker   what must follow from it
//! faults    mistakes planted to see the checker find them
//! store     the model of the store
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "seeds come from the environment, and a promise that was broken ends the test"
)]

mod checker;
mod clients;
mod faults;
mod nodes;
mod store;
mod world;

use faults::Fault;
use world::run;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 400;
/// Runs in which a planted fault must strike.
const STRIKES: u32 = 30;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

fn report(seed: u64, violation: &str) -> String {
    format!(
        "seed {seed}: {violation}\nreplay: JOINED_SEED={seed} cargo test -p core-shards --test joined -- --nocapture one_seed"
    )
}

/// `JOINED_SEEDS=100000` makes it a long run, `JOINED_FIRST_SEED=5000` another one.
#[test]
fn every_member_gets_everything_once_in_one_order_or_is_told_so() {
    let first = setting("JOINED_FIRST_SEED").unwrap_or(0);
    let count = setting("JOINED_SEEDS").unwrap_or(SEEDS);
    let mut coverage = world::Coverage::default();
    for seed in first..first + count {
        let outcome = run(seed, None, false);
        if let Some(violation) = outcome.violation {
            panic!("{}", report(seed, &violation));
        }
        coverage.add(&outcome.coverage);
    }
    eprintln!("{coverage:?}");
    if count >= SEEDS {
        assert_eq!(coverage.unreached(), None, "{coverage:?}");
    }
}

/// Prints what happens in the run of `JOINED_SEED`, step by step. `JOINED_FAULT=LosePush` plants a fault.
#[test]
fn one_seed() {
    let asked = setting("JOINED_SEED");
    let name = std::env::var("JOINED_FAULT").unwrap_or_default();
    let fault = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
    let outcome = run(asked.unwrap_or(1), fault, asked.is_some());
    if let Some(violation) = outcome.violation {
        panic!("{}", report(asked.unwrap_or(1), &violation));
    }
}

/// A checker that finds nothing proves nothing.
#[test]
fn planted_faults_are_caught() {
    let mut missed = Vec::new();
    for fault in Fault::ALL {
        let (mut strikes, mut caught, mut seed) = (0, 0, 0);
        while strikes < STRIKES && seed < 500 {
            let outcome = run(seed, Some(fault), false);
            seed += 1;
            strikes += u32::from(outcome.has_struck);
            caught += u32::from(outcome.has_struck && outcome.violation.is_some());
        }
        eprintln!("{fault:?}: caught in {caught} of {strikes} runs, {seed} seeds tried");
        if strikes * 2 < STRIKES || caught * 100 < strikes * fault.caught_percent_min() {
            missed.push(fault);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
