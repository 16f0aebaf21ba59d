//! One core: the meeting point of its tasks and its state, and what all cores share.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use core_shards::{CoreId, Now, SessionId};
use protocol::codes::CloseReason;
use protocol::json::Validator;

use super::application::Application;
use super::budget::Budget;
use super::drain::Drain;
use super::egress;
use super::mailbox::{Letter, Mailbox, PostOffice};
use super::metrics::{EngineMetrics, Rejection};
use super::postbox::Postbox;
use super::secrets::Secrets;
use super::settings::{READ_BUFFER_BYTES, SHARE_BYTES_MAX, Settings};
use super::state::{Deadline, State};
use super::threads;
use crate::rt::{self, Guard, Latch, LocalNotify, Socket, WaitList};

/// What all cores of an engine share: counters, limits, the addresses of the mailboxes.
pub struct Shared<A: Application> {
    /// The settings.
    pub settings: Arc<Settings>,
    /// One set of counters per core.
    pub metrics: Vec<Arc<EngineMetrics>>,
    /// Sessions of the whole node.
    pub session_count: AtomicUsize,
    /// How far the node is with going down.
    pub drain: Drain,
    /// Whose application has not done yet what it was asked for, by core, while the node goes down.
    pub(super) debtors: Box<[AtomicBool]>,
    pub(super) office: PostOffice<A>,
    started: Instant,
}

impl<A: Application> Shared<A> {
    pub(super) fn new(settings: Settings, office: PostOffice<A>) -> Self {
        Self {
            settings: Arc::new(settings),
            metrics: office.iter().map(|_| Arc::default()).collect(),
            session_count: AtomicUsize::new(0),
            drain: Drain::default(),
            debtors: office.iter().map(|_| AtomicBool::new(true)).collect(),
            office,
            started: Instant::now(),
        }
    }

    /// How many cores there are.
    pub fn core_count(&self) -> u16 {
        u16::try_from(self.office.len()).expect("a node has fewer than 65,536 cores")
    }

    /// Sessions of the whole node.
    pub fn session_count(&self) -> usize {
        self.session_count.load(Ordering::Relaxed)
    }

    /// A way to the cores for threads that are none.
    pub fn postbox(&self) -> Postbox<A> {
        Postbox::new(self.office.clone())
    }

    /// Letters in a core's mailbox that it has not taken out yet: requests and results.
    pub fn mailbox_depths(&self, core: CoreId) -> (usize, usize) {
        self.office[core.index()].depths()
    }

