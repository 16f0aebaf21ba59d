//! Clients that come and go all the time: what is heard between a join and a leave has no hole, whatever the nodes
//! subscribe to and forget meanwhile.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::redis::{Options, Redis};
use super::site::{CALM, Site, seconds};
use super::visitor::Visitor;

/// Channels that the comers and goers go round.
const CHANNELS: usize = 12;

#[test]
fn who_joins_and_leaves_all_the_time_hears_everything_in_between() {
    let redis = Redis::start(Options::default());
    let site = Site::start(&[redis.url(), redis.url(), redis.url()], &CALM);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (is_over, nodes) = (&is_over, &site.nodes);
        for number in 0..4 {
            let address = nodes[number % 3].address;
            scope.spawn(move || talk(address, number, is_over));
        }
        let visits: Vec<_> = (0..9)
            .map(|number| {
                let address = nodes[number % 3].address;
                scope.spawn(move || come_and_go(address, number, is_over))
            })
            .collect();
        std::thread::sleep(seconds(8, 60));
        is_over.store(true, Ordering::Relaxed);
        let visits: usize = visits.into_iter().map(|visit| visit.join().unwrap()).sum();
        println!("{visits} visits");
        assert!(visits > 50, "only {visits} visits");
    });
}

/// Says something in each channel in turns.
fn talk(address: SocketAddr, number: usize, is_over: &AtomicBool) {
    let channels: Vec<String> = (0..CHANNELS).map(|channel| format!("churn-{channel}")).collect();
    let names: Vec<&str> = channels.iter().map(String::as_str).collect();
    let mut visitor = Visitor::enter_channels(address, &format!("talker-{number}"), &names);
    let mut said = 0;
    while !is_over.load(Ordering::Relaxed) {
        let answer = visitor.say(names[said % CHANNELS], &format!("{number}:{said}"));
        assert_eq!(answer["success"], json!(true), "{answer}");
        visitor.forget();
        said += 1;
    }
}

/// Joins one channel after the other, listens to a few messages, and leaves. Returns how often.
fn come_and_go(address: SocketAddr, number: usize, is_over: &AtomicBool) -> usize {
    let mut visitor = Visitor::enter(address, &format!("visitor-{number}"));
    let mut visits = 0;
    while !is_over.load(Ordering::Relaxed) {
        let channel = format!("churn-{}", (number + visits * 7) % CHANNELS);
        let joined = visitor.call("channel:join", json!({"channelId": channel}));
        let mut last = joined["data"]["offset"].as_u64().unwrap();
        let ends = Instant::now() + Duration::from_millis(200);
        while Instant::now() < ends {
            let wait = Duration::from_millis(20);
            let Some(message) = visitor.next_within(wait, "message", |_| true) else { continue };
            assert_eq!(message["channelId"], json!(channel), "of a channel that was left: {message}");
            let offset = message["offset"].as_u64().unwrap();
            assert_eq!(offset, last + 1, "visitor-{number} in {channel}: {message}");
            last = offset;
        }
        let left = visitor.call("channel:leave", json!({"channelId": channel}));
        assert_eq!(left["success"], json!(true), "{left}");
        visitor.forget();
        visits += 1;
    }
    visits
}
