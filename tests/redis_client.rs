//! What one core's client of Redis promises, on a real server: every command is answered once, every topic is heard or
//! said not to be, and whatever happens to the server ends by itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a promise that was broken ends the test")]

#[path = "redis_client/ear.rs"]
mod ear;
#[path = "redis_client/proxy.rs"]
mod proxy;
#[path = "redis_client/puppet.rs"]
mod puppet;
#[path = "cluster/redis.rs"]
mod redis;

use std::time::Duration;

use core_shards::store::StoreTrouble;
use ear::{GROUP, Outcome, SLOT, connections, settings, with_ear};
use proxy::Proxy;
use puppet::Manner;
use realtime::redis::{Host, RedisSettings, Trouble};
use realtime::rt;
use redis::{Options, Redis};

/// In how much time a feed that says nothing has to be found out.
const DEAD_FEED: Duration = Duration::from_secs(3);

fn start() -> Redis {
    Redis::start(Options::default())
}

fn done(text: &str) -> Outcome {
    Outcome::Done(text.to_owned())
}

#[test]
fn commands_scripts_and_topics_share_one_connection() {
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.client.watch(GROUP, b"a");
        assert_eq!(ear.outcome(ear.command(&["PING"])).await, Outcome::Trouble(StoreTrouble::Away));
        ear.until_up().await;
        assert_eq!(*ear.watched.borrow(), ["a"]);
        assert_eq!(ear.outcome(ear.command(&["SET", "key", "value"])).await, done("OK"));
        assert_eq!(ear.outcome(ear.count("what")).await, done("1 what 1 - x"));
        let Outcome::Wrong(error) = ear.outcome(ear.command(&["NO", "SUCH"])).await else {
            panic!("it is wrong")
        };
        assert!(error.starts_with("ERR unknown command"), "{error}");
        ear.publish_and_hear("a", "hello").await;
        assert_eq!(connections(&redis), 1);
        assert!(
            redis.call(&["CLIENT", "LIST"]).text().contains("db=1"),
            "the database is the one that was named"
        );
    });
    assert_eq!(connections(&redis), 0, "a client that was closed leaves nothing");
}

#[test]
fn a_topic_is_heard_from_its_confirmation_until_it_is_unwanted() {
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.until_up().await;
        ear.client.watch(GROUP, b"a");
        ear.client.watch(GROUP, b"b");
        ear.until("both are heard", || ear.watched.borrow().len() == 2).await;
        ear.client.unwatch(GROUP, b"a");
        ear.until("nobody hears a", || redis.call(&["PUBLISH", "a", "1"]).number() == 0).await;
        ear.client.unwatch(GROUP, b"b");
        ear.client.watch(GROUP, b"b");
        ear.until("b is told again", || ear.watched.borrow().len() == 3).await;
        ear.publish_and_hear("b", "2").await;
    });
}

#[test]
fn a_hundred_thousand_publishes_are_heard_once_and_in_order() {
    const COUNT: usize = 100_000;
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.client.watch(GROUP, b"a");
        ear.until_up().await;
        let mut sent = 0;
        while sent < COUNT {
            for _ in 0..1_000 {
                ear.client.publish(SLOT, b"a", sent.to_string().as_bytes());
                sent += 1;
            }
            let heard = || sent - ear.heard.borrow().len() < 8_000;
            while !heard() {
                rt::sleep(Duration::from_millis(1)).await;
            }
        }
        ear.until("all are heard", || ear.heard.borrow().len() == COUNT).await;
        let is_in_order = |(number, (_, payload)): (usize, &(String, String))| *payload == number.to_string();
        assert!(ear.heard.borrow().iter().enumerate().all(is_in_order));
        let metrics = ear.client.metrics();
        assert!(metrics.writes.get() < COUNT as u64 / 50, "{} writes", metrics.writes.get());
        assert_eq!(metrics.dropped.get(), 0);
    });
}

#[test]
fn what_is_too_much_at_once_is_refused_and_everything_is_answered() {
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.until_up().await;
        let tags: Vec<u64> = (0..20_000).map(|_| ear.command(&["PING"])).collect();
        ear.until("all are answered", || ear.outcomes.borrow().len() == tags.len()).await;
        let is_busy = |tag: &&u64| ear.outcomes.borrow()[*tag] == Outcome::Trouble(StoreTrouble::Busy);
        let refused = tags.iter().filter(is_busy).count();
        assert!((3_000..4_000).contains(&refused), "{refused}");
        assert_eq!(ear.outcome(ear.command(&["PING"])).await, done("PONG"));
        assert!(ear.is_up.get());
    });
}

