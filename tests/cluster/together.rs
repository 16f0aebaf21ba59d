//! Three nodes behave as one: whatever two clients do with each other works as well when they are on two nodes.

use serde_json::{Value, json};

use super::http;
use super::node::Node;
use super::redis::{Options, Redis, wait_until};
use super::site::{CALM, Load, Site};
use super::visitor::Visitor;

/// The server key of the nodes.
const KEY: &str = "0123456789abcdef";

/// A Redis and three nodes.
fn site() -> (Redis, Site) {
    site_with(&[])
}

fn site_with(settings: &[(&str, &str)]) -> (Redis, Site) {
    let redis = Redis::start(Options::default());
    let settings = [&CALM[..], settings].concat();
    let site = Site::start(&[redis.url(), redis.url(), redis.url()], &settings);
    (redis, site)
}

#[test]
fn everybody_on_three_nodes_hears_everything_once_and_in_one_order() {
    let (_redis, site) = site();
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(1_000);
    crowd.judge().is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
}

#[test]
fn a_message_has_the_same_place_on_every_node() {
    let (_redis, site) = site();
    let [mut ada, mut bob, mut eve] =
        [(0, "ada"), (1, "bob"), (2, "eve")].map(|(number, name)| enter(&site.nodes[number], name));
    let said = ada.say("room", "one");
    let place =
        |message: &Value| (message["id"].clone(), message["offset"].clone(), message["timestamp"].clone());
    let expected = place(&said["data"]);
    assert_eq!(expected.1, json!(1));
    for visitor in [&mut ada, &mut bob, &mut eve] {
        assert_eq!(place(&visitor.message("one")), expected);
    }
    // A retry on another node is the same message.
    let again = bob_as_ada(&site).say("room", "one");
    assert_eq!(place(&again["data"]), expected);
    assert_eq!(bob.count("message", |message| message["content"] == "one"), 0);
}

fn bob_as_ada(site: &Site) -> Visitor {
    enter(&site.nodes[1], "ada")
}

fn enter(node: &Node, name: &str) -> Visitor {
    Visitor::enter_channels(node.address, name, &["room"])
}

#[test]
fn history_and_since_are_answered_by_any_node() {
    let (_redis, mut site) = site();
    let mut ada = enter(&site.nodes[0], "ada");
    let joined = ada.call("channel:join", json!({"channelId": "room"}));
    let (epoch, offset) = (joined["data"]["epoch"].clone(), joined["data"]["offset"].clone());
    for content in ["one", "two", "three"] {
        ada.say("room", content);
    }
    let contents = |joined: &Value| -> Vec<Value> {
        let messages = joined["data"]["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| message["content"].clone()).collect()
    };
    let since = json!({"channelId": "room", "since": {"epoch": epoch, "offset": offset}});
    let mut bob = Visitor::enter(site.nodes[1].address, "bob");
    let joined = bob.call("channel:join", since.clone());
    assert_eq!(
        (&joined["data"]["recovered"], contents(&joined)),
        (&json!(true), vec![json!("one"), json!("two"), json!("three")])
    );
    drop(ada);
    site.nodes[0].kill();
    let mut eve = Visitor::enter(site.nodes[2].address, "eve");
    let joined = eve.call("channel:join", since);
    assert_eq!(joined["data"]["recovered"], json!(true), "{joined}");
    assert_eq!(contents(&joined).len(), 3);
    let page = http::get(site.nodes[2].address, "/poll?channelId=room&since=1").unwrap().json();
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(3), "{page}");
}

#[test]
fn a_session_is_taken_up_on_another_node_with_everything_it_missed() {
    let (_redis, mut site) = site();
    let mut ada = enter(&site.nodes[0], "ada");
    let mut bob = enter(&site.nodes[1], "bob");
    bob.say("room", "before");
    ada.message("before");
    let place = ada.lose();
    bob.say("room", "meanwhile");
    let mut ada = Visitor::enter_with(site.nodes[2].address, "ada", Some(&place));
    assert_eq!(ada.place.0, place.0, "it is another session");
    ada.message("meanwhile");
    bob.say("room", "after");
    ada.message("after");
    assert_eq!(ada.count("message", |message| message["content"] == "before"), 0, "told again");
    // Once more, and the node that had it last is gone.
    let place = ada.lose();
    site.nodes[2].kill();
    bob.say("room", "once more");
    let mut ada = Visitor::enter_with(site.nodes[0].address, "ada", Some(&place));
    assert_eq!(ada.place.0, place.0, "it is another session");
    ada.message("once more");
    assert_eq!(ada.count("message", |_| true), 0);
}

#[test]
fn a_session_that_is_alive_elsewhere_moves_and_ends_there() {
    let (_redis, site) = site();
    let mut ada = enter(&site.nodes[0], "ada");
    ada.say("room", "one");
    ada.message("one");
    let place = ada.place.clone();
    let mut again = Visitor::enter_with(site.nodes[1].address, "ada", Some(&place));
    assert_eq!(again.place.0, place.0, "it is another session");
    assert!(ada.is_ended(), "two connections have one session");
    again.say("room", "two");
    again.message("two");
}

