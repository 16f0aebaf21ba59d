//! What the client promises on a Redis Cluster whose slots move and whose masters die: every command is answered
//! once, nothing is carried out twice, and topics are heard again at whoever serves them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a promise that was broken ends the test")]

#[path = "redis_cluster/listener.rs"]
mod listener;
#[path = "cluster/redis.rs"]
mod redis;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use listener::{Listener, Outcome, listen, name, slot};
use realtime::rt;
use redis::{Options, RedisCluster};

/// Commands that a test's load has under way.
const WINDOW: usize = 200;

/// Does something to the cluster on a thread of its own, while the reactor goes on; the cluster comes back.
fn meanwhile<T: Send + 'static>(
    mut cluster: RedisCluster,
    deed: impl FnOnce(&mut RedisCluster) -> T + Send + 'static,
) -> Receiver<(RedisCluster, T)> {
    let (done, waiting) = channel();
    std::thread::spawn(move || {
        let outcome = deed(&mut cluster);
        let _ = done.send((cluster, outcome));
    });
    waiting
}

/// Appends to a group's list, with a window of commands under way, until `waiting` brings something.
async fn append_until<T>(listener: &Listener, group: u16, waiting: &Receiver<T>) -> (T, Vec<u64>) {
    let mut tags = Vec::new();
    let before = listener.outcomes.borrow().len();
    let ends = Instant::now() + 2 * redis::PATIENCE;
    loop {
        while tags.len() < listener.outcomes.borrow().len() - before + WINDOW {
            tags.push(listener.append(group));
        }
        if let Ok(done) = waiting.try_recv() {
            for tag in &tags {
                listener.outcome(*tag).await;
            }
            return (done, tags);
        }
        assert!(Instant::now() < ends, "the cluster was not done in time");
        rt::sleep(Duration::from_millis(1)).await;
    }
}

/// What is in a group's list.
async fn appended(listener: &Listener, group: u16) -> Vec<u64> {
    let tag = listener.command(group, &["LRANGE", &name(group, "s"), "0", "-1"]);
    let Outcome::Done(list) = listener.outcome(tag).await else { panic!("the list cannot be read") };
    list.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn every_command_and_topic_finds_its_master() {
    let cluster = RedisCluster::start(Options::default());
    listen(&cluster.addresses(), async |listener: Rc<Listener>| {
        listener.until_up().await;
        assert!(listener.client.is_sharded());
        for group in 0..3 {
            let tag = listener.append(group);
            assert_eq!(listener.outcome(tag).await, Outcome::Done(tag.to_string()));
            listener.client.publish(slot(group), name(group, "t").as_bytes(), b"by the way");
            let heard = &listener.groups[usize::from(group)].heard;
            listener.until("both are heard", || heard.borrow().len() == 2).await;
            assert_eq!(*heard.borrow(), [tag.to_string(), "by the way".to_owned()]);
        }
        let wrong = listener.command(0, &["LPOP"]);
        assert!(matches!(listener.outcome(wrong).await, Outcome::Wrong(_)));
    });
}

#[test]
fn a_slot_that_moves_under_load_loses_nothing_and_keeps_its_order() {
    let cluster = RedisCluster::start(Options::default());
    let hosts = cluster.addresses();
    listen(&hosts, async |listener: Rc<Listener>| {
        listener.until_up().await;
        let mut cluster = cluster;
        for round in 0..3 {
            let ups = listener.groups[0].ups.get();
            let waiting = meanwhile(cluster, move |cluster| {
                let to = cluster.other_master(slot(0).0);
                let migration = cluster.begin_migration(slot(0).0, to);
                // Time for commands that find half of their keys.
                std::thread::sleep(Duration::from_millis(300));
                cluster.finish_migration(migration);
                let moved = Instant::now();
                std::thread::sleep(Duration::from_millis(500));
                moved
            });
            let ((returned, moved), tags) = append_until(&listener, 0, &waiting).await;
            cluster = returned;
            let group = &listener.groups[0];
            listener.until("it is heard again", || group.ups.get() > ups && group.is_up.get()).await;
            let silent = group.up_at.get().unwrap().duration_since(group.down_at.get().unwrap());
            let late = group.up_at.get().unwrap().saturating_duration_since(moved);
            eprintln!("round {round}: {} appends, unheard for {silent:?}, {late:?} after it", tags.len());
            let outcomes = listener.outcomes.borrow();
            let failed: Vec<&Outcome> =
                tags.iter().map(|tag| &outcomes[tag]).filter(|outcome| !outcome.is_done()).collect();
            assert!(failed.is_empty(), "all of them are carried out: {} {:?}", failed.len(), failed[0]);
        }
        let list = appended(&listener, 0).await;
        let mut sorted = list.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), list.len(), "nothing is carried out twice");
        let overtaken = list.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert_eq!(overtaken, 0, "nothing is overtaken");
        // Each was told once, but for those between the two masters.
        let heard: Vec<u64> =
            listener.groups[0].heard.borrow().iter().map(|text| text.parse().unwrap()).collect();
        assert!(heard.windows(2).all(|pair| pair[0] < pair[1]));
    });
}

