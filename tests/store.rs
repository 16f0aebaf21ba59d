//! Two stores on one real Redis: what one node's shard asks, both nodes' shards hear. No shard is involved.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot start its stores fails")]

#[path = "store/desk.rs"]
mod desk;
#[path = "cluster/redis.rs"]
mod redis;

use std::collections::HashSet;

use core_shards::store::{
    CatchUp, CaughtUp, Known, Opened, StoreEvent, StoreRequest, Stored, Topic, Unanswered,
};
use core_shards::{Epoch, Offset, Partition};
use desk::{Desk, append};
use redis::{Options, Redis, RedisCluster};

/// A server and two nodes that hear it.
fn two_nodes() -> (Redis, Desk, Desk) {
    let redis = Redis::start(Options::default());
    let nodes = [1, 2].map(|number| Desk::start(&[redis.port()], number));
    let [one, other] = nodes;
    (redis, one, other)
}

fn known(opened: &Opened) -> Known {
    Known {
        channel: opened.channel.clone(),
        epoch: opened.epoch,
        offset: opened.offset,
        timestamp_ms: opened.timestamp_ms,
    }
}

fn payloads(entries: &[Stored]) -> Vec<String> {
    entries.iter().map(|stored| String::from_utf8_lossy(&stored.payload).into_owned()).collect()
}

fn catch_up(desk: &mut Desk, users_after: u64, channels: Vec<Known>) -> CaughtUp {
    let partition = desk.partition_of("general");
    desk.ask(StoreRequest::CatchUp(Box::new(CatchUp { partition, ticket: 7, users_after, channels })));
    desk.expect("what followed", |event| match event {
        StoreEvent::CaughtUp(caught_up) => Some(*caught_up),
        _ => None,
    })
}

#[test]
fn every_node_hears_all_publications_once_in_one_order() {
    let (_redis, one, other) = two_nodes();
    hear_in_one_order(one, other, "general");
}

#[test]
fn in_a_cluster_every_partition_is_in_one_order() {
    let cluster = RedisCluster::start(Options::default());
    let ports: Vec<u16> = cluster.nodes().iter().map(Redis::port).collect();
    for partition in 0..4 {
        let nodes = [1, 2].map(|number| Desk::start(&ports, number));
        let [one, other] = nodes;
        let name = (0..).map(|number| format!("channel-{number}"));
        let channel = name.into_iter().find(|name| one.partition_of(name) == Partition(partition)).unwrap();
        hear_in_one_order(one, other, &channel);
    }
}

fn hear_in_one_order(mut one: Desk, mut other: Desk, channel: &str) {
    let opened = [one.open(channel), other.open(channel)];
    assert_eq!((opened[0].epoch, opened[0].offset, opened[0].tail.len()), (opened[1].epoch, Offset(0), 0));
    const COUNT: u32 = 500;
    for number in 1..=COUNT {
        one.ask(append(&one, channel, number, &format!("one {number}")));
        other.ask(append(&other, channel, number, &format!("other {number}")));
    }
    let heard = [&mut one, &mut other].map(|desk| {
        let (mut heard, mut answered) = (Vec::new(), Vec::new());
        while heard.len() < 2 * COUNT as usize || answered.len() < COUNT as usize {
            match desk.next("publications and answers") {
                StoreEvent::Fed(stored) => heard.push(*stored),
                StoreEvent::Appended { number, place, known_as: None, .. } => answered.push((number, place)),
                event => panic!("{event:?}"),
            }
        }
        assert_eq!(
            answered.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            (1..=COUNT).collect::<Vec<_>>()
        );
        for (_, place) in answered {
            assert!(heard.iter().any(|stored| stored.place == place));
        }
        heard
    });
    let places = heard.each_ref().map(|heard| heard.iter().map(|stored| stored.place).collect::<Vec<_>>());
    assert_eq!(places[0], places[1]);
    assert_eq!(payloads(&heard[0]), payloads(&heard[1]));
    for (number, place) in (1..).zip(&places[0]) {
        assert_eq!((place.offset, place.number), (Offset(number), number));
    }
    assert!(
        places[0].is_sorted_by(|one, other| one.timestamp_ms < other.timestamp_ms),
        "times rise strictly"
    );
}

#[test]
fn who_opens_a_channel_is_told_what_is_kept_of_it() {
    let (_redis, mut one, mut other) = two_nodes();
    one.open("general");
    for number in 1..=3 {
        one.append("general", number, &number.to_string());
    }
    one.append_unkept("general", 4, "read");
    let opened = other.open("general");
    assert_eq!(payloads(&opened.tail), ["1", "2", "3"]);
    assert_eq!((opened.offset, opened.last_number, opened.head.number), (Offset(3), 3, 4));
    assert!(opened.timestamp_ms > opened.tail[2].place.timestamp_ms, "what is not kept has its time, too");
    other.ask(StoreRequest::Close("general".into()));
    one.append("general", 5, "after");
    assert_eq!(payloads(&other.open("general").tail), ["1", "2", "3", "after"]);
}

