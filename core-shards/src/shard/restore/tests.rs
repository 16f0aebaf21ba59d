//! The promises of sessions that move between nodes, with nodes of one core and a model of the store.

use super::super::Ending;
use super::super::trial;
use super::super::trial_of_nodes::Nodes;
use crate::ids::SessionId;
use crate::limits::Limits;

/// A client that keeps what stock clients keep: its private id and the last cursor.
struct Client {
    user: &'static str,
    node: usize,
    slot: u32,
    session: SessionId,
    sid: String,
    pid: String,
    cursor: String,
    /// Contents of the messages that it got, and what it was told to be missing.
    got: Vec<String>,
}

impl Client {
    fn new(nodes: &mut Nodes, node: usize, slot: u32, user: &'static str) -> Self {
        let session = nodes.nodes[node].connect_durable(slot, user, None);
        nodes.settle();
        let (sid, pid, cursor) = Default::default();
        let mut client = Self { user, node, slot, session, sid, pid, cursor, got: Vec::new() };
        client.read(nodes, usize::MAX);
        client
    }

    /// Reads the next packets, at most so many.
    fn read(&mut self, nodes: &mut Nodes, count: usize) {
        for packet in nodes.nodes[self.node].inbox(self.session).iter().take(count) {
            if packet.starts_with("40{") {
                self.sid = trial::text(packet, "sid").to_owned();
                self.pid = trial::text(packet, "pid").to_owned();
            }
            if let Some(last) = trial::cursor(packet) {
                last.clone_into(&mut self.cursor);
            }
            if packet.starts_with(r#"42["message","#) {
                self.got.push(trial::text(packet, "content").to_owned());
            } else if packet.starts_with(r#"42["sync:required","#) {
                self.got.push(format!("!{}", trial::text(packet, "reason")));
            }
        }
    }

    fn join(&mut self, nodes: &mut Nodes, channel: &str) {
        let text = format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#);
        nodes.nodes[self.node].event(self.session, &text, None);
        nodes.settle();
        self.read(nodes, usize::MAX);
    }

    fn lose(&mut self, nodes: &mut Nodes) {
        nodes.nodes[self.node].end(self.session, Ending::Lost);
        nodes.settle();
    }

    /// Comes to a node on another connection. Returns whether it is in its former session.
    fn resume(&mut self, nodes: &mut Nodes, node: usize) -> bool {
        self.slot += 1;
        self.node = node;
        let resume = Some((&*self.pid, &*self.cursor));
        self.session = nodes.nodes[node].connect_durable(self.slot, self.user, resume);
        nodes.settle();
        let heard = nodes.nodes[node].peek(self.session);
        let connect = heard.iter().find(|packet| packet.starts_with("40{")).expect("CONNECT is answered");
        trial::text(connect, "pid") == self.pid
    }
}

/// Two nodes, somebody who talks on the second, and a client on the first, both in channel `a`.
fn pair() -> (Nodes, SessionId, Client) {
    let mut nodes = Nodes::new(2);
    let talker = nodes.enter(1, 0, "8");
    let mut client = Client::new(&mut nodes, 0, 1, "7");
    nodes.join(1, talker, "a");
    client.join(&mut nodes, "a");
    (nodes, talker, client)
}

#[test]
fn a_session_is_taken_up_on_another_node_when_its_own_has_died() {
    let (mut nodes, talker, mut client) = pair();
    nodes.say(1, talker, "a", "1");
    client.read(&mut nodes, usize::MAX);
    let sid = client.sid.clone();
    nodes.store.remove(0);
    nodes.say(1, talker, "a", "2");
    nodes.say(1, talker, "a", "3");
    assert!(client.resume(&mut nodes, 1));
    nodes.say(1, talker, "a", "4");
    client.read(&mut nodes, usize::MAX);
    assert_eq!(client.got, ["1", "2", "3", "4"]);
    assert_eq!(client.sid, sid);
    assert_eq!(nodes.nodes[1].metrics.resumes.get(), 1);
    client.lose(&mut nodes);
    nodes.say(1, talker, "a", "5");
    assert!(client.resume(&mut nodes, 1), "and again where it is now");
    client.read(&mut nodes, usize::MAX);
    assert_eq!(client.got, ["1", "2", "3", "4", "5"]);
}

#[test]
fn only_one_node_takes_a_session_up_and_only_for_its_user() {
    let (mut nodes, _, mut client) = pair();
    client.lose(&mut nodes);
    let thief = nodes.nodes[1].connect_durable(9, "8", Some((&client.pid, &client.cursor)));
    nodes.settle();
    let heard = nodes.nodes[1].inbox(thief);
    assert!(!heard[0].contains(&client.pid), "{heard:?}");
    assert!(!client.resume(&mut nodes, 1), "it was tried with, and is gone");
}