#[test]
fn a_planned_fail_over_loses_nothing_that_was_acknowledged() {
    let cluster = RedisCluster::start(Options::default());
    let hosts = cluster.addresses();
    listen(&hosts, async |listener: Rc<Listener>| {
        listener.until_up().await;
        let waiting = meanwhile(cluster, |cluster| {
            cluster.fail_over(slot(1).0);
            std::thread::sleep(Duration::from_secs(1));
        });
        let ((_cluster, ()), tags) = append_until(&listener, 1, &waiting).await;
        listener.until_up().await;
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for number in appended(&listener, 1).await {
            *counts.entry(number).or_default() += 1;
        }
        let outcomes = listener.outcomes.borrow();
        let done_count = tags.iter().filter(|tag| outcomes[tag].is_done()).count();
        eprintln!("{done_count} of {} appends were acknowledged", tags.len());
        for tag in tags {
            let count = counts.get(&tag).copied().unwrap_or(0);
            let is_right = if outcomes[&tag].is_done() { count == 1 } else { count <= 1 };
            assert!(is_right, "{tag} is there {count} times: {:?}", outcomes[&tag]);
        }
    });
}

#[test]
fn a_killed_master_is_replaced_and_its_topics_are_heard_again() {
    let cluster = RedisCluster::start(Options::default());
    let hosts = cluster.addresses();
    listen(&hosts, async |listener: Rc<Listener>| {
        listener.until_up().await;
        let waiting = meanwhile(cluster, |cluster| {
            let former = cluster.kill_owner(slot(2).0);
            cluster.wait_for_promotion(slot(2).0, former);
            Instant::now()
        });
        let promoted = Rc::new(Cell::new(None));
        let kept = RefCell::new(None);
        let ends = Instant::now() + 2 * redis::PATIENCE;
        let mut tags = Vec::new();
        while promoted.get().is_none() {
            tags.extend((0..3).map(|group| listener.append(group)));
            if let Ok((cluster, moment)) = waiting.try_recv() {
                kept.replace(Some(cluster));
                promoted.set(Some(moment));
            }
            assert!(Instant::now() < ends, "nobody was promoted");
            rt::sleep(Duration::from_millis(2)).await;
        }
        listener.until_up().await;
        let up_at = listener.groups[2].up_at.get().unwrap();
        let late = up_at.saturating_duration_since(promoted.get().unwrap());
        let ups = listener.groups.iter().map(|group| group.ups.get()).collect::<Vec<_>>();
        eprintln!("heard {late:?} after the promotion; groups came up {ups:?} times");
        for tag in tags {
            listener.outcome(tag).await;
        }
        let tag = listener.append(2);
        assert_eq!(listener.outcome(tag).await, Outcome::Done(tag.to_string()));
        let heard = &listener.groups[2].heard;
        let last = tag.to_string();
        listener.until("it is heard", || heard.borrow().last() == Some(&last)).await;
    });
}

#[test]
fn a_master_that_says_nothing_more_is_replaced_like_a_dead_one() {
    let cluster = RedisCluster::start(Options::default());
    let hosts = cluster.addresses();
    listen(&hosts, async |listener: Rc<Listener>| {
        listener.until_up().await;
        let waiting = meanwhile(cluster, |cluster| {
            let former = cluster.owner(slot(0).0).unwrap();
            cluster.node(former).freeze();
            let began = Instant::now();
            std::thread::sleep(Duration::from_secs(8));
            cluster.node(former).thaw();
            cluster.wait_until_whole();
            began
        });
        let group = &listener.groups[0];
        listener.until("its silence is found out", || !group.is_up.get()).await;
        let ((_cluster, began), tags) = append_until(&listener, 0, &waiting).await;
        eprintln!("found out after {:?}", group.down_at.get().unwrap().saturating_duration_since(began));
        listener.until_up().await;
        let last = tags.last().unwrap();
        assert!(listener.outcomes.borrow()[last].is_done());
        let tag = listener.append(0);
        let text = tag.to_string();
        assert_eq!(listener.outcome(tag).await, Outcome::Done(text.clone()));
        listener.until("it is heard", || group.heard.borrow().last() == Some(&text)).await;
    });
}

#[test]
fn one_living_node_of_the_list_is_enough() {
    let cluster = RedisCluster::start(Options::default());
    let replica = (0..6).find(|node| cluster.owner(slot(0).0) != Some(*node)).unwrap();
    let hosts = ["127.0.0.1:1".to_owned(), cluster.nodes()[replica].address()];
    listen(&hosts, async |listener: Rc<Listener>| {
        listener.until_up().await;
        let tag = listener.command(0, &["GET", &name(0, "nothing")]);
        assert!(matches!(listener.outcome(tag).await, Outcome::Done(_)));
    });
}
