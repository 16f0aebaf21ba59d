//! One core's part in the store that nodes share: what the shard asks becomes commands and topics of Redis, and what
//! comes back becomes events. What publications and signals mean is the shard's business, how connections are kept
//! that of [`redis`](crate::redis).
//!
//! ```text
//! Shard::take_store_requests ──> Store::submit ──> appends, channels, catching_up, records ──> Client
//! Shard::handle_store        <── one turn      <── Store as a Sink                         <──
//! ```

mod appends;
mod catching_up;
mod channels;
mod envelope;
mod keys;
mod records;
mod scripts;
mod settings;
mod sink;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use core_shards::cursor::RunId;
use core_shards::store::{Refused, StoreTrouble, Unanswered};
use core_shards::{ChannelName, CoreId, Epoch, Partition, Placement, StoreEvent, StoreRequest, UserId};
use protocol::redis::{Reply, Slot};

use crate::redis::{Client, GroupId, GroupSpec, Sink, StoreMetrics};
use crate::rt::{Gate, LocalNotify, Starter};
use appends::Appends;
use catching_up::CatchingUp;
use channels::Standing;
use keys::Keys;
pub use settings::StoreSettings;

/// Where events go: to the shard, in one turn for all of them.
pub type Listener = Box<dyn Fn(Vec<StoreEvent>)>;

/// One core's part in the shared store.
pub struct Store {
    core: CoreId,
    client: Client,
    keys: Keys,
    placement: Placement,
    run: RunId,
    settings: StoreSettings,
    /// The partitions that this core hears. Their places are the client's groups.
    partitions: Vec<Partition>,
    state: RefCell<State>,
    listener: OnceCell<Listener>,
    /// Appends wait to be sent.
    flush_wanted: LocalNotify,
    /// An answer that cannot be read was logged.
    is_puzzled: Cell<bool>,
    /// Another number of partitions was logged.
    is_at_odds: Cell<bool>,
}

/// What changes.
struct State {
    /// What the shard has not been told yet.
    events: Vec<StoreEvent>,
    /// What answers that are under way are for, by their tags.
    questions: HashMap<u64, Question>,
    last_tag: u64,
    /// By group.
    appends: Vec<Appends>,
    /// By group: whether it is heard.
    is_up: Vec<bool>,
    /// Channels that are open or on the way to it.
    channels: HashMap<ChannelName, Standing>,
    /// Whether this core has kept sessions, which are to be kept on.
    has_sessions: bool,
    /// Where the letters of epochs come from.
    random: fastrand::Rng,
}

/// What an answer is for.
enum Question {
    /// Appends of a group, by their numbers.
    Appends(GroupId, Vec<u32>),
    /// The opening of a channel.
    Open(ChannelName),
    /// A step in catching up.
    CatchUp(Box<CatchingUp>),
    /// The keeping of a session.
    Keep(u64),
    /// The taking of a session, by its ticket.
    Take(u64),
    /// The noting of absences.
    NoteAbsences(UserId),
    /// The absences of a user, by the ticket.
    AskAbsences(u64),
    /// The leases.
    Renew,
    /// How many partitions other nodes have.
    Partitions,
}

/// How much of an error is logged.
const ERROR_CHARS_MAX: usize = 160;

/// The tag of commands whose answer nobody wants.
const UNASKED: u64 = 0;

impl Store {
    /// A store that does nothing before it is [started](Self::start).
    pub fn new(
        settings: StoreSettings,
        core: CoreId,
        placement: Placement,
        run: RunId,
        metrics: Arc<StoreMetrics>,
    ) -> Rc<Self> {
        let keys = Keys::new(&settings.prefix, settings.partitions);
        let all = (0..settings.partitions).map(Partition);
        let partitions: Vec<_> = all.filter(|one| placement.core_of_partition(*one) == core).collect();
        let group = |partition: &Partition| GroupSpec {
            slot: keys.slot(*partition),
            canary_topic: keys.canary_topic(*partition, &run, core).into(),
        };
        let groups = partitions.iter().map(group).collect();
        let client = Client::new(settings.redis.clone(), groups, scripts::all(), metrics);
        let state = State {
            events: Vec::new(),
            questions: HashMap::new(),
            last_tag: UNASKED,
            appends: partitions.iter().map(|_| Appends::default()).collect(),
            is_up: vec![false; partitions.len()],
            channels: HashMap::new(),
            has_sessions: false,
            random: fastrand::Rng::new(),
        };
        Rc::new(Self {
            core,
            client,
            keys,
            placement,
            run,
            settings,
            partitions,
            state: RefCell::new(state),
            listener: OnceCell::new(),
            flush_wanted: LocalNotify::default(),
            is_puzzled: Cell::new(false),
            is_at_odds: Cell::new(false),
        })
    }

    /// Takes in no more from the store while there is no room for it. To be called before [`start`](Self::start).
    pub fn heed(&self, gate: Gate) {
        self.client.heed(gate);
    }

