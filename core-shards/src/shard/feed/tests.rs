//! The promises of nodes that share a store, each with nodes of one core and a model of the store.

use super::super::trial;
use super::super::trial_of_nodes::Nodes;
use crate::ids::SessionId;

/// Two nodes with a member each of channel `a`.
fn pair() -> (Nodes, SessionId, SessionId) {
    let mut nodes = Nodes::new(2);
    let (one, other) = members(&mut nodes);
    (nodes, one, other)
}

/// A member of a channel at each of the first two nodes.
fn members(nodes: &mut Nodes) -> (SessionId, SessionId) {
    let (one, other) = (nodes.enter(0, 0, "7"), nodes.enter(1, 0, "8"));
    nodes.join(0, one, "a");
    nodes.join(1, other, "a");
    nodes.heard(0, one);
    nodes.heard(1, other);
    (one, other)
}

/// The first of these names that is in the partition of channel `a`: a user's room, or a channel.
fn beside_a(nodes: &Nodes, prefix: &str) -> String {
    let placement = &nodes.nodes[0].shard.placement;
    let mut names = (10..99).map(|number| format!("{prefix}{number}"));
    names.find(|name| placement.partition_of(name) == placement.partition_of("a")).unwrap()
}

#[test]
fn a_message_reaches_the_members_of_every_node_once_and_its_sender_last_hears_that() {
    for answers_first in [false, true] {
        let (mut nodes, one, other) = pair();
        nodes.store.answers_first = answers_first;
        nodes.nodes[0].event(one, r#"["message:send",{"channelId":"a","content":"x"}]"#, Some(1));
        assert_eq!(nodes.nodes[0].inbox(one), Vec::<String>::new(), "the store orders");
        nodes.settle();
        let heard = nodes.nodes[0].inbox(one);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].starts_with(r#"42["message","#) && heard[0].contains(r#""offset":1"#), "{heard:?}");
        assert!(heard[1].starts_with(r#"431[{"success":true"#), "{heard:?}");
        assert_eq!(nodes.heard(1, other), ["x"]);
        assert_eq!(nodes.nodes[0].shard.holdings().store_waits, 0);
    }
}

#[test]
fn every_node_hands_out_the_same_order() {
    let (mut nodes, one, other) = pair();
    for number in 0..10 {
        nodes.nodes[0].say(one, "a", &format!("x{number}"));
        nodes.nodes[1].say(other, "a", &format!("y{number}"));
    }
    nodes.settle();
    let heard = nodes.heard(0, one);
    assert_eq!(heard.len(), 20);
    assert_eq!(nodes.heard(1, other), heard);
}

#[test]
fn local_delivery_goes_on_while_the_store_is_away_and_everybody_gets_everything_once() {
    let (mut nodes, one, other) = pair();
    nodes.say(0, one, "a", "before");
    nodes.cut(0, 0);
    nodes.say(0, one, "a", "mine");
    nodes.say(1, other, "a", "theirs");
    assert_eq!(nodes.heard(0, one), ["before", "mine"]);
    assert_eq!(nodes.heard(1, other), ["before", "theirs"]);
    nodes.connect_all();
    assert_eq!(nodes.heard(0, one), ["theirs"]);
    assert_eq!(nodes.heard(1, other), ["mine"]);
    nodes.say(0, one, "a", "after");
    assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (vec!["after".into()], vec!["after".into()]));
    assert_eq!(nodes.nodes[0].shard.holdings().store_waits, 0);
}

#[test]
fn what_was_on_its_way_when_the_line_broke_is_appended_once_whether_or_not_it_had_been() {
    for answers_first in [false, true] {
        for done in 0..=3 {
            let (mut nodes, one, other) = pair();
            nodes.store.answers_first = answers_first;
            for content in ["1", "2", "3"] {
                let text = format!(r#"["message:send",{{"channelId":"a","content":"{content}"}}]"#);
                nodes.nodes[0].event(one, &text, Some(1));
            }
            nodes.cut(0, done);
            let heard = nodes.nodes[0].inbox(one);
            assert_eq!(heard.len(), 3, "handed out, and not acknowledged: {heard:?}");
            nodes.connect_all();
            let acks = nodes.nodes[0].inbox(one);
            assert_eq!(acks.len(), 3, "{done}: {acks:?}");
            assert!(acks.iter().all(|ack| ack.starts_with(r#"431[{"success":true"#)), "{acks:?}");
            assert_eq!(nodes.heard(1, other), ["1", "2", "3"], "{done}");
        }
    }
}

#[test]
fn an_outage_during_the_repair_of_the_one_before_doubles_nothing() {
    for done in 0..=8 {
        let (mut nodes, one, other) = pair();
        nodes.cut(0, 0);
        for content in ["1", "2", "3"] {
            nodes.say(0, one, "a", content);
        }
        nodes.store.connect(0);
        // Of the catch-up and the appends that follow it some are done.
        for _ in 0..done {
            nodes.step(0);
        }
        nodes.cut(0, done % 3);
        nodes.say(0, one, "a", "4");
        nodes.connect_all();
        assert_eq!(nodes.heard(0, one), ["1", "2", "3", "4"], "{done}");
        assert_eq!(nodes.heard(1, other), ["1", "2", "3", "4"], "{done}");
    }
}

#[test]
fn a_read_on_its_way_is_told_once() {
    for done in [0, 1] {
        let (mut nodes, one, other) = pair();
        nodes.nodes[0].event(one, r#"["read",{"channelId":"a","messageId":"m"}]"#, Some(1));
        nodes.cut(0, done);
        nodes.connect_all();
        let heard = nodes.nodes[1].inbox(other);
        assert_eq!(heard.iter().filter(|packet| packet.starts_with(r#"42["read""#)).count(), 1, "{heard:?}");
    }
}

#[test]
fn more_than_is_kept_is_announced() {
    let (mut nodes, one, other) = pair();
    nodes.store.history_size_max = 3;
    nodes.say(0, one, "a", "0");
    nodes.cut(1, 0);
    for content in ["1", "2", "3", "4", "5"] {
        nodes.say(0, one, "a", content);
    }
    nodes.heard(1, other);
    nodes.connect_all();
    assert_eq!(nodes.heard(1, other), ["!gap", "3", "4", "5"]);
    assert_eq!(nodes.nodes[1].metrics.gaps.get(), 1);
    nodes.say(0, one, "a", "6");
    assert_eq!(nodes.heard(1, other), ["6"]);
}

#[test]
fn a_store_that_comes_back_empty_is_announced_to_everybody_and_loses_nothing_of_the_outage() {
    let (mut nodes, one, other) = pair();
    nodes.say(0, one, "a", "1");
    nodes.store.kill();
    nodes.settle();
    nodes.say(0, one, "a", "2");
    nodes.say(1, other, "a", "3");
    assert_eq!((nodes.heard(0, one).len(), nodes.heard(1, other).len()), (2, 2));
    nodes.store.restart_empty();
    nodes.connect_all();
    // What the other said comes behind that, or is in the past that is to be fetched.
    assert_eq!(nodes.heard(0, one)[0], "!epoch");
    assert_eq!(nodes.heard(1, other)[0], "!epoch");
    let synced = nodes.ask_for(1, other, r#"["sync:messages",{"channelId":"a"}]"#);
    assert!(synced[0].contains(r#""content":"2""#) && synced[0].contains(r#""content":"3""#), "{synced:?}");
    nodes.say(1, other, "a", "4");
    assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (vec!["4".into()], vec!["4".into()]));
}

#[test]
fn a_store_that_comes_back_with_its_memory_leaves_no_gap() {
    let (mut nodes, one, other) = pair();
    nodes.say(0, one, "a", "1");
    nodes.store.kill();
    nodes.settle();
    nodes.say(0, one, "a", "2");
    nodes.say(1, other, "a", "3");
    nodes.store.restart();
    nodes.connect_all();
    assert_eq!(nodes.heard(0, one), ["1", "2", "3"]);
    assert_eq!(nodes.heard(1, other), ["1", "3", "2"]);
    assert_eq!(nodes.nodes[0].metrics.gaps.get() + nodes.nodes[1].metrics.gaps.get(), 0);
}

#[test]
fn a_fail_over_that_lost_the_end_is_found_out_and_announced() {
    // Who appends first after the fail-over, and how much: less, as much or more than was lost.
    for appended in 0..4 {
        for first in [0, 1] {
            let (mut nodes, one, other) = pair();
            nodes.say(0, one, "a", "1");
            nodes.store.replicate();
            // The other node does not hear of what is lost.
            nodes.cut(1, 0);
            nodes.say(0, one, "a", "2");
            nodes.say(0, one, "a", "3");
            nodes.store.fail_over();
            nodes.settle();
            nodes.heard(0, one);
            nodes.heard(1, other);
            nodes.pass(5);
            nodes.store.connect(first);
            nodes.settle();
            for number in 0..appended {
                nodes.say(1, other, "a", &format!("x{number}"));
            }
            nodes.connect_all();
            let heard = nodes.heard(0, one);
            assert_eq!(heard[0], "!epoch", "{appended} {first}: {heard:?}");
            let heard = nodes.heard(1, other);
            assert!(heard.contains(&"!epoch".into()), "before anything is said: {heard:?}");
            nodes.say(0, one, "a", "end");
            assert_eq!(nodes.heard(0, one).last().map(String::as_str), Some("end"));
            assert_eq!(nodes.heard(1, other).last().map(String::as_str), Some("end"));
            assert!(nodes.nodes[0].metrics.tails_lost.get() > 0);
        }
    }
}

#[test]
fn a_channel_that_is_opened_while_its_epoch_ends_is_in_the_next_one() {
    let (mut nodes, one, _) = pair();
    nodes.store.replicate();
    nodes.say(0, one, "a", "1");
    nodes.store.fail_over();
    nodes.settle();
    let channel = beside_a(&nodes, "c");
    let early = nodes.enter(1, 5, "9");
    nodes.join(1, early, &channel);
    // This node finds out that the end is lost, and asked for the channel's past before.
    nodes.store.connect(1);
    nodes.settle();
    nodes.connect_all();
    let join = format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#);
    let epochs = [0, 1].map(|node| {
        let late = nodes.enter(node, 6, "5");
        let joined = nodes.ask_for(node, late, &join);
        trial::text(&joined[0], "epoch").to_owned()
    });
    assert_eq!(epochs[0], epochs[1]);
    let told = nodes.nodes[1].inbox(early);
    let last = told.iter().rev().find(|packet| packet.starts_with(r#"42["sync:required","#)).unwrap();
    assert_eq!(trial::text(last, "epoch"), epochs[0]);
}

#[test]
fn what_another_node_appends_again_after_a_lost_end_is_not_handed_out_again() {
    // The replica has the channel, or nothing of it.
    for has_channel in [true, false] {
        let mut nodes = Nodes::new(3);
        nodes.store.replicate();
        let (one, other) = members(&mut nodes);
        let room = beside_a(&nodes, "user:");
        let user = nodes.enter(1, 1, &room["user:".len()..]);
        if has_channel {
            nodes.store.replicate();
        }
        nodes.nodes[0].say(one, "a", "1");
        nodes.ask();
        // It is appended and heard by the other node; the answer does not come, and the replica does not have it.
        nodes.store.carry_out(0);
        nodes.hear(1);
        assert_eq!(nodes.heard(1, other), ["1"]);
        nodes.store.fail_over();
        nodes.settle();
        nodes.pass(5);
        nodes.store.connect(if has_channel { 1 } else { 2 });
        nodes.settle();
        // As many as were lost: by their count nobody finds out.
        nodes.post(2, "a", "x");
        nodes.post(2, "a", "y");
        nodes.connect_all();
        assert_eq!(nodes.heard(0, one).iter().filter(|heard| *heard == "1").count(), 1);
        assert_eq!(nodes.heard(1, other), ["!epoch", "x", "y"]);
        let told = nodes.nodes[1].inbox(user);
        assert!(told.iter().any(|packet| packet.starts_with(r#"42["sync:required","#)), "{told:?}");
    }
}

#[test]
fn a_channel_joined_during_an_outage_is_told_when_its_past_is_known() {
    let (mut nodes, one, _) = pair();
    nodes.say(0, one, "b", "nobody is in it");
    nodes.join(0, one, "b");
    nodes.say(0, one, "b", "1");
    nodes.cut(1, 0);
    let late = nodes.enter(1, 7, "9");
    let text = r#"["channel:join",{"channelId":"b","since":1}]"#;
    let joined = nodes.ask_for(1, late, text);
    assert!(joined[0].contains(r#""recovered":false"#), "{joined:?}");
    nodes.say(1, late, "b", "2");
    assert_eq!(nodes.heard(1, late), ["2"]);
    nodes.heard(0, one);
    nodes.connect_all();
    assert_eq!(nodes.heard(1, late), ["!epoch"]);
    assert_eq!(nodes.heard(0, one), ["2"]);
    nodes.say(0, one, "b", "3");
    assert_eq!(nodes.heard(1, late), ["3"]);
}

#[test]
fn a_start_without_the_store_serves_its_own_members_and_joins_the_others_later() {
    let mut nodes = Nodes::away(2, &super::super::trial::quiet());
    let (one, other) = (nodes.enter(0, 0, "7"), nodes.enter(1, 0, "8"));
    nodes.join(0, one, "a");
    nodes.join(1, other, "a");
    nodes.say(0, one, "a", "1");
    nodes.say(1, other, "a", "2");
    assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (vec!["1".into()], vec!["2".into()]));
    assert_eq!(nodes.nodes[0].metrics.partitions[0].get(), 2);
    nodes.connect_all();
    assert_eq!(nodes.nodes[0].metrics.partitions[2].get(), 2);
    // Both are told, and what was said before is in the past or comes.
    assert!(nodes.heard(0, one).contains(&"!epoch".into()));
    assert!(nodes.heard(1, other).contains(&"!epoch".into()));
    nodes.say(0, one, "a", "3");
    assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (vec!["3".into()], vec!["3".into()]));
    let synced = nodes.ask_for(1, other, r#"["sync:messages",{"channelId":"a"}]"#);
    assert!(["1", "2", "3"].iter().all(|content| synced[0].contains(&format!(r#""content":"{content}""#))));
}

#[test]
fn a_full_store_refuses_by_an_explicit_error_and_what_was_handed_out_reaches_it_later() {
    let (mut nodes, one, other) = pair();
    nodes.store.is_full = true;
    let refused = nodes.ask_for(0, one, r#"["message:send",{"channelId":"a","content":"1"}]"#);
    assert!(refused[0].contains("SERVER_BUSY") && refused[0].contains("retryAfter"), "{refused:?}");
    assert_eq!(nodes.heard(0, one), Vec::<String>::new());
    nodes.cut(0, 0);
    nodes.say(0, one, "a", "2");
    nodes.connect_all();
    nodes.say(0, one, "a", "3");
    assert_eq!(nodes.heard(0, one), ["2", "3"], "it is as good as away");
    for _ in 0..3 {
        nodes.pass(1_000);
    }
    assert_eq!(nodes.heard(1, other), Vec::<String>::new());
    assert!(nodes.nodes[0].metrics.catch_ups.get() < 12, "it is not asked without end");
    nodes.store.is_full = false;
    nodes.pass(1_000);
    nodes.pass(1_000);
    assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (Vec::new(), vec!["2".into(), "3".into()]));
}

#[test]
fn a_retry_on_another_node_is_answered_with_the_first_receipt() {
    let (mut nodes, one, other) = pair();
    let send = r#"["message:send",{"channelId":"a","content":"x","clientMessageId":"k"}]"#;
    let first = nodes.ask_for(0, one, send);
    let again = nodes.enter(1, 7, "7");
    nodes.join(1, again, "a");
    assert_eq!(nodes.ask_for(1, again, send), first);
    assert_eq!(nodes.heard(1, other), ["x"]);
}

/// A message that its sender says again until it is acknowledged, wherever the sender is.
const INSISTED: &str = r#"["message:send",{"channelId":"a","content":"x","clientMessageId":"k"}]"#;

/// Sends it for a user who is in the channel at this node, and returns the session.
fn insist(nodes: &mut Nodes, node: usize) -> SessionId {
    let sender = nodes.enter(node, 9, "9");
    nodes.join(node, sender, "a");
    nodes.nodes[node].event(sender, INSISTED, Some(1));
    nodes.settle();
    sender
}

#[test]
fn a_retry_at_a_node_that_is_cut_off_tells_nobody_twice_what_the_feed_had_brought() {
    for done in [0, 1] {
        let (mut nodes, _, other) = pair();
        insist(&mut nodes, 0);
        assert_eq!(nodes.heard(1, other), ["x"]);
        // The retry comes before the line breaks, or after it.
        let retrying = nodes.enter(1, 9, "9");
        nodes.join(1, retrying, "a");
        if done == 1 {
            nodes.cut(1, 0);
        }
        nodes.nodes[1].event(retrying, INSISTED, Some(1));
        nodes.cut(1, 0);
        assert_eq!(nodes.heard(1, other), [""; 0]);
        nodes.nodes[1].inbox(retrying);
        nodes.connect_all();
        assert_eq!(nodes.heard(1, other), [""; 0]);
        nodes.nodes[1].event(retrying, INSISTED, Some(2));
        nodes.settle();
        let told = nodes.nodes[1].inbox(retrying);
        assert!(told.iter().any(|packet| packet.starts_with(r#"432[{"success":true"#)), "{told:?}");
        nodes.say(1, retrying, "a", "y");
        assert_eq!(nodes.heard(1, other), ["y"]);
        assert_eq!(nodes.nodes[1].shard.holdings().store_waits, 0);
    }
}

#[test]
fn a_retry_at_a_node_that_is_cut_off_tells_nobody_twice_what_the_past_had() {
    let mut nodes = Nodes::new(2);
    insist(&mut nodes, 0);
    let reader = nodes.enter(1, 3, "3");
    let joined = nodes.ask_for(1, reader, r#"["channel:join",{"channelId":"a","since":1}]"#);
    assert!(joined[0].contains(r#""content":"x""#), "{joined:?}");
    nodes.cut(1, 0);
    let retrying = insist(&mut nodes, 1);
    assert_eq!(nodes.heard(1, reader), [""; 0]);
    nodes.nodes[1].inbox(retrying);
    nodes.connect_all();
    let told = nodes.nodes[1].inbox(retrying);
    assert!(told.iter().any(|packet| packet.starts_with(r#"431[{"success":true"#)), "{told:?}");
    assert_eq!(nodes.heard(1, reader), [""; 0]);
}

#[test]
fn a_message_that_two_nodes_hand_out_while_they_are_cut_off_is_told_nobody_twice() {
    for first in [0, 1] {
        let (mut nodes, one, other) = pair();
        nodes.cut(0, 0);
        nodes.cut(1, 0);
        let senders = [insist(&mut nodes, 0), insist(&mut nodes, 1)];
        assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (vec!["x".into()], vec!["x".into()]));
        senders.iter().enumerate().for_each(|(node, sender)| drop(nodes.nodes[node].inbox(*sender)));
        nodes.store.connect(first);
        nodes.settle();
        nodes.connect_all();
        assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (vec![], vec![]));
        for (node, sender) in senders.into_iter().enumerate() {
            let told = nodes.nodes[node].inbox(sender);
            assert!(told.iter().any(|packet| packet.starts_with(r#"431[{"success":true"#)), "{told:?}");
        }
        nodes.say(0, one, "a", "y");
        assert_eq!((nodes.heard(0, one), nodes.heard(1, other)), (vec!["y".into()], vec!["y".into()]));
    }
}

#[test]
fn what_is_said_to_a_user_reaches_the_devices_on_every_node_once() {
    let (mut nodes, one, _) = pair();
    let device = nodes.enter(1, 7, "7");
    nodes.join(1, device, "user:7");
    nodes.heard(0, one);
    nodes.heard(1, device);
    nodes.post(1, "user:7", "1");
    assert_eq!((nodes.heard(0, one), nodes.heard(1, device)), (vec!["1".into()], vec!["1".into()]));
    nodes.cut(0, 0);
    nodes.post(1, "user:7", "2");
    nodes.post(0, "user:7", "3");
    assert_eq!((nodes.heard(0, one), nodes.heard(1, device)), (vec!["3".into()], vec!["2".into()]));
    nodes.connect_all();
    assert_eq!((nodes.heard(0, one), nodes.heard(1, device)), (vec!["2".into()], vec!["3".into()]));
}

#[test]
fn what_is_said_to_a_user_whose_room_is_opened_during_a_repair_reaches_it() {
    let (mut nodes, one, _) = pair();
    let room = beside_a(&nodes, "user:");
    let device = nodes.enter(1, 7, &room["user:".len()..]);
    nodes.store.loses_pushes = true;
    nodes.say(0, one, "a", "1");
    nodes.store.loses_pushes = false;
    // The second node opens the room, to publish there. Before that is done, the first one lets it see that it missed
    // something, and publishes there, too.
    nodes.call(1, &room, "2");
    nodes.ask();
    nodes.call(0, &room, "3");
    nodes.nodes[0].say(one, "a", "4");
    for _ in 0..8 {
        nodes.ask();
        nodes.store.carry_out(0);
        nodes.hear(0);
    }
    nodes.hear(1);
    assert_eq!(nodes.heard(1, device), ["1"; 0]);
    nodes.settle();
    assert_eq!(nodes.heard(1, device), ["3", "2"]);
}

#[test]
fn a_channel_that_nobody_is_in_is_closed_after_a_while_and_has_its_past_when_somebody_comes() {
    let (mut nodes, one, other) = pair();
    nodes.say(0, one, "a", "1");
    nodes.nodes[1].end(other, super::super::Ending::Left);
    for _ in 0..90 {
        nodes.pass(1_000);
    }
    assert_eq!(nodes.nodes[1].shard.holdings().homes, 0);
    let late = nodes.enter(1, 3, "9");
    let joined = nodes.ask_for(1, late, r#"["channel:join",{"channelId":"a","since":1}]"#);
    assert!(joined[0].contains(r#""offset":1"#), "{joined:?}");
    let synced = nodes.ask_for(1, late, r#"["sync:messages",{"channelId":"a"}]"#);
    assert!(synced[0].contains(r#""content":"1""#), "{synced:?}");
    nodes.say(0, one, "a", "2");
    assert_eq!(nodes.heard(1, late), ["2"]);
}

#[test]
fn a_crowded_queue_refuses_and_takes_again() {
    let (mut nodes, one, other) = pair();
    nodes.cut(0, 0);
    let long = "x".repeat(9_000);
    let count = crate::limits::APPENDS_BYTES_MAX / 9_000 + 10;
    for _ in 0..count {
        nodes.nodes[0].say(one, "a", &long);
    }
    nodes.nodes[0].inbox(one);
    let refused = nodes.ask_for(0, one, r#"["message:send",{"channelId":"a","content":"1"}]"#);
    assert!(refused[0].contains("SERVER_BUSY"), "{refused:?}");
    nodes.connect_all();
    let taken = nodes.ask_for(0, one, r#"["message:send",{"channelId":"a","content":"1"}]"#);
    assert!(taken[0].contains(r#""success":true"#), "{taken:?}");
    let refused_count = nodes.nodes[0].metrics.appends_refused.get() as usize;
    assert_eq!(nodes.heard(1, other).len(), count + 1 - (refused_count - 1));
}

#[test]
fn what_the_feed_left_out_is_fetched_and_handed_out_in_its_order() {
    let (mut nodes, one, other) = pair();
    nodes.join(0, one, "b");
    nodes.say(0, one, "a", "1");
    nodes.heard(0, one);
    nodes.heard(1, other);
    nodes.store.loses_pushes = true;
    nodes.say(0, one, "a", "2");
    nodes.post(1, "user:7", "3");
    nodes.say(0, one, "a", "4");
    nodes.store.loses_pushes = false;
    nodes.say(0, one, "b", "5");
    assert_eq!(nodes.heard(0, one), ["5"]);
    nodes.say(1, other, "a", "6");
    assert_eq!(nodes.heard(1, other), ["2", "4", "6"]);
    let heard = nodes.heard(0, one);
    assert!(heard == ["2", "3", "4", "6"] || heard == ["2", "4", "6"], "{heard:?}");
    nodes.pass(2_000);
    assert_eq!(nodes.nodes[0].shard.holdings().store_waits, 0);
}

#[test]
fn the_last_that_the_feed_left_out_is_missed_by_whoever_sent_it() {
    let (mut nodes, one, _) = pair();
    nodes.store.loses_pushes = true;
    let ack = nodes.ask_for(0, one, r#"["message:send",{"channelId":"a","content":"1"}]"#);
    assert!(ack.is_empty(), "{ack:?}");
    nodes.store.loses_pushes = false;
    nodes.pass(1_100);
    let heard = nodes.nodes[0].inbox(one);
    assert!(heard.iter().any(|packet| packet.contains(r#""content":"1""#)), "{heard:?}");
    assert!(heard.iter().any(|packet| packet.starts_with("431[")), "{heard:?}");
}
