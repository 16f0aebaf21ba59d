//! The harness on one node without Redis: what it says of a node that it is known to be sound.

use std::time::Duration;

use super::site::{Load, Site};

#[test]
fn one_node_loses_nothing_when_connections_break() {
    let site = Site::start(&[""], &[]);
    let crowd = site.crowd(Load::steady());
    for _ in 0..3 {
        crowd.wait_for_more(100);
        site.balancer.cut_all();
    }
    crowd.wait_for_more(100);
    let judged = crowd.judge();
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    assert!(judged.returns().count() > 0, "nobody had to come back");
    assert!(judged.returns().all(|back| back.recovered), "a session was lost");
}

#[test]
fn one_node_that_is_killed_says_that_it_forgot() {
    let mut site = Site::start(&[""], &[]);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    site.nodes[0].kill();
    site.nodes[0].start();
    crowd.wait_until_all_are_in();
    crowd.wait_for_more(100);
    let judged = crowd.judge();
    judged.is_sound(&site).is_answered();
    assert!(judged.verdict.announcements > 0, "a loss was hidden");
    assert!(judged.slow_return() < Duration::from_secs(10), "{:?}", judged.slow_return());
}