    /// Connects, and tells `listener` what comes, outside of turns. To be called once, on the core's thread.
    pub fn start(self: &Rc<Self>, starter: &Starter, listener: Listener) {
        let _ = self.listener.set(listener);
        for (group, partition) in self.groups() {
            self.client.watch(group, &self.keys.users_topic(partition));
            for topic in self.standing_topics(partition) {
                self.client.watch(group, &topic);
            }
        }
        let this: Weak<Self> = Rc::downgrade(self);
        let sink: Weak<dyn Sink> = this.clone();
        self.client.start(sink, starter);
        starter(Box::pin(appends::run_flush(self.clone())));
        starter(Box::pin(records::run_renewal(self.clone())));
    }

    /// Takes the shard's requests over, in a turn. What can be answered at once is returned.
    pub fn submit(&self, requests: Vec<StoreRequest>) -> Vec<StoreEvent> {
        let state = &mut *self.state.borrow_mut();
        let mut answers = Vec::new();
        for request in requests {
            match request {
                StoreRequest::Append(append) => self.append(state, append),
                StoreRequest::Open(channel) => answers.extend(self.open(state, channel)),
                StoreRequest::Close(channel) => answers.extend(self.close(state, &channel)),
                StoreRequest::CatchUp(request) => self.catch_up(state, *request),
                StoreRequest::Renounce(partition, epoch) => self.renounce(state, partition, epoch),
                StoreRequest::Signal(topic, signal) => {
                    let (slot, name) = self.keys.topic(&topic, |channel| self.partition_of(channel));
                    self.client.publish(slot, &name, &[&[envelope::SIGNAL], &*signal].concat());
                }
                StoreRequest::KeepSession { pid, record, ticket } => {
                    self.keep_session(state, &pid, &record, ticket);
                }
                StoreRequest::DropSession { pid } => self.drop_session(&pid),
                StoreRequest::TakeSession { pid, ticket } => {
                    answers.extend(self.take_session(state, &pid, ticket));
                }
                StoreRequest::NoteAbsences { user, channels } => self.note_absences(state, user, &channels),
                StoreRequest::AskAbsences { user, ticket } => self.ask_absences(state, &user, ticket),
                StoreRequest::EndAbsence { user, channel } => self.end_absence(&user, &channel),
                StoreRequest::Renew { generation, is_last } => self.renew(state, generation, is_last),
            }
        }
        answers
    }

    /// Whether there is no connection that what is said now could go over.
    pub fn is_away(&self) -> bool {
        self.client.metrics().links_up.get() == 0
    }

    /// Whether anything is not answered yet that is to be answered.
    pub fn owes(&self) -> bool {
        let state = self.state.borrow();
        !state.questions.is_empty() || state.appends.iter().any(Appends::is_waiting)
    }

    fn groups(&self) -> impl Iterator<Item = (GroupId, Partition)> {
        (0..).map(GroupId).zip(self.partitions.iter().copied())
    }

    fn group_of(&self, partition: Partition) -> Option<GroupId> {
        self.groups().find(|(_, one)| *one == partition).map(|(group, _)| group)
    }

    fn partition_of(&self, name: &str) -> Partition {
        self.placement.partition_of(name).expect("the placement of a node with a store is joined")
    }

    /// Topics beside those of channels and users.
    fn standing_topics(&self, partition: Partition) -> Vec<keys::Key> {
        use core_shards::store::Topic;
        let mut topics = vec![Topic::Presence(partition)];
        if partition == Partition(0) {
            topics.extend([Topic::Everybody, Topic::Node(self.run)]);
        }
        topics.iter().map(|topic| self.keys.topic(topic, |_| partition).1).collect()
    }

    /// Runs a script that is answered under a tag of its own.
    fn ask(
        &self,
        state: &mut State,
        question: Question,
        slot: Slot,
        script: &'static crate::redis::Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) {
        let tag = state.note(question);
        self.client.evalsha(slot, tag, script, keys.iter().copied(), arguments.iter().copied());
    }

    /// Something that was written by something else, or refused for a reason that is no trouble of the server: said
    /// once, since it would be said for ever.
    fn puzzle(&self, what: &str, answer: &Reply<'_>) {
        if !self.is_puzzled.replace(true) {
            // Anything but an error may hold what people said.
            let said: String = match answer {
                Reply::Error(text) => String::from_utf8_lossy(text).chars().take(ERROR_CHARS_MAX).collect(),
                _ => "something of another form".to_owned(),
            };
            tracing::error!(said, "what Redis says about {what} cannot be used");
        }
    }
}

impl State {
    fn note(&mut self, question: Question) -> u64 {
        self.last_tag += 1;
        self.questions.insert(self.last_tag, question);
        self.last_tag
    }

    fn refuse(&mut self, request: Unanswered, reason: StoreTrouble) {
        self.events.push(refused(request, reason));
    }

    /// Letters for an epoch that may begin.
    fn fresh_epoch(&mut self) -> Epoch {
        Epoch::from_random(self.random.u64(..))
    }
}

fn refused(request: Unanswered, reason: StoreTrouble) -> StoreEvent {
    StoreEvent::Refused(Box::new(Refused { request, reason }))
}

/// Whether a room is a user's own: what is said there is kept for its user, and heard by every node.
fn is_own_room(channel: &str) -> bool {
    channel.starts_with("user:")
}
