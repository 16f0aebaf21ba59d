//! Who is there, over nodes: lists, changes, devices on several nodes, and those who leave without a word.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http;
use super::node::Node;
use super::redis::{Options, Redis, wait_until};
use super::site::{CALM, Site, bound};
use super::visitor::Visitor;

/// The lease of a node and the grace of its users, by the settings of these tests, and two seconds of looking.
const GHOST_SECONDS_MAX: u64 = 10 + 5 + 2;

fn site() -> (Redis, Site) {
    let redis = Redis::start(Options::default());
    let site = Site::start(&[redis.url(), redis.url(), redis.url()], &CALM);
    (redis, site)
}

fn enter(node: &Node, name: &str) -> Visitor {
    Visitor::enter_channels(node.address, name, &["room"])
}

/// Who is in the room as a node tells it over REST.
fn present(node: &Node) -> BTreeSet<String> {
    let page = http::get(node.address, "/presence/room").map(|answer| answer.json()).unwrap_or_default();
    let users = page["users"].as_array().cloned().unwrap_or_default();
    let users = users.iter().filter(|user| user["status"] != "offline");
    users.filter_map(|user| Some(user["userId"].as_str()?.to_owned())).collect()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn lists_and_changes_are_over_all_nodes() {
    let (_redis, site) = site();
    let mut ada = enter(&site.nodes[0], "ada");
    let _bob = enter(&site.nodes[1], "bob");
    let mut eve = enter(&site.nodes[2], "eve");
    for node in &site.nodes {
        wait_until("everybody is listed", || present(node) == names(&["ada", "bob", "eve"]));
    }
    let joined = eve.call("channel:join", json!({"channelId": "room"}));
    assert_eq!(joined["data"]["memberCount"], json!(3), "{joined}");
    eve.emit("presence:update", json!({"status": "dnd", "customStatus": "thinking"}));
    let told = ada.next("presence", |change| change["userId"] == "eve" && change["status"] == "dnd");
    assert_eq!(told["customStatus"]["text"], json!("thinking"), "{told}");
    let asked = ada.call("presence:get", json!({"userIds": ["eve", "bob", "nobody"]}));
    let users = asked["data"]["presences"].as_array().cloned().unwrap_or_default();
    let status =
        |name: &str| users.iter().find(|user| user["userId"] == name).map(|user| user["status"].clone());
    assert_eq!([status("eve"), status("bob")], [Some(json!("dnd")), Some(json!("online"))], "{asked}");
}

#[test]
fn a_user_with_devices_on_two_nodes_leaves_with_the_last() {
    let (_redis, site) = site();
    let mut bob = enter(&site.nodes[2], "bob");
    let one = enter(&site.nodes[0], "ada");
    let two = enter(&site.nodes[1], "ada");
    wait_until("Ada is listed once", || present(&site.nodes[2]) == names(&["ada", "bob"]));
    one.leave();
    // Bob's own message is behind whatever the first device's end could have caused here.
    let mut ada = two;
    ada.say("room", "still here");
    bob.message("still here");
    assert_eq!(bob.count("presence", |change| change["userId"] == "ada" && change["status"] == "offline"), 0);
    ada.leave();
    bob.next("presence", |change| change["userId"] == "ada" && change["status"] == "offline");
}

#[test]
fn users_of_a_killed_node_leave_once_and_in_time() {
    let (_redis, mut site) = site();
    let mut bob = enter(&site.nodes[1], "bob");
    let _eve = enter(&site.nodes[2], "eve");
    let ghosts: Vec<String> = (0..10).map(|number| format!("ghost-{number}")).collect();
    let visitors: Vec<Visitor> = ghosts.iter().map(|name| enter(&site.nodes[0], name)).collect();
    wait_until("all are listed", || present(&site.nodes[1]).len() == 12);
    site.nodes[0].kill();
    let killed = Instant::now();
    for ghost in &ghosts {
        let is_it = |change: &Value| change["userId"] == ghost.as_str() && change["status"] == "offline";
        let told = bob.next_within(bound(GHOST_SECONDS_MAX), "presence", is_it);
        assert!(told.is_some(), "{ghost} is there still after {:?}", killed.elapsed());
    }
    wait_until("nobody lists them", || {
        site.nodes[1..].iter().all(|node| present(node) == names(&["bob", "eve"]))
    });
    bob.say("room", "behind everything");
    bob.message("behind everything");
    let again = bob.count("presence", |change| change["status"] == "offline");
    assert_eq!(again, 0, "ghosts were told of twice");
    drop(visitors);
}

#[test]
fn who_comes_back_in_time_never_left() {
    let (_redis, mut site) = site();
    let mut bob = enter(&site.nodes[1], "bob");
    let ada = enter(&site.nodes[0], "ada");
    wait_until("both are listed", || present(&site.nodes[1]).len() == 2);
    site.nodes[0].kill();
    let place = ada.lose();
    let mut ada = Visitor::enter_with(site.nodes[2].address, "ada", Some(&place));
    let gone = |change: &Value| change["userId"] == "ada" && change["status"] == "offline";
    let told = bob.next_within(Duration::from_secs(GHOST_SECONDS_MAX + 2), "presence", gone);
    assert_eq!(told, None, "Ada was there all the time");
    ada.say("room", "here");
    bob.message("here");
    assert_eq!(present(&site.nodes[1]), names(&["ada", "bob"]));
}

#[test]
fn a_frozen_node_cannot_bring_back_those_who_left() {
    let (_redis, site) = site();
    let mut bob = enter(&site.nodes[1], "bob");
    let _ghost = enter(&site.nodes[0], "ghost");
    wait_until("both are listed", || present(&site.nodes[1]).len() == 2);
    site.nodes[0].signal("STOP");
    let gone = |change: &Value| change["userId"] == "ghost" && change["status"] == "offline";
    assert!(bob.next_within(bound(GHOST_SECONDS_MAX), "presence", gone).is_some(), "the ghost stays");
    site.nodes[0].signal("CONT");
    // The ghost's own client is connected to the woken node still, so it is there again, but once; as soon as its
    // silent connection times out or it leaves, it is gone for everybody.
    site.wait_until_healthy();
    drop(_ghost);
    wait_until("the ghost is gone again", || site.nodes.iter().all(|node| present(node) == names(&["bob"])));
}

#[test]
fn presence_is_whole_again_after_redis_forgot_everything() {
    let (mut redis, site) = site();
    let _ada = enter(&site.nodes[0], "ada");
    let mut bob = enter(&site.nodes[1], "bob");
    wait_until("both are listed", || present(&site.nodes[2]).len() == 2);
    redis.kill();
    for node in &site.nodes {
        node.wait_for_health("degraded");
        assert_eq!(present(node), names(&["ada", "bob"]), "who was there last is told");
    }
    redis.restart_empty();
    site.wait_until_healthy();
    let _eve = enter(&site.nodes[2], "eve");
    for node in &site.nodes {
        wait_until("all three are listed", || present(node) == names(&["ada", "bob", "eve"]));
    }
    let offline = bob.count("presence", |change| change["status"] == "offline");
    assert_eq!(offline, 0, "somebody was said to be gone");
}