#[test]
fn a_replay_that_breaks_goes_on_where_it_broke() {
    for read_count in 0..12 {
        let (mut nodes, talker, mut client) = pair();
        for number in 0..3 {
            nodes.say(1, talker, "a", &number.to_string());
        }
        client.read(&mut nodes, 1);
        client.lose(&mut nodes);
        for number in 3..6 {
            nodes.say(1, talker, "a", &number.to_string());
        }
        assert!(client.resume(&mut nodes, 1));
        client.read(&mut nodes, read_count);
        client.lose(&mut nodes);
        nodes.say(1, talker, "a", "6");
        assert!(client.resume(&mut nodes, 1), "after {read_count}");
        nodes.say(1, talker, "a", "7");
        client.read(&mut nodes, usize::MAX);
        assert_eq!(client.got, ["0", "1", "2", "3", "4", "5", "6", "7"], "after {read_count}");
    }
}

#[test]
fn what_is_not_kept_any_more_is_not_recovered() {
    for (count, is_kept) in [(2, true), (4, false)] {
        let mut nodes = Nodes::new(3);
        nodes.store.history_size_max = 3;
        let talker = nodes.enter(1, 0, "8");
        nodes.join(1, talker, "a");
        let mut client = Client::new(&mut nodes, 0, 1, "7");
        client.join(&mut nodes, "a");
        nodes.say(1, talker, "a", "0");
        client.read(&mut nodes, usize::MAX);
        nodes.store.remove(0);
        for number in 0..count {
            nodes.say(1, talker, "a", &number.to_string());
        }
        assert_eq!(client.resume(&mut nodes, 2), is_kept, "{count}");
    }
}