#[test]
fn a_retry_gets_the_place_of_the_first_whichever_node_it_comes_to() {
    let (_redis, mut one, mut other) = two_nodes();
    let first = one.append_once("general", 1, "hello", "ada\0general\0x");
    let retry = other.append_once("general", 1, "hello", "ada\0general\0x");
    assert_eq!((first.0, retry.0), (retry.0, first.0));
    assert_eq!((first.1, retry.1), (None, Some(desk::id(1, 1))));
    let fresh = other.append_once("general", 2, "hello", "ada\0general\0y");
    assert_eq!((fresh.0.offset, fresh.1), (Offset(2), None));
    // Who lost the answer sends it once more, though its number is not the next: a receipt is told, and none is made.
    let again = other.append_once("general", 1, "hello", "ada\0general\0x");
    assert_eq!((again.0, again.1), (first.0, Some(desk::id(1, 1))));
    let late = other.append_once("general", 2, "late", "ada\0general\0z");
    assert_eq!((late.0.number, late.1), (0, None));
    let next = other.append_once("general", 3, "hello", "ada\0general\0z");
    assert_eq!((next.0.offset, next.1), (Offset(3), None));
}

#[test]
fn who_lost_the_feed_is_told_what_followed_and_what_became_of_its_own() {
    let (_redis, mut one, mut other) = two_nodes();
    let quiet = one.open(&one.neighbour("general", 0));
    let busy = one.open("general");
    one.append("general", 1, "known");
    let known_place = one.heard("general");
    for number in 1..=3 {
        other.append("general", number, &format!("missed {number}"));
    }
    other.append_unkept("general", 4, "read");
    let known_busy = Known {
        offset: known_place.place.offset,
        timestamp_ms: known_place.place.timestamp_ms,
        ..known(&busy)
    };
    let caught_up = catch_up(&mut one, u64::MAX >> 24, vec![known(&quiet), known_busy]);
    assert_eq!((caught_up.ticket, caught_up.appended, caught_up.head.number), (7, 1, 5));
    assert_eq!(caught_up.channels.len(), 1, "the quiet one has nothing new");
    let progress = &caught_up.channels[0];
    assert_eq!((&*progress.channel, progress.epoch, progress.offset), ("general", busy.epoch, Offset(4)));
    assert_eq!(payloads(&progress.tail), ["known", "missed 1", "missed 2", "missed 3"]);
}

#[test]
fn a_catch_up_of_any_length_is_answered_as_one() {
    let (_redis, mut one, mut other) = two_nodes();
    let channels: Vec<String> = (0..1_100).map(|place| one.neighbour("general", place)).collect();
    let opened: Vec<Opened> = channels.iter().map(|channel| one.open(channel)).collect();
    for (channel, number) in channels.iter().zip(1..) {
        other.append(channel, number, channel);
    }
    let caught_up = catch_up(&mut one, u64::MAX >> 24, opened.iter().map(known).collect());
    assert_eq!(caught_up.head.number, 1_100);
    let told: HashSet<String> =
        caught_up.channels.iter().flat_map(|progress| payloads(&progress.tail)).collect();
    assert_eq!(told, channels.into_iter().collect());
}

#[test]
fn a_renounced_epoch_ends_for_every_channel_and_once() {
    let (_redis, mut one, mut other) = two_nodes();
    let before = one.open("general");
    one.append("general", 1, "before");
    let partition = one.partition_of("general");
    one.ask(StoreRequest::Renounce(partition, before.head.epoch));
    let caught_up = catch_up(&mut one, 0, vec![known(&before)]);
    assert_ne!(caught_up.head.epoch, before.head.epoch);
    assert_eq!(caught_up.channels.len(), 1);
    assert_ne!(caught_up.channels[0].epoch, before.epoch);
    assert_eq!(caught_up.channels[0].offset, Offset(1), "offsets go on");
    assert!(caught_up.channels[0].tail.is_empty(), "what was kept is of the former epoch");
    other.ask(StoreRequest::Renounce(partition, before.head.epoch));
    let place = other.append("general", 1, "after");
    assert_eq!((place.partition_epoch, place.epoch), (caught_up.head.epoch, caught_up.channels[0].epoch));
    assert_eq!(place.offset, Offset(2));
}