    /// The time, for one turn.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Takes a place for one more session, if there is one.
    pub(super) fn take_place(&self) -> bool {
        let max = self.settings.sessions_max;
        let take = |count: usize| (count < max).then_some(count + 1);
        self.session_count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives back a place that no session came of.
    pub(super) fn give_place_back(&self) {
        self.session_count.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    /// Whether this thread is inside a turn. A panic that leaves it set has broken the core's state.
    static IS_IN_TURN: Cell<bool> = const { Cell::new(false) };
}

/// One core's tasks meet here.
pub struct Core<A: Application> {
    /// Its number.
    pub id: CoreId,
    /// What it shares with the others.
    pub shared: Arc<Shared<A>>,
    pub(super) mailbox: Mailbox<A>,
    pub(super) metrics: Arc<EngineMetrics>,
    pub(super) budget: Rc<Budget>,
    pub(super) secrets: Secrets,
    state: RefCell<State<A>>,
    validator: RefCell<Validator>,
    read_buffer: Cell<Option<Box<[u8]>>>,
    /// Something waits to be written or mailed.
    pub(super) flush_wanted: LocalNotify,
    /// A deadline was set that is earlier than the one the clock sleeps towards.
    pub(super) earlier_deadline: LocalNotify,
    pub(super) sleeping_until_ms: Cell<u64>,
    /// Bytes handled since the driver had its turn.
    handled_bytes: Cell<usize>,
    /// The driver is to have its turn.
    pub(super) pause_wanted: LocalNotify,
    /// Those who wait for the driver's turn. Each goes on once when it was, in the order of waiting: who
    /// looked again would find the share used up by the first of them, for ever.
    pub(super) share_renewed: WaitList,
    /// Mailboxes have room again.
    pub(super) room: WaitList,
    /// The core takes no more connections.
    pub(super) deaf: Latch,
    /// The node goes down: tasks end.
    pub(super) stopping: Latch,
    /// The last connection has ended: tasks of the application end.
    pub(super) ended: Rc<Latch>,
    watches: RefCell<Watches>,
    pub(super) task_count: Cell<usize>,
}

/// Connections that must say something before a deadline.
#[derive(Default)]
struct Watches {
    list: Vec<Option<Watch>>,
    free: Vec<u32>,
}

struct Watch {
    socket: Weak<Socket>,
    deadline_ms: u64,
}

/// A connection's place in the watch list. Dropping it ends the watch.
pub(super) struct WatchGuard<A: Application> {
    core: Rc<Core<A>>,
    place: u32,
}

impl<A: Application> WatchGuard<A> {
    /// Moves the deadline. `None` stops the clock until the next call.
    pub(super) fn set(&self, after_ms: Option<u64>) {
        let now_ms = self.core.shared.now().monotonic_ms();
        let mut watches = self.core.watches.borrow_mut();
        if let Some(watch) = &mut watches.list[self.place as usize] {
            watch.deadline_ms = after_ms.map_or(u64::MAX, |after_ms| now_ms + after_ms);
        }
    }
}

impl<A: Application> Drop for WatchGuard<A> {
    fn drop(&mut self) {
        // The place itself is freed when its entry on the wheel fires.
        self.core.watches.borrow_mut().list[self.place as usize] = None;
    }
}

/// How often a connection's deadline is looked at.
const WATCH_STEP_MS: u64 = 1_000;

impl<A: Application> Core<A> {
    pub(super) fn new(id: CoreId, shared: Arc<Shared<A>>, mailbox: Mailbox<A>, state: State<A>) -> Self {
        Self {
            id,
            mailbox,
            budget: Budget::new(shared.metrics[id.index()].clone()),
            metrics: shared.metrics[id.index()].clone(),
            secrets: Secrets::default(),
            shared,
            state: RefCell::new(state),
            validator: RefCell::new(Validator::new()),
            read_buffer: Cell::new(Some(vec![0; READ_BUFFER_BYTES].into())),
            flush_wanted: LocalNotify::default(),
            earlier_deadline: LocalNotify::default(),
            sleeping_until_ms: Cell::new(0),
            handled_bytes: Cell::new(0),
            pause_wanted: LocalNotify::default(),
            share_renewed: WaitList::default(),
            room: WaitList::default(),
            deaf: Latch::default(),
            stopping: Latch::default(),
            ended: Rc::default(),
            watches: RefCell::default(),
            task_count: Cell::new(0),
        }
    }

    /// The only way to the state: `work` runs to its end, then everything that follows from it is
    /// noted. Writing happens once for all turns of a round, in the flush task.
    pub(super) fn turn<R>(self: &Rc<Self>, work: impl FnOnce(&mut State<A>, Now) -> R) -> R {
        let now = self.shared.now();
        IS_IN_TURN.set(true);
        let mut state = self.state.borrow_mut();
        let result = work(&mut state, now);
        state.settle(now);
        let wants_flush = !state.egress.is_clean() || state.outbox.letter_count() > 0;
        let blocked = std::mem::take(&mut state.egress.blocked);
        let deadline = earliest(state.wheel.next_deadline_ms(), state.app.next_deadline_ms());
        drop(state);
        IS_IN_TURN.set(false);
        self.metrics.turns.increment();
        if wants_flush {
            self.flush_wanted.notify();
        }
        if deadline < self.sleeping_until_ms.get() {
            self.earlier_deadline.notify();
        }
        for (id, socket) in blocked {
            self.start(drain_backlog(self.clone(), id, socket));
        }
        result
    }

    /// Starts a task of this core. If it panics inside a turn, the state is broken and the process
    /// ends; anywhere else the task alone is lost, and with it the connection that it served.
    pub(super) fn start(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        rt::spawn(task, TaskCount::new(self));
    }

    /// Starts a task that the core cannot do without, and whose end it does not wait for. If it panics,
    /// the process ends, wherever it was.
    pub(super) fn start_background(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        rt::spawn(task, Indispensable(self.id));
    }

    fn panicked(self: &Rc<Self>, panic: &(dyn Any + Send)) {
        self.metrics.panics.increment();
        if IS_IN_TURN.get() {
            threads::give_up(self.id, panic);
        }
        tracing::error!(core = self.id.0, cause = threads::panic_text(panic), "a task panicked");
        self.turn(|state, now| state.end_orphans(now));
    }

    /// Runs `parse` with the core's JSON validator, outside of a turn: what breaks here breaks one connection.
    pub(super) fn with_validator<R>(&self, parse: impl FnOnce(&mut Validator) -> R) -> R {
        parse(&mut self.validator.borrow_mut())
    }

    /// Lends the core's read buffer. Tasks give it back before they wait.
    pub(super) fn with_read_buffer<R>(&self, read: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buffer = self.read_buffer.take().unwrap_or_else(|| vec![0; READ_BUFFER_BYTES].into());
        let result = read(&mut buffer);
        self.read_buffer.set(Some(buffer));
        result
    }

    /// Whether so many letters wait for other cores that reading more would only pile them up. Then wait for `room`.
    pub(super) fn is_congested(&self) -> bool {
        self.state.borrow().is_congested()
    }

    /// Counts what a task handles. Neither a read that finds something nor, on epoll, a wait for what is
    /// there already lets anything else run: without a count, a client that never stops sending would
    /// have the core for itself.
    pub(super) fn count_share(&self, bytes: usize) {
        self.handled_bytes.set(self.handled_bytes.get().saturating_add(bytes));
    }

    /// Whether so much was handled that the driver must have its turn before more is. Then wait for
    /// `share_renewed`, once.
    pub(super) fn is_share_used(&self) -> bool {
        let is_used = self.handled_bytes.get() >= SHARE_BYTES_MAX;
        if is_used {
            self.pause_wanted.notify();
        }
        is_used
    }

    /// The driver has had its turn: those who waited for it go on.
    pub(super) fn renew_share(&self) {
        self.handled_bytes.set(0);
        self.share_renewed.wake_all();
    }

    /// Puts a letter between engines into the outgoing mail.
    pub(super) fn post(self: &Rc<Self>, to: CoreId, letter: Letter<A>) {
        self.turn(|state, _| state.outbox.post(to, letter));
    }
}

impl<A: Application> Core<A> {
    /// Watches a connection: it is cut when it is silent past the deadline that the guard is given.
    pub(super) fn watch(self: &Rc<Self>, socket: &Rc<Socket>, after_ms: u64) -> WatchGuard<A> {
        let now_ms = self.shared.now().monotonic_ms();
        let watch = Watch { socket: Rc::downgrade(socket), deadline_ms: now_ms + after_ms };
        let mut watches = self.watches.borrow_mut();
        let free = watches.free.pop();
        let place = free.unwrap_or_else(|| {
            watches.list.push(None);
            u32::try_from(watches.list.len() - 1).expect("descriptors are fewer than 2^32")
        });
        watches.list[place as usize] = Some(watch);
        drop(watches);
        self.turn(|state, _| state.wheel.arm(now_ms + WATCH_STEP_MS, Deadline::Watch(place)));
        WatchGuard { core: self.clone(), place }
    }

    /// Ends reading on every watched connection: what waits for requests closes, what waits for an answer still gets it.
    pub(super) fn stop_reading(&self) {
        for watch in self.watches.borrow().list.iter().flatten() {
            if let Some(socket) = watch.socket.upgrade() {
                socket.shutdown_read();
            }
        }
    }

    /// Looks at one watched connection; `true` if it is to be looked at again.
    pub(super) fn check_watch(&self, place: u32, now: Now) -> bool {
        let mut watches = self.watches.borrow_mut();
        let Some(watch) = &watches.list[place as usize] else {
            watches.free.push(place);
            if watches.free.len() == watches.list.len() {
                *watches = Watches::default();
            }
            return false;
        };
        if watch.deadline_ms <= now.monotonic_ms()
            && let Some(socket) = watch.socket.upgrade()
        {
            self.metrics.reject(Rejection::Timeout);
            socket.give_up();
        }
        true
    }

    /// When a watched connection is looked at next.
    pub(super) fn next_watch_ms(now: Now) -> u64 {
        now.monotonic_ms() + WATCH_STEP_MS
    }
}

/// A place for one session, taken before the session is there. Dropping it gives the place back.
pub(super) struct Place<A: Application>(Option<Arc<Shared<A>>>);

impl<A: Application> Place<A> {
    /// Takes a place, if the node has one.
    pub(super) fn take(core: &Rc<Core<A>>) -> Option<Self> {
        core.shared.take_place().then(|| Self(Some(core.shared.clone())))
    }

    /// The session is there; it gives the place back when it ends.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl<A: Application> Drop for Place<A> {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.give_place_back();
        }
    }
}

