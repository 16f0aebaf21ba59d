//! What the suites with Redis stand on: servers that die and come back, and a cluster whose slots and masters move.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a promise that was broken ends the test")]

#[path = "cluster/redis.rs"]
mod redis;

use redis::{Connection, Options, Redis, RedisCluster, Reply};

#[test]
fn a_killed_server_comes_back_with_what_it_kept_or_empty() {
    let mut redis =
        Redis::start(Options { is_kept: true, password: Some("pw".into()), ..Options::default() });
    assert_eq!(redis.call(&["SET", "key", "value"]).text(), "OK");
    assert!(Connection::open(redis.port()).unwrap().call(&["PING"]).refuses("NOAUTH"));
    redis.kill();
    redis.restart();
    assert_eq!(redis.call(&["GET", "key"]).text(), "value");
    redis.kill();
    redis.restart_empty();
    assert_eq!(redis.call(&["GET", "key"]), Reply::Nil);
}

#[test]
fn a_server_speaks_tls_under_an_authority_of_its_own() {
    let redis = Redis::start(Options { has_tls: true, ..Options::default() });
    let mut redis_cli = std::process::Command::new("redis-cli");
    redis_cli.args(["--tls", "-h", "localhost", "-p", &redis.tls_port().to_string(), "--cacert"]);
    let answer = redis_cli.arg(redis.authority()).arg("PING").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "PONG");
}

#[test]
fn a_cluster_moves_slots_and_promotes_replicas_with_their_keys() {
    let mut cluster = RedisCluster::start(Options::default());
    let slot = cluster.slot("{rt0.1}:g");
    let first = cluster.owner(slot).unwrap();
    assert_eq!(cluster.nodes()[first].call(&["SET", "{rt0.1}:g", "7"]).text(), "OK");

    let second = cluster.other_master(slot);
    cluster.migrate(slot, second);
    assert!(cluster.nodes()[first].call(&["GET", "{rt0.1}:g"]).refuses("MOVED"));
    assert_eq!(cluster.nodes()[second].call(&["GET", "{rt0.1}:g"]).text(), "7");

    cluster.wait_until_whole();
    let third = cluster.fail_over(slot);
    assert_eq!(cluster.nodes()[third].call(&["GET", "{rt0.1}:g"]).text(), "7");

    cluster.wait_until_whole();
    assert_eq!(cluster.kill_owner(slot), third);
    let fourth = cluster.wait_for_promotion(slot, third);
    assert_eq!(fourth, second, "the demoted master is the replica");
    assert_eq!(cluster.nodes()[fourth].call(&["GET", "{rt0.1}:g"]).text(), "7");
    cluster.node(third).restart();
    cluster.wait_until_whole();
}
