//! The cores of an engine: one thread each, started together, stopped together.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use core_shards::{CoreId, Now};

use super::application::Application;
use super::clock;
use super::core::{Core, Shared};
use super::drain;
use super::handle::CoreHandle;
use super::listen;
use super::mailbox::{Mailbox, Outbox, mailboxes};
use super::postbox::Postbox;
use super::settings::{LINGER_MS, Settings};
use super::state::State;
use crate::rt::{self, Doorbell, Driver, Listener, Yield};

/// The exit code of a process whose core is broken.
pub const EXIT_BROKEN_CORE: i32 = 70;

/// How long connections may take to end when the node goes down: as long as their last deadlines, and a little more.
const FAREWELL: Duration = Duration::from_millis(LINGER_MS + 500);

/// How long a port that a former process has just left may take to become free.
const BIND_PATIENCE: Duration = Duration::from_secs(3);

/// A running engine.
pub struct Engine<A: Application> {
    /// What its cores share.
    pub shared: Arc<Shared<A>>,
    /// The address that it listens on, with the port that was chosen if 0 was asked for.
    pub address: SocketAddr,
    bells: Arc<[Doorbell]>,
    threads: Vec<JoinHandle<()>>,
}

impl<A: Application> Engine<A> {
    /// Binds the port on every core and starts them. `make` builds a core's application, on its thread.
    ///
    /// Returns when every core accepts connections.
    ///
    /// # Errors
    /// When the address cannot be bound, or a core cannot build its reactor.
    pub fn start(
        settings: Settings,
        driver: Driver,
        core_count: u16,
        address: SocketAddr,
        make: impl Fn(CoreId, &Arc<Shared<A>>, Now) -> A + Send + Sync + 'static,
    ) -> io::Result<Self> {
        match rt::raise_descriptor_limit() {
            Ok((former, limit)) => tracing::info!(former, limit, "open descriptors"),
            Err(error) => tracing::warn!(%error, "the limit of open descriptors stays as it is"),
        }
        if let Err(error) = rt::refuse_huge_pages() {
            tracing::warn!(%error, "the kernel may give huge pages");
        }
        let listeners = bind_all(address, core_count)?;
        let address = socket2::SockRef::from(&listeners[0])
            .local_addr()?
            .as_socket()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let (office, boxes) = mailboxes::<A>(core_count);
        let shared = Arc::new(Shared::new(settings, office));
        let bells: Arc<[Doorbell]> = (0..core_count).map(|_| Doorbell::default()).collect();
        let (make, mut threads) = (Arc::new(make), Vec::new());
        let (ready_sender, ready) = crossbeam_channel::bounded(usize::from(core_count));
        for (number, (listener, mailbox)) in (0..core_count).zip(listeners.into_iter().zip(boxes)) {
            let id = CoreId(number);
            let (shared, bells, make) = (shared.clone(), bells.clone(), make.clone());
            let ready = ready_sender.clone();
            let thread = std::thread::Builder::new().name(format!("core-{number}")).spawn(move || {
                let outcome = rt::run(driver, || async move {
                    serve(id, shared, listener, mailbox, &*make, &ready, &bells[id.index()]).await
                });
                if let Ok(Err(error)) | Err(error) = outcome {
                    tracing::error!(core = number, %error, "the core could not start");
                    std::process::exit(EXIT_BROKEN_CORE);
                }
            })?;
            threads.push(thread);
        }
        for _ in 0..core_count {
            ready.recv().map_err(|_| io::Error::other("a core ended before it was ready"))?;
        }
        Ok(Self { shared, address, bells, threads })
    }

    /// A way to the cores for threads that are none.
    pub fn postbox(&self) -> Postbox<A> {
        self.shared.postbox()
    }

    /// A way to end the engine, from any thread.
    pub fn stopper(&self) -> Stopper<A> {
        Stopper { shared: self.shared.clone(), bells: self.bells.clone() }
    }

    /// Has the engine go, as its settings say, and waits until it has.
    pub fn stop(self) {
        self.stopper().ask();
        self.wait();
    }

