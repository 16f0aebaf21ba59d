//! Packets between a node and Redis vanish, in both directions or in one: rows 7 and 10.

use std::net::SocketAddr;

use super::namespace::Namespace;
use super::redis::{Options, Redis};
use super::site::{Load, QUICK, Site, bound, seconds};

/// Three nodes, the first of them in a namespace of its own.
fn site_with_namespace(redis: &Redis, namespace: &Namespace) -> Site {
    let url = redis.url();
    let far = format!("redis://{}:{}", namespace.outside, redis.port());
    let mut site = Site::new(&[&far, &url, &url], &QUICK);
    let port = site.nodes[0].address.port();
    site.nodes[0].wrap(&namespace.wrapper(), SocketAddr::new(namespace.inside, port));
    site.balance_over(&[0, 1, 2]);
    for node in &mut site.nodes {
        node.start();
    }
    for node in &site.nodes {
        node.wait_until_ready();
    }
    site
}

fn reachable_redis() -> Redis {
    Redis::start(Options::default().with("bind", "0.0.0.0").with("protected-mode", "no"))
}

#[test]
fn a_node_whose_packets_to_redis_vanish_says_so_and_repairs_the_gap() {
    let redis = reachable_redis();
    let namespace = Namespace::make(1);
    let site = site_with_namespace(&redis, &namespace);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    namespace.drop_both_ways(redis.port());
    let took = site.nodes[0].wait_for_health("degraded");
    assert!(took <= bound(5), "noticed after {took:?}");
    crowd.talk_for(seconds(6, 60), || {});
    namespace.heal();
    site.wait_until_healthy();
    crowd.wait_for_more(200);
    crowd.judge().is_sound(&site).is_without_gaps().is_answered();
}

#[test]
fn a_cut_in_one_direction_is_no_split_delivery() {
    let redis = reachable_redis();
    let namespace = Namespace::make(2);
    let site = site_with_namespace(&redis, &namespace);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    namespace.drop_answers(redis.port());
    let took = site.nodes[0].wait_for_health("degraded");
    assert!(took <= bound(5), "noticed after {took:?}");
    crowd.talk_for(seconds(6, 60), || {});
    namespace.heal();
    site.wait_until_healthy();
    crowd.wait_for_more(200);
    crowd.judge().is_sound(&site).is_without_gaps().is_answered();
}
