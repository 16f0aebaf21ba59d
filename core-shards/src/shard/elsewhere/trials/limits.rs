//! Limits and rights of one user on several nodes.

use super::*;

#[test]
fn a_user_has_one_limit_on_all_nodes() {
    let rate = RateLimits { is_enabled: true, points: 10, window_ms: 60_000 };
    let mut nodes = Nodes::new(2, 2, &Limits { rate, ..limits() });
    let clients = [nodes.connect(0, "7"), nodes.connect(1, "7")];
    let mut refused = 0;
    for step in 0..20 {
        let text = format!(r#"["presence:update",{{"status":"away","customStatus":{{"text":"{step}"}}}}]"#);
        nodes.event(clients[step % 2], &text);
        refused += nodes.inbox(clients[step % 2]).concat().matches("RATE_LIMIT_EXCEEDED").count();
    }
    assert_eq!(refused, 10);
}

#[test]
fn calls_of_back_ends_in_a_users_name_count_on_all_nodes() {
    let rate = RateLimits { is_enabled: true, points: 10, window_ms: 60_000 };
    let mut nodes = Nodes::new(3, 1, &Limits { rate, ..limits() });
    let mut statuses = Vec::new();
    for step in 0..12 {
        let deed = Deed::Ask(Question::SetPresence {
            user: "7".into(),
            status: protocol::chat::status::Status::Away,
        });
        let Core { shard, out, .. } = &mut nodes.nodes[step % 3].cores[0];
        shard.handle_call(Ticket(1), Caller::Server, "7".into(), "a".into(), deed, nodes.now, out);
        nodes.settle();
        let answers: Vec<_> = nodes.nodes[step % 3].cores[0].out.take_answers().collect();
        statuses.extend(answers.into_iter().map(|(_, response)| response.status));
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 2, "{statuses:?}");
    nodes.pass(120_000);
    for node in &nodes.nodes {
        assert_eq!(node.cores[0].shard.holdings().users, 0, "windows that are over are forgotten");
    }
}

#[test]
fn connections_of_a_user_are_counted_on_all_nodes() {
    let mut nodes = Nodes::new(2, 2, &Limits { connections_per_user_max: 2, ..limits() });
    let first = nodes.connect(0, "7");
    nodes.connect(1, "7");
    let is_in = |nodes: &Nodes, client: Client| {
        nodes.nodes[client.node].cores[client.core].shard.is_connected(client.session)
    };
    let third = nodes.connect(1, "7");
    assert!(!is_in(&nodes, third));
    nodes.end(first, Ending::Left);
    let fourth = nodes.connect(1, "7");
    assert!(is_in(&nodes, fourth));
}

#[test]
fn rights_end_on_all_nodes_also_on_one_that_was_away() {
    let mut nodes = Nodes::new(3, 2, &limits());
    let clients: Vec<Client> = (0..3).map(|node| nodes.connect(node, "7")).collect();
    // Lost sessions of a user whose rights are looked at again are given up.
    let lost = |nodes: &Nodes, node: usize| {
        nodes.nodes[node].cores.iter().map(|core| core.shard.holdings().detached).sum::<usize>()
    };
    for client in &clients {
        nodes.end(*client, Ending::Lost);
    }
    nodes.cut(2);
    let Core { shard, out, .. } = &mut nodes.nodes[0].cores[1];
    shard.handle_revocation(Some("7".into()), None, nodes.now, out);
    nodes.settle();
    assert_eq!([0, 1, 2].map(|node| lost(&nodes, node)), [0, 0, 1]);
    nodes.connect_store(2);
    assert_eq!(lost(&nodes, 2), 0);
}

#[test]
fn what_was_read_on_one_device_is_read_on_those_of_other_nodes() {
    let mut nodes = Nodes::new(2, 2, &limits());
    let (phone, desk) = (nodes.connect(0, "7"), nodes.connect(1, "7"));
    nodes.event(phone, r#"["notification:read",{"notificationId":"n1"}]"#);
    let heard = nodes.inbox(desk);
    assert!(heard.iter().any(|packet| packet.contains("n1")), "{heard:?}");
    assert!(!nodes.inbox(phone).iter().any(|packet| packet.contains("n1")));
}
