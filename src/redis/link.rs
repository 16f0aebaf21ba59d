//! One connection to one server: made, lost and made again; what is said on it, and in which order it is answered.
//!
//! Knows nothing of groups and slots: its hub does.
//!
//! ```text
//!   Down ── back-off ──> connect, TLS, HELLO, scripts ──> Up: read │ write │ until it breaks or is cut
//!    ^                        │ failed                                 │
//!    └────────────────────────┴────────────────────────────────────────┘
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use protocol::redis::{Decoder, DecoderLimits, List, Received, Reply, Slot, push_command};

use super::address::Host;
use super::backoff::Backoff;
use super::canary::SILENCE_US_MAX;
use super::detours::Traveller;
use super::handshake::{Hello, shake_hands};
use super::hub::{Hub, Parcel};
use super::line::Line;
use super::resolve::Resolver;
use super::sink::GroupId;
use super::topics::Batch;
use super::trouble::{Failure, Trouble};
use crate::rt::{self, Either, Latch, LocalNotify, Yield};

/// Commands under way on one connection. Reached: the next is refused as [`Busy`](core_shards::store::StoreTrouble::Busy),
/// or dropped if nobody waits for it.
pub(super) const COMMANDS_MAX: usize = 16_384;
/// Bytes of commands under way on one connection; beyond, the same.
pub(super) const COMMAND_BYTES_MAX: usize = 32 << 20;

/// How long an attempt to connect may take up to encryption, and then the first words. For each again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes read before everything else on the core gets its turn.
const SHARE_BYTES_MAX: usize = 256 * 1024;
/// A buffer of commands that is larger is given back after it was written.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Follows each command of subscription: those are answered by pushes alone, unless they fail, and this says that they
/// have been carried out.
const BARRIER: &[&[u8]] = &[b"PING", b"b"];

/// What a command was sent for.
#[derive(Debug)]
pub(super) enum Errand {
    /// Whoever sent it gets the reply.
    Command { tag: u64 },
    /// It goes to the master of a slot, and may have to go on from there.
    Parcel { slot: Slot, traveller: Box<Traveller<Parcel>> },
    /// A question for who serves which slot.
    Topology,
    /// Nobody does.
    Unanswered,
    /// A publish of our own.
    Canary { group: GroupId, number: u64 },
    /// A question whether the server is there, when nothing else is under way.
    Ping { sent_us: u64 },
    /// A subscription or its end, with what follows it.
    Subscription { batch: Box<Batch>, is_refused: bool },
}

/// A command that was not answered yet.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) errand: Errand,
    bytes: usize,
}

/// One connection, whether there is one or not.
pub(super) struct Link {
    host: Host,
    hub: Weak<Hub>,
    wire: RefCell<Wire>,
    flush_wanted: LocalNotify,
    cut_wanted: LocalNotify,
    cut_for: RefCell<Option<Failure>>,
    /// Since when the server owes an answer and has said nothing; meaningless while nothing is under way.
    silent_since_us: Cell<u64>,
    /// Nothing is read because the core has no room for it.
    is_held: Cell<bool>,
    closing: Latch,
}

#[derive(Default)]
struct Wire {
    is_up: bool,
    out: Vec<u8>,
    flights: VecDeque<Flight>,
    bytes: usize,
}

impl Link {
    /// A connection that is made as soon as [`run`] runs.
    pub(super) fn new(host: Host, hub: Weak<Hub>) -> Rc<Self> {
        Rc::new(Self {
            host,
            hub,
            wire: RefCell::default(),
            flush_wanted: LocalNotify::default(),
            cut_wanted: LocalNotify::default(),
            cut_for: RefCell::default(),
            silent_since_us: Cell::new(0),
            is_held: Cell::new(false),
            closing: Latch::default(),
        })
    }

    /// Where it leads to.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Whether commands are carried out.
    pub(super) fn is_up(&self) -> bool {
        self.wire.borrow().is_up
    }

