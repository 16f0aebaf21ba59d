//! Who is in channels, over nodes.

use super::*;

#[test]
fn members_of_all_nodes_are_listed_and_counted() {
    for core_count in [1, 3] {
        let mut nodes = Nodes::new(3, core_count, &limits());
        let first = nodes.connect(0, "7");
        nodes.join(first, "a");
        let second = nodes.connect(1, "8");
        nodes.join(second, "a");
        let third = nodes.connect(2, "9");
        nodes.join(third, "a");
        let heard = nodes.inbox(third).concat();
        assert!(heard.contains(r#""total":3"#), "{heard}");
        for node in 0..3 {
            assert_eq!(nodes.users_in(node, "a"), ["7", "8", "9"], "node {node}");
        }
        nodes.leave(second, "a");
        for node in 0..3 {
            assert_eq!(nodes.users_in(node, "a"), ["7", "9"], "node {node}");
        }
    }
}

#[test]
fn a_node_that_starts_later_knows_who_is_there() {
    let mut nodes = Nodes::new(1, 2, &limits());
    let clients: Vec<Client> = (0..40).map(|user| nodes.connect(0, &user.to_string())).collect();
    for client in &clients {
        nodes.join(*client, "a");
    }
    nodes.say(clients[3], "away");
    let late = nodes.start(3, &limits());
    nodes.pass(1_000);
    assert_eq!(nodes.users_in(late, "a").len(), 40);
    assert_eq!(nodes.shown(late, "3").0, "away");
}

#[test]
fn a_channel_that_is_big_on_other_nodes_is_told_in_batches_from_the_first_member_on() {
    let mut nodes = Nodes::new(2, 2, &limits());
    let clients: Vec<Client> = (0..600).map(|user| nodes.connect(0, &user.to_string())).collect();
    for client in &clients {
        nodes.join(*client, "a");
    }
    let late = nodes.connect(1, "late");
    nodes.join(late, "a");
    nodes.pass(10_000);
    nodes.inbox(late);
    nodes.say(clients[7], "away");
    nodes.pass(2_000);
    let heard = nodes.inbox(late);
    assert!(heard.iter().all(|packet| !packet.starts_with(r#"42["presence","#)), "{heard:?}");
    let batches = heard.iter().filter(|packet| packet.starts_with(r#"42["presence:bulk","#));
    assert!(batches.into_iter().any(|packet| packet.contains(r#""userId":"7""#)), "{heard:?}");
}

#[test]
fn a_user_with_devices_on_two_nodes_is_one_member() {
    let mut nodes = Nodes::new(2, 2, &limits());
    let watcher = nodes.connect(0, "8");
    nodes.event(watcher, r#"["room:join",{"roomName":"a"}]"#);
    let (here, there) = (nodes.connect(0, "7"), nodes.connect(1, "7"));
    nodes.inbox(watcher);
    let moved = |nodes: &mut Nodes, event: &str| {
        let heard = nodes.inbox(watcher);
        heard.iter().filter(|packet| packet.starts_with(&format!(r#"42["{event}""#))).count()
    };
    nodes.join(there, "a");
    assert_eq!(moved(&mut nodes, "user:joined"), 1);
    nodes.join(here, "a");
    assert_eq!(moved(&mut nodes, "user:joined"), 0, "known already");
    assert_eq!(nodes.users_in(0, "a"), ["7", "8"]);
    nodes.leave(there, "a");
    assert_eq!(moved(&mut nodes, "user:left"), 0, "still there");
    nodes.leave(here, "a");
    assert_eq!(moved(&mut nodes, "user:left"), 1);
    assert_eq!(
        (nodes.users_in(0, "a"), nodes.users_in(1, "a")),
        (vec!["8".to_owned()], vec!["8".to_owned()])
    );
}

#[test]
fn typing_is_told_on_all_nodes_and_ends() {
    let mut nodes = Nodes::new(2, 2, &limits());
    let (watcher, typist) = (nodes.connect(0, "8"), nodes.connect(1, "7"));
    nodes.join(watcher, "a");
    nodes.join(typist, "a");
    let told = |nodes: &mut Nodes| {
        let heard = nodes.inbox(watcher).into_iter();
        let heard = heard.filter(|packet| packet.starts_with(r#"42["typing""#));
        heard.map(|packet| packet.contains(r#""isTyping":true"#)).collect::<Vec<_>>()
    };
    let types = |nodes: &mut Nodes, is_typing: bool| {
        let text = format!(r#"["typing",{{"channelId":"a","threadId":"t","isTyping":{is_typing}}}]"#);
        nodes.event(typist, &text);
    };
    types(&mut nodes, true);
    types(&mut nodes, true);
    assert_eq!(told(&mut nodes), [true]);
    types(&mut nodes, false);
    assert_eq!(told(&mut nodes), [false]);
    types(&mut nodes, true);
    assert_eq!(told(&mut nodes), [true]);
    nodes.end(typist, Ending::Left);
    assert_eq!(told(&mut nodes), [false]);
    nodes.pass(10_000);
    assert!(told(&mut nodes).is_empty());
}

#[test]
fn typing_on_a_node_that_dies_ends_by_itself() {
    let mut nodes = Nodes::new(2, 1, &limits());
    let (watcher, typist) = (nodes.connect(0, "8"), nodes.connect(1, "7"));
    nodes.join(watcher, "a");
    nodes.join(typist, "a");
    nodes.event(typist, r#"["typing",{"channelId":"a","isTyping":true}]"#);
    nodes.inbox(watcher);
    nodes.kill(1);
    nodes.pass(4_000);
    let heard = nodes.inbox(watcher);
    assert!(heard.iter().any(|packet| packet.contains(r#""isTyping":false"#)), "{heard:?}");
}
