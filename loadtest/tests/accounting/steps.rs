//! `storm` and `saturate`: each round and each step has its own account.

use crate::peer::{self, Conduct, Fate, Fates, Whom};
use crate::{check_counts, report, run, said};

const STORM: [&str; 8] = ["--connections", "6", "--members", "3", "--rounds", "2", "--calm", "10ms"];

#[test]
fn everybody_comes_back_from_a_storm() {
    for parting in ["goodbye", "close", "cut", "reset", "vanish"] {
        let objectives = ["--parting", parting, "--max-failed", "0"];
        let output = run("storm", peer::start(Conduct::FAITHFUL), &[&STORM, &objectives[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let report = report(&output);
        for round in report["rounds"].as_array().unwrap() {
            check_counts(round, &[("dropped", 6), ("back", 6), ("failed", 0), ("lost", 0)]);
            assert_eq!(round["joined"]["count"].as_u64(), Some(6), "{round}");
        }
    }
}

#[test]
fn sessions_that_a_storm_resumes_are_counted() {
    for (flags, resumed) in [(&["--resume"][..], 6), (&[], 0)] {
        let output = run("storm", peer::start(Conduct::FAITHFUL), &[&STORM, flags].concat());
        check_counts(&report(&output)["rounds"][1], &[("back", 6), ("resumed", resumed), ("failed", 0)]);
    }
}

#[test]
fn who_does_not_come_back_from_a_storm_is_counted_and_tries_again_in_the_next() {
    let conduct = Conduct { lets_in: |n| n != 8, ..Conduct::FAITHFUL };
    let output = run("storm", peer::start(conduct), &[&STORM[..], &["--max-failed", "0"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "MISSED: failed and lost connections 1.00 is more than 0");
    let report = report(&output);
    check_counts(&report["rounds"][0], &[("dropped", 6), ("back", 5), ("failed", 1)]);
    check_counts(&report["rounds"][1], &[("dropped", 5), ("back", 6), ("failed", 0)]);
}

/// Runs `saturate` with 10, 20 and, where the second step does not hold, 15 messages.
fn saturate(fates: Fates, flags: &[&str]) -> serde_json::Value {
    let load = ["--rooms", "1", "--members", "3", "--rate", "20", "--growth", "2", "--step", "500ms"];
    let rest = ["--drain", "1s", "--p99-ms", "10000", "--steps-max", "3", "--tries", "1"];
    let output = run("saturate", peer::start(Conduct::with(fates)), &[&load, &rest[..], flags].concat());
    report(&output)
}

#[test]
fn a_step_that_loses_a_message_does_not_hold() {
    let fates = |whom: Whom, n| if (whom.member, n) == (1, 15) { Fate::Vanish } else { Fate::Arrive };
    let report = saturate(fates, &[]);
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps[1]["broken_by"], "1 lost, 0 unsent");
    let rates: Vec<_> = steps.iter().map(|step| step["rate_per_s"].as_f64().unwrap()).collect();
    assert_eq!((rates, report["best"].as_u64()), (vec![20.0, 40.0, 30.0], Some(2)));
    let lost: Vec<_> = steps.iter().map(|step| step["messages"]["lost"].as_u64().unwrap()).collect();
    assert_eq!(lost, [0, 1, 0]);
    check_counts(&steps[2]["messages"], &[("sent", 15), ("expected", 45), ("delivered", 45)]);
}

#[test]
fn a_step_may_be_tried_again() {
    let fates: Fates = |whom, n| if (whom.member, n) == (1, 15) { Fate::Vanish } else { Fate::Arrive };
    let load = ["--rooms", "1", "--members", "3", "--rate", "20", "--growth", "2", "--step", "500ms"];
    let rest = ["--drain", "1s", "--p99-ms", "10000", "--steps-max", "3", "--tries", "2"];
    let report = report(&run("saturate", peer::start(Conduct::with(fates)), &[&load, &rest[..]].concat()));
    let steps = report["steps"].as_array().unwrap();
    let rates: Vec<_> = steps.iter().map(|step| step["rate_per_s"].as_f64().unwrap()).collect();
    assert_eq!((rates, report["best"].as_u64()), (vec![20.0, 40.0, 40.0], Some(2)));
}

#[test]
fn a_step_that_doubles_or_reorders_does_not_hold() {
    for fate in [Fate::ArriveTwice, Fate::Linger] {
        let fates: Fates = match fate {
            Fate::Linger => |whom, n| if (whom.member, n) == (1, 3) { Fate::Linger } else { Fate::Arrive },
            _ => |whom, n| if (whom.member, n) == (1, 3) { Fate::ArriveTwice } else { Fate::Arrive },
        };
        let report = saturate(fates, &[]);
        assert_eq!(report["steps"][0]["broken_by"], "1 doubled, reordered or misrouted");
        assert!(report["best"].is_null(), "{report}");
    }
}

#[test]
fn who_lost_the_connection_is_back_in_the_next_step() {
    // Whoever joins last is let go in the second step; it may be the one who sends.
    let fates = |whom: Whom, n| if (whom.member, n) == (2, 12) { Fate::Hangup } else { Fate::Arrive };
    let report = saturate(fates, &[]);
    let steps = report["steps"].as_array().unwrap();
    assert!(steps[1]["broken_by"].as_str().unwrap().starts_with("1 connections lost"), "{report}");
    check_counts(&steps[1], &[("dropped", 1)]);
    check_counts(&steps[2]["messages"], &[("sent", 15), ("unsent", 0), ("expected", 45), ("lost", 0)]);
}
