//! Redis Cluster under the nodes: slots that move, masters that are promoted or die. Rows 4 and 6.

use std::time::Instant;

use super::redis::{Options, RedisCluster};
use super::site::{Load, Site, bound, seconds};

#[test]
fn slots_that_move_under_load_lose_no_message() {
    let cluster = RedisCluster::start(Options::default());
    let site = Site::three(&cluster.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    for slot in partition_slots(&cluster) {
        let to = cluster.other_master(slot);
        cluster.migrate(slot, to);
        crowd.wait_for_more(100);
    }
    crowd.talk_for(seconds(2, 20), || {});
    site.wait_until_healthy();
    crowd.judge().is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
}

#[test]
fn a_promotion_by_an_operator_costs_no_message() {
    let cluster = RedisCluster::start(Options::default());
    let site = Site::three(&cluster.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    let slot = partition_slots(&cluster)[0];
    cluster.fail_over(slot);
    let began = Instant::now();
    site.wait_until_healthy();
    crowd.wait_for_more(200);
    assert!(began.elapsed() <= bound(5), "live again after {:?}", began.elapsed());
    crowd.judge().is_sound(&site).is_answered();
}

#[test]
fn a_dead_masters_replica_carries_the_feed_within_five_seconds() {
    let mut cluster = RedisCluster::start(Options::default());
    let site = Site::three(&cluster.url());
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(200);
    let slot = partition_slots(&cluster)[0];
    let former = cluster.kill_owner(slot);
    cluster.wait_for_promotion(slot, former);
    let promoted = Instant::now();
    site.wait_until_healthy();
    assert!(promoted.elapsed() <= bound(5), "live again after {:?}", promoted.elapsed());
    crowd.wait_for_more(200);
    // Replication is asynchronous: what the dead master alone knew is lost, and must be told.
    crowd.judge().is_sound(&site).is_answered();
}

/// The slots that hold the nodes' partitions, from the keys that are there.
fn partition_slots(cluster: &RedisCluster) -> Vec<u16> {
    let mut slots: Vec<u16> = Vec::new();
    for node in cluster.nodes().iter().filter(|node| node.is_running()) {
        let keys = node.call(&["KEYS", "*:g"]);
        slots.extend(keys.parts().iter().map(|key| cluster.slot(&key.text())));
    }
    slots.sort_unstable();
    slots.dedup();
    assert!(!slots.is_empty(), "the nodes keep nothing in the cluster");
    slots
}
