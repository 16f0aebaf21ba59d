//! For unit tests: nodes of several cores whose signals are carried by hand, with leases that end, and what goes wrong with
//! both.

mod limits;
mod members;
mod presence;
mod trouble;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use protocol::json::Validator;
use protocol::websocket::frame;

use super::leases::LEASE_MS;
use crate::cursor::RunId;
use crate::ids::{CoreId, SessionId};
use crate::limits::{Limits, RateLimits};
use crate::mail::{Caller, Deed, Question};
use crate::metrics::ShardMetrics;
use crate::outputs::{Outputs, Ticket};
use crate::placement::Placement;
use crate::shard::{Ending, Event, Identity, Newcomer, Shard};
use crate::store::{
    CaughtUp, Head, Opened, Refused, StoreEvent, StoreRequest, StoreTrouble, Topic, Unanswered,
};
use crate::{Epoch, Now, Offset, Partition};

const PARTITIONS: u16 = 2;

/// One core of a node, and what its sessions were sent.
struct Core {
    shard: Shard,
    out: Outputs,
    metrics: Arc<ShardMetrics>,
    inboxes: BTreeMap<u32, Vec<String>>,
}

struct Node {
    cores: Vec<Core>,
    placement: Placement,
    run: RunId,
    /// No signal reaches the store or comes from it.
    is_cut: bool,
    /// Nothing happens there.
    is_frozen: bool,
    next_slot: u32,
}

/// A session somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    node: usize,
    core: usize,
    session: SessionId,
}

struct Nodes {
    nodes: Vec<Node>,
    now: Now,
    /// Generation and end of each lease.
    leases: BTreeMap<RunId, (u32, u64)>,
    /// Signals on their way to each node.
    wire: VecDeque<(usize, Topic, Vec<u8>)>,
    /// How many of a hundred signals are lost.
    loss_percent: u8,
    random: fastrand::Rng,
}

fn limits() -> Limits {
    let limits = Limits::default();
    let rate = RateLimits { is_enabled: false, ..limits.rate };
    Limits { rate, presence_grace_ms: 5_000, recovery_window_ms: 20_000, ..limits }
}

impl Nodes {
    fn new(count: usize, core_count: u16, limits: &Limits) -> Self {
        let now = Now { monotonic_us: 1_000_000, unix_ms: 1_772_359_201_000 };
        let mut nodes = Self {
            nodes: Vec::new(),
            now,
            leases: BTreeMap::new(),
            wire: VecDeque::new(),
            loss_percent: 0,
            random: fastrand::Rng::with_seed(7),
        };
        for _ in 0..count {
            nodes.start(core_count, limits);
        }
        nodes
    }

    /// Starts one node more; returns its number.
    fn start(&mut self, core_count: u16, limits: &Limits) -> usize {
        let number = self.nodes.len();
        let placement = Placement::new(core_count, (number as u64 + 1, 77)).joined(PARTITIONS);
        let core = |core| {
            let metrics = Arc::<ShardMetrics>::default();
            let seed = number as u64 * 100 + u64::from(core);
            let shard = Shard::new(CoreId(core), placement, limits.clone(), metrics.clone(), seed, self.now);
            Core { shard, out: Outputs::default(), metrics, inboxes: BTreeMap::new() }
        };
        let cores: Vec<Core> = (0..core_count).map(core).collect();
        let run = cores[0].shard.run;
        let node = Node { cores, placement, run, is_cut: false, is_frozen: false, next_slot: 0 };
        self.nodes.push(node);
        self.connect_store(number);
        self.pass(0);
        number
    }

    /// The feed of every partition is heard, or again.
    fn connect_store(&mut self, node: usize) {
        self.nodes[node].is_cut = false;
        for partition in (0..PARTITIONS).map(Partition) {
            let core = self.nodes[node].placement.core_of_partition(partition).index();
            self.tell(node, core, StoreEvent::Up(partition));
        }
        self.settle();
    }

    /// The node is cut off from the store.
    fn cut(&mut self, node: usize) {
        for partition in (0..PARTITIONS).map(Partition) {
            let core = self.nodes[node].placement.core_of_partition(partition).index();
            self.tell(node, core, StoreEvent::Down(partition));
        }
        self.settle();
        self.nodes[node].is_cut = true;
    }

    fn tell(&mut self, node: usize, core: usize, event: StoreEvent) {
        let Core { shard, out, .. } = &mut self.nodes[node].cores[core];
        shard.handle_store(event, self.now, out);
    }

