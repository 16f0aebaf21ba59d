//! A client that polls need not come to the node that has its session.

use std::net::SocketAddr;

use core_shards::metrics::Counter;
use realtime::engine::metrics::EngineMetrics;
use realtime::engine::threads::Engine;

use super::branch::{Branch, Courier, open};
use super::http::{Answer, Http};
use super::server::PATIENCE;

const HERE: &str = "HERE0001";
const THERE: &str = "THERE002";

/// Opens a session and returns the target of its requests.
fn session(address: SocketAddr) -> String {
    let opened = Http::open(address).request("GET", "/engine.io/?EIO=4&transport=polling", "").body;
    let (_, rest) = opened.split_once("\"sid\":\"").unwrap();
    format!("/engine.io/?EIO=4&transport=polling&sid={}", rest.split('"').next().unwrap())
}

fn request(address: SocketAddr, method: &str, target: &str, body: &str) -> Answer {
    Http::open(address).request(method, target, body)
}

#[track_caller]
fn session_count_until(node: &Engine<Branch>, expected: usize) {
    let ends = std::time::Instant::now() + PATIENCE;
    while node.shared.session_count() != expected {
        assert!(std::time::Instant::now() < ends, "it stays at {}", node.shared.session_count());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_client_may_poll_and_post_at_any_node() {
    let courier = Courier::new();
    let (here, there) = (open(HERE, &courier), open(THERE, &courier));
    for round in 0..8 {
        let target = session(here.address);
        assert!(target.ends_with(HERE), "{target}");
        assert_eq!(request(there.address, "POST", &target, "4one").body, "ok");
        assert_eq!(request(there.address, "GET", &target, "").body, "4one");
        // More than a stranger may send.
        let long = format!("4{}", "x".repeat(100_000));
        let at = if round % 2 == 0 { here.address } else { there.address };
        assert_eq!(request(at, "POST", &target, &long).body, "ok");
        let answer = request(there.address, "GET", &target, "");
        assert_eq!((answer.body == long, answer.status), (true, 200));
        assert!(answer.head.contains("text/plain; charset=UTF-8"), "{}", answer.head);
        // What ends the session ends it, wherever it was said.
        assert_eq!(request(there.address, "POST", &target, "1").body, "ok");
        assert_eq!(request(there.address, "GET", &target, "").status, 400);
    }
    session_count_until(&here, 0);
    let sum = |node: &Engine<Branch>, field: fn(&EngineMetrics) -> &Counter| -> u64 {
        node.shared.metrics.iter().map(|core| field(core).get()).sum()
    };
    assert_eq!(sum(&there, |core| &core.forwarded), sum(&here, |core| &core.served));
    assert!(sum(&there, |core| &core.forwarded) > 0);
    here.stop();
    there.stop();
}

#[test]
fn a_poll_waits_at_another_node_until_there_is_something() {
    let courier = Courier::new();
    let (here, there) = (open(HERE, &courier), open(THERE, &courier));
    let target = session(here.address);
    let mut poll = Http::open(there.address);
    poll.send("GET", &target, "");
    assert_eq!(request(here.address, "POST", &target, "4later").body, "ok");
    assert_eq!(poll.answer().body, "4later");
    // One that nothing comes for is answered without packets, before anybody takes the silence for an end.
    poll.send("GET", &target, "");
    assert_eq!(poll.answer().body, "6");
    assert_eq!(request(there.address, "POST", &target, "4again").body, "ok");
    assert_eq!(request(here.address, "GET", &target, "").body, "4again");
    here.stop();
    there.stop();
}

#[test]
fn a_client_that_gives_up_its_poll_at_another_node_has_lost_its_session() {
    let courier = Courier::new();
    let (here, there) = (open(HERE, &courier), open(THERE, &courier));
    let target = session(here.address);
    let mut poll = Http::open(there.address);
    poll.send("GET", &target, "");
    // Two at once end a session, too; so the second is another client's.
    let other = session(here.address);
    assert_eq!(request(there.address, "POST", &other, "4heard").body, "ok");
    assert_eq!(request(there.address, "GET", &other, "").body, "4heard");
    drop(poll);
    session_count_until(&here, 1);
    assert_eq!(request(there.address, "GET", &target, "").status, 400);
    here.stop();
    there.stop();
}

#[test]
fn a_node_that_cannot_be_reached_is_named() {
    let courier = Courier::new();
    let (here, there) = (open(HERE, &courier), open(THERE, &courier));
    courier.know_deaf("DEAF0003");
    let target = session(here.address);
    for (node, method) in
        [("NOBODY04", "GET"), ("NOBODY04", "POST"), ("DEAF0003", "GET"), ("DEAF0003", "POST")]
    {
        let answer = request(there.address, method, &target.replace(HERE, node), "");
        assert_eq!(answer.status, 400, "{answer:?}");
        let message =
            format!("{{\"code\":1,\"message\":\"Session ID unknown: node {node} does not answer\"}}");
        assert_eq!(answer.body, message);
    }
    here.stop();
    there.stop();
}

#[test]
fn who_does_not_know_the_secret_gets_nothing_at_any_node() {
    let courier = Courier::new();
    let (here, there) = (open(HERE, &courier), open(THERE, &courier));
    let target = session(here.address);
    let at = target.len() - HERE.len() - 3;
    let letter = if &target[at..=at] == "A" { "B" } else { "A" };
    let guessed = format!("{}{letter}{}", &target[..at], &target[at + 1..]);
    for method in ["GET", "POST"] {
        let answer = request(there.address, method, &guessed, "");
        assert_eq!(answer.body, "{\"code\":1,\"message\":\"Session ID unknown\"}");
    }
    assert_eq!(request(there.address, "POST", &target, "4mine").body, "ok");
    assert_eq!(request(there.address, "GET", &target, "").body, "4mine");
    here.stop();
    there.stop();
}

#[test]
fn a_websocket_at_another_node_is_refused_and_the_session_goes_on_polling() {
    let courier = Courier::new();
    let (here, there) = (open(HERE, &courier), open(THERE, &courier));
    let target = session(here.address);
    let upgrade = format!(
        "GET {} HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.replace("polling", "websocket")
    );
    let mut http = Http::open(there.address);
    std::io::Write::write_all(&mut http.stream, upgrade.as_bytes()).unwrap();
    let answer = http.answer();
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("go on polling"), "{answer:?}");
    assert_eq!(request(there.address, "POST", &target, "4on").body, "ok");
    assert_eq!(request(there.address, "GET", &target, "").body, "4on");
    here.stop();
    there.stop();
}

#[test]
fn a_poll_at_another_node_is_answered_when_either_of_them_goes() {
    for goes_there in [false, true] {
        let courier = Courier::new();
        let (here, there) = (open(HERE, &courier), open(THERE, &courier));
        let target = session(here.address);
        let mut poll = Http::open(there.address);
        poll.send("GET", &target, "");
        // Its answer shows that what was sent before has come, too.
        let other = session(here.address);
        assert_eq!(request(there.address, "POST", &other, "4heard").body, "ok");
        let (first, second) = if goes_there { (there, here) } else { (here, there) };
        first.stop();
        assert_eq!(poll.answer().status, 503);
        second.stop();
    }
}
