//! Mail between cores: two bounded lock-free queues per receiver, one for requests and one for
//! results, and a doorbell. A sender keeps what does not fit, in order, and tries again.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use core_shards::limits::MAILBOX_LETTERS_MAX;
use core_shards::{CoreId, MailClass};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use protocol::engine_io::sid::Sid;
use protocol::relay::forward::Forwarding;

use super::application::Application;
use crate::rt::Doorbell;

/// A letter between engines.
pub(super) enum Letter<A: Application> {
    /// The application's.
    App(A::Mail),
    /// A session that belongs to the receiver.
    Arrival(Box<Arrival<A::Passport>>),
    /// An HTTP connection whose next request concerns a session of the receiver.
    Visit(Box<Visit>),
    /// A polling request's packets for a session of the receiver.
    Posted(Box<Posted>),
    /// A WebSocket that wants to take over a polling session of the receiver.
    Prober(Box<Prober>),
    /// Such a WebSocket is gone; the session of that surface goes on polling.
    UpgradeAbandoned(Sid, u8),
    /// A polling request for another node's client, or what another node says to one of this core. So many cores passed
    /// it on.
    Forwarded(Box<Forwarding>, u8),
    /// A session that was born at the receiver needs its old slot no more.
    Forget(Sid),
}

impl<A: Application> Letter<A> {
    fn class(&self) -> MailClass {
        match self {
            Self::App(letter) => A::class(letter),
            Self::Forwarded(forwarding, _) if forwarding.is_answer() => MailClass::Result,
            Self::Forwarded(..)
            | Self::Arrival(_)
            | Self::Visit(_)
            | Self::Posted(_)
            | Self::Prober(_)
            | Self::UpgradeAbandoned(..) => MailClass::Request,
            Self::Forget(_) => MailClass::Result,
        }
    }
}

/// A session on its way to another core.
pub(super) struct Arrival<P> {
    /// Its surface.
    pub(super) surface: u8,
    /// What the application sends along.
    pub(super) passport: P,
    /// How it is reached.
    pub(super) transport: ArrivalTransport,
}

/// How an arriving session is reached.
pub(super) enum ArrivalTransport {
    /// A WebSocket, and what was read from it and not decoded yet.
    WebSocket {
        /// The descriptor.
        fd: OwnedFd,
        /// Undecoded bytes.
        rest: Vec<u8>,
    },
    /// Polling requests, and the packets of the current one that were not handled yet.
    Polling {
        /// The session's secret, which names the core where it was born.
        sid: Sid,
        /// Whether a WebSocket has shown its probe.
        is_upgrading: bool,
        /// Frames that wait for a poll.
        backlog: Vec<u8>,
        /// The rest of the request's body: packets with separators.
        rest: String,
    },
}

/// A connection on its way to the core of the session that it asked for.
pub(super) struct Visit {
    /// The descriptor.
    pub(super) fd: OwnedFd,
    /// What was read from it: at least one request head.
    pub(super) bytes: Vec<u8>,
    /// How many cores passed it on.
    pub(super) hops: u8,
}

/// A polling request's body on its way to the core of its session.
pub(super) struct Posted {
    /// The session.
    pub(super) sid: Sid,
    /// Its surface.
    pub(super) surface: u8,
    /// Packets with separators, as they came.
    pub(super) body: Vec<u8>,
}

/// An upgrade on its way to the core of its session.
pub(super) struct Prober {
    /// The WebSocket's descriptor.
    pub(super) fd: OwnedFd,
    /// The session.
    pub(super) sid: Sid,
    /// Its surface.
    pub(super) surface: u8,
    /// Whether the probe was answered.
    pub(super) has_probed: bool,
    /// How many cores passed it on.
    pub(super) hops: u8,
    /// Frames to be read before those of the socket.
    pub(super) bytes: Vec<u8>,
}

/// The receiving end of one core.
pub(super) struct Mailbox<A: Application> {
    pub(super) requests: Receiver<(CoreId, Letter<A>)>,
    pub(super) results: Receiver<(CoreId, Letter<A>)>,
}

/// The sending end of one core's mailbox, shared by all cores.
pub(super) struct Slot<A: Application> {
    requests: Sender<(CoreId, Letter<A>)>,
    results: Sender<(CoreId, Letter<A>)>,
    pub(super) doorbell: Doorbell,
    /// The core has ended: nobody reads any more.
    is_closed: AtomicBool,
}

