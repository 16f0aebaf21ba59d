//! Clocks of nodes that jump and run ahead: row 11. The wall clock of one node is moved by libfaketime; its monotonic
//! clock, as on a real machine, is not.

use std::path::PathBuf;

use super::redis::{Options, Redis};
use super::site::{Load, QUICK, Site, seconds};

/// Where Debian puts the library.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
fn a_wall_clock_that_jumps_an_hour_changes_no_order_and_ends_no_presence() {
    assert!(PathBuf::from(LIBRARY).exists(), "install faketime, which has {LIBRARY}");
    let redis = Redis::start(Options::default());
    let clock = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{}", std::process::id()));
    let url = redis.url();
    let mut site = Site::new(&[&url; 3], &QUICK);
    let node = &mut site.nodes[0];
    node.set("LD_PRELOAD", LIBRARY);
    node.set("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string());
    node.set("FAKETIME_NO_CACHE", "1");
    node.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    std::fs::write(&clock, "+0").unwrap();
    for node in &mut site.nodes {
        node.start();
    }
    for node in &site.nodes {
        node.wait_until_ready();
    }
    let crowd = site.crowd(Load::steady());
    for jump in ["+0", "+3600", "-3600", "+0 x1.01"] {
        std::fs::write(&clock, jump).unwrap();
        crowd.talk_for(seconds(2, 15), || {});
        crowd.wait_for_more(50);
    }
    let health = site.nodes[0].health();
    std::fs::write(&clock, "+3600").unwrap();
    let later = site.nodes[0].health();
    assert_ne!(
        &health["timestamp"].to_string()[..15],
        &later["timestamp"].to_string()[..15],
        "no clock jumped"
    );
    let judged = crowd.judge();
    let _ = std::fs::remove_file(&clock);
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    let left = judged.diaries.iter().flat_map(|diary| &diary.others);
    let left = left.filter(|(_, name, body)| name == "presence" && body["status"] == "offline").count();
    assert_eq!(left, 0, "users left because of a clock");
    assert_eq!(judged.returns().count(), 0, "sessions ended because of a clock");
}
