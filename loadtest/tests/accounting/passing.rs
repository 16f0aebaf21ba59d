//! `jitter`, `churn` and `slow`: members that are away, visitors that pass through, and members that hardly read.

use serde_json::Value;

use crate::peer::{self, Conduct, Fate, Fates, Whom};
use crate::{check_counts, report, run, said};

const LOAD: [&str; 8] = ["--rooms", "2", "--rate", "200", "--duration", "1s", "--drain", "3s"];

/// Runs `jitter` so that every member but the senders is away several times, for 10 messages each.
fn jitter(conduct: Conduct, flags: &[&str]) -> (Value, Option<i32>) {
    let cuts = ["--members", "3", "--cut-every", "250ms", "--away", "100ms"];
    let output = run("jitter", peer::start(conduct), &[&LOAD, &cuts[..], flags].concat());
    (report(&output), output.status.code())
}

fn count(part: &Value, name: &str) -> u64 {
    part[name].as_u64().unwrap_or_else(|| panic!("no {name} in {part}"))
}

#[test]
fn nothing_is_lost_over_cuts_where_sessions_are_resumed() {
    for parting in ["reset", "cut", "vanish"] {
        let (report, code) = jitter(Conduct::FAITHFUL, &["--parting", parting, "--max-lost", "0"]);
        assert_eq!(code, Some(0), "{report}");
        let clean = [("sent", 200), ("expected", 600), ("delivered", 600), ("doubled", 0), ("reordered", 0)];
        check_counts(&report["messages"], &clean);
        let cuts = count(&report, "cuts");
        assert!(cuts > 0, "{report}");
        check_counts(&report, &[("back", cuts), ("resumed", cuts), ("unresumed", 0), ("failed", 0)]);
        // Who is cut again before it is up to date only catches up the next time.
        let caught_up = count(&report["replay"], "count");
        assert!(caught_up > 0 && caught_up <= cuts, "{report}");
    }
}

#[test]
fn what_a_replay_loses_doubles_or_reorders_is_counted() {
    let cases: [(&str, Fates); 3] = [
        ("lost", |whom, n| if whom.is_replay && n % 2 == 0 { Fate::Vanish } else { Fate::Arrive }),
        ("doubled", |whom, n| if whom.is_replay && n % 2 == 0 { Fate::ArriveTwice } else { Fate::Arrive }),
        ("reordered", |whom, n| if whom.is_replay && n % 2 == 0 { Fate::Linger } else { Fate::Arrive }),
    ];
    for (name, fates) in cases {
        let objective = format!("--max-{name}");
        let (report, code) = jitter(Conduct::with(fates), &[&objective, "0"]);
        assert_eq!(code, Some(1), "{name}: {report}");
        assert!(count(&report["messages"], name) > 0, "{name}: {report}");
    }
}

#[test]
fn sessions_that_are_begun_anew_are_counted_with_what_they_missed() {
    let (report, _) = jitter(Conduct::FAITHFUL, &["--no-resume"]);
    check_counts(&report, &[("resumed", 0), ("unresumed", 0)]);
    assert!(count(&report["messages"], "lost") > 0, "{report}");
    let (report, _) = jitter(Conduct { resumes: false, ..Conduct::FAITHFUL }, &[]);
    check_counts(&report, &[("resumed", 0), ("back", count(&report, "cuts"))]);
    assert!(count(&report["messages"], "lost") > 0, "{report}");
}

/// Runs `churn` with 50 visitors.
fn churn(conduct: Conduct, flags: &[&str]) -> (Value, Option<i32>) {
    let visits = ["--members", "3", "--calm", "200ms", "--churn-rate", "50", "--stay", "200ms"];
    let output = run("churn", peer::start(conduct), &[&LOAD, &visits[..], flags].concat());
    (report(&output), output.status.code())
}

