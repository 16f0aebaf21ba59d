//! Runs every fuzz target on stable for some seconds with mutated inputs: `smoke [seconds] [target|all] [seed]`.
//!
//! A broken promise is printed with its input in hexadecimal and its seed, and the exit status is 1. The input is run
//! again with `smoke replay <target> <hexadecimal>`.

use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use realtime_fuzz::mutation::Mutator;
use realtime_fuzz::{TARGETS, Target};

/// How many inputs are run between two looks at the clock.
const BATCH: u64 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, name, input] = arguments.as_slice()
        && command == "replay"
    {
        return replay(name, input);
    }
    let seconds = arguments.first().map_or(Ok(5), |text| text.parse());
    let seed = arguments.get(2).map_or_else(|| Ok(seed_of_the_clock()), |text| text.parse());
    let (Ok(seconds), Ok(seed)) = (seconds, seed) else { return usage() };
    let chosen = arguments.get(1).map_or("all", String::as_str);
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| chosen == "all" || chosen == target.name).collect();
    if targets.is_empty() {
        return usage();
    }
    println!("fuzz smoke: {seconds} s per target, seed {seed}");
    let time = Duration::from_secs(seconds);
    let all_kept = targets.into_iter().all(|target| run(target, seed, time));
    if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one target until its time is over; false when a promise was broken.
fn run(target: &Target, seed: u64, time: Duration) -> bool {
    let mutator = Mutator::new((target.seeds)());
    let start = Instant::now();
    let mut cases = 0;
    while cases == 0 || start.elapsed() < time {
        for case in cases..cases + BATCH {
            let input = mutator.input(seed, case);
            if panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                println!(
                    "fuzz smoke: {} FAILED, seed {seed}, case {case}, input {}",
                    target.name,
                    hex(&input)
                );
                return false;
            }
        }
        cases += BATCH;
    }
    println!("fuzz smoke: {} {cases} inputs ok", target.name);
    true
}

fn replay(name: &str, input: &str) -> ExitCode {
    let (Some(target), Some(input)) = (TARGETS.iter().find(|target| target.name == name), unhex(input))
    else {
        return usage();
    };
    (target.run)(&input);
    println!("fuzz smoke: {name} 1 inputs ok");
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!(
        "smoke [seconds] [target|all] [seed]\nsmoke replay <target> <hexadecimal>\ntargets: {}",
        names.join(" ")
    );
    ExitCode::from(2)
}

fn seed_of_the_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}