#[test]
fn what_a_broken_connection_delivers_late_is_not_carried_out_again() {
    let (_redis, mut one, mut other) = two_nodes();
    one.open("general");
    for number in [u32::MAX - 1, 3, 4] {
        assert_ne!(one.append("general", number, &format!("in turn {number}")).number, 0);
    }
    for number in [3, 4, u32::MAX] {
        let place = one.append("general", number, "late");
        assert_eq!((place.number, place.offset), (0, Offset(0)));
    }
    one.append_out_of_turn("general", 1, "refused before");
    one.append_out_of_turn("general", 4, "delivered late after it was sent again and refused");
    one.append("general", 5, "in turn 5");
    let told = ["in turn 4294967294", "in turn 3", "in turn 4", "refused before", "in turn 5"];
    assert_eq!(payloads(&other.open("general").tail), told);
    assert_eq!(other.append("general", 1, "another run's").offset, Offset(6));
}

#[test]
fn a_partition_whose_counter_was_deleted_goes_on() {
    let (redis, mut one, mut other) = two_nodes();
    let before = other.open("general");
    for number in 1..=3 {
        one.append("general", number, "before");
    }
    for key in redis.call(&["KEYS", "*:g"]).parts() {
        redis.call(&["DEL", &key.text()]);
    }
    let place = one.append("general", 4, "after");
    assert_ne!((place.partition_epoch, place.epoch), (before.head.epoch, before.epoch));
    assert_eq!((place.number, place.offset), (1, Offset(4)));
    assert_eq!(payloads(&other.open("general").tail), ["after"]);
}

#[test]
fn what_is_said_to_users_reaches_every_node_and_is_told_later() {
    let (_redis, mut one, mut other) = two_nodes();
    let room = one.neighbour("user:ada", 0);
    let partition = one.partition_of(&room);
    one.append(&room, 1, "first");
    assert_eq!(payloads(&[one.heard(&room), other.heard(&room)]), ["first", "first"]);
    one.append(&room, 2, "second");
    other.ask(StoreRequest::CatchUp(Box::new(CatchUp {
        partition,
        ticket: 1,
        users_after: 1,
        channels: vec![],
    })));
    let caught_up = other.expect("what was said to users", |event| match event {
        StoreEvent::CaughtUp(caught_up) => Some(caught_up),
        _ => None,
    });
    assert_eq!(payloads(caught_up.users.as_deref().unwrap()), ["second"]);
    assert_eq!(payloads(&other.open(&room).tail), ["first", "second"]);
}

#[test]
fn signals_reach_whom_they_are_for() {
    let (_redis, mut one, mut other) = two_nodes();
    other.open("general");
    let topics = [
        Topic::Channel("general".into()),
        Topic::Presence(Partition(3)),
        Topic::Everybody,
        Topic::Node(other.run()),
    ];
    for topic in &topics {
        one.ask(StoreRequest::Signal(topic.clone(), b"hello".to_vec()));
        let heard = other.expect("a signal", |event| match event {
            StoreEvent::Signal(topic, signal) => Some((topic, signal)),
            _ => None,
        });
        assert_eq!(heard, (topic.clone(), b"hello".to_vec()));
    }
    one.ask(StoreRequest::Signal(Topic::Node(one.run()), b"self".to_vec()));
    let heard = one.expect("only its own", |event| match event {
        StoreEvent::Signal(Topic::Node(run), signal) => Some((run, signal)),
        _ => None,
    });
    assert_eq!(heard, (one.run(), b"self".to_vec()));
}

#[test]
fn the_user_of_the_operators_page_may_do_all_that_a_store_does() {
    let page = include_str!("../docs/OPERATIONS.md");
    let rights = page.split_once("An ACL user needs `").unwrap().1.split_once('`').unwrap().0;
    let names = ["~test*", "~{test*", "&test*", "&{test*"];
    let redis = Redis::start(Options::default());
    let rule = ["ACL", "SETUSER", "chat", "on", ">hush"].into_iter().chain(names).chain(rights.split(' '));
    assert_eq!(redis.call(&rule.collect::<Vec<_>>()).text(), "OK");
    let [mut one, mut other] =
        [1, 2].map(|number| Desk::start_as(&[redis.port()], number, Some(("chat", "hush"))));
    one.open("general");
    one.append_once("general", 1, "hello", "key");
    assert_eq!(payloads(&other.open("general").tail), ["hello"]);
    catch_up(&mut other, 0, vec![]);
    one.ask(StoreRequest::NoteAbsences { user: "ada".into(), channels: vec![("a".into(), b"1".to_vec())] });
    take_turns_with_a_session(one, other);
    assert_eq!(redis.call(&["ACL", "LOG"]).parts(), []);
}