/// Counts the tasks that must end before the core may.
pub(super) struct TaskCount<A: Application>(Rc<Core<A>>);

impl<A: Application> TaskCount<A> {
    fn new(core: &Rc<Core<A>>) -> Self {
        core.task_count.set(core.task_count.get() + 1);
        Self(core.clone())
    }
}

impl<A: Application> Guard for TaskCount<A> {
    fn handle_panic(&self, panic: Box<dyn Any + Send>) {
        self.0.panicked(&*panic);
    }
}

/// Guards a task that its core cannot do without.
pub(super) struct Indispensable(pub(super) CoreId);

impl Guard for Indispensable {
    fn handle_panic(&self, panic: Box<dyn Any + Send>) {
        threads::give_up(self.0, &*panic);
    }
}

impl<A: Application> Drop for TaskCount<A> {
    fn drop(&mut self) {
        self.0.task_count.set(self.0.task_count.get() - 1);
    }
}

/// Writes a slow session's backlog whenever its socket has room. One per blocked socket; ends when
/// the backlog is empty or the session is over.
async fn drain_backlog<A: Application>(core: Rc<Core<A>>, id: SessionId, socket: Rc<Socket>) {
    loop {
        if socket.writable().await.is_err() {
            return;
        }
        let is_done = core.turn(|state, _| {
            let metrics = core.metrics.clone();
            let Some(link) = state.links.get_mut(id) else { return true };
            egress::drain(link, &metrics).unwrap_or_else(|_| {
                state.out.close(id, CloseReason::TransportLost);
                true
            })
        });
        if is_done {
            return;
        }
    }
}

fn earliest(one: Option<u64>, other: Option<u64>) -> u64 {
    one.unwrap_or(u64::MAX).min(other.unwrap_or(u64::MAX))
}
