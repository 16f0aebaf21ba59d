//! Nodes on one Redis, as far as the engine and the pages go: how they stand with it, and clients that poll at any of them.

use std::process::Command;

use super::polling::Polling;
use super::redis::{Options, Redis};
use super::server::{Server, command};

/// A node that meets others on a Redis.
fn node_on(redis: &Redis, flags: &[&str]) -> Server {
    let mut command: Command = command(2, 0);
    command.args(flags).args(["--redis-enabled", "true", "--redis-url", &redis.url()]);
    Server::spawn(&mut command)
}

fn status(server: &Server, path: &str) -> u16 {
    super::http::Http::open(server.address).request("GET", path, "").status
}

fn is_ready(server: &Server) -> bool {
    status(server, "/readyz") == 200
}

#[test]
fn a_node_is_not_ready_before_it_has_met_redis_and_degraded_when_redis_is_lost() {
    let mut redis = Redis::start(Options::default());
    redis.kill();
    let server = node_on(&redis, &[]);
    assert_eq!(
        (status(&server, "/healthz"), status(&server, "/health"), status(&server, "/readyz")),
        (200, 200, 503)
    );
    let page = server.page("/health");
    assert!(
        page.contains("\"status\":\"disconnected\"") && page.contains("\"status\":\"degraded\""),
        "{page}"
    );
    assert_eq!(server.metric("realtime_redis_up "), 0);
    assert!(server.metric("realtime_redis_connects_total ") > 0);

    redis.restart_empty();
    server.wait_until("it is ready", is_ready);
    let page = server.page("/health");
    assert!(page.contains("\"status\":\"connected\"") && page.contains("\"status\":\"healthy\""), "{page}");
    assert_eq!(server.metric("realtime_redis_partitions_heard "), 4);

    redis.kill();
    server.wait_until("it tells that Redis is lost", |server| server.page("/health").contains("degraded"));
    let page = server.page("/readyz");
    assert_eq!((page.as_str(), status(&server, "/readyz")), ("{\"status\":\"degraded\"}", 200));
    assert!(server.page("/health").contains("\"trouble\":\"unreachable\""));
    server.stop();
}

#[test]
fn a_node_is_healthy_as_soon_as_the_trouble_of_its_redis_is_over() {
    let redis = Redis::start(Options { password: Some("right".to_owned()), ..Options::default() });
    let mut wrong: Command = command(1, 0);
    wrong.args(["--redis-enabled", "true", "--redis-url", &redis.url().replace("right", "wrong")]);
    let server = Server::spawn(&mut wrong);
    server.wait_until("it says what is wrong", |server| {
        server.page("/health").contains("\"trouble\":\"not_authenticated\"")
    });
    assert!(!is_ready(&server));
    redis.call(&["CONFIG", "SET", "requirepass", "wrong"]);
    server.wait_until("it is ready", is_ready);
    server.stop();
}

#[test]
fn a_client_polls_at_nodes_that_share_a_redis_as_if_they_were_one() {
    let redis = Redis::start(Options::default());
    let (here, there) = (node_on(&redis, &[]), node_on(&redis, &[]));
    here.wait_until("it is ready", is_ready);
    there.wait_until("it is ready", is_ready);
    for number in 0..8 {
        let opened = Polling::open(here.address);
        let elsewhere = opened.at(there.address);
        assert_eq!(elsewhere.post(&format!("40{{\"token\":\"user:u{number}\"}}")).body, "ok");
        let mut heard = String::new();
        for turn in 0.. {
            let at = if turn % 2 == 0 { &elsewhere } else { &opened };
            heard.push_str(&at.poll().body);
            if heard.contains("authenticated") {
                break;
            }
        }
        assert_eq!(opened.post("421[\"ping\",{}]").body, "ok");
        assert!(elsewhere.poll().body.starts_with("431["));
    }
    assert!(there.metric("realtime_forwarded_requests_total ") >= 16);
    assert!(here.metric("realtime_served_requests_total ") >= 16);
    // A node that has gone does not leave its clients waiting for it.
    let orphan = Polling::open(here.address).at(there.address);
    here.stop();
    let answer = orphan.poll();
    assert!(answer.status == 400 && answer.body.contains("does not answer"), "{answer:?}");
    there.stop();
}