impl<A: Application> Slot<A> {
    /// Puts a letter in, rings, and comes back with it if there is no room for so long or nobody to read it.
    pub(super) fn put(&self, from: CoreId, letter: Letter<A>, patience: Duration) -> Result<(), Letter<A>> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(letter);
        }
        let lane = match letter.class() {
            MailClass::Request => &self.requests,
            MailClass::Result => &self.results,
        };
        lane.send_timeout((from, letter), patience).map_err(|error| error.into_inner().1)?;
        self.doorbell.ring();
        Ok(())
    }

    /// Letters that wait: requests and results.
    pub(super) fn depths(&self) -> (usize, usize) {
        (self.requests.len(), self.results.len())
    }

    /// Takes no more letters from outside: the core has ended.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}

/// The sending ends of all mailboxes.
pub(super) type PostOffice<A> = Arc<[Slot<A>]>;

/// Makes the mailboxes of a node.
pub(super) fn mailboxes<A: Application>(core_count: u16) -> (PostOffice<A>, Vec<Mailbox<A>>) {
    let mut slots = Vec::new();
    let mut boxes = Vec::new();
    for _ in 0..core_count {
        let (requests, requests_end) = bounded(MAILBOX_LETTERS_MAX);
        let (results, results_end) = bounded(MAILBOX_LETTERS_MAX);
        slots.push(Slot {
            requests,
            results,
            doorbell: Doorbell::default(),
            is_closed: AtomicBool::new(false),
        });
        boxes.push(Mailbox { requests: requests_end, results: results_end });
    }
    (slots.into(), boxes)
}

/// Positions of the two lanes to each receiver.
const REQUESTS: usize = 0;
const RESULTS: usize = 1;

/// One core's outgoing letters.
pub(super) struct Outbox<A: Application> {
    from: CoreId,
    office: PostOffice<A>,
    /// Letters by receiver, requests and results apart, oldest first.
    waiting: Vec<[VecDeque<Letter<A>>; 2]>,
    /// How many letters wait in all lanes of requests, and of results.
    counts: [usize; 2],
}

impl<A: Application> Outbox<A> {
    pub(super) fn new(from: CoreId, office: PostOffice<A>) -> Self {
        let waiting = office.iter().map(|_| [VecDeque::new(), VecDeque::new()]).collect();
        Self { from, office, waiting, counts: [0; 2] }
    }

    /// Puts a letter at the end of its lane.
    pub(super) fn post(&mut self, to: CoreId, letter: Letter<A>) {
        let lane = match letter.class() {
            MailClass::Request => REQUESTS,
            MailClass::Result => RESULTS,
        };
        self.waiting[to.index()][lane].push_back(letter);
        self.counts[lane] += 1;
    }

    /// Letters that have not reached a mailbox yet.
    pub(super) fn letter_count(&self) -> usize {
        self.counts[REQUESTS] + self.counts[RESULTS]
    }

    /// Results among them. Only these may keep a core from taking requests in: if requests did, two cores
    /// with full mailboxes would wait for each other for ever.
    pub(super) fn result_count(&self) -> usize {
        self.counts[RESULTS]
    }

    /// Moves letters into the mailboxes as far as there is room, and rings once at each receiver.
    pub(super) fn deliver(&mut self) {
        if self.letter_count() == 0 {
            return;
        }
        for (slot, lanes) in self.office.iter().zip(&mut self.waiting) {
            let mut delivered = 0;
            let lanes = lanes.iter_mut().zip([&slot.requests, &slot.results]).zip(&mut self.counts);
            for ((lane, sender), count) in lanes {
                while let Some(letter) = lane.pop_front() {
                    match sender.try_send((self.from, letter)) {
                        Ok(()) => {
                            *count -= 1;
                            delivered += 1;
                        }
                        Err(TrySendError::Full((_, letter)) | TrySendError::Disconnected((_, letter))) => {
                            lane.push_front(letter);
                            break;
                        }
                    }
                }
                // A burst's memory is given back.
                if lane.is_empty() && lane.capacity() > 1024 {
                    lane.shrink_to(64);
                }
            }
            if delivered > 0 {
                slot.doorbell.ring();
            }
        }
    }
}
