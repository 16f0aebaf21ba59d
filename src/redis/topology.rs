//! Which master of a Redis Cluster serves which slot, when to ask about it, and whom. It sends nothing and reads no
//! clock: what the answer says and what time it is are told.
//!
//! `CLUSTER SLOTS` is asked, and not `CLUSTER SHARDS`: every version and Valkey answer it alike, it names the master
//! first, and the ports are those for the asker, with TLS or without.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::redis::{Reply, SLOT_COUNT, Slot};

use super::address::Host;

/// How long a topology is believed when nothing contradicts it; up to a third is added by chance, so that the nodes of
/// a product do not ask together.
const BELIEVED: Duration = Duration::from_secs(30);
/// Between questions when something contradicts it. A resharding moves thousands of slots: one question for many.
const PAUSE: Duration = Duration::from_millis(200);
/// Between questions while a master that is needed cannot be reached: its replica may be promoted any moment.
const ANXIOUS_PAUSE: Duration = Duration::from_millis(500);
/// A question that has no answer by now is asked again, of another node.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node is asked last that said that the cluster is not whole: cut off from the others, it may name a
/// master that is none any more, and two nodes that contradict each other would have every group move at each answer.
const DISTRUST: Duration = Duration::from_secs(5);
/// How long the word of a slot's former master counts more than a map of somebody else: the others learn of a move one
/// after the other, and a group would go to and fro.
const MOVED_COUNTS: Duration = Duration::from_secs(2);
/// Moves that are remembered for that; of more, the oldest are believed as long as the next map.
const MOVES_MAX: usize = 64;
/// Nodes that a topology may name; Redis advises against more than a thousand.
const NODES_MAX: usize = 1024;
/// No master.
const NOBODY: u16 = u16::MAX;

/// What a node of the cluster knows, and what is to be asked of it.
///
/// ```text
///             ask                    answer
///   due ---------------> asked ------------------> believed
///    ^                     | no answer, unreadable     | 30 s, MOVED, a lost link
///    +---------------------+---------------------------+
/// ```
#[derive(Debug)]
pub(super) struct Topology {
    seeds: Vec<Host>,
    /// Every node that the last answer named, masters and replicas; `owners` are places in it.
    nodes: Vec<Host>,
    /// For every slot its master.
    owners: Box<[u16]>,
    next_ask: Instant,
    last_ask: Option<Instant>,
    is_asked: bool,
    /// Counts up, to ask another one each time.
    turn: usize,
    distrusted: Option<(Host, Instant)>,
    /// Slots that were said to be elsewhere, where, and when; the latest last.
    moves: VecDeque<(Slot, Host, Instant)>,
}

impl Topology {
    /// Knows nothing but whom to ask: at least one node.
    pub(super) fn new(seeds: Vec<Host>, now: Instant) -> Self {
        assert!(!seeds.is_empty(), "a cluster has a node that can be asked");
        let owners = vec![NOBODY; usize::from(SLOT_COUNT)].into_boxed_slice();
        Self {
            seeds,
            nodes: Vec::new(),
            owners,
            next_ask: now,
            last_ask: None,
            is_asked: false,
            turn: 0,
            distrusted: None,
            moves: VecDeque::new(),
        }
    }

    /// The master of a slot.
    pub(super) fn owner(&self, slot: Slot) -> Option<&Host> {
        self.nodes.get(usize::from(*self.owners.get(usize::from(slot.0))?))
    }

    /// Whether to ask now. `is_anxious` says that a master that is needed cannot be reached.
    pub(super) fn is_due(&self, now: Instant, is_anxious: bool) -> bool {
        let since = self.last_ask.map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        if self.is_asked {
            return since >= ANSWER_TIMEOUT;
        }
        now >= self.next_ask || (is_anxious && since >= ANXIOUS_PAUSE)
    }

    /// Another node that may know, each time: first those that were named last, then those of the configuration.
    pub(super) fn next_node(&mut self) -> &Host {
        let place = self.turn % (self.nodes.len() + self.seeds.len());
        self.turn = self.turn.wrapping_add(1);
        self.nodes.get(place).unwrap_or_else(|| &self.seeds[place - self.nodes.len()])
    }

    /// A node said that the cluster is not whole.
    pub(super) fn handle_not_whole(&mut self, node: &Host, now: Instant) {
        self.distrusted = Some((node.clone(), now));
        self.handle_doubt(now);
    }

