//! `fanout`: every message is accounted for, at every member.

use std::net::{SocketAddr, TcpListener};
use std::process::Output;

use crate::peer::{self, Conduct, Fate, Fates, Whom};
use crate::{check_counts, report, said};

/// Runs `fanout` with 50 messages for each room.
fn fanout(server: SocketAddr, objectives: &[&str]) -> Output {
    let load = ["--rooms", "2", "--members", "3", "--rate", "200", "--duration", "500ms", "--drain", "3s"];
    crate::run("fanout", server, &[&load, objectives].concat())
}

/// Runs against a server with `fates` and compares the named counts.
fn check(fates: Fates, expected: &[(&str, u64)]) {
    let output = fanout(peer::start(Conduct::with(fates)), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    check_counts(&report(&output)["messages"], expected);
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
    let fates = |whom: Whom, n| match (whom.member, n) {
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
    let fates = |whom: Whom, n| if (whom.member, n) == (2, 20) { Fate::Hangup } else { Fate::Arrive };
    let output = fanout(peer::start(Conduct::with(fates)), &[]);
    let messages = &report(&output)["messages"];
    let count = |name: &str| messages[name].as_u64().unwrap();
    assert_eq!(count("sent") + count("unsent"), 100, "{messages}");
    assert_eq!(count("delivered") + count("lost"), count("expected"), "{messages}");
    assert!(count("lost") >= 2, "{messages}");
}

#[test]
fn a_missed_objective_is_said_and_fails_the_run() {
    let fates = |whom: Whom, n| if (whom.member, n) == (0, 3) { Fate::Vanish } else { Fate::Arrive };
    let server = peer::start(Conduct::with(fates));
    let output = fanout(server, &["--max-lost", "1", "--max-doubled", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "MISSED: lost messages 2.00 is more than 1");
}

#[test]
fn a_server_that_is_not_there_is_no_result() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = fanout(nobody, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("connection refused"));
}
