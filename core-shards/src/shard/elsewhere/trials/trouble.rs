//! Nodes that die, freeze and are cut off, and signals that are lost.

use super::*;

fn watched_pair(nodes: &mut Nodes) -> (Client, Client) {
    let (watcher, watched) = (nodes.connect(0, "8"), nodes.connect(1, "7"));
    nodes.join(watcher, "a");
    nodes.join(watched, "a");
    nodes.pass(2_000);
    nodes.inbox(watcher);
    (watcher, watched)
}

#[test]
fn the_users_of_a_node_that_died_leave_once_within_lease_and_grace() {
    for core_count in [1, 3] {
        let mut nodes = Nodes::new(3, core_count, &limits());
        let (watcher, _) = watched_pair(&mut nodes);
        let moves = nodes.connect(1, "9");
        nodes.join(moves, "a");
        nodes.inbox(watcher);
        nodes.kill(1);
        nodes.pass(3_000);
        let back = nodes.connect(2, "9");
        nodes.join(back, "a");
        nodes.pass(10_000);
        assert!(nodes.told(watcher, "7").is_empty(), "lease and grace are not over");
        nodes.pass(4_000);
        let heard = nodes.inbox(watcher);
        let offline = heard.iter().filter(|packet| packet.contains(r#""status":"offline""#));
        let offline: Vec<_> = offline.filter_map(|packet| field(packet, "userId")).collect();
        assert_eq!(offline, ["7"], "once, and nobody who came back");
        assert_eq!(nodes.users_in(2, "a"), ["8", "9"]);
        let metrics = &nodes.nodes[0].cores[0].metrics;
        nodes.nodes[0].cores[0].shard.measure();
        assert_eq!((metrics.nodes_alive.get(), metrics.nodes_lost.get()), (1, 1));
        assert!(nodes.nodes[0].cores[0].shard.is_known_dead(nodes.nodes[1].run));
        nodes.pass(60_000);
        assert!(nodes.inbox(watcher).is_empty());
    }
}

#[test]
fn a_frozen_node_brings_nobody_back_who_is_gone() {
    let mut nodes = Nodes::new(2, 2, &limits());
    let (watcher, watched) = watched_pair(&mut nodes);
    let stays = nodes.connect(1, "6");
    nodes.join(stays, "a");
    nodes.inbox(watcher);
    nodes.nodes[1].is_frozen = true;
    nodes.pass(20_000);
    assert_eq!(nodes.told(watcher, "7"), ["offline"]);
    // It wakes up, and finds the connection of one of them gone.
    nodes.nodes[1].is_frozen = false;
    nodes.end(watched, Ending::Lost);
    nodes.say(stays, "away");
    nodes.pass(500);
    assert!(nodes.told(watcher, "6").is_empty(), "its former generation counts for nothing");
    nodes.pass(30_000);
    let heard = nodes.inbox(watcher).concat();
    assert!(heard.contains(r#""userId":"6""#) && heard.contains("away"), "{heard}");
    assert!(!heard.contains(r#""userId":"7""#), "{heard}");
    assert_eq!(nodes.users_in(0, "a"), ["6", "8"]);
    assert_eq!(nodes.nodes[1].cores[0].metrics.fences.get(), 1);
}

#[test]
fn a_node_that_was_cut_off_finds_everything_as_it_is() {
    for cut_ms in [2_000, 60_000] {
        let mut nodes = Nodes::new(3, 2, &limits());
        let (watcher, watched) = watched_pair(&mut nodes);
        nodes.cut(1);
        nodes.pass(cut_ms);
        let here = nodes.connect(1, "5");
        nodes.join(here, "a");
        let there = nodes.connect(2, "4");
        nodes.join(there, "a");
        nodes.say(watched, "away");
        nodes.connect_store(1);
        nodes.pass(10_000);
        for node in 0..3 {
            assert_eq!(nodes.users_in(node, "a"), ["4", "5", "7", "8"], "node {node} after {cut_ms} ms");
            assert_eq!(nodes.shown(node, "7").0, "away", "node {node}");
        }
        let told = nodes.told(watcher, "7");
        assert_eq!(told.last().map(String::as_str), Some("away"), "{told:?}");
    }
}

#[test]
fn a_change_that_was_lost_is_known_after_the_next_round() {
    let mut nodes = Nodes::new(2, 2, &Limits { presence_sync_ms: 3_000, ..limits() });
    let (watcher, watched) = watched_pair(&mut nodes);
    nodes.loss_percent = 100;
    nodes.say(watched, "away");
    nodes.leave(watched, "a");
    nodes.loss_percent = 0;
    assert_eq!(nodes.shown(0, "7").0, "online");
    nodes.pass(3_500);
    assert_eq!(nodes.shown(0, "7").0, "away");
    assert_eq!(nodes.users_in(0, "a"), ["8"]);
    assert_eq!(nodes.told(watcher, "7"), ["away"]);
}

#[test]
fn a_store_that_forgot_everything_sends_nobody_away() {
    let mut nodes = Nodes::new(3, 1, &limits());
    let (watcher, _) = watched_pair(&mut nodes);
    (0..3).for_each(|node| nodes.cut(node));
    nodes.pass(40_000);
    nodes.leases.clear();
    (0..3).for_each(|node| nodes.connect_store(node));
    nodes.pass(60_000);
    assert!(nodes.told(watcher, "7").is_empty());
    assert_eq!(nodes.users_in(2, "a"), ["7", "8"]);
}

#[test]
fn a_node_that_leaves_gives_its_lease_back() {
    let mut nodes = Nodes::new(2, 1, &limits());
    let (watcher, _) = watched_pair(&mut nodes);
    nodes.nodes[1].cores[0].shard.handle_farewell();
    nodes.settle();
    nodes.kill(1);
    nodes.pass(7_000);
    assert_eq!(nodes.told(watcher, "7"), ["offline"], "after the grace alone");
}

#[test]
fn a_state_of_many_pieces_is_told_whole() {
    let mut nodes = Nodes::new(1, 1, &limits());
    let channel = "c".repeat(200);
    for user in 0..2_000 {
        let client = nodes.connect(0, &format!("user-{user}"));
        nodes.join(client, &channel);
    }
    let late = nodes.start(2, &limits());
    nodes.pass(2_000);
    let remotes: usize = nodes.nodes[late].cores.iter().map(|core| core.shard.elsewhere.remote_count()).sum();
    assert_eq!(remotes, 2_000);
}

#[test]
fn users_beyond_the_bound_are_taken_to_be_away_and_counted() {
    let mut nodes = Nodes::new(2, 1, &limits());
    nodes.nodes[0].cores[0].shard.limits.memory.remotes_max = 1;
    nodes.nodes[0].cores[0].shard.limits.memory.venues_max = 1;
    let clients = [nodes.connect(1, "7"), nodes.connect(1, "8")];
    for client in clients {
        nodes.join(client, "a");
        nodes.join(client, "b");
    }
    assert_eq!((nodes.shown(0, "7").0, nodes.shown(0, "8").0), ("online", "offline"));
    assert_eq!((nodes.users_in(0, "a"), nodes.users_in(0, "b")), (vec!["7".to_owned()], vec![]));
    assert!(nodes.nodes[0].cores[0].metrics.remotes_refused.get() > 0);
    for client in clients {
        nodes.end(client, Ending::Left);
    }
    nodes.pass(60_000);
    assert_eq!(nodes.holdings(0), 0);
}

fn step(nodes: &mut Nodes, clients: &mut Vec<Client>, random: &mut fastrand::Rng) {
    let live: Vec<usize> = (0..3).filter(|node| !nodes.nodes[*node].is_frozen).collect();
    let chosen = (!clients.is_empty()).then(|| clients[random.usize(..clients.len())]);
    let chosen = chosen.filter(|client| !nodes.nodes[client.node].is_frozen);
    let channel = random.u8(..3).to_string();
    match (random.u8(..12), chosen) {
        (0 | 1, _) => {
            let node = live[random.usize(..live.len())];
            clients.push(nodes.connect(node, &random.u8(..4).to_string()));
        }
        (2, Some(client)) => {
            clients.retain(|known| *known != client);
            let ending = if random.bool() { Ending::Left } else { Ending::Lost };
            nodes.end(client, ending);
        }
        (3 | 4, Some(client)) => nodes.join(client, &channel),
        (5, Some(client)) => nodes.leave(client, &channel),
        (6 | 7, Some(client)) => {
            let status = ["online", "away", "dnd", "offline"][random.usize(..4)];
            nodes.say(client, status);
        }
        (8, Some(client)) => {
            let text = format!(
                r#"["presence:update",{{"status":"online","customStatus":{{"text":"{}"}}}}]"#,
                random.u8(..)
            );
            nodes.event(client, &text);
        }
        (9, _) => {
            let node = random.usize(..3);
            if nodes.nodes[node].is_cut {
                nodes.connect_store(node);
            } else {
                nodes.cut(node);
            }
        }
        _ => nodes.pass(random.u64(..8_000)),
    }
}

#[test]
fn all_nodes_come_to_show_the_same_whatever_was_lost() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut nodes = Nodes::new(3, 1 + seed as u16 % 3, &limits());
        nodes.random = fastrand::Rng::with_seed(seed);
        let mut clients = Vec::new();
        for _ in 0..80 {
            nodes.loss_percent = if random.bool() { 0 } else { 30 };
            step(&mut nodes, &mut clients, &mut random);
        }
        nodes.loss_percent = 0;
        (0..3).for_each(|node| nodes.connect_store(node));
        nodes.pass(60_000);
        for user in 0..4 {
            let shown: Vec<_> = (0..3).map(|node| nodes.shown(node, &user.to_string())).collect();
            assert!(shown.iter().all(|of| *of == shown[0]), "seed {seed}: {user} is {shown:?}");
        }
        for channel in 0..3 {
            let lists: Vec<_> = (0..3).map(|node| nodes.users_in(node, &channel.to_string())).collect();
            assert!(lists.iter().all(|list| *list == lists[0]), "seed {seed}: {channel} has {lists:?}");
        }
        for client in clients.drain(..) {
            nodes.end(client, Ending::Left);
        }
        nodes.pass(60_000);
        assert_eq!([0, 1, 2].map(|node| nodes.holdings(node)), [0; 3], "seed {seed}");
    }
}
