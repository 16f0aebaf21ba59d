//! The promises of the program to whoever reads its report: what a server does to messages is what it says.

#[cfg(test)]
mod peer;

use std::net::SocketAddr;
use std::process::{Command, Output};

use peer::Fate;
use serde_json::Value;

/// Runs `fanout` with 2 rooms of 3 members and 50 messages for each room.
fn fanout(server: SocketAddr, objectives: &[&str]) -> Output {
    let url = format!("ws://{server}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime-loadtest"));
    command.args(["fanout", "--url", &url, "--insecure", "--rooms", "2", "--members", "3"]);
    command.args(["--rate", "200", "--duration", "500ms", "--drain", "3s", "--threads", "2", "--json", "-"]);
    command.args(objectives).output().expect("the program is built before its tests")
}

/// The counts of messages in the report.
fn messages(output: &Output) -> Value {
    assert!(!output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report is one line of JSON");
    report["messages"].clone()
}

/// Runs against a server with `fates` and compares the named counts.
fn check(fates: peer::Fates, expected: &[(&str, u64)]) {
    let output = fanout(peer::start(fates), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = messages(&output);
    for (name, count) in expected {
        assert_eq!(messages[name].as_u64(), Some(*count), "{name} in {messages}");
    }
}

#[test]
fn a_faithful_server_has_a_clean_record() {
    let clean = [
        ("sent", 100),
        ("unsent", 0),
        ("expected", 300),
        ("delivered", 300),
        ("lost", 0),
        ("doubled", 0),
        ("reordered", 0),
        ("misrouted", 0),
    ];
    check(|_, _| Fate::Arrive, &clean);
}

#[test]
fn every_lost_doubled_reordered_and_stray_message_is_counted() {
    let fates = |member, n| match (member, n) {
        (1, 5 | 49) | (2, 0) => Fate::Vanish,
        (1, 7) => Fate::ArriveTwice,
        (1, 9) => Fate::Linger,
        (2, 11) => Fate::Stray,
        _ => Fate::Arrive,
    };
    // Each happens in both rooms; what strayed is lost to the one who should have had it.
    let counts = [
        ("expected", 300),
        ("delivered", 292),
        ("lost", 8),
        ("members_with_loss", 4),
        ("doubled", 2),
        ("reordered", 2),
        ("misrouted", 2),
    ];
    check(fates, &counts);
}

#[test]
fn what_a_closed_connection_misses_is_lost() {
    // Message 20 and everything after it, in both rooms, for a member that may be the sender of its room: then the
    // rest of that room's messages is unsent instead.
    let output = fanout(
        peer::start(|member, n| if (member, n) == (2, 20) { Fate::Hangup } else { Fate::Arrive }),
        &[],
    );
    let messages = messages(&output);
    let count = |name: &str| messages[name].as_u64().unwrap();
    assert_eq!(count("sent") + count("unsent"), 100, "{messages}");
    assert_eq!(count("delivered") + count("lost"), count("expected"), "{messages}");
    assert!(count("lost") >= 2, "{messages}");
}

#[test]
fn a_missed_objective_is_said_and_fails_the_run() {
    let server = peer::start(|member, n| if (member, n) == (0, 3) { Fate::Vanish } else { Fate::Arrive });
    let output = fanout(server, &["--max-lost", "1", "--max-doubled", "0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.trim(), "MISSED: lost messages 2.00 is more than 1");
}

#[test]
fn a_server_that_is_not_there_is_no_result() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = fanout(nobody, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("connection refused"));
}
