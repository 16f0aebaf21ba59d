//! Nodes die, freeze, stop and start again: rows 1, 12, 13, 15, 19 and 20.

use std::time::Duration;

use super::http;
use super::redis::{Options, Redis};
use super::site::{Load, QUICK, Site, bound, is_full, seconds};

#[test]
fn a_killed_node_costs_nobody_a_message_and_its_clients_resume_elsewhere() {
    let redis = Redis::start(Options::default());
    let mut site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(300);
    site.nodes[0].kill();
    crowd.talk_for(seconds(5, 30), || {});
    crowd.wait_until_all_are_in();
    let judged = crowd.judge();
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    assert!(judged.returns().count() > 0, "nobody was on the node");
    let lost = judged.returns().filter(|back| !back.recovered).count();
    assert_eq!(lost, 0, "sessions were lost of {}", judged.returns().count());
    assert!(judged.slow_return() <= bound(3), "back after {:?}", judged.slow_return());
}

#[test]
fn a_node_that_panics_is_gone_at_once_and_missed_by_nobody() {
    let redis = Redis::start(Options::default());
    let settings = [&QUICK[..], &[("REALTIME_FAULT_INJECTION", "true")]].concat();
    let mut site = Site::start(&[&redis.url(); 3], &settings);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    let _ = http::get(site.nodes[1].address, "/debug/panic-core");
    let (status, _) = site.nodes[1].ended();
    assert_eq!(status.code(), Some(70));
    crowd.talk_for(seconds(4, 20), || {});
    crowd.wait_until_all_are_in();
    let judged = crowd.judge();
    // The core's own last words are no alarm.
    let findings = &judged.verdict.findings;
    assert!(findings.is_empty(), "{findings:#?}");
    judged.is_without_gaps().is_answered();
}

#[test]
fn a_frozen_node_that_wakes_up_tells_nothing_twice_and_brings_nobody_back() {
    let redis = Redis::start(Options::default());
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    site.nodes[0].signal("STOP");
    site.balance_over(&[1, 2]);
    // Longer than its lease and the grace of its users.
    crowd.talk_for(seconds(18, 20), || {});
    site.nodes[0].signal("CONT");
    site.wait_until_healthy();
    site.balance_over(&[0, 1, 2]);
    crowd.talk_for(seconds(4, 20), || {});
    crowd.wait_until_all_are_in();
    let judged = crowd.judge();
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    // Everybody was there all the time or came back within the grace: nobody may have left for the others.
    let left = judged.diaries.iter().flat_map(|diary| &diary.others);
    let left = left.filter(|(_, name, body)| name == "presence" && body["status"] == "offline").count();
    assert_eq!(left, 0, "users who came back in time were said to be gone");
}

#[test]
fn a_rolling_restart_of_all_nodes_loses_nothing_and_doubles_nothing() {
    let redis = Redis::start(Options::default());
    let settings = [&QUICK[..], &[("REALTIME_DRAIN_SECONDS", "3")]].concat();
    let mut site = Site::start(&[&redis.url(); 3], &settings);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    for _ in 0..if is_full() { 3 } else { 1 } {
        for number in 0..3 {
            let others: Vec<usize> = (0..3).filter(|other| *other != number).collect();
            site.balance_over(&others);
            let took = site.nodes[number].stop();
            assert!(took < Duration::from_secs(15), "the drain took {took:?}");
            site.nodes[number].start();
            site.nodes[number].wait_until_ready();
            site.balance_over(&[0, 1, 2]);
            crowd.wait_for_more(100);
        }
    }
    crowd.wait_until_all_are_in();
    let judged = crowd.judge();
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    let lost = judged.returns().filter(|back| !back.recovered).count();
    assert_eq!(lost, 0, "sessions were lost of {}", judged.returns().count());
}

#[test]
fn a_draining_node_says_so_first_and_takes_nobody_in() {
    let redis = Redis::start(Options::default());
    let settings = [&QUICK[..], &[("REALTIME_DRAIN_SECONDS", "4")]].concat();
    let mut site = Site::start(&[&redis.url(); 3], &settings);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    let before = site.nodes[2].metric("realtime_connections_total ");
    assert!(before > 3.0, "{before} sessions are no drain");
    site.nodes[2].signal("TERM");
    super::redis::wait_until("it is not ready", || site.nodes[2].status("/readyz") != 200);
    site.balance_over(&[0, 1]);
    let (status, took) = site.nodes[2].ended();
    assert_eq!(status.code(), Some(0));
    assert!(took > Duration::from_secs(1), "all sessions were closed at once, after {took:?}");
    crowd.wait_for_more(100);
    crowd.wait_until_all_are_in();
    let judged = crowd.judge();
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    // Whole seconds of returns: their peak is at most 1.2 times the rate, and one for the second that is cut.
    let mut lost: Vec<_> = judged.returns().map(|back| back.lost_at).collect();
    lost.sort_unstable();
    let second = Duration::from_secs(1);
    let in_second =
        |from: usize| lost[from..].iter().filter(|at| at.duration_since(lost[from]) < second).count();
    let peak = (0..lost.len()).map(in_second).max().unwrap_or_default();
    let rate = before / 4.0;
    assert!(peak as f64 <= 1.2 * rate + 2.0, "{peak} in one second where {rate} are configured");
}

#[test]
fn everybody_who_is_cut_off_at_once_is_back_at_once() {
    let redis = Redis::start(Options::default());
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    for _ in 0..3 {
        crowd.wait_for_more(100);
        site.balancer.cut_all();
    }
    crowd.wait_for_more(100);
    crowd.wait_until_all_are_in();
    let judged = crowd.judge();
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    let lost = judged.returns().filter(|back| !back.recovered).count();
    assert_eq!(lost, 0, "sessions were lost of {}", judged.returns().count());
    assert!(judged.slow_return() <= bound(2), "{:?}", judged.slow_return());
}