#[test]
fn a_session_is_taken_once() {
    let (_redis, one, other) = two_nodes();
    take_turns_with_a_session(one, other);
}

fn take_turns_with_a_session(mut one: Desk, mut other: Desk) {
    let pid = format!("{}00secret", one.run().as_str());
    let take = |desk: &mut Desk| {
        desk.ask(StoreRequest::TakeSession { pid: pid.as_str().into(), ticket: 3 });
        desk.expect("the session", |event| match event {
            StoreEvent::Taken { ticket: 3, record } => Some(record),
            _ => None,
        })
    };
    assert_eq!(take(&mut other), None);
    one.keep_session(&pid, b"record");
    assert_eq!(take(&mut other).as_deref(), Some(&b"record"[..]));
    assert_eq!((take(&mut one), take(&mut other)), (None, None));
    other.keep_session(&pid, b"moved");
    assert_eq!(take(&mut one).as_deref(), Some(&b"moved"[..]), "kept by the node that took it up");
    one.keep_session(&pid, b"again");
    one.ask(StoreRequest::DropSession { pid: pid.as_str().into() });
    assert_eq!(take(&mut one), None);
}

#[test]
fn leases_are_seen_by_all_and_end() {
    let (_redis, mut one, mut other) = two_nodes();
    let renew = |desk: &mut Desk, generation, is_last| {
        desk.ask(StoreRequest::Renew { generation, is_last });
        desk.expect("the leases", |event| match event {
            StoreEvent::Leases { was_held, was_any, mut alive } => {
                alive.sort_by_key(|(run, generation)| (run.as_str().to_owned(), *generation));
                Some((was_held, was_any, alive))
            }
            _ => None,
        })
    };
    let runs = (one.run(), other.run());
    assert_eq!(renew(&mut one, 0, false), (false, false, vec![(runs.0, 0)]));
    assert_eq!(renew(&mut one, 0, false), (true, true, vec![(runs.0, 0)]));
    assert_eq!(renew(&mut other, 4, false), (false, true, vec![(runs.0, 0), (runs.1, 4)]));
    assert_eq!(renew(&mut one, 0, true), (true, true, vec![(runs.1, 4)]));
}

#[test]
fn absences_are_noted_once_and_told_to_whoever_asks() {
    let (_redis, mut one, mut other) = two_nodes();
    let note = |channel: &str, known: &[u8]| StoreRequest::NoteAbsences {
        user: "ada".into(),
        channels: vec![(channel.into(), known.to_vec())],
    };
    let asked = |desk: &mut Desk| {
        desk.ask(StoreRequest::AskAbsences { user: "ada".into(), ticket: 5 });
        let mut channels = desk.expect("the absences", |event| match event {
            StoreEvent::Absences { ticket: 5, channels } => Some(channels),
            _ => None,
        });
        channels.sort();
        channels
    };
    one.ask(note("a", b"1"));
    one.ask(note("b", b"2"));
    one.ask(note("a", b"3"));
    assert_eq!(asked(&mut one), [("a".into(), b"1".to_vec()), ("b".into(), b"2".to_vec())]);
    other.ask(StoreRequest::EndAbsence { user: "ada".into(), channel: "a".into() });
    assert_eq!(asked(&mut other), [("b".into(), b"2".to_vec())]);
}

#[test]
fn a_redis_that_forgot_everything_is_found_out_by_its_epoch() {
    let (mut redis, mut one, _other) = two_nodes();
    let before = one.open("general");
    one.append("general", 1, "lost");
    one.heard("general");
    redis.kill();
    let partition = one.partition_of("general");
    one.expect("the loss", |event| match event {
        StoreEvent::Down(down) => (down == partition).then_some(()),
        _ => None,
    });
    one.ask(StoreRequest::Open("another".into()));
    let refused = one.expect("a refusal", |event| match event {
        StoreEvent::Refused(refused) => Some(refused.request),
        _ => None,
    });
    assert!(matches!(refused, Unanswered::Open(channel) if &*channel == "another"));
    redis.restart_empty();
    one.expect("the return", |event| match event {
        StoreEvent::Up(up) => (up == partition).then_some(()),
        _ => None,
    });
    let caught_up = catch_up(&mut one, 1, vec![known(&before)]);
    assert_ne!(caught_up.head.epoch, before.head.epoch);
    let epoch: Epoch = caught_up.channels[0].epoch;
    assert!(epoch != before.epoch && caught_up.channels[0].offset == Offset(0) && caught_up.appended == 0);
    one.append("general", 2, "heard");
    let heard = one.heard("general");
    assert_eq!((heard.place.epoch, heard.place.offset), (epoch, Offset(1)));
}