#[test]
fn visitors_come_and_go_and_are_told_apart_from_those_who_stay() {
    let (report, code) = churn(Conduct::FAITHFUL, &["--max-lost", "0", "--max-failed", "0"]);
    assert_eq!(code, Some(0), "{report}");
    check_counts(&report["visits"], &[("came", 50), ("left", 50), ("failed", 0), ("lost", 0), ("gaps", 0)]);
    check_counts(
        &report["messages"],
        &[("sent", 240), ("expected", 720), ("delivered", 720), ("doubled", 0)],
    );
    assert!(count(&report["visits"], "messages") > 0, "{report}");
    // Everybody in a room hears of each visitor that joins it.
    assert!(count(&report, "presence") >= 50 * 3, "{report}");
}

#[test]
fn what_a_visitor_misses_or_gets_twice_is_counted_and_not_what_was_before_it() {
    // Seats from 6 on are visitors.
    let lossy = |whom: Whom, n| if whom.seat >= 6 && n % 10 == 5 { Fate::Vanish } else { Fate::Arrive };
    let (report, code) = churn(Conduct::with(lossy), &["--max-lost", "0"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(count(&report["visits"], "gaps") > 0, "{report}");
    check_counts(&report["messages"], &[("lost", 0), ("doubled", 0), ("reordered", 0)]);

    let twice = |whom: Whom, n| if whom.seat >= 6 && n % 10 == 5 { Fate::ArriveTwice } else { Fate::Arrive };
    let (report, code) = churn(Conduct::with(twice), &["--max-doubled", "0"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(count(&report["messages"], "doubled") > 0, "{report}");
}

#[test]
fn visitors_that_are_turned_away_are_failures() {
    let conduct = Conduct { lets_in: |n| n < 6 || n % 2 == 0, ..Conduct::FAITHFUL };
    let (report, code) = churn(conduct, &["--max-failed", "0"]);
    assert_eq!(code, Some(1), "{report}");
    check_counts(&report["visits"], &[("came", 25), ("failed", 25), ("left", 25)]);
}

/// Runs `slow` with members 1 and 3 of 4 in each room reading nothing: seats 1, 3, 5 and 7.
fn slow(fates: Fates, flags: &[&str]) -> (Value, String) {
    let slow = ["--members", "4", "--slow-share", "0.5", "--slow-bytes-per-s", "0"];
    let output = run("slow", peer::start(Conduct::with(fates)), &[&LOAD, &slow[..], flags].concat());
    (report(&output), said(&output))
}

#[test]
fn slow_members_hear_in_the_end_why_they_were_let_go() {
    let objectives = ["--max-slow-left", "0", "--max-lost", "0"];
    let fates = |whom: Whom, n| match n {
        20 if whom.seat % 2 == 1 => Fate::LetGo,
        _ => Fate::Arrive,
    };
    let (report, said) = slow(fates, &objectives);
    assert_eq!(said, "");
    check_counts(&report["slow"], &[("count", 4), ("told", 4), ("cut", 0), ("left", 0), ("messages", 80)]);
    check_counts(&report["messages"], &[("expected", 400), ("delivered", 400), ("lost", 0)]);

    let fates = |whom: Whom, n| match n {
        20 if whom.seat % 2 == 1 => Fate::Hangup,
        _ => Fate::Arrive,
    };
    check_counts(&slow(fates, &objectives).0["slow"], &[("told", 0), ("cut", 4), ("left", 0)]);
}

#[test]
fn slow_members_that_are_kept_are_counted_and_may_not_miss_anything_in_between() {
    let fates =
        |whom: Whom, n| if whom.seat == 5 && (8..11).contains(&n) { Fate::Vanish } else { Fate::Arrive };
    let (report, said) = slow(fates, &["--max-slow-left", "3", "--max-lost", "2"]);
    check_counts(&report["slow"], &[("told", 0), ("cut", 0), ("left", 4), ("gaps", 3)]);
    check_counts(&report["messages"], &[("lost", 0)]);
    assert_eq!(
        said,
        "MISSED: slow members still held 4.00 is more than 3\nMISSED: lost messages 3.00 is more than 2"
    );
}