    /// Whether no more commands should be sent for now.
    pub(super) fn is_full(&self) -> bool {
        let wire = self.wire.borrow();
        wire.flights.len() >= COMMANDS_MAX || wire.bytes >= COMMAND_BYTES_MAX
    }

    /// Appends a command, which `write` writes, to what goes out at the end of the turn. Only while the link is up.
    pub(super) fn send(&self, now_us: u64, errand: Errand, write: impl FnOnce(&mut Vec<u8>)) {
        self.push(now_us, errand, |out, _| write(out));
    }

    /// Appends a command that is written already, and may have to be sent again.
    pub(super) fn send_parcel(&self, now_us: u64, slot: Slot, traveller: Box<Traveller<Parcel>>) {
        self.push(now_us, Errand::Parcel { slot, traveller }, |out, errand| {
            if let Errand::Parcel { traveller, .. } = errand {
                out.extend_from_slice(traveller.command.bytes());
            }
        });
    }

    fn push(&self, now_us: u64, errand: Errand, write: impl FnOnce(&mut Vec<u8>, &Errand)) {
        let mut wire = self.wire.borrow_mut();
        if wire.flights.is_empty() {
            self.silent_since_us.set(now_us);
        }
        let before = wire.out.len();
        write(&mut wire.out, &errand);
        let bytes = wire.out.len() - before;
        wire.bytes += bytes;
        wire.flights.push_back(Flight { errand, bytes });
        drop(wire);
        self.flush_wanted.notify();
    }

    /// Sends a subscription or its end.
    pub(super) fn subscribe(&self, now_us: u64, batch: Batch, is_sharded: bool) {
        let name: &[u8] = match (batch.is_subscription, is_sharded) {
            (true, true) => b"SSUBSCRIBE",
            (true, false) => b"SUBSCRIBE",
            (false, true) => b"SUNSUBSCRIBE",
            (false, false) => b"UNSUBSCRIBE",
        };
        let mut parts = Vec::with_capacity(1 + batch.topics.len());
        parts.push(name);
        let topics = batch.topics.clone();
        parts.extend(topics.iter().map(|topic| &**topic));
        let errand = Errand::Subscription { batch: Box::new(batch), is_refused: false };
        self.send(now_us, errand, |out| {
            push_command(out, &parts);
            push_command(out, BARRIER);
        });
    }

    /// Gives up the connection, if there is one; another one is made.
    pub(super) fn cut(&self, failure: Failure) {
        if self.is_up() {
            self.cut_for.borrow_mut().get_or_insert(failure);
            self.cut_wanted.notify();
        }
    }

    /// Ends the link for good, after what waits was written.
    pub(super) fn close(&self) {
        self.closing.set();
        self.flush_wanted.notify();
    }

    /// Looks whether the server still says something. Returns whether nothing is under way.
    pub(super) fn check(&self, now_us: u64) -> bool {
        let is_idle = self.wire.borrow().flights.is_empty();
        if self.is_held.get() {
            self.excuse(now_us);
        } else if !is_idle && now_us.saturating_sub(self.silent_since_us.get()) > SILENCE_US_MAX {
            self.cut(Failure::new(Trouble::Silent, "it does not answer"));
        }
        is_idle
    }

    /// The server's silence counts from now on: nobody has listened.
    pub(super) fn excuse(&self, now_us: u64) {
        self.silent_since_us.set(now_us);
    }

    /// Commands and bytes under way.
    pub(super) fn under_way(&self) -> (usize, usize) {
        let wire = self.wire.borrow();
        (wire.flights.len(), wire.bytes)
    }
}

