//! Redis dies, forgets, comes back, refuses, is slow or never was there: rows 2, 3, 5, 8, 9, 14, 16 and 17.

use std::time::{Duration, Instant};

use super::diary::Line;
use super::node::Node;
use super::redis::{Options, Redis, wait_until};
use super::site::{Load, QUICK, Site, bound, seconds};
use super::weather::{Sky, Weather};

#[test]
fn an_empty_redis_after_a_crash_is_a_new_epoch_for_everybody() {
    let mut redis = Redis::start(Options::default());
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    redis.kill();
    let took = site.nodes.iter().map(|node| node.wait_for_health("degraded")).max().unwrap_or_default();
    assert!(took <= bound(2), "the nodes noticed after {took:?}");
    let heard = || crowd.clients.iter().map(|client| client.diary().message_count()).sum::<usize>();
    let before = heard();
    crowd.talk_for(seconds(5, 30), || {});
    assert!(heard() > before, "local delivery stood still");
    redis.restart_empty();
    site.wait_until_healthy();
    crowd.wait_for_more(200);
    let judged = crowd.judge();
    judged.is_sound(&site).is_answered();
    for diary in &judged.diaries {
        for (channel, page) in diary.pages.iter().filter(|(channel, _)| channel.starts_with("room")) {
            let epochs = page.iter().filter_map(|(_, line)| epoch(line));
            let epochs: std::collections::BTreeSet<&str> = epochs.collect();
            assert!(epochs.len() > 1, "{} was not told of the new epoch of {channel}", diary.name);
        }
    }
}

#[test]
fn a_redis_that_comes_back_with_its_log_costs_nobody_a_message() {
    let options = Options { is_kept: true, ..Options::default() }.with("appendfsync", "always");
    let mut redis = Redis::start(options);
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    redis.kill();
    crowd.talk_for(seconds(4, 30), || {});
    redis.restart();
    site.wait_until_healthy();
    crowd.wait_for_more(200);
    crowd.judge().is_sound(&site).is_without_gaps().is_answered();
}

#[test]
fn a_tail_that_redis_lost_is_never_told_in_two_ways() {
    let mut redis = Redis::start(Options::default());
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    // What follows is not in the snapshot that the server comes back with, as after a fail-over to a replica that lagged.
    assert_eq!(redis.call(&["SAVE"]).text(), "OK");
    crowd.wait_for_more(200);
    redis.kill();
    redis.restart();
    site.wait_until_healthy();
    crowd.wait_for_more(200);
    let judged = crowd.judge();
    judged.is_sound(&site).is_answered();
    assert!(!judged.announcements().is_empty(), "the lost tail was hidden");
}