#[test]
fn a_killed_server_is_away_until_it_is_back() {
    let mut redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.client.watch(GROUP, b"a");
        ear.until_up().await;
        assert_eq!(ear.outcome(ear.count("")).await, done("1  1 - x"));
        redis.freeze();
        let lost = ear.count("");
        redis.kill();
        assert_eq!(ear.outcome(lost).await, Outcome::Trouble(StoreTrouble::Away));
        assert!(!ear.is_up.get());
        assert_eq!(ear.outcome(ear.count("")).await, Outcome::Trouble(StoreTrouble::Away));
        let attempts = ear.attempts_within(Duration::from_secs(1)).await;
        assert!((1..10).contains(&attempts), "{attempts} attempts in a second");
        redis.restart();
        ear.until_up().await;
        assert_eq!(ear.outcome(ear.count("")).await, done("1  1 - x"), "it is empty, and knows the script");
        ear.publish_and_hear("a", "hello").await;
    });
}

#[test]
fn a_feed_that_is_killed_again_and_again_loses_no_subscription_and_storms_nobody() {
    const TOPICS: usize = 2_000;
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        (0..TOPICS).for_each(|number| ear.client.watch(GROUP, format!("t{number}").as_bytes()));
        ear.until_up().await;
        for round in 1..=3 {
            redis.call(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            ear.until("it has come up again", || ear.ups.get() == round + 1).await;
            assert_eq!(redis.call(&["PUBSUB", "CHANNELS"]).parts().len(), TOPICS + 1);
        }
        let commands = ear.client.metrics().subscriptions.get();
        assert_eq!(commands, 4 * 4, "2,001 topics are four commands each time");
        ear.publish_and_hear("t1999", "hello").await;
    });
}

#[test]
fn a_wrong_password_is_a_state_that_ends_with_the_right_one() {
    let redis = Redis::start(Options { password: Some("right".into()), ..Options::default() });
    let settings = RedisSettings { password: Some("other".to_owned()), ..settings(redis.port()) };
    with_ear(settings, async |ear| {
        ear.until_trouble(Trouble::NotAuthenticated).await;
        let attempts = ear.attempts_within(Duration::from_secs(1)).await;
        assert!(attempts < 10, "{attempts} attempts in a second");
        redis.call(&["ACL", "SETUSER", "default", ">other"]);
        ear.until_up().await;
        assert_eq!(ear.client.metrics().current_trouble(0), None);
    });
}

#[test]
fn a_server_that_is_absent_or_has_no_name_is_waited_for() {
    let mut redis = start();
    redis.kill();
    with_ear(settings(redis.port()), async |ear| {
        ear.until_trouble(Trouble::Unreachable).await;
        redis.restart();
        ear.until_up().await;
    });
    let host = Host { name: "no-such-host.invalid".to_owned(), port: 6379 };
    with_ear(RedisSettings { hosts: vec![host], ..settings(0) }, async |ear| {
        ear.until_trouble(Trouble::UnknownHost).await;
        let attempts = ear.attempts_within(Duration::from_secs(1)).await;
        assert!(attempts < 10, "{attempts} attempts in a second");
    });
}

#[test]
fn a_pause_of_the_server_is_waited_for_if_it_is_short() {
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.until_up().await;
        redis.call(&["CLIENT", "PAUSE", "1000", "ALL"]);
        assert_eq!(ear.outcome(ear.count("")).await, done("1  1 - x"));
        assert_eq!((ear.is_up.get(), ear.ups.get()), (true, 1));
        redis.call(&["CLIENT", "PAUSE", "5000", "ALL"]);
        let paused = ear.count("");
        assert!(ear.until_down().await <= DEAD_FEED);
        assert_eq!(ear.outcome(paused).await, Outcome::Trouble(StoreTrouble::Away));
        ear.until_up().await;
    });
}