/// Keeps a link connected. Ends when the link is closed or its hub is gone.
pub(super) async fn run(link: Rc<Link>) {
    let (mut backoff, mut resolver, mut attempts) = (Backoff::default(), Resolver::default(), 0usize);
    loop {
        let attempt = rt::race(connect(&link, &mut resolver, attempts), link.closing.wait()).await;
        attempts = attempts.wrapping_add(1);
        let Some(hub) = link.hub.upgrade() else { return };
        match attempt {
            Either::Right(()) => return,
            Either::Left(Err(failure)) => hub.handle_failed_attempt(&link, &failure),
            Either::Left(Ok((line, decoder, hello))) => {
                let begin = Instant::now();
                link.wire.borrow_mut().is_up = true;
                hub.handle_up(&link, hello);
                drop(hub);
                let failure = serve(&link, &line, decoder).await;
                if !link.closing.is_set() {
                    line.abandon();
                }
                let wire = link.wire.take();
                link.cut_for.take();
                backoff.lost(begin.elapsed());
                let Some(hub) = link.hub.upgrade() else { return };
                hub.handle_down(&link, wire.flights, &failure);
            }
        }
        if link.closing.is_set() {
            return;
        }
        rt::race(rt::sleep(backoff.next(random())), link.closing.wait()).await;
    }
}

/// Makes a connection up to the point where it carries commands.
async fn connect(
    link: &Link,
    resolver: &mut Resolver,
    attempt: usize,
) -> Result<(Line, Decoder, Hello), Failure> {
    let Some(hub) = link.hub.upgrade() else {
        return Err(Failure::new(Trouble::Unreachable, "the node ends"));
    };
    hub.metrics().attempts.increment();
    let trust = hub.trust()?;
    let connecting = async {
        let found = resolver.resolve(&link.host).await;
        let addresses = found.map_err(|error| Failure::new(Trouble::UnknownHost, error.to_string()))?;
        // Each attempt tries another one: the first may be of a network that we have no way to.
        let Some(address) = addresses.get(attempt % addresses.len().max(1)) else {
            return Err(Failure::new(Trouble::UnknownHost, "its name has no address"));
        };
        Ok(Line::connect(*address, &link.host.name, trust.as_ref()).await?)
    };
    let line = within(CONNECT_TIMEOUT, "no connection in time", connecting).await?;
    let mut decoder = Decoder::new(DecoderLimits::default());
    let shaking = shake_hands(&line, &mut decoder, hub.settings(), hub.scripts());
    let hello = within(CONNECT_TIMEOUT, "it does not answer", shaking).await?;
    Ok((line, decoder, hello))
}

async fn within<R>(
    time: Duration,
    sentence: &'static str,
    work: impl Future<Output = Result<R, Failure>>,
) -> Result<R, Failure> {
    match rt::race(Box::pin(work), rt::sleep(time)).await {
        Either::Left(outcome) => outcome,
        Either::Right(()) => Err(Failure::new(Trouble::Silent, sentence)),
    }
}

/// Reads and writes until the connection is of no use any more. All three may be dropped: of what they wait for, nothing
/// is lost, and the connection is not used again.
async fn serve(link: &Rc<Link>, line: &Line, decoder: Decoder) -> Failure {
    let talking = rt::race(read(link, line, decoder), write(link, line));
    match rt::race(talking, cut_asked(link)).await {
        Either::Left(Either::Left(failure) | Either::Right(failure)) | Either::Right(failure) => failure,
    }
}

async fn cut_asked(link: &Link) -> Failure {
    loop {
        if let Some(failure) = link.cut_for.take() {
            return failure;
        }
        link.cut_wanted.notified().await;
    }
}

/// Writes what the turns of a round left behind.
async fn write(link: &Link, line: &Line) -> Failure {
    let mut bytes = Vec::new();
    loop {
        link.flush_wanted.notified().await;
        loop {
            std::mem::swap(&mut bytes, &mut link.wire.borrow_mut().out);
            if bytes.is_empty() {
                break;
            }
            if let Err(error) = line.write(&bytes).await {
                return error.into();
            }
            if let Some(hub) = link.hub.upgrade() {
                hub.metrics().writes.increment();
                hub.metrics().sent_bytes.add(bytes.len() as u64);
            }
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES_MAX);
        }
        if link.closing.is_set() {
            return Failure::new(Trouble::Unreachable, "the node ends");
        }
    }
}

