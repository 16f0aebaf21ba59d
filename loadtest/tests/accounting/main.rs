//! The promises of the program to whoever reads its report: what a server does to messages is what it says.

#[cfg(test)]
mod fanout;
#[cfg(test)]
mod passing;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod steps;

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs `scenario` against `server` with a few messages in 2 rooms of 3 members, and `flags` on top.
fn run(scenario: &str, server: SocketAddr, flags: &[&str]) -> Output {
    let url = format!("ws://{server}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime-loadtest"));
    command.args([scenario, "--url", &url, "--insecure", "--threads", "2", "--json", "-"]);
    command.args(flags).output().expect("the program is built before its tests")
}

/// The report, of a run that was made.
fn report(output: &Output) -> Value {
    assert!(!output.stdout.is_empty(), "{}", said(output));
    serde_json::from_slice(&output.stdout).expect("a report is one line of JSON")
}

/// What the program said on standard error.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Compares the named counts in a part of a report.
fn check_counts(part: &Value, expected: &[(&str, u64)]) {
    for (name, count) in expected {
        assert_eq!(part[name].as_u64(), Some(*count), "{name} in {part}");
    }
}