#[test]
fn typing_receipts_and_reactions_reach_the_other_nodes() {
    let (_redis, site) = site();
    let mut ada = enter(&site.nodes[0], "ada");
    let mut bob = enter(&site.nodes[1], "bob");
    let said = ada.say("room", "one");
    let id = said["data"]["id"].clone();
    bob.message("one");
    ada.emit("typing", json!({"channelId": "room", "isTyping": true}));
    bob.next("typing", |typing| typing["userId"] == "ada" && typing["isTyping"] == true);
    // It ends by itself, there too.
    bob.next("typing", |typing| typing["userId"] == "ada" && typing["isTyping"] == false);
    bob.emit("read", json!({"channelId": "room", "messageId": id}));
    ada.next("read", |read| read["userId"] == "bob" && read["messageId"] == id);
    bob.emit("reaction", json!({"channelId": "room", "messageId": id, "emoji": "👍", "action": "add"}));
    ada.next("reaction", |reaction| reaction["userId"] == "bob" && reaction["messageId"] == id);
}

#[test]
fn rest_speaks_to_members_and_users_of_every_node() {
    let (_redis, site) = site_with(&[("REALTIME_API_KEY", KEY)]);
    let mut ada = enter(&site.nodes[0], "ada");
    let mut bob = enter(&site.nodes[1], "bob");
    let post = |node: &Node, path: &str, body: Value| http::post_as(node.address, path, KEY, &body).unwrap();
    let message = json!({"userId": "plugin", "channelId": "room", "content": "hello", "id": "m-1"});
    let first = post(&site.nodes[2], "/messages", message.clone());
    assert_eq!(first.status, 200, "{}", first.body);
    ada.message("hello");
    bob.message("hello");
    // The same id on another node: the same answer and no second message.
    let again = post(&site.nodes[0], "/messages", message);
    assert_eq!(again.json()["messageId"], first.json()["messageId"], "{}", again.body);
    let event = json!({"eventType": "order:paid", "rooms": ["room", "user:ada"], "payload": {"order": 7}, "eventId": "o-7"});
    let answer = post(&site.nodes[2], "/api/broadcast", event.clone());
    assert_eq!(answer.status, 200, "{}", answer.body);
    ada.next("order:paid", |paid| paid["order"] == 7);
    bob.next("order:paid", |paid| paid["order"] == 7);
    let again = post(&site.nodes[1], "/api/broadcast", event);
    assert_eq!(again.status, 200, "{}", again.body);
    bob.say("room", "behind it");
    ada.message("behind it");
    assert!(
        ada.count("order:paid", |_| true) <= 1,
        "Ada is in the room and the room is Ada's: once for each"
    );
    assert_eq!(bob.count("order:paid", |_| true), 0, "an event was told twice");
    assert_eq!(ada.count("message", |message| message["content"] == "hello"), 0);
}

#[test]
fn a_member_who_lost_the_right_leaves_on_every_node() {
    let door = http::Doorkeeper::start();
    let webhook = door.url();
    let (_redis, site) =
        site_with(&[("REALTIME_API_KEY", KEY), ("REALTIME_PERMISSION_WEBHOOK_URL", &webhook)]);
    let mut ada = enter(&site.nodes[0], "ada");
    let mut again = enter(&site.nodes[2], "ada");
    door.refuse();
    let body = json!({"userId": "ada"});
    let answer = http::post_as(site.nodes[1].address, "/api/permissions/invalidate", KEY, &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    for device in [&mut ada, &mut again] {
        device.next("channel:left", |left| left["channelId"] == "room");
        assert_eq!(device.say("room", "still here?")["success"], json!(false));
    }
}

#[test]
fn a_users_rate_is_limited_over_all_nodes() {
    let limits = [
        ("REALTIME_RATE_LIMIT_ENABLED", "true"),
        ("REALTIME_RATE_LIMIT_POINTS", "60"),
        ("REALTIME_RATE_LIMIT_DURATION", "60"),
    ];
    let (_redis, site) = site_with(&limits);
    let mut devices: Vec<Visitor> = site.nodes.iter().map(|node| enter(node, "ada")).collect();
    let mut accepted = 0;
    for number in 0..120 {
        let answer = devices[number % 3].say("room", &format!("m{number}"));
        if answer["success"] == true {
            accepted += 1;
        } else {
            assert_eq!(answer["error"]["code"], "RATE_LIMIT_EXCEEDED", "{answer}");
        }
    }
    // What one node spent is known to the others a moment later.
    assert!((57..=63).contains(&accepted), "{accepted} of 120 were accepted where 60 are allowed");
}

#[test]
fn a_user_has_only_so_many_connections_over_all_nodes() {
    let (_redis, site) = site_with(&[("REALTIME_MAX_CONNECTIONS_PER_USER", "2")]);
    let _one = enter(&site.nodes[0], "ada");
    let _two = enter(&site.nodes[1], "ada");
    let is_refused = || {
        let mut wire = super::wire::Wire::open(site.nodes[2].address).unwrap();
        let ends = std::time::Instant::now() + super::redis::PATIENCE;
        let _open = wire.hear(ends);
        wire.send("40{\"userId\":\"ada\"}").unwrap();
        wire.hear(ends).is_ok_and(|answer| answer.is_some_and(|text| text.starts_with("44")))
    };
    wait_until("a third connection is refused", is_refused);
}