    /// Whether a node is to be asked only if there is no other.
    pub(super) fn is_distrusted(&self, node: &Host, now: Instant) -> bool {
        self.distrusted.as_ref().is_some_and(|(distrusted, since)| {
            distrusted == node && now.saturating_duration_since(*since) < DISTRUST
        })
    }

    /// The question was sent.
    pub(super) fn handle_asked(&mut self, now: Instant) {
        (self.is_asked, self.last_ask) = (true, Some(now));
    }

    /// A slot was said to be elsewhere: it is believed for this slot at once, and the whole is asked for.
    pub(super) fn handle_moved(&mut self, slot: Slot, owner: &Host, now: Instant) {
        self.moves.retain(|(moved, _, _)| *moved != slot);
        if self.moves.len() == MOVES_MAX {
            self.moves.pop_front();
        }
        self.moves.push_back((slot, owner.clone(), now));
        self.set_owner(slot, owner);
        self.handle_doubt(now);
    }

    fn set_owner(&mut self, slot: Slot, owner: &Host) {
        let place = self.nodes.iter().position(|node| node == owner).unwrap_or_else(|| {
            if self.nodes.len() < NODES_MAX {
                self.nodes.push(owner.clone());
            }
            self.nodes.len() - 1
        });
        if let (Some(slot), Ok(place)) = (self.owners.get_mut(usize::from(slot.0)), u16::try_from(place)) {
            *slot = place;
        }
    }

    /// Something contradicts what is believed: a master that is gone, or that says that it is none.
    pub(super) fn handle_doubt(&mut self, now: Instant) {
        let soonest = self.last_ask.map_or(now, |last| now.max(last + PAUSE));
        self.next_ask = self.next_ask.min(soonest);
    }

    /// The question failed: asked again soon.
    pub(super) fn handle_no_answer(&mut self, now: Instant) {
        self.is_asked = false;
        self.next_ask = now + PAUSE;
    }

    /// What `from` answered. Returns whether the topology is another than before; an answer that makes no sense
    /// changes nothing. `chance` spreads the next question.
    pub(super) fn handle_answer(
        &mut self,
        answer: Reply<'_>,
        from: &Host,
        chance: u32,
        now: Instant,
    ) -> bool {
        let Some((nodes, owners)) = read_slots(answer, from) else {
            self.handle_no_answer(now);
            return false;
        };
        self.is_asked = false;
        self.next_ask = now + BELIEVED + (BELIEVED / 3).mul_f64(f64::from(chance) / f64::from(u32::MAX));
        let former = (std::mem::replace(&mut self.nodes, nodes), std::mem::replace(&mut self.owners, owners));
        self.moves.retain(|(_, _, since)| now.saturating_duration_since(*since) < MOVED_COUNTS);
        for (slot, owner, _) in self.moves.clone() {
            if self.owner(slot) != Some(&owner) {
                self.set_owner(slot, &owner);
                self.next_ask = now + MOVED_COUNTS;
            }
        }
        former != (self.nodes.clone(), self.owners.clone())
    }
}

/// Reads `[[first, last, [host, port, …], replicas…], …]`: all nodes, and for each slot the place of its master.
fn read_slots(answer: Reply<'_>, from: &Host) -> Option<(Vec<Host>, Box<[u16]>)> {
    let Reply::List(ranges) = answer else { return None };
    let mut nodes: Vec<Host> = Vec::new();
    let mut owners = vec![NOBODY; usize::from(SLOT_COUNT)].into_boxed_slice();
    for range in ranges.iter() {
        let mut parts = range.as_list()?.iter();
        let first = usize::try_from(parts.next()?.as_integer()?).ok()?;
        let last = usize::try_from(parts.next()?.as_integer()?).ok()?;
        let slots = owners.get_mut(first..=last.max(first))?;
        for (rank, node) in parts.enumerate() {
            let node = read_node(node, from)?;
            let place = nodes.iter().position(|known| *known == node).unwrap_or_else(|| {
                nodes.push(node);
                nodes.len() - 1
            });
            if nodes.len() > NODES_MAX {
                return None;
            }
            if rank == 0 {
                slots.fill(u16::try_from(place).ok()?);
            }
        }
    }
    (!nodes.is_empty()).then_some((nodes, owners))
}

