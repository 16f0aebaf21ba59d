//! Which sockets of a core are ready: one epoll instance beneath the reactor, which polls it like any other descriptor.
//!
//! A socket is registered once, edge-triggered, and costs 24 bytes here for as long as it lives, whether anybody waits
//! or not. A wait of the reactor's own costs 56 bytes for its count of references, 40 for the operation, 150 in the task and
//! 256 in the kernel, and has to be begun anew for each message.
//!
//! ```text
//!             event                              a read finds less than it asked for
//!   quiet ─────────────> readable ───────────────────────────────────────────────────> quiet
//!                           │  the peer has closed, or the socket is broken
//!                           └───────────────────────────────────────────────> ended: readable for ever
//! ```
//!
//! **Invariant:** an event that comes while nobody waits is kept, so a wait that is dropped loses nothing.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll, Waker};

use core_shards::Chunks;

use super::polled::Polled;

/// Events taken from the kernel before the reactor gets its turn.
const EVENTS_MAX: usize = 256;

/// What a socket is registered for from its beginning.
const READING: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
/// What it is registered for once somebody has waited for room.
const WRITING: u32 = READING | libc::EPOLLOUT as u32;
/// Events after which reading does not block any more.
const ENDING: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// There may be something to read.
const READABLE: u8 = 1;
/// There may be room to write.
const WRITABLE: u8 = 2;
/// Nothing comes any more but what is there.
const ENDED: u8 = 4;

thread_local! {
    static TABLE: RefCell<Table> = RefCell::new(Table::default());
}

/// The sockets of one core, by place.
#[derive(Default)]
struct Table {
    epoll: Option<OwnedFd>,
    entries: Chunks<Entry>,
    free: Vec<u32>,
    /// Those who wait for room: few, so they need no place in each entry.
    writers: Vec<(u32, Waker)>,
}

/// One socket, or a free place.
#[derive(Default)]
struct Entry {
    reader: Option<Waker>,
    /// Tells an event of a socket from one of its predecessor in this place.
    generation: u32,
    flags: u8,
}

/// A socket's place in the table. Dropping it ends every wait without a word.
#[derive(Debug)]
pub(super) struct Registration(u32);

impl Registration {
    /// Registers a non-blocking socket with the core of this thread.
    ///
    /// # Errors
    /// The kernel's: too many watches, no memory, or a descriptor that cannot be polled.
    pub(super) fn new(fd: RawFd) -> io::Result<Self> {
        TABLE.with_borrow_mut(|table| {
            let epoll = table.epoll()?;
            let place = table.take_place();
            let generation = table.entry(place).generation;
            control(epoll, libc::EPOLL_CTL_ADD, fd, READING, data(place, generation)).inspect_err(|_| {
                table.free.push(place);
            })?;
            Ok(Self(place))
        })
    }

    /// Ends the registration of a socket that stays open.
    pub(super) fn end(self, fd: RawFd) {
        let epoll = TABLE.with_borrow(|table| table.epoll.as_ref().map(AsRawFd::as_raw_fd));
        if let Some(epoll) = epoll {
            // A socket that is not registered any more needs no ending.
            let _ = control(epoll, libc::EPOLL_CTL_DEL, fd, 0, 0);
        }
    }

