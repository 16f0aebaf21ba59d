//! What users see of each other's presence over nodes.

use super::*;

/// A watcher on node 0 and a user on node 1, in one channel.
fn pair(nodes: &mut Nodes) -> (Client, Client) {
    let (watcher, watched) = (nodes.connect(0, "8"), nodes.connect(1, "7"));
    nodes.join(watcher, "a");
    nodes.join(watched, "a");
    (watcher, watched)
}

#[test]
fn a_user_on_another_node_comes_changes_and_goes_once() {
    for core_count in [1, 3] {
        let mut nodes = Nodes::new(3, core_count, &limits());
        let (watcher, watched) = pair(&mut nodes);
        assert_eq!(nodes.told(watcher, "7"), ["online"], "the user came");
        nodes.say(watched, "away");
        nodes.say(watched, "dnd");
        assert_eq!(nodes.told(watcher, "7"), ["away", "dnd"]);
        nodes.end(watched, Ending::Lost);
        nodes.pass(4_000);
        assert!(nodes.told(watcher, "7").is_empty(), "the grace");
        nodes.pass(30_000);
        assert_eq!(nodes.told(watcher, "7"), ["offline"]);
        nodes.end(watcher, Ending::Left);
        nodes.pass(30_000);
        assert_eq!([0, 1, 2].map(|node| nodes.holdings(node)), [0; 3]);
    }
}

#[test]
fn whoever_follows_a_user_hears_of_it_wherever_the_user_is() {
    let mut nodes = Nodes::new(2, 2, &limits());
    let watcher = nodes.connect(0, "8");
    nodes.event(watcher, r#"["presence:subscribe",{"userIds":["7"]}]"#);
    nodes.inbox(watcher);
    let watched = nodes.connect(1, "7");
    nodes.say(watched, "away");
    assert_eq!(nodes.told(watcher, "7"), ["online", "away"]);
    nodes.event(watcher, r#"["presence:get",{"userIds":["7"]}]"#);
    assert!(nodes.inbox(watcher).concat().contains(r#""status":"away""#));
}

#[test]
fn devices_on_all_nodes_make_one_status() {
    let mut nodes = Nodes::new(3, 2, &limits());
    let (watcher, phone) = pair(&mut nodes);
    nodes.inbox(watcher);
    let desk = nodes.connect(2, "7");
    assert!(nodes.told(watcher, "7").is_empty(), "a second device changes nothing");
    nodes.say(phone, "away");
    assert!(nodes.told(watcher, "7").is_empty(), "the other device is there");
    nodes.say(desk, "away");
    assert_eq!(nodes.told(watcher, "7"), ["away"]);
    nodes.say(phone, "dnd");
    nodes.say(desk, "online");
    assert_eq!(nodes.told(watcher, "7"), ["dnd", "online"], "the later word counts, wherever it is said");
    nodes.say(phone, "offline");
    assert_eq!(nodes.told(watcher, "7"), ["offline"]);
    assert_eq!([0, 1, 2].map(|node| nodes.shown(node, "7").0), ["offline"; 3]);
    nodes.end(phone, Ending::Left);
    nodes.pass(30_000);
    assert!(nodes.told(watcher, "7").is_empty(), "what was chosen holds for as long as a device is there");
    nodes.end(desk, Ending::Left);
    nodes.pass(30_000);
    let back = nodes.connect(2, "7");
    assert_eq!(nodes.shown(0, "7").0, "online", "nobody comes back invisible");
    nodes.end(back, Ending::Left);
}

#[test]
fn the_line_of_text_is_the_last_that_was_said_anywhere_and_ends_everywhere() {
    let mut nodes = Nodes::new(3, 1, &limits());
    let (phone, desk) = (nodes.connect(0, "7"), nodes.connect(1, "7"));
    let says = |text: &str| {
        format!(r#"["presence:update",{{"status":"online","customStatus":{{"text":"{text}"}}}}]"#)
    };
    nodes.event(phone, &says("one"));
    nodes.event(desk, &says("two"));
    let two = ("online", Some("two".to_owned()));
    assert_eq!([0, 1, 2].map(|node| nodes.shown(node, "7")), [two.clone(), two.clone(), two]);
    nodes.end(desk, Ending::Left);
    nodes.pass(10_000);
    assert_eq!(nodes.shown(2, "7").1.as_deref(), Some("two"), "said by the user, not by the device");
    nodes.end(phone, Ending::Left);
    nodes.pass(10_000);
    assert_eq!(nodes.shown(2, "7"), ("offline", None));
}

#[test]
fn a_user_who_moves_to_another_node_within_the_grace_is_never_away() {
    let mut nodes = Nodes::new(3, 2, &limits());
    let (watcher, watched) = pair(&mut nodes);
    nodes.inbox(watcher);
    nodes.end(watched, Ending::Lost);
    nodes.pass(2_000);
    let back = nodes.connect(2, "7");
    nodes.join(back, "a");
    nodes.pass(60_000);
    assert!(nodes.told(watcher, "7").is_empty());
    nodes.say(back, "away");
    assert_eq!(nodes.told(watcher, "7"), ["away"]);
}

#[test]
fn what_a_lost_device_said_does_not_weigh_against_what_is_said_on_another_node() {
    let mut nodes = Nodes::new(2, 1, &limits());
    let (watcher, watched) = pair(&mut nodes);
    nodes.end(watched, Ending::Lost);
    let back = nodes.connect(0, "7");
    nodes.inbox(watcher);
    nodes.join(back, "a");
    nodes.say(back, "away");
    assert_eq!(nodes.told(watcher, "7"), ["away"]);
}

#[test]
fn what_a_back_end_says_of_a_user_in_a_channel_is_told_on_all_nodes() {
    let mut nodes = Nodes::new(2, 1, &limits());
    let (watcher, _) = pair(&mut nodes);
    nodes.inbox(watcher);
    let deed =
        Deed::Ask(Question::SetPresence { user: "7".into(), status: protocol::chat::status::Status::Away });
    let Core { shard, out, .. } = &mut nodes.nodes[1].cores[0];
    shard.handle_call(Ticket(1), Caller::Server, "7".into(), "a".into(), deed, nodes.now, out);
    nodes.settle();
    assert_eq!(nodes.told(watcher, "7"), ["away"]);
}