fn read_node(node: Reply<'_>, from: &Host) -> Option<Host> {
    let mut parts = node.as_list()?.iter();
    let host = parts.next()?.as_text().unwrap_or_default();
    let port = u16::try_from(parts.next()?.as_integer()?).ok()?;
    // A node that does not know its own name leaves it out, or says that it does not: it is where it was found.
    let host = if matches!(host, b"" | b"?") { &*from.name } else { std::str::from_utf8(host).ok()? };
    (port != 0).then(|| Host { name: host.into(), port })
}

/// A refusal that names who would not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot belongs to another master.
    Moved(Slot, Host),
    /// The slot is being moved, and this key is not here any more or not yet: this one time, ask there.
    Ask(Host),
}

impl Redirect {
    /// Reads `MOVED 3999 127.0.0.1:6381` or `ASK 3999 127.0.0.1:6381`; without a host it is that of `from`.
    pub(super) fn read(refusal: &[u8], from: &Host) -> Option<Self> {
        let mut words = std::str::from_utf8(refusal).ok()?.split(' ');
        let kind = words.next()?;
        let slot = Slot(words.next()?.parse().ok()?);
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = if matches!(host, "" | "?") { &*from.name } else { host };
        let node = Host { name: host.into(), port: port.parse().ok()? };
        match kind {
            "MOVED" if slot.0 < SLOT_COUNT => Some(Self::Moved(slot, node)),
            "ASK" => Some(Self::Ask(node)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::redis::{Decoder, DecoderLimits, Received};

    use super::*;

    fn node(port: u16) -> Host {
        Host { name: "10.0.0.1".into(), port }
    }

    /// Tells an answer, as the bytes that come.
    fn tell(topology: &mut Topology, bytes: &str, now: Instant) -> bool {
        let mut decoder = Decoder::new(DecoderLimits::default());
        decoder.room()[..bytes.len()].copy_from_slice(bytes.as_bytes());
        decoder.filled(bytes.len());
        let Ok(Some(Received::Reply(answer))) = decoder.take() else { panic!("no reply: {bytes}") };
        topology.handle_answer(answer, &node(7000), 0, now)
    }

    /// One range with a master and a replica; an empty host is left out.
    fn range(first: u16, last: u16, host: &str, port: u16) -> String {
        let one = |port| format!("*3\r\n${}\r\n{host}\r\n:{port}\r\n$2\r\nid\r\n", host.len());
        format!("*4\r\n:{first}\r\n:{last}\r\n{}{}", one(port), one(port + 100))
    }

    fn told(now: Instant) -> Topology {
        let mut topology = Topology::new(vec![node(7000)], now);
        let halves = range(0, 8191, "10.0.0.1", 7001) + &range(8192, 16_383, "", 7002);
        assert!(tell(&mut topology, &format!("*2\r\n{halves}"), now));
        topology
    }

    #[test]
    fn every_slot_has_the_master_that_the_answer_names() {
        let topology = told(Instant::now());
        let check = |slot, port: u16| assert_eq!(topology.owner(Slot(slot)), Some(&node(port)), "{slot}");
        check(0, 7001);
        check(8191, 7001);
        check(8192, 7002);
        check(16_383, 7002);
        assert_eq!(topology.owner(Slot(SLOT_COUNT)), None);
    }

    #[test]
    fn an_answer_without_sense_changes_nothing_and_is_asked_for_again() {
        let now = Instant::now();
        let past_the_end = format!("*1\r\n{}", range(0, 16_384, "a", 1));
        let backwards = format!("*1\r\n{}", range(9, 3, "a", 0));
        for answer in ["$-1\r\n", "*0\r\n", "*1\r\n:1\r\n", "-ERR no\r\n", &past_the_end, &backwards] {
            let mut topology = told(now);
            assert!(!tell(&mut topology, answer, now), "{answer}");
            assert_eq!(topology.owner(Slot(5)), Some(&node(7001)));
            assert!(topology.is_due(now + PAUSE, false));
        }
    }

    #[test]
    fn it_is_asked_when_it_is_old_and_soon_but_not_hot_when_it_is_contradicted() {
        let now = Instant::now();
        let mut topology = Topology::new(vec![node(7000)], now);
        assert!(topology.is_due(now, false));
        topology.handle_asked(now);
        assert!(!topology.is_due(now + PAUSE, true), "the answer may come yet");
        assert!(topology.is_due(now + ANSWER_TIMEOUT, false));
        assert!(tell(&mut topology, &format!("*1\r\n{}", range(0, 9, "a", 1)), now));
        assert!(!topology.is_due(now + BELIEVED - PAUSE, false));
        assert!(topology.is_due(now + BELIEVED, false));

        for _ in 0..1000 {
            topology.handle_moved(Slot(3), &node(7003), now);
        }
        assert_eq!(topology.owner(Slot(3)), Some(&node(7003)), "believed at once");
        assert_eq!(topology.owner(Slot(4)), Some(&Host { name: "a".into(), port: 1 }));
        assert!(!topology.is_due(now, false), "asked a moment ago");
        assert!(topology.is_due(now + PAUSE, false));
        assert!(!tell(&mut topology, "*0\r\n", now + PAUSE));
        assert!(topology.is_due(now + PAUSE + PAUSE, false));
    }

    #[test]
    fn a_map_from_before_a_move_does_not_undo_it() {
        let now = Instant::now();
        let mut topology = told(now);
        topology.handle_moved(Slot(3), &node(7002), now);
        let old = format!("*2\r\n{}{}", range(0, 8191, "10.0.0.1", 7001), range(8192, 16_383, "", 7002));
        tell(&mut topology, &old, now + PAUSE);
        assert_eq!(topology.owner(Slot(3)), Some(&node(7002)));
        assert_eq!(topology.owner(Slot(4)), Some(&node(7001)));
        assert!(topology.is_due(now + PAUSE + MOVED_COUNTS, false), "asked again when everybody should know");
        topology.handle_moved(Slot(3), &node(7001), now + PAUSE);
        assert_eq!(topology.owner(Slot(3)), Some(&node(7001)), "the last word counts");
        topology.handle_moved(Slot(3), &node(7002), now);
        tell(&mut topology, &old, now + MOVED_COUNTS);
        assert_eq!(topology.owner(Slot(3)), Some(&node(7001)), "in the end, the map does");
    }

    #[test]
    fn while_a_master_is_missing_it_is_asked_for_twice_a_second() {
        let now = Instant::now();
        let mut topology = told(now);
        topology.handle_asked(now);
        tell(&mut topology, &format!("*1\r\n{}", range(0, 9, "a", 1)), now);
        assert!(!topology.is_due(now + PAUSE, true));
        assert!(topology.is_due(now + ANXIOUS_PAUSE, true));
        assert!(!topology.is_due(now + ANXIOUS_PAUSE, false));
    }

    #[test]
    fn who_says_that_the_cluster_is_not_whole_is_distrusted_for_a_while() {
        let now = Instant::now();
        let mut topology = told(now);
        assert!(!topology.is_distrusted(&node(7001), now));
        topology.handle_not_whole(&node(7001), now);
        assert!(topology.is_due(now, false));
        assert!(topology.is_distrusted(&node(7001), now) && !topology.is_distrusted(&node(7002), now));
        assert!(!topology.is_distrusted(&node(7001), now + DISTRUST));
    }

    #[test]
    fn every_node_is_asked_in_its_turn_and_those_of_the_configuration_too() {
        let mut topology = told(Instant::now());
        let asked: Vec<u16> = (0..6).map(|_| topology.next_node().port).collect();
        assert_eq!(asked, [7001, 7101, 7002, 7102, 7000, 7001]);
    }

    #[test]
    fn a_topology_that_names_ever_more_nodes_stays_bounded() {
        let now = Instant::now();
        let mut topology = told(now);
        for port in 1..5000 {
            topology.handle_moved(Slot(port), &node(port), now);
        }
        assert!(topology.nodes.len() <= NODES_MAX);
    }

    #[test]
    fn redirects_name_the_slot_and_the_node() {
        let check = |refusal: &str, expected: Option<Redirect>| {
            assert_eq!(Redirect::read(refusal.as_bytes(), &node(7000)), expected, "{refusal}");
        };
        check("MOVED 3999 10.0.0.1:6381", Some(Redirect::Moved(Slot(3999), node(6381))));
        check("MOVED 3999 :6381", Some(Redirect::Moved(Slot(3999), node(6381))));
        check("ASK 3999 10.0.0.1:6381", Some(Redirect::Ask(node(6381))));
        let other = Host { name: "::1".into(), port: 6381 };
        check("ASK 3999 ::1:6381", Some(Redirect::Ask(other)));
        for refusal in
            ["MOVED", "MOVED 16384 a:1", "MOVED x a:1", "MOVED 1 a:65536", "MOVED 1 a", "ERR 1 a:1"]
        {
            check(refusal, None);
        }
    }
}