    /// Carries everything until nothing is on its way.
    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            for node in 0..self.nodes.len() {
                if !self.nodes[node].is_frozen {
                    is_quiet &= self.settle_node(node);
                }
            }
            let Some((node, topic, signal)) = self.wire.pop_front() else {
                if is_quiet {
                    return;
                }
                continue;
            };
            let lost = self.random.u8(..100) < self.loss_percent;
            if !lost && !self.nodes[node].is_cut && !self.nodes[node].is_frozen {
                let placement = self.nodes[node].placement;
                let core = match &topic {
                    Topic::Channel(channel) => placement.home_of_channel(channel),
                    Topic::Presence(partition) => placement.core_of_partition(*partition),
                    Topic::Everybody | Topic::Node(_) => CoreId(0),
                };
                self.tell(node, core.index(), StoreEvent::Signal(topic, signal));
            }
        }
    }

    /// Carries mail between cores, and what they want of the store. Returns whether there was nothing.
    fn settle_node(&mut self, node: usize) -> bool {
        let mut is_quiet = true;
        for core in 0..self.nodes[node].cores.len() {
            self.hear(node, core);
            let mail: Vec<_> = self.nodes[node].cores[core].out.take_mail().collect();
            for (to, letter) in mail {
                is_quiet = false;
                let Core { shard, out, .. } = &mut self.nodes[node].cores[to.index()];
                shard.handle_mail(CoreId(core as u16), letter, self.now, out);
            }
            for request in self.nodes[node].cores[core].shard.take_store_requests() {
                is_quiet = false;
                self.carry_out(node, core, request);
            }
        }
        is_quiet
    }

    fn carry_out(&mut self, node: usize, core: usize, request: StoreRequest) {
        let is_cut = self.nodes[node].is_cut;
        match request {
            StoreRequest::Signal(topic, signal) if !is_cut => {
                let is_for = |run: RunId| !matches!(&topic, Topic::Node(to) if *to != run);
                let to: Vec<usize> =
                    (0..self.nodes.len()).filter(|number| is_for(self.nodes[*number].run)).collect();
                self.wire.extend(to.into_iter().map(|node| (node, topic.clone(), signal.clone())));
            }
            StoreRequest::Renew { .. } if is_cut => {
                let refused = Refused { request: Unanswered::Renew, reason: StoreTrouble::Away };
                self.tell(node, core, StoreEvent::Refused(Box::new(refused)));
            }
            StoreRequest::Renew { generation, is_last } => {
                let event = self.renew(self.nodes[node].run, generation, is_last);
                self.tell(node, core, event);
            }
            StoreRequest::Open(channel) if !is_cut => {
                let epoch = Epoch::from_random(1);
                let opened = Opened {
                    channel,
                    head: Head { epoch, number: 0 },
                    epoch,
                    offset: Offset(0),
                    timestamp_ms: 0,
                    last_number: 0,
                    tail: Vec::new(),
                };
                self.tell(node, core, StoreEvent::Opened(Box::new(opened)));
            }
            StoreRequest::CatchUp(catch_up) if !is_cut => {
                let caught_up = CaughtUp {
                    partition: catch_up.partition,
                    ticket: catch_up.ticket,
                    head: Head { epoch: Epoch::from_random(1), number: 0 },
                    users: Some(Vec::new()),
                    channels: Vec::new(),
                    appended: 0,
                };
                self.tell(node, core, StoreEvent::CaughtUp(Box::new(caught_up)));
            }
            StoreRequest::AskAbsences { ticket, .. } if is_cut => {
                let refused =
                    Refused { request: Unanswered::AskAbsences(ticket), reason: StoreTrouble::Away };
                self.tell(node, core, StoreEvent::Refused(Box::new(refused)));
            }
            StoreRequest::AskAbsences { ticket, .. } => {
                self.tell(node, core, StoreEvent::Absences { ticket, channels: Vec::new() });
            }
            _ => {}
        }
    }

    fn renew(&mut self, run: RunId, generation: u32, is_last: bool) -> StoreEvent {
        let now_ms = self.now.monotonic_ms();
        self.leases.retain(|_, (_, end_ms)| *end_ms > now_ms);
        let was_any = !self.leases.is_empty();
        let was_held = self.leases.get(&run).is_some_and(|(held, _)| *held == generation);
        match is_last {
            true => drop(self.leases.remove(&run)),
            false => drop(self.leases.insert(run, (generation, now_ms + LEASE_MS))),
        }
        let alive = self.leases.iter().map(|(run, (generation, _))| (*run, *generation)).collect();
        StoreEvent::Leases { was_held, was_any, alive }
    }

    /// Lets time pass in steps, as nodes do that look at their clocks.
    fn pass(&mut self, time_ms: u64) {
        let mut left_ms = time_ms;
        loop {
            for node in self.nodes.iter_mut().filter(|node| !node.is_frozen) {
                for Core { shard, out, .. } in &mut node.cores {
                    shard.handle_time(self.now, out);
                }
            }
            self.settle();
            let step_ms = left_ms.min(500);
            if step_ms == 0 {
                return;
            }
            left_ms -= step_ms;
            self.now.monotonic_us += step_ms * 1_000;
            self.now.unix_ms += step_ms;
        }
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].is_cut = true;
        self.nodes[node].is_frozen = true;
    }

    fn connect(&mut self, node: usize, user: &str) -> Client {
        let identity = Identity {
            user: user.into(),
            session: None,
            name: None,
            roles: Box::new([]),
            grants: None,
            expires_at_unix_ms: None,
        };
        let of = &mut self.nodes[node];
        let core = of.placement.home_of_user(user).index();
        let session = SessionId { slot: of.next_slot, generation: of.next_slot };
        of.next_slot += 1;
        let Core { shard, out, .. } = &mut of.cores[core];
        shard.handle_connect(session, Newcomer::plain(identity), self.now, out);
        self.settle();
        let client = Client { node, core, session };
        self.inbox(client);
        client
    }

    fn end(&mut self, client: Client, ending: Ending) {
        let Core { shard, out, .. } = &mut self.nodes[client.node].cores[client.core];
        shard.handle_disconnect(client.session, ending, self.now, out);
        self.settle();
    }

    fn event(&mut self, client: Client, text: &str) {
        let mut validator = Validator::new();
        let arguments = validator.check(text).expect("tests write valid JSON");
        let Core { shard, out, .. } = &mut self.nodes[client.node].cores[client.core];
        shard.handle_event(client.session, &Event { arguments, ack: None, attachments: &[] }, self.now, out);
        self.settle();
    }

    fn join(&mut self, client: Client, channel: &str) {
        self.event(client, &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#));
    }

    fn leave(&mut self, client: Client, channel: &str) {
        self.event(client, &format!(r#"["channel:leave",{{"channelId":"{channel}"}}]"#));
    }

    fn say(&mut self, client: Client, status: &str) {
        self.event(client, &format!(r#"["presence:update",{{"status":"{status}"}}]"#));
    }

    /// What a client was sent since the last call.
    fn inbox(&mut self, client: Client) -> Vec<String> {
        self.nodes[client.node].cores[client.core].inboxes.remove(&client.session.slot).unwrap_or_default()
    }

    /// The statuses of a user that a client was told, outside of lists.
    fn told(&mut self, client: Client, user: &str) -> Vec<String> {
        let of_user = format!(r#""userId":"{user}""#);
        let heard = self.inbox(client).into_iter().filter(|packet| packet.starts_with(r#"42["presence","#));
        let heard = heard.filter(|packet| packet.contains(&of_user));
        heard.filter_map(|packet| Some(field(&packet, "status")?.to_owned())).collect()
    }

    fn hear(&mut self, node: usize, core: usize) {
        let Core { out, inboxes, .. } = &mut self.nodes[node].cores[core];
        let mut frames = Vec::new();
        out.take_deliveries(|frame, slots| frames.push((frame, slots.to_vec())));
        for (frame, slots) in frames {
            for (_, payload) in frame::frames(out.bytes(frame)) {
                let packet = String::from_utf8_lossy(payload).into_owned();
                slots.iter().for_each(|slot| inboxes.entry(*slot).or_default().push(packet.clone()));
            }
        }
        out.clear_frames();
    }

    /// What `GET /presence` says of a channel on a node.
    fn list(&mut self, node: usize, channel: &str) -> String {
        let Core { shard, out, .. } = &mut self.nodes[node].cores[0];
        shard.handle_call(
            Ticket(1),
            Caller::Server,
            "back end".into(),
            channel.into(),
            Deed::Ask(Question::Presence),
            self.now,
            out,
        );
        self.settle();
        let (_, response) = self.nodes[node].cores[0].out.take_answers().next().expect("it is answered");
        String::from_utf8(response.body.to_vec()).expect("answers are text")
    }

    /// How a node shows a user: the status and the text beside it.
    fn shown(&self, node: usize, user: &str) -> (&'static str, Option<String>) {
        let of = &self.nodes[node];
        let shard = &of.cores[of.placement.home_of_user(user).index()].shard;
        let Some(index) = shard.users.find(user, &of.placement) else { return ("offline", None) };
        let standpoint = shard.standpoint(index, self.now);
        let text = standpoint.custom.and_then(|custom| custom.text.as_deref().map(str::to_owned));
        (standpoint.status.name(), text)
    }

    /// Who is in a channel elsewhere and here, as a node lists it.
    fn users_in(&mut self, node: usize, channel: &str) -> Vec<String> {
        let list = self.list(node, channel);
        let mut users: Vec<String> = list
            .split(r#""userId":""#)
            .skip(1)
            .filter(|entry| field(entry, "status") != Some("offline"))
            .filter_map(|entry| Some(entry.split_once('"')?.0.to_owned()))
            .collect();
        users.sort();
        users
    }

    fn holdings(&self, node: usize) -> usize {
        self.nodes[node].cores.iter().map(|core| core.shard.holdings().elsewhere).sum()
    }
}

/// A text field of a packet.
fn field<'a>(packet: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = packet.split_once(&format!(r#""{name}":""#))?;
    rest.split_once('"').map(|(text, _)| text)
}