/// Reads replies and pushes, and hands them on.
async fn read(link: &Rc<Link>, line: &Line, mut decoder: Decoder) -> Failure {
    let give_way = match Yield::new() {
        Ok(give_way) => give_way,
        Err(error) => return error.into(),
    };
    let mut share = 0;
    loop {
        // The handshake may have read more than its own.
        let outcome = take_all(link, &mut decoder);
        if let Err(failure) = outcome {
            return failure;
        }
        link.is_held.set(true);
        while let Some(room) = link.hub.upgrade().and_then(|hub| hub.gate()?()) {
            room.await;
        }
        link.is_held.set(false);
        if share >= SHARE_BYTES_MAX {
            give_way.pass().await;
            share = 0;
        }
        match line.read(&mut decoder).await {
            Ok(count) => {
                share += count;
                if let Some(hub) = link.hub.upgrade() {
                    link.silent_since_us.set(hub.now_us());
                    hub.metrics().received_bytes.add(count as u64);
                }
            }
            Err(error) => return error.into(),
        }
    }
}

/// Hands on everything that is whole.
fn take_all(link: &Rc<Link>, decoder: &mut Decoder) -> Result<(), Failure> {
    let Some(hub) = link.hub.upgrade() else {
        return Err(Failure::new(Trouble::Unreachable, "the node ends"));
    };
    let outcome = loop {
        match decoder.take() {
            Ok(Some(Received::Message { topic, payload })) => hub.handle_message(topic, payload),
            Ok(Some(Received::Push(push))) => handle_push(link, &hub, push),
            Ok(Some(Received::Reply(reply))) => {
                if let Err(failure) = handle_reply(link, &hub, reply) {
                    break Err(failure);
                }
            }
            Ok(None) => break Ok(()),
            Err(violation) => break Err(Failure::new(Trouble::Foreign, violation.0)),
        }
        if let Some(failure) = link.cut_for.take() {
            break Err(failure);
        }
    };
    hub.handle_end_of_read();
    outcome
}

fn handle_push(link: &Rc<Link>, hub: &Rc<Hub>, push: List<'_>) {
    let mut parts = push.iter().map(Reply::as_text);
    if let (Some(Some(b"sunsubscribe" | b"unsubscribe")), Some(Some(topic))) = (parts.next(), parts.next()) {
        hub.handle_unsubscribed(link, topic);
    }
}

/// A reply belongs to the oldest command.
fn handle_reply(link: &Rc<Link>, hub: &Rc<Hub>, reply: Reply<'_>) -> Result<(), Failure> {
    let mut wire = link.wire.borrow_mut();
    let Some(flight) = wire.flights.front_mut() else {
        return Err(Failure::new(Trouble::Foreign, "it answers what nobody asked"));
    };
    if let (Errand::Subscription { batch, is_refused }, Reply::Error(error)) = (&mut flight.errand, reply) {
        // The barrier's own answer is still to come.
        if std::mem::replace(is_refused, true) {
            return Err(Failure::new(Trouble::Foreign, "it refuses to be there"));
        }
        let group = batch.group;
        drop(wire);
        hub.handle_refused_subscription(link, group, error);
        return Ok(());
    }
    let Some(Flight { errand, bytes }) = wire.flights.pop_front() else { return Ok(()) };
    wire.bytes -= bytes;
    drop(wire);
    match errand {
        Errand::Subscription { batch, is_refused: false } => hub.handle_subscribed(&batch),
        Errand::Subscription { is_refused: true, .. } => {}
        errand => hub.handle_reply(link, errand, reply),
    }
    Ok(())
}

/// For the spreading of attempts: any number will do.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
}
