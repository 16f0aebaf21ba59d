//! One run: a seed, the nodes that it makes, everything that happens to them and their store, and quiet moments in which
//! everything that is promised has to be true.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use core_shards::mail::{Caller, Deed};
use core_shards::outputs::Ticket;
use core_shards::{Now, Placement, SessionId};
use protocol::chat::event::Kind;

use crate::clients::Client;
use crate::faults::{Fault, Faults};
use crate::nodes::{Node, Seat};
use crate::store::Store;

/// Channels that clients join.
const CHANNELS: [&str; 3] = ["a", "b", "c"];
/// Users.
const USERS: u8 = 4;
/// Clients that are there at once.
const CLIENTS_MAX: usize = 8;
/// Nodes of a run, those that were killed included.
const NODES_MAX: usize = 5;

/// Whether a message has an id of its sender.
const fn may_be_said_again(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// What the runs came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    messages: u64,
    retries: u64,
    cuts: u64,
    kills: u64,
    empty_restarts: u64,
    fail_overs: u64,
    refusals: u64,
    node_kills: u64,
    provisional: u64,
    catch_ups: u64,
    gaps: u64,
    tails_lost: u64,
}

impl Coverage {
    fn numbers(&self) -> [(&'static str, u64); 12] {
        [
            ("messages", self.messages),
            ("retries", self.retries),
            ("cuts", self.cuts),
            ("kills", self.kills),
            ("empty restarts", self.empty_restarts),
            ("fail-overs", self.fail_overs),
            ("refusals", self.refusals),
            ("kills of nodes", self.node_kills),
            ("provisional publications", self.provisional),
            ("catch-ups", self.catch_ups),
            ("gaps", self.gaps),
            ("lost tails", self.tails_lost),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.retries += other.retries;
        self.cuts += other.cuts;
        self.kills += other.kills;
        self.empty_restarts += other.empty_restarts;
        self.fail_overs += other.fail_overs;
        self.refusals += other.refusals;
        self.node_kills += other.node_kills;
        self.provisional += other.provisional;
        self.catch_ups += other.catch_ups;
        self.gaps += other.gaps;
        self.tails_lost += other.tails_lost;
    }

    /// What no run came to.
    pub(crate) fn unreached(&self) -> Option<&'static str> {
        self.numbers().into_iter().find(|(_, count)| *count == 0).map(|(name, _)| name)
    }
}

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) violation: Option<String>,
    pub(crate) has_struck: bool,
    pub(crate) coverage: Coverage,
}

/// A message that somebody sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) channel: String,
    pub(crate) step: u64,
    /// The client, unless a back end did.
    pub(crate) sender: Option<usize>,
}

/// What happens to the store in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// It forgets.
    pub(crate) forgets: bool,
    /// It keeps so little that gaps cannot be filled.
    pub(crate) is_short: bool,
    /// It refuses.
    pub(crate) refuses: bool,
    /// Nodes die.
    pub(crate) kills_nodes: bool,
}

pub(crate) struct World {
    random: fastrand::Rng,
    pub(crate) weather: Weather,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    /// By their numbers.
    pub(crate) sent: BTreeMap<u64, Sent>,
    /// The steps at which the store forgot something.
    pub(crate) forgot: Vec<u64>,
    faults: Faults,
    now: Now,
    pub(crate) step: u64,
    core_count: u16,
    partitions: u16,
    coverage: Coverage,
    is_traced: bool,
}

/// Runs a seed, with a fault planted or without.
pub(crate) fn run(seed: u64, fault: Option<Fault>, is_traced: bool) -> Outcome {
    let mut world = World::new(seed, fault, is_traced);
    let ending = catch_unwind(AssertUnwindSafe(|| world.live()));
    let violation = match ending {
        Ok(checked) => checked.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words");
            Some(format!("a node panicked: {text}"))
        }
    };
    world.count_coverage();
    Outcome { violation, has_struck: world.faults.has_struck, coverage: world.coverage }
}