#[test]
fn a_connection_that_swallows_what_goes_one_way_or_both_is_found_out_and_replaced() {
    let redis = start();
    let proxy = Proxy::start(redis.port());
    with_ear(settings(proxy.port()), async |ear| {
        ear.client.watch(GROUP, b"a");
        for (to_server, from_server) in [(true, true), (true, false), (false, true)] {
            ear.until_up().await;
            proxy.swallow(to_server, from_server);
            assert!(ear.until_down().await <= DEAD_FEED, "{to_server} {from_server}");
            assert_eq!(ear.client.metrics().current_trouble(0), Some(Trouble::Silent));
            proxy.swallow(false, false);
        }
        ear.until_up().await;
        ear.publish_and_hear("a", "hello").await;
    });
}

#[test]
fn a_slow_server_is_used_as_far_as_it_goes() {
    let redis = start();
    let proxy = Proxy::start(redis.port());
    with_ear(settings(proxy.port()), async |ear| {
        ear.client.watch(GROUP, b"a");
        ear.until_up().await;
        proxy.slow_down(200, 1_000_000);
        // 12 MB there and back: seconds of work, of which more comes than can be done.
        let text = "x".repeat(1_000);
        let tags: Vec<u64> = (0..4_000).map(|_| ear.command(&["ECHO", &text])).collect();
        for number in 0..4_000 {
            ear.client.publish(SLOT, b"a", format!("{number} {text}").as_bytes());
        }
        ear.until("all is heard", || ear.heard.borrow().len() == 4_000).await;
        for tag in tags {
            assert_eq!(ear.outcome(tag).await, done(&text));
        }
        assert_eq!((ear.is_up.get(), ear.ups.get()), (true, 1));
    });
}

#[test]
fn a_core_that_was_held_up_keeps_its_connection() {
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.client.watch(GROUP, b"a");
        ear.until_up().await;
        let asked = ear.command(&["PING"]);
        std::thread::sleep(Duration::from_millis(3_500));
        assert_eq!(ear.outcome(asked).await, done("PONG"));
        ear.publish_and_hear("a", "hello").await;
        assert_eq!((ear.is_up.get(), ear.ups.get()), (true, 1));
    });
}

#[test]
fn nothing_is_read_while_there_is_no_room_for_it() {
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.client.watch(GROUP, b"a");
        ear.until_up().await;
        ear.publish_and_hear("a", "before").await;
        ear.is_full.set(true);
        // What is being waited for when the room ends is still read.
        redis.call(&["PUBLISH", "a", "last"]);
        ear.until("the last is heard", || ear.heard.borrow().len() == 2).await;
        (0..100).for_each(|number| drop(redis.call(&["PUBLISH", "a", &number.to_string()])));
        rt::sleep(Duration::from_secs(3)).await;
        assert_eq!((ear.heard.borrow().len(), ear.is_up.get(), ear.ups.get()), (2, true, 1));
        ear.is_full.set(false);
        ear.room.wake_all();
        ear.until("all are heard", || ear.heard.borrow().len() == 102).await;
        assert_eq!(ear.ups.get(), 1);
    });
}

