//! The promises of nodes that share a store, each with nodes of one core and a model of the store.

use super::super::trial_of_nodes::Nodes;
use crate::ids::SessionId;

/// Two nodes with a member each of channel `a`.
fn pair() -> (Nodes, SessionId, SessionId) {
    let mut nodes = Nodes::new(2);
    let (one, other) = (nodes.enter(0, 0, "7"), nodes.enter(1, 0, "8"));
    nodes.join(0, one, "a");
    nodes.join(1, other, "a");
    nodes.heard(0, one);
    nodes.heard(1, other);
    (nodes, one, other)
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