impl World {
    fn new(seed: u64, fault: Option<Fault>, is_traced: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let now = Now { monotonic_us: 5_000_000, unix_ms: 1_772_359_201_000 };
        let (core_count, partitions) = (random.u16(1..=2), random.u16(1..=3));
        let weather = Weather {
            forgets: random.u8(..3) == 0,
            is_short: random.u8(..5) == 0,
            refuses: random.u8(..5) == 0,
            kills_nodes: random.u8(..4) == 0,
        };
        // Each core of a node hears its own partitions; which those are is the same on all nodes.
        let placement = Placement::new(core_count, (0, 0)).joined(partitions);
        let mut store = Store::new(placement, seed);
        store.answers_first = random.bool();
        store.history_size_max = if weather.is_short { 3 } else { 1_000 };
        let mut world = Self {
            faults: Faults::new(fault, seed),
            random,
            weather,
            store,
            nodes: Vec::new(),
            clients: Vec::new(),
            sent: BTreeMap::new(),
            forgot: Vec::new(),
            now,
            step: 0,
            core_count,
            partitions,
            coverage: Coverage::default(),
            is_traced,
        };
        for _ in 0..world.random.usize(2..=3) {
            world.add_node();
        }
        world.trace(|| format!("{weather:?}, {core_count} cores, {partitions} partitions"));
        world
    }

    fn trace(&self, text: impl FnOnce() -> String) {
        if self.is_traced {
            eprintln!("{}: {}", self.step, text());
        }
    }

    fn add_node(&mut self) {
        let seed = self.random.u64(..);
        let node = Node::new(self.core_count, self.partitions, seed, self.now, &mut self.store);
        self.nodes.push(node);
    }

    fn live(&mut self) -> Result<(), String> {
        if self.random.u8(..4) > 0 {
            self.connect_lines();
        }
        for _ in 0..self.random.usize(1..=3) {
            for _ in 0..self.random.usize(50..400) {
                self.happen()?;
            }
            self.become_quiet()?;
            self.check()?;
        }
        Ok(())
    }

    fn happen(&mut self) -> Result<(), String> {
        self.step += 1;
        match self.random.u8(..100) {
            0..40 => drop(self.move_something()?),
            40..56 => self.say()?,
            56..60 => self.say_again()?,
            60..64 => self.post()?,
            64..72 => self.come_or_go()?,
            72..80 => self.join_or_leave()?,
            80..90 => {
                for _ in 0..self.random.usize(1..40) {
                    self.move_something()?;
                }
            }
            90..94 => {
                let time_ms = self.random.u64(1..800);
                self.pass(time_ms)?;
            }
            _ => self.misfortune(),
        }
        Ok(())
    }

    /// Something bad happens to the store, its lines or a node, or is over.
    fn misfortune(&mut self) {
        let (node, core) = self.choose_core();
        let line = self.nodes[node].line(core);
        match self.random.u8(..14) {
            0..3 => {
                let done = self.random.usize(..4);
                self.trace(|| format!("the line of node {node} core {core} breaks, {done} more done"));
                self.store.cut(line, done);
                self.coverage.cuts += 1;
            }
            3..7 => self.connect_lines(),
            7 => {
                self.trace(|| "the store dies".into());
                self.store.kill();
                self.coverage.kills += 1;
            }
            8 if !(self.store.is_running || self.weather.forgets && self.random.bool()) => {
                self.trace(|| "the store is back".into());
                self.store.restart();
            }
            8 if !self.store.is_running => {
                self.trace(|| "the store is back, empty".into());
                self.store.restart_empty();
                self.forgot.push(self.step);
                self.coverage.empty_restarts += 1;
            }
            9 if self.random.bool() => self.store.replicate(),
            9 => drop(self.store.carry_out_late(line)),
            10 if self.weather.forgets => {
                self.trace(|| "the replica takes over".into());
                self.store.fail_over();
                self.forgot.push(self.step);
                self.coverage.fail_overs += 1;
            }
            11 if self.weather.refuses => self.store.is_full = !self.store.is_full,
            12 if self.weather.kills_nodes && self.nodes.len() < NODES_MAX => self.kill_node(node),
            _ => {}
        }
    }

    fn kill_node(&mut self, node: usize) {
        self.trace(|| format!("node {node} is killed"));
        self.coverage.node_kills += 1;
        self.nodes[node].is_dead = true;
        for core in 0..self.nodes[node].core_count() {
            self.store.remove(self.nodes[node].line(core));
        }
        let lost = self.clients.iter_mut().filter(|client| client.seat.node == node);
        lost.for_each(|client| client.is_there = false);
        self.add_node();
    }