#[test]
fn what_is_said_to_a_user_is_recovered_too() {
    let (mut nodes, talker, mut client) = pair();
    let say = |nodes: &mut Nodes, content: &str| {
        let kind = protocol::chat::event::Kind::Message;
        let body = format!(r#""content":"{content}""#).into_bytes();
        let deed = crate::mail::Deed::Publish { kind, body, client_message_id: None };
        nodes.nodes[1].call(crate::mail::Caller::Server, "8", "user:7", deed);
        nodes.settle();
    };
    say(&mut nodes, "1");
    client.read(&mut nodes, usize::MAX);
    assert_eq!(client.got, ["1"]);
    client.lose(&mut nodes);
    say(&mut nodes, "2");
    assert!(client.resume(&mut nodes, 0));
    client.read(&mut nodes, usize::MAX);
    say(&mut nodes, "3");
    nodes.pass(10);
    nodes.say(1, talker, "a", "4");
    assert!(client.resume(&mut nodes, 1));
    say(&mut nodes, "5");
    client.read(&mut nodes, usize::MAX);
    assert_eq!(client.got, ["1", "2", "3", "4", "5"]);
}

#[test]
fn who_was_away_is_told_on_any_node_what_was_missed() {
    let mut nodes = Nodes::new(2);
    let talker = nodes.enter(1, 0, "8");
    nodes.join(1, talker, "a");
    let session = nodes.enter(0, 1, "7");
    nodes.join(0, session, "a");
    nodes.say(1, talker, "a", "1");
    nodes.nodes[0].end(session, Ending::Lost);
    nodes.settle();
    nodes.say(1, talker, "a", "2");
    let join = r#"["channel:join",{"channelId":"a"}]"#;
    let session = nodes.enter(1, 1, "7");
    let told = nodes.ask_for(1, session, join).concat();
    assert!(told.contains(r#""missed":{"count":1,"lost":0}"#), "{told}");
    let session = nodes.enter(0, 2, "7");
    let told = nodes.ask_for(0, session, join).concat();
    assert!(!told.contains("missed"), "it is told once: {told}");
}

/// What a client should have: every message of the channels that it was in, once and in order, for as long as its session
/// is the same, wherever it comes back.
#[test]
fn nothing_is_lost_or_repeated_wherever_a_client_comes_back() {
    let (mut moved_count, mut tried_count) = (0, 0);
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut nodes = Nodes::away(3, &Limits { offline_life_ms: 0, ..trial::quiet() });
        nodes.connect_all();
        let channels = ["a", "b", "c", "d"];
        let talkers: Vec<SessionId> = (0..3).map(|node| nodes.enter(node, 0, "8")).collect();
        for (node, channel) in (0..3).flat_map(|node| channels.map(|channel| (node, channel))) {
            if random.bool() || node == 0 {
                nodes.join(node, talkers[node], channel);
            }
        }
        let mut client = Client::new(&mut nodes, 0, 10, "7");
        let (mut is_in, mut expected): ([bool; 4], [Vec<String>; 4]) = Default::default();
        let (mut away, mut log) = (0, String::new());
        for number in 0..60 {
            let which = random.usize(..4);
            let channel = channels[which];
            match random.u8(..10) {
                0 => {
                    log.push_str(&format!("{number}: join {channel}\n"));
                    client.join(&mut nodes, channel);
                    is_in[which] = true;
                }
                1 => {
                    let text = format!(r#"["channel:leave",{{"channelId":"{channel}"}}]"#);
                    nodes.nodes[client.node].event(client.session, &text, None);
                    nodes.settle();
                    is_in[which] = false;
                    log.push_str(&format!("{number}: leave {channel}\n"));
                    client.read(&mut nodes, usize::MAX);
                }
                2 | 3 => {
                    let (count, node) = (random.usize(..8), random.usize(..3));
                    let is_noticed = random.bool();
                    if !is_noticed && node == client.node {
                        continue;
                    }
                    client.read(&mut nodes, count);
                    if is_noticed {
                        client.lose(&mut nodes);
                        nodes.pass(random.u64(..40_000));
                    }
                    // Otherwise its node hears from another that the connection is gone.
                    for _ in 0..random.usize(..4) {
                        away += 1;
                        let content = format!("{channel}away{away}");
                        nodes.say(0, talkers[0], channel, &content);
                        if is_in[which] {
                            expected[which].push(content);
                        }
                    }
                    let moves = node != client.node;
                    tried_count += u32::from(moves);
                    log.push_str(&format!("{number}: resume {} -> {node}\n", client.node));
                    if client.resume(&mut nodes, node) {
                        moved_count += u32::from(moves);
                    } else {
                        log.push_str("   anew\n");
                        (client.got, expected, is_in) = Default::default();
                    }
                }
                4 => nodes.pass(random.u64(..20_000)),
                5 => client.read(&mut nodes, usize::MAX),
                _ => {
                    let content = format!("{channel}{number}");
                    log.push_str(&format!("{number}: say {content}\n"));
                    nodes.say(0, talkers[0], channel, &content);
                    if is_in[which] {
                        expected[which].push(content);
                    }
                }
            }
        }
        client.read(&mut nodes, usize::MAX);
        for (channel, expected) in channels.iter().zip(&expected) {
            let got: Vec<&String> =
                client.got.iter().filter(|content| content.starts_with(channel)).collect();
            assert_eq!(got, expected.iter().collect::<Vec<_>>(), "seed {seed}, {channel}:\n{log}");
        }
    }
    assert!(moved_count * 10 > tried_count * 9, "{moved_count} of {tried_count}");
}

/// The same while lines to the store break: nothing twice, and nothing missing unless the client was told so.
#[test]
fn nothing_is_repeated_or_silently_lost_when_lines_break_and_clients_move() {
    let (mut moved_count, mut tried_count) = (0, 0);
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut nodes = Nodes::away(3, &Limits { offline_life_ms: 0, ..trial::quiet() });
        nodes.connect_all();
        let channels = ["a", "b", "c"];
        let talkers: Vec<SessionId> = (0..3).map(|node| nodes.enter(node, 0, "8")).collect();
        for (node, channel) in (0..3).flat_map(|node| channels.map(|channel| (node, channel))) {
            nodes.join(node, talkers[node], channel);
        }
        let mut client = Client::new(&mut nodes, 0, 10, "7");
        let (mut is_in, mut expected): ([bool; 3], Vec<String>) = Default::default();
        let mut log = String::new();
        for number in 0..60 {
            let which = random.usize(..3);
            let (channel, node) = (channels[which], random.usize(..3));
            match random.u8(..12) {
                0 | 1 => {
                    log.push_str(&format!("{number}: join {channel}\n"));
                    client.join(&mut nodes, channel);
                    is_in[which] = true;
                }
                2 => {
                    log.push_str(&format!("{number}: cut {node}\n"));
                    nodes.cut(node, random.usize(..3));
                }
                3 | 4 => {
                    log.push_str(&format!("{number}: connect {node}\n"));
                    nodes.store.connect(node);
                    nodes.settle();
                }
                5 | 6 => {
                    client.read(&mut nodes, random.usize(..8));
                    client.lose(&mut nodes);
                    let moves = node != client.node;
                    tried_count += u32::from(moves);
                    let is_resumed = client.resume(&mut nodes, node);
                    log.push_str(&format!("{number}: resume on {node}: {is_resumed}\n"));
                    if is_resumed {
                        moved_count += u32::from(moves);
                    } else {
                        (client.got, expected, is_in) = Default::default();
                    }
                }
                7 => nodes.pass(random.u64(..3_000)),
                8 => client.read(&mut nodes, usize::MAX),
                _ => {
                    let content = format!("{channel}{number}");
                    log.push_str(&format!("{number}: say {content} on {node}\n"));
                    nodes.say(node, talkers[node], channel, &content);
                    if is_in[which] {
                        expected.push(content);
                    }
                }
            }
        }
        nodes.connect_all();
        (0..3).for_each(|_| nodes.pass(1_100));
        client.read(&mut nodes, usize::MAX);
        let mut once = client.got.clone();
        once.retain(|content| !content.starts_with('!'));
        let count = once.len();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), count, "seed {seed}: {:?}\n{log}", client.got);
        let is_told = client.got.iter().any(|content| content.starts_with('!'));
        let lost: Vec<&String> = expected.iter().filter(|content| !once.contains(content)).collect();
        assert!(is_told || lost.is_empty(), "seed {seed}: {lost:?} of {:?}\n{log}", client.got);
    }
    assert!(moved_count * 4 > tried_count, "{moved_count} of {tried_count}");
}