    /// Waits for the cores to end.
    pub fn wait(self) {
        for (number, thread) in self.threads.into_iter().enumerate() {
            if let Err(panic) = thread.join() {
                give_up(CoreId(u16::try_from(number).unwrap_or(u16::MAX)), &*panic);
            }
        }
    }
}

/// A way to end an engine.
pub struct Stopper<A: Application> {
    shared: Arc<Shared<A>>,
    bells: Arc<[Doorbell]>,
}

impl<A: Application> Stopper<A> {
    /// Asks the engine to go: to send its sessions away over the time that is set, and then to end. Asked again, it does
    /// so at once. Returns at once.
    pub fn ask(&self) {
        self.shared.drain.ask();
        for bell in &*self.bells {
            bell.ring();
        }
    }
}

fn bind_all(address: SocketAddr, core_count: u16) -> io::Result<Vec<OwnedFd>> {
    let patience_ends = Instant::now() + BIND_PATIENCE;
    let first = loop {
        match rt::find_free(address).and_then(|()| rt::bind(address)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < patience_ends => {
                std::thread::sleep(Duration::from_millis(50));
            }
            outcome => break outcome?,
        }
    };
    // With port 0 the others follow to the port that the first one got.
    let address = socket2::SockRef::from(&first).local_addr()?.as_socket().unwrap_or(address);
    let mut listeners = vec![first];
    for _ in 1..core_count {
        listeners.push(rt::bind(address)?);
    }
    Ok(listeners)
}

/// One core, from its first task to its last.
async fn serve<A: Application>(
    id: CoreId,
    shared: Arc<Shared<A>>,
    listener: OwnedFd,
    mailbox: Mailbox<A>,
    make: &(impl Fn(CoreId, &Arc<Shared<A>>, Now) -> A + ?Sized),
    ready: &crossbeam_channel::Sender<()>,
    bell: &Doorbell,
) -> io::Result<()> {
    let now = shared.now();
    let app = make(id, &shared, now);
    let outbox = Outbox::new(id, shared.office.clone());
    let state = State::new(id, app, shared.clone(), outbox, now);
    let core = Rc::new(Core::new(id, shared, mailbox, state));
    core.start_background(clock::run_flush(core.clone(), Yield::new()?));
    core.start_background(clock::run_postman(core.clone(), Yield::new()?));
    core.start_background(clock::run_pauses(core.clone(), Yield::new()?));
    core.start_background(clock::run_clock(core.clone()));
    core.start_background(listen::run_listener(core.clone(), Listener::new(listener)?));
    A::start(&CoreHandle::new(&core));
    let _ = ready.send(());
    bell.answered().await;
    if !core.shared.drain.is_hurried() {
        rt::race(drain::leave(&core), bell.answered()).await;
    }
    core.stopping.set();
    core.deaf.set();
    core.turn(|state, now| state.end_all(now));
    core.stop_reading();
    wait_for_tasks(&core).await;
    drain::settle_up(&core).await;
    core.ended.set();
    // What was started for the application hears of it and lets go of its descriptors.
    rt::sleep(Duration::from_millis(5)).await;
    core.shared.office[id.index()].close();
    Ok(())
}

/// Waits until every connection's task has closed its socket, but not for ever: dropping the reactor
/// with tasks in it would leave their peers without a word.
async fn wait_for_tasks<A: Application>(core: &Rc<Core<A>>) {
    let patience_ends = Instant::now() + FAREWELL;
    while core.task_count.get() > 0 && Instant::now() < patience_ends {
        rt::sleep(Duration::from_millis(5)).await;
    }
    core.turn(|state, _| state.cut_all());
    rt::sleep(Duration::from_millis(5)).await;
}

/// Ends the process: a core whose state is broken must not go on half-dead.
pub(super) fn give_up(core: CoreId, panic: &(dyn Any + Send)) -> ! {
    tracing::error!(core = core.0, cause = panic_text(panic), "the core is broken, the process ends");
    std::process::exit(EXIT_BROKEN_CORE);
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