    fn choose_core(&mut self) -> (usize, usize) {
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|node| !self.nodes[*node].is_dead).collect();
        let node = alive[self.random.usize(..alive.len())];
        (node, self.random.usize(..self.nodes[node].core_count()))
    }

    fn alive_cores(&self) -> Vec<(usize, usize)> {
        let alive = self.nodes.iter().enumerate().filter(|(_, node)| !node.is_dead);
        alive.flat_map(|(number, node)| (0..node.core_count()).map(move |core| (number, core))).collect()
    }

    fn connect_lines(&mut self) {
        for (node, core) in self.alive_cores() {
            self.store.connect(self.nodes[node].line(core));
        }
    }

    /// One thing happens that is under way: the store does something, somebody hears of it, a letter is opened.
    fn move_something(&mut self) -> Result<bool, String> {
        let mut ways = Vec::new();
        for (node, core) in self.alive_cores() {
            if self.store.is_busy(self.nodes[node].line(core)) {
                ways.push((node, core, None));
            }
        }
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.is_dead) {
            ways.extend(node.lanes().into_iter().map(|(to, from, class)| (number, to, Some((from, class)))));
        }
        if ways.is_empty() {
            return Ok(false);
        }
        let (node, core, letter) = ways[self.random.usize(..ways.len())];
        match letter {
            Some((from, class)) => {
                self.nodes[node].open((core, from, class), self.now);
                self.carry_out(node, core)?;
            }
            None => {
                let line = self.nodes[node].line(core);
                let is_done = self.random.bool() && self.store.carry_out(line);
                let told = if is_done { None } else { self.store.next_event(line) };
                let told = told.map_or_else(Vec::new, |event| self.faults.distort(event));
                for event in told {
                    self.trace(|| format!("node {node} core {core} hears {event:?}"));
                    self.nodes[node].hear(core, event, self.now);
                    self.carry_out(node, core)?;
                }
            }
        }
        Ok(true)
    }

    fn carry_out(&mut self, node: usize, core: usize) -> Result<(), String> {
        let told = self.nodes[node].carry_out(node, core, &mut self.store, &mut self.faults);
        for told in told {
            let of_seat = |client: &&mut Client| client.is_there && client.seat == told.seat;
            let Some(client) = self.clients.iter_mut().find(of_seat) else { continue };
            if self.is_traced {
                eprintln!("{}: {:?} is told {}", self.step, told.seat, told.packet);
            }
            client.read(&told.packet, self.step)?;
        }
        Ok(())
    }

    fn come_or_go(&mut self) -> Result<(), String> {
        let there: Vec<usize> =
            (0..self.clients.len()).filter(|client| self.clients[*client].is_there).collect();
        if there.len() >= CLIENTS_MAX || !there.is_empty() && self.random.u8(..4) == 0 {
            let client = &mut self.clients[there[self.random.usize(..there.len())]];
            client.is_there = false;
            let (seat, session) = (client.seat, client.session);
            self.nodes[seat.node].leave(seat.core, session, self.now);
            return self.carry_out(seat.node, seat.core);
        }
        let (node, _) = self.choose_core();
        let user = self.random.u8(..USERS);
        let core = self.nodes[node].placement.home_of_user(&user.to_string()).index();
        // Slots are not used again: what a former owner is told is nobody's.
        let slot = u32::try_from(self.clients.len()).expect("there are few clients");
        let (seat, session) = (Seat { node, core, slot }, SessionId { slot, generation: 0 });
        self.clients.push(Client::new(user, seat, session, self.step));
        self.nodes[node].connect(core, session, &user.to_string(), self.now);
        self.carry_out(node, core)
    }

    fn choose_client(&mut self) -> Option<usize> {
        let there: Vec<usize> =
            (0..self.clients.len()).filter(|client| self.clients[*client].is_there).collect();
        (!there.is_empty()).then(|| there[self.random.usize(..there.len())])
    }

    fn act(&mut self, client: usize, text: &str, ack: Option<u64>) -> Result<(), String> {
        let Client { seat, session, .. } = self.clients[client];
        self.trace(|| format!("{seat:?} says {text}"));
        self.nodes[seat.node].event(seat.core, session, text, ack, self.now);
        self.carry_out(seat.node, seat.core)
    }

    fn join_or_leave(&mut self) -> Result<(), String> {
        let Some(client) = self.choose_client() else { return Ok(()) };
        let channel = CHANNELS[self.random.usize(..CHANNELS.len())];
        let deed = match self.clients[client].is_in(channel) {
            true if self.random.u8(..3) > 0 => return Ok(()),
            true => "leave",
            false => "join",
        };
        self.act(client, &format!(r#"["channel:{deed}",{{"channelId":"{channel}"}}]"#), None)
    }

    fn say(&mut self) -> Result<(), String> {
        let Some(client) = self.choose_client() else { return Ok(()) };
        let channel = CHANNELS[self.random.usize(..CHANNELS.len())];
        if !self.clients[client].is_in(channel) {
            return self.act(client, &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#), None);
        }
        let number = self.note_sent(channel, Some(client));
        self.send(client, channel, number)
    }

    fn send(&mut self, client: usize, channel: &str, number: u64) -> Result<(), String> {
        self.clients[client].sent.push((number, channel.into()));
        let key = if may_be_said_again(number) {
            format!(r#","clientMessageId":"{number}""#)
        } else {
            String::new()
        };
        let text = format!(r#"["message:send",{{"channelId":"{channel}","content":"{number}"{key}}}]"#);
        self.act(client, &text, Some(number))
    }

    /// Another device of a user says one of the latest messages again: the first was cut off, and did not hear of its end.
    fn say_again(&mut self) -> Result<(), String> {
        // A store that forgot a message takes it once more.
        let Some(client) = self.choose_client().filter(|_| !self.weather.forgets) else { return Ok(()) };
        let Client { user, sent, .. } = &self.clients[client];
        let others = self.clients.iter().filter(|other| other.user == *user);
        let theirs = others.flat_map(|other| other.sent.iter().rev().take(4));
        let is_open = |(number, channel): &&(u64, String)| {
            may_be_said_again(*number)
                && self.clients[client].is_in(channel)
                && !sent.iter().any(|(had, _)| had == number)
        };
        let Some((number, channel)) = theirs.filter(is_open).max().cloned() else { return Ok(()) };
        self.coverage.retries += 1;
        // Which of the two is first is open, and so is their place among the others of either.
        self.sent.entry(number).and_modify(|sent| sent.sender = None);
        self.send(client, &channel, number)
    }

    fn note_sent(&mut self, channel: &str, sender: Option<usize>) -> u64 {
        self.coverage.messages += 1;
        let number = self.sent.len() as u64 + 1;
        self.sent.insert(number, Sent { channel: channel.into(), step: self.step, sender });
        number
    }

    /// A back end says something, to a channel or to a user.
    fn post(&mut self) -> Result<(), String> {
        let user = self.random.u8(..USERS);
        let channel = match self.random.bool() {
            true => format!("user:{user}"),
            false => CHANNELS[self.random.usize(..CHANNELS.len())].to_owned(),
        };
        let number = self.note_sent(&channel, None);
        let (node, core) = self.choose_core();
        let body = format!(r#""channelId":"{channel}","userId":"x","content":"{number}""#).into_bytes();
        let deed = Deed::Publish { kind: Kind::Message, body, client_message_id: None };
        let now = self.now;
        self.trace(|| format!("node {node} core {core}: {number} is posted to {channel}"));
        self.nodes[node].call(core, |shard, out| {
            shard.handle_call(Ticket(number), Caller::Server, "x".into(), channel.into(), deed, now, out);
        });
        self.carry_out(node, core)
    }

    fn pass(&mut self, time_ms: u64) -> Result<(), String> {
        self.now.monotonic_us += time_ms * 1_000;
        self.now.unix_ms += time_ms;
        self.store.now_ms += time_ms;
        for (node, core) in self.alive_cores() {
            self.nodes[node].look_at_clock(core, self.now);
            self.carry_out(node, core)?;
        }
        Ok(())
    }

    /// Everything is whole again, and everything happens that is under way.
    fn become_quiet(&mut self) -> Result<(), String> {
        self.trace(|| "everything is whole again".into());
        self.store.is_full = false;
        if !self.store.is_running {
            self.store.restart();
        }
        for _ in 0..6 {
            self.step += 1;
            while self.move_something()? {}
            self.connect_lines();
            while self.move_something()? {}
            self.pass(1_100)?;
        }
        while self.move_something()? {}
        Ok(())
    }

    fn count_coverage(&mut self) {
        let refused = |client: &Client| client.answers.values().filter(|taken| !**taken).count() as u64;
        self.coverage.refusals += self.clients.iter().map(refused).sum::<u64>();
        for node in &self.nodes {
            for core in 0..node.core_count() {
                let metrics = node.metrics(core);
                self.coverage.provisional += metrics.provisional.get();
                self.coverage.catch_ups += metrics.catch_ups.get();
                self.coverage.gaps += metrics.gaps.get();
                self.coverage.tails_lost += metrics.tails_lost.get();
            }
        }
    }
}
