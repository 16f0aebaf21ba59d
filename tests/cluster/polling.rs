//! Polling without sticky sessions: each request of a session may come to another node, and the session goes on; where
//! its node cannot be reached, that is said.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{self, Answer};
use super::redis::{Options, Redis, wait_until};
use super::site::{CALM, Site};

const PATH: &str = "/socket.io/?EIO=4&transport=polling";

/// A session over polling whose requests go to the nodes in turns.
struct Wanderer {
    nodes: Vec<SocketAddr>,
    turn: usize,
    sid: String,
    heard: Vec<String>,
}

impl Wanderer {
    fn enter(nodes: &[SocketAddr], name: &str) -> Self {
        let mut wanderer = Self { nodes: nodes.to_vec(), turn: 0, sid: String::new(), heard: Vec::new() };
        let open = wanderer.request("GET", "");
        assert!(open.body.starts_with("0{"), "{open:?}");
        let open: Value = serde_json::from_str(open.body[1..].split('\u{1e}').next().unwrap()).unwrap();
        wanderer.sid = open["sid"].as_str().unwrap().to_owned();
        wanderer.post(&format!("40{}", json!({"userId": name})));
        wanderer.until("40");
        wanderer
    }

    /// Sends a request to the next node.
    fn request(&mut self, method: &str, body: &str) -> Answer {
        let node = self.nodes[self.turn % self.nodes.len()];
        self.turn += 1;
        let sid = if self.sid.is_empty() { String::new() } else { format!("&sid={}", self.sid) };
        http::request(node, method, &format!("{PATH}{sid}"), body, Duration::from_secs(40)).unwrap()
    }

    fn post(&mut self, packet: &str) {
        let answer = self.request("POST", packet);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "POST {packet}");
    }

    /// Polls until a packet begins so.
    fn until(&mut self, start: &str) -> String {
        for _ in 0..100 {
            if let Some(index) = self.heard.iter().position(|packet| packet.starts_with(start)) {
                return self.heard.remove(index);
            }
            let polled = self.request("GET", "");
            assert_eq!(polled.status, 200, "{polled:?}");
            let packets: Vec<String> = polled.body.split('\u{1e}').map(str::to_owned).collect();
            if packets.iter().any(|packet| packet == "2") {
                self.post("3");
            }
            self.heard.extend(packets);
        }
        panic!("no {start} in {:#?}", self.heard);
    }
}

fn site() -> (Redis, Site, Vec<SocketAddr>) {
    let redis = Redis::start(Options::default());
    let site = Site::start(&[redis.url(), redis.url(), redis.url()], &CALM);
    let addresses = site.nodes.iter().map(|node| node.address).collect();
    (redis, site, addresses)
}

#[test]
fn a_polling_session_goes_on_wherever_its_requests_arrive() {
    let (_redis, _site, nodes) = site();
    let mut ada = Wanderer::enter(&nodes, "ada");
    ada.post(r#"421["channel:join",{"channelId":"room"}]"#);
    ada.until("431");
    for number in 0..12 {
        ada.post(&format!(
            r#"42{}["message:send",{{"channelId":"room","content":"m{number}"}}]"#,
            number + 10
        ));
        let message = ada.until(r#"42["message""#);
        assert!(message.contains(&format!(r#""content":"m{number}""#)), "{message}");
    }
}

#[test]
fn a_poll_that_waits_on_another_node_is_answered_by_what_happens() {
    let (_redis, _site, nodes) = site();
    // Its requests alternate between its own node and another: posts here, polls there.
    let mut ada = Wanderer::enter(&nodes[..2], "ada");
    ada.post(r#"421["channel:join",{"channelId":"room"}]"#);
    ada.until("431");
    let mut bob = super::visitor::Visitor::enter_channels(nodes[2], "bob", &["room"]);
    for number in 0..4 {
        let saying = format!("m{number}");
        let waiting = std::thread::spawn(move || {
            let message = ada.until(r#"42["message""#);
            (ada, message)
        });
        bob.say("room", &saying);
        let message;
        (ada, message) = waiting.join().unwrap();
        assert!(message.contains(&format!(r#""content":"{saying}""#)), "{message}");
    }
}

#[test]
fn a_session_of_a_dead_node_is_refused_plainly_and_soon() {
    let (_redis, mut site, nodes) = site();
    let mut ada = Wanderer::enter(&nodes[..1], "ada");
    site.nodes[0].kill();
    ada.nodes = nodes[1..].to_vec();
    let mut refused = Value::Null;
    wait_until("the session is refused", || {
        let answer = ada.request("POST", "3");
        refused = answer.json();
        answer.status == 400
    });
    assert_eq!(refused["code"], json!(1), "{refused}");
}

#[test]
fn a_sid_that_nobody_gave_out_is_unknown_on_every_node() {
    let (_redis, _site, nodes) = site();
    for node in nodes {
        for sid in ["AAH_____gRwrv6cRXYwHjt0fkrtxkA", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            let answer = http::get(node, &format!("{PATH}&sid={sid}")).unwrap();
            assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(1)), "{sid}: {answer:?}");
        }
    }
}