#[test]
fn feeds_that_are_killed_every_two_seconds_lose_nothing() {
    let redis = Redis::start(Options::default());
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    let before = subscribe_count(&redis);
    let rounds = if super::site::is_full() { 15 } else { 3 };
    for _ in 0..rounds {
        redis.call(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        crowd.talk_for(Duration::from_secs(2), || {});
    }
    site.wait_until_healthy();
    crowd.wait_for_more(100);
    // Each of three nodes has two cores: a command for each group of topics, and one for each 512 channels.
    let commands_max = rounds * 3 * (4 + 2 + Load::steady().channels as u64 / 512 + 4);
    let commands = subscribe_count(&redis) - before;
    assert!(commands <= commands_max, "{commands} commands where {commands_max} are enough");
    crowd.judge().is_sound(&site).is_without_gaps().is_answered();
}

#[test]
fn a_feed_that_is_silent_while_commands_are_answered_is_found_and_repaired() {
    let redis = Redis::start(Options::default());
    let weather = Weather::before(redis.address().parse().unwrap());
    let site = Site::start(&[&weather.url(), &redis.url(), &redis.url()], &QUICK);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    weather.set(Sky { drops_pushes: true, ..Sky::default() });
    let took = site.nodes[0].wait_for_health("degraded");
    assert!(took <= bound(5), "found after {took:?}");
    weather.clear();
    site.wait_until_healthy();
    crowd.wait_for_more(100);
    crowd.judge().is_sound(&site).is_without_gaps().is_answered();
    assert!(site.nodes[0].metric("realtime_redis_canary_misses_total") > 0.0, "no metric tells of it");
}

#[test]
fn pushes_that_are_lost_while_commands_are_answered_are_fetched() {
    let redis = Redis::start(Options::default());
    let weather = Weather::before(redis.address().parse().unwrap());
    let site = Site::start(&[&weather.url(), &redis.url(), &redis.url()], &QUICK);
    let crowd = site.crowd(Load::steady());
    for _ in 0..5 {
        crowd.wait_for_more(100);
        weather.set(Sky { drops_pushes: true, ..Sky::default() });
        std::thread::sleep(Duration::from_millis(300));
        weather.clear();
    }
    crowd.wait_for_more(100);
    crowd.judge().is_sound(&site).is_without_gaps();
}

#[test]
fn a_node_that_hears_late_hears_everything() {
    let redis = Redis::start(Options::default());
    let weather = Weather::before(redis.address().parse().unwrap());
    let site = Site::start(&[&weather.url(), &redis.url(), &redis.url()], &QUICK);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    weather.set(Sky { delay: Duration::from_millis(150), one_late_in: 50, ..Sky::default() });
    crowd.talk_for(seconds(4, 30), || {});
    weather.clear();
    crowd.wait_for_more(100);
    crowd.judge().is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
}

#[test]
fn a_slow_redis_makes_messages_late_or_refused_and_nothing_worse() {
    let redis = Redis::start(Options::default());
    let weather = Weather::before(redis.address().parse().unwrap());
    let site = Site::start(&[&weather.url(), &weather.url(), &weather.url()], &QUICK);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    let before: Vec<u64> = site.nodes.iter().map(Node::resident_kib).collect();
    let delay = Duration::from_millis(200);
    weather.set(Sky { delay, one_late_in: 100, ..Sky::default() });
    crowd.talk_for(seconds(5, 30), || {});
    weather.set(Sky { delay, one_late_in: 100, bytes_per_second: 1_000_000, ..Sky::default() });
    crowd.talk_for(seconds(5, 30), || {});
    for (node, before) in site.nodes.iter().zip(before) {
        let grown = node.resident_kib().saturating_sub(before);
        assert!(grown < 256 * 1024, "node {} grew by {grown} KiB", node.address);
    }
    weather.clear();
    site.wait_until_healthy();
    crowd.wait_for_more(100);
    let judged = crowd.judge();
    judged.is_sound(&site).is_answered();
    let is_plain = judged.verdict.refused.keys().all(|code| code == "SERVER_BUSY");
    assert!(is_plain, "refused: {:?}", judged.verdict.refused);
}

/// One kind of refusal: the commands that bring it about, and those that end it.
struct Refusing {
    name: &'static str,
    begin: &'static [&'static [&'static str]],
    end: &'static [&'static [&'static str]],
}

/// What a server can say instead of doing it.
const REFUSALS: [Refusing; 3] = [
    Refusing {
        name: "OOM",
        begin: &[&["CONFIG", "SET", "maxmemory", "1"]],
        end: &[&["CONFIG", "SET", "maxmemory", "0"]],
    },
    Refusing {
        name: "READONLY",
        begin: &[&["CONFIG", "SET", "replica-serve-stale-data", "yes"], &["REPLICAOF", "127.0.0.1", "1"]],
        end: &[&["REPLICAOF", "NO", "ONE"]],
    },
    Refusing {
        name: "NOPERM",
        begin: &[&["ACL", "SETUSER", "default", "-evalsha", "-eval"]],
        end: &[&["ACL", "SETUSER", "default", "+evalsha", "+eval"]],
    },
];

#[test]
fn what_redis_refuses_is_a_state_and_never_a_hot_loop() {
    let redis = Redis::start(Options::default());
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    for Refusing { name, begin, end } in REFUSALS {
        println!("{name} begins");
        let connections = connection_count(&redis);
        let began = Instant::now();
        for command in begin {
            assert_eq!(redis.call(command).text(), "OK", "{command:?}");
        }
        crowd.talk_for(Duration::from_secs(4), || {});
        let made = connection_count(&redis) - connections;
        let allowed = 3 * 10 * began.elapsed().as_secs().max(1) + 20;
        assert!(made <= allowed, "{name}: {made} connections in {:?}", began.elapsed());
        assert!(site.nodes.iter().all(|node| node.status("/healthz") == 200), "{name}: a node died");
        for command in end {
            assert_eq!(redis.call(command).text(), "OK", "{command:?}");
        }
        site.wait_until_healthy();
        crowd.wait_for_more(100);
    }
    let judged = crowd.judge();
    judged.is_sound(&site).is_answered();
    let is_plain = judged.verdict.refused.keys().all(|code| code == "SERVER_BUSY");
    assert!(is_plain, "refused: {:?}", judged.verdict.refused);
}

#[test]
fn a_node_that_starts_before_its_redis_lives_and_becomes_ready_by_itself() {
    let mut redis = Redis::start(Options::default());
    let url = redis.url();
    redis.kill();
    let mut site = Site::new(&[&url; 3], &QUICK);
    for node in &mut site.nodes {
        node.start();
        assert_eq!(node.status("/readyz"), 503, "{}", node.health());
    }
    redis.restart_empty();
    for node in &site.nodes {
        node.wait_until_ready();
    }
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    crowd.judge().is_sound(&site).is_answered().is_without_refusals();
}

#[test]
fn a_wrong_password_is_told_and_mended_without_a_restart() {
    let redis = Redis::start(Options { password: Some("another".into()), ..Options::default() });
    let url = format!("redis://:expected@{}", redis.address());
    let mut site = Site::new(&[&url; 1], &QUICK);
    site.nodes[0].start();
    let connections = connection_count(&redis);
    std::thread::sleep(Duration::from_secs(3));
    let made = connection_count(&redis) - connections;
    assert!(made <= 30, "{made} connections in three seconds");
    assert_eq!(site.nodes[0].status("/healthz"), 200);
    assert_eq!(site.nodes[0].status("/readyz"), 503);
    let log = site.nodes[0].log_text();
    assert!(!log.contains("expected@") && !log.contains(":expected"), "the password is in the log:\n{log}");
    // The default user with its own password: whoever is connected stays.
    redis.call(&["ACL", "SETUSER", "default", ">expected"]);
    site.nodes[0].wait_until_ready();
}

#[test]
fn a_name_that_does_not_resolve_keeps_a_node_unready_and_alive() {
    let mut site = Site::new(&["redis://redis.invalid:6379"], &QUICK);
    site.nodes[0].start();
    let began = site.nodes[0].processor_time();
    std::thread::sleep(Duration::from_secs(3));
    let used = site.nodes[0].processor_time() - began;
    assert_eq!((site.nodes[0].status("/healthz"), site.nodes[0].status("/readyz")), (200, 503));
    assert!(used < Duration::from_secs(1), "{used:?} of three seconds went into looking for it");
}

#[test]
fn keys_that_an_operator_removes_are_a_new_epoch_and_no_silence() {
    let redis = Redis::start(Options::default());
    let site = Site::three(&redis.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    redis.call(&["FLUSHALL"]);
    crowd.wait_for_more(200);
    wait_until("every client is told", || {
        crowd.clients.iter().all(|client| client.diary().announcement_count() > 0)
    });
    crowd.judge().is_sound(&site).is_answered();
}

fn epoch(line: &Line) -> Option<&str> {
    match line {
        Line::Joined { epoch, .. } | Line::Announced { epoch, .. } => Some(epoch),
        Line::Message { .. } => None,
    }
}

/// How many commands that subscribe the server has seen.
fn subscribe_count(redis: &Redis) -> u64 {
    ["cmdstat_subscribe", "cmdstat_ssubscribe"].iter().filter_map(|name| calls(&redis.info(name)?)).sum()
}

fn calls(statistics: &str) -> Option<u64> {
    statistics.strip_prefix("calls=")?.split(',').next()?.parse().ok()
}

/// How many connections the server has accepted.
fn connection_count(redis: &Redis) -> u64 {
    redis.info("total_connections_received").and_then(|count| count.parse().ok()).unwrap_or_default()
}