#[test]
fn troubles_of_the_server_are_answers_and_end_by_themselves() {
    let redis = start();
    with_ear(settings(redis.port()), async |ear| {
        ear.until_up().await;
        redis.call(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_eq!(ear.outcome(ear.count("")).await, Outcome::Trouble(StoreTrouble::Unable));
        assert_eq!(ear.client.metrics().current_trouble(0), Some(Trouble::OutOfMemory));
        redis.call(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(ear.outcome(ear.count("")).await, done("1  1 - x"));
        assert_eq!(ear.ups.get(), 1, "the feed was heard all the time");

        redis.call(&["SCRIPT", "FLUSH"]);
        assert_eq!(ear.outcome(ear.count("")).await, Outcome::Trouble(StoreTrouble::Unable));
        ear.until("it has come up again", || ear.ups.get() == 2).await;
        assert_eq!(ear.outcome(ear.count("")).await, done("2  1 - x"));

        redis.call(&["REPLICAOF", "127.0.0.1", "1"]);
        assert_eq!(ear.outcome(ear.count("")).await, Outcome::Trouble(StoreTrouble::Unable));
        ear.until_trouble(Trouble::ReadOnly).await;
        let attempts = ear.attempts_within(Duration::from_secs(1)).await;
        assert!(attempts < 10, "{attempts} attempts in a second");
        redis.call(&["REPLICAOF", "NO", "ONE"]);
        ear.until_up().await;
        assert_eq!(ear.outcome(ear.count("")).await, done("3  1 - x"));
    });
}

#[test]
fn what_the_user_may_not_do_is_a_state() {
    let redis = start();
    redis.call(&[
        "ACL",
        "SETUSER",
        "node",
        "on",
        ">pw",
        "~*",
        "+@connection",
        "+@scripting",
        "+@pubsub",
        "+@read",
        "+@write",
    ]);
    let settings = RedisSettings {
        username: Some("node".to_owned()),
        password: Some("pw".to_owned()),
        ..settings(redis.port())
    };
    with_ear(settings, async |ear| {
        ear.until_trouble(Trouble::NotPermitted).await;
        let attempts = ear.attempts_within(Duration::from_secs(1)).await;
        assert!(attempts < 10, "{attempts} attempts in a second");
        redis.call(&["ACL", "SETUSER", "node", "&*"]);
        ear.until_up().await;
    });
}

#[test]
fn an_encrypted_connection_trusts_the_authority_that_was_named_and_no_other() {
    let mut redis = Redis::start(Options { has_tls: true, ..Options::default() });
    let known = RedisSettings {
        is_tls: true,
        ca_file: Some(redis.authority().to_owned()),
        ..settings(redis.tls_port())
    };
    let stranger = RedisSettings { ca_file: None, ..known.clone() };
    known.check().unwrap();
    with_ear(stranger, async |ear| ear.until_trouble(Trouble::Tls).await);
    with_ear(known, async |ear| {
        ear.client.watch(GROUP, b"a");
        ear.until_up().await;
        let long = "x".repeat(1 << 20);
        assert_eq!(ear.outcome(ear.command(&["ECHO", &long])).await, done(&long));
        for number in 0..5_000 {
            ear.client.publish(SLOT, b"a", format!("{number} {}", &long[..100]).as_bytes());
        }
        ear.until("all are heard", || ear.heard.borrow().len() == 5_000).await;
        redis.kill();
        ear.until_down().await;
        redis.restart();
        ear.until_up().await;
    });
    let missing = RedisSettings { ca_file: Some("/no/such/file".into()), is_tls: true, ..settings(1) };
    assert!(missing.check().unwrap_err().contains("/no/such/file"));
}

#[test]
fn a_server_without_room_for_clients_is_waited_for() {
    let redis = start();
    redis.call(&["CONFIG", "SET", "maxclients", "1"]);
    let guest = redis.connect();
    with_ear(settings(redis.port()), async |ear| {
        ear.until_trouble(Trouble::TooManyClients).await;
        drop(guest);
        ear.until_up().await;
    });
}

#[test]
fn pushes_may_come_behind_the_answers_of_their_publishes() {
    with_ear(settings(puppet::start(Manner::PushesLate)), async |ear| {
        ear.client.watch(GROUP, b"a");
        ear.until_up().await;
        ear.publish_and_hear("a", "hello").await;
        let metrics = ear.client.metrics().clone();
        ear.until("canaries came back", || metrics.round_trip.counts().sum::<u64>() >= 3).await;
        assert_eq!((metrics.canary_misses.get(), ear.ups.get()), (0, 1));
    });
}

#[test]
fn a_feed_that_is_deaf_while_commands_are_answered_is_found_out() {
    with_ear(settings(puppet::start(Manner::DeafAtFirst)), async |ear| {
        ear.until_up().await;
        assert!(ear.until_down().await <= DEAD_FEED);
        assert_eq!(ear.client.metrics().canary_misses.get(), 1);
        ear.until_up().await;
        let metrics = ear.client.metrics().clone();
        ear.until("a canary came back", || metrics.round_trip.counts().sum::<u64>() >= 1).await;
    });
}

#[test]
fn a_server_that_is_too_old_or_speaks_nonsense_is_a_state() {
    for manner in [Manner::IsOld, Manner::IsNearlyOld, Manner::Babbles] {
        with_ear(settings(puppet::start(manner)), async |ear| {
            ear.until_trouble(Trouble::Foreign).await;
            let attempts = ear.attempts_within(Duration::from_secs(1)).await;
            assert!(attempts < 10, "{manner:?}: {attempts} attempts in a second");
        });
    }
}