    /// Ready once there may be something to read. Only one task may wait at a time.
    pub(super) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        TABLE.with_borrow_mut(|table| {
            let entry = table.entry(self.0);
            if entry.flags & (READABLE | ENDED) != 0 {
                return Poll::Ready(());
            }
            match &entry.reader {
                Some(reader) if reader.will_wake(context.waker()) => {}
                _ => entry.reader = Some(context.waker().clone()),
            }
            Poll::Pending
        })
    }

    /// Forgets an event, because a read has found less than it asked for.
    pub(super) fn drained(&self) {
        TABLE.with_borrow_mut(|table| table.entry(self.0).flags &= !READABLE);
    }

    /// Asks for an event as soon as there is room to write.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn expect_room(&self, fd: RawFd) -> io::Result<()> {
        TABLE.with_borrow_mut(|table| {
            let epoll = table.epoll()?;
            let entry = table.entry(self.0);
            entry.flags &= !WRITABLE;
            let data = data(self.0, entry.generation);
            control(epoll, libc::EPOLL_CTL_MOD, fd, WRITING, data)
        })
    }

    /// Ready once there may be room, after [`expect_room`](Self::expect_room). Only one task may wait at a time.
    pub(super) fn poll_writable(&self, context: &Context<'_>) -> Poll<()> {
        TABLE.with_borrow_mut(|table| {
            if table.entry(self.0).flags & (WRITABLE | ENDED) != 0 {
                return Poll::Ready(());
            }
            table.writers.retain(|(place, _)| *place != self.0);
            table.writers.push((self.0, context.waker().clone()));
            Poll::Pending
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // After the thread's table is gone there is nothing to be given back.
        let _ = TABLE.try_with(|table| {
            let (reader, writer) = table.borrow_mut().give_back(self.0);
            // Outside of the borrow: the last waker of a task drops it, and with it perhaps other sockets.
            drop((reader, writer));
        });
    }
}

impl Table {
    fn epoll(&mut self) -> io::Result<RawFd> {
        if let Some(epoll) = &self.epoll {
            return Ok(epoll.as_raw_fd());
        }
        let epoll = create()?;
        let fd = epoll.as_raw_fd();
        self.epoll = Some(epoll);
        Ok(fd)
    }

    fn entry(&mut self, place: u32) -> &mut Entry {
        self.entries.get_mut(place).expect("a registration's place is in the table")
    }

    fn take_place(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let place = u32::try_from(self.entries.len()).expect("descriptors are fewer than 2^32");
            self.entries.push(Entry::default());
            place
        })
    }

    fn give_back(&mut self, place: u32) -> (Option<Waker>, Option<Waker>) {
        let entry = self.entry(place);
        entry.generation = entry.generation.wrapping_add(1);
        entry.flags = 0;
        let reader = entry.reader.take();
        self.free.push(place);
        (reader, self.take_writer(place))
    }

    fn take_writer(&mut self, place: u32) -> Option<Waker> {
        let position = self.writers.iter().position(|(writer, _)| *writer == place)?;
        Some(self.writers.swap_remove(position).1)
    }

    /// Notes one event, and adds whom it wakes.
    fn note(&mut self, event: &libc::epoll_event, woken: &mut Vec<Waker>) {
        let (place, generation) = place_of(event.u64);
        let entry = self.entry(place);
        if entry.generation != generation {
            return;
        }
        let happened = event.events;
        if happened & ENDING != 0 {
            entry.flags |= ENDED;
        }
        if happened & (libc::EPOLLIN as u32 | ENDING) != 0 {
            entry.flags |= READABLE;
            woken.extend(entry.reader.take());
        }
        if happened & (libc::EPOLLOUT as u32 | ENDING) != 0 {
            entry.flags |= WRITABLE;
            woken.extend(self.take_writer(place));
        }
    }
}

/// Hands out events for as long as the reactor of this thread runs. Woken by the first socket that becomes ready.
///
/// # Errors
/// When the kernel gives no epoll instance, or the reactor cannot poll it.
pub(super) fn watch() -> io::Result<impl Future<Output = ()> + use<>> {
    let epoll = TABLE.with_borrow_mut(|table| {
        table.epoll()?;
        table.epoll.as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), OwnedFd::try_clone)
    })?;
    let polled = Polled::new(epoll)?;
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX].into_boxed_slice();
    let mut woken = Vec::new();
    Ok(async move {
        while polled.readable().await.is_ok() {
            let count = take_events(polled.fd(), &mut events);
            TABLE.with_borrow_mut(|table| {
                for event in &events[..count] {
                    table.note(event, &mut woken);
                }
            });
            for waker in woken.drain(..) {
                waker.wake();
            }
        }
    })
}

fn data(place: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(place)
}

fn place_of(data: u64) -> (u32, u32) {
    ((data & u64::from(u32::MAX)) as u32, (data >> 32) as u32)
}

fn create() -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "epoll_create1(2)")]
    // SAFETY: no memory is involved; the result is checked before it is owned.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(super::socket::owned(fd)) }
}

fn control(epoll: RawFd, operation: libc::c_int, fd: RawFd, events: u32, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    #[expect(unsafe_code, reason = "epoll_ctl(2)")]
    // SAFETY: the event lives during the call.
    let result = unsafe { libc::epoll_ctl(epoll, operation, fd, &raw mut event) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes what has happened, without waiting. Interrupted, it takes nothing: the descriptor stays readable.
fn take_events(epoll: RawFd, events: &mut [libc::epoll_event]) -> usize {
    let length = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
    #[expect(unsafe_code, reason = "epoll_wait(2)")]
    // SAFETY: the events are valid for writes of the given length during the call.
    let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), length, 0) };
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
