//! The way out: frames of a turn become at most one write per socket. What a socket does not take
//! waits in its backlog, bounded in bytes.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use core_shards::{FrameRef, Outputs, SessionId};

use super::link::{Backlog, Link, Links, NONE, Pending, Transport};
use super::metrics::EngineMetrics;
use super::polling::{payload_response, take_payload};
use crate::rt::Socket;

/// A further range of one session, and the next one.
#[derive(Clone, Copy, Debug)]
struct Node {
    frame: FrameRef,
    next: u32,
}

/// Which sessions have something to be written, in the order in which they got it.
#[derive(Debug, Default)]
pub(super) struct Egress {
    dirty: VecDeque<u32>,
    /// How many sessions were ever put into `dirty`, and taken out of it.
    queued_count: u64,
    taken_count: u64,
    /// When messages came in, and how many sessions must be taken out until each is written.
    marks: VecDeque<(u64, u64)>,
    nodes: Vec<Node>,
    gathered: Vec<u8>,
    /// Sockets that did not take all: each wants a task that waits until it does.
    pub(super) blocked: Vec<(SessionId, Rc<Socket>)>,
}

/// What came of writing to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything was written, or waits within its bound.
    Fine,
    /// More waits than may.
    TooSlow,
    /// The socket is broken.
    Broken,
}

impl Egress {
    /// Notes a frame for a session.
    pub(super) fn pend(&mut self, slot: u32, link: &mut Link, frame: FrameRef) {
        let Some(pending) = &mut link.pending else {
            link.pending = Some(Pending { first: frame, more: (NONE, NONE) });
            self.dirty.push_back(slot);
            self.queued_count += 1;
            return;
        };
        let last = match pending.more.1 {
            NONE => &mut pending.first,
            tail => &mut self.nodes[tail as usize].frame,
        };
        if last.arena == frame.arena && last.end == frame.start {
            last.end = frame.end;
            return;
        }
        let node = u32::try_from(self.nodes.len()).expect("fewer nodes than bytes in the arenas");
        self.nodes.push(Node { frame, next: NONE });
        match pending.more {
            (NONE, _) => pending.more = (node, node),
            (_, tail) => {
                self.nodes[tail as usize].next = node;
                pending.more.1 = node;
            }
        }
    }

    /// The next session with something to be written.
    pub(super) fn next_dirty(&mut self) -> Option<u32> {
        let slot = self.dirty.pop_front()?;
        self.taken_count += 1;
        Some(slot)
    }

    /// Notes that a message that came in at `received_us` is among what is pending now.
    pub(super) fn mark(&mut self, received_us: u64) {
        self.marks.push_back((received_us, self.queued_count));
    }

    /// Takes the marks of messages that have been written to every session they were for.
    pub(super) fn take_written_mark(&mut self) -> Option<u64> {
        let (received_us, _) = self.marks.pop_front_if(|(_, count)| *count <= self.taken_count)?;
        Some(received_us)
    }

    /// Whether nothing waits to be written. Then the frames may be forgotten.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Forgets the lists. Call when clean, together with [`Outputs::clear_frames`].
    pub(super) fn reset(&mut self) {
        self.nodes.clear();
        self.nodes.shrink_to(4096);
    }

    /// Writes what is pending for one session.
    pub(super) fn write<M>(
        &mut self,
        id: SessionId,
        links: &mut Links,
        out: &Outputs<M>,
        limits: &EgressLimits,
        metrics: &EngineMetrics,
    ) -> Written {
        let Some(link) = links.get_mut(id) else { return Written::Fine };
        let Some(pending) = link.pending.take() else { return Written::Fine };
        if pending.more.0 == NONE {
            return self.write_bytes(id, link, out.bytes(pending.first), limits, metrics);
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.extend_from_slice(out.bytes(pending.first));
        let mut node = pending.more.0;
        while node != NONE {
            let Node { frame, next } = self.nodes[node as usize];
            gathered.extend_from_slice(out.bytes(frame));
            node = next;
        }
        let written = self.write_bytes(id, link, &gathered, limits, metrics);
        gathered.clear();
        gathered.shrink_to(64 * 1024);
        self.gathered = gathered;
        written
    }

    fn write_bytes(
        &mut self,
        id: SessionId,
        link: &mut Link,
        bytes: &[u8],
        limits: &EgressLimits,
        metrics: &EngineMetrics,
    ) -> Written {
        match &mut link.transport {
            Transport::WebSocket(socket) if link.backlog.is_none() => {
                metrics.writes.increment();
                let taken = match socket.send(bytes) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(_) => return Written::Broken,
                };
                metrics.bytes_out.add(taken as u64);
                if taken == bytes.len() {
                    return Written::Fine;
                }
                metrics.blocked_writes.increment();
                self.blocked.push((id, socket.clone()));
                queue(link, &bytes[taken..], limits, metrics)
            }
            Transport::WebSocket(_) => queue(link, bytes, limits, metrics),
            Transport::Polling(_) => {
                let written = queue(link, bytes, limits, metrics);
                answer_poll(link, limits, metrics);
                written
            }
            Transport::Free | Transport::Moved(_) | Transport::Closing(_) | Transport::Leaving(_) => {
                Written::Fine
            }
        }
    }
}

/// The bounds of what may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct EgressLimits {
    /// Bytes that may wait for one session.
    pub(super) queue_bytes_max: usize,
    /// Bytes of one polling response.
    pub(super) payload_bytes_max: usize,
}

fn queue(link: &mut Link, bytes: &[u8], limits: &EgressLimits, metrics: &EngineMetrics) -> Written {
    let backlog = link.backlog.get_or_insert_with(Box::<Backlog>::default);
    // One turn's share is taken whole, so that what is larger than the bound can be delivered to a reader that keeps up.
    if !backlog.bytes.is_empty() && backlog.bytes.len() + bytes.len() > limits.queue_bytes_max {
        return Written::TooSlow;
    }
    backlog.bytes.extend_from_slice(bytes);
    metrics.queued_bytes.add(bytes.len() as u64);
    Written::Fine
}

/// Answers a waiting poll, if there is something to answer it with.
pub(super) fn answer_poll(link: &mut Link, limits: &EgressLimits, metrics: &EngineMetrics) {
    let Transport::Polling(polling) = &mut link.transport else { return };
    let Some(waiter) = polling.waiter.take() else { return };
    match take_from(&mut link.backlog, limits, metrics) {
        Some(payload) => waiter.answer(payload_response(payload)),
        None => polling.waiter = Some(waiter),
    }
}

/// The next payload for a poll, if anything waits.
pub(super) fn take_from(
    backlog: &mut Option<Box<Backlog>>,
    limits: &EgressLimits,
    metrics: &EngineMetrics,
) -> Option<Vec<u8>> {
    let waiting = backlog.as_mut()?;
    let before = waiting.bytes.len();
    let payload = take_payload(&mut waiting.bytes, limits.payload_bytes_max);
    let taken = (before - waiting.bytes.len()) as u64;
    metrics.queued_bytes.add(taken.wrapping_neg());
    metrics.bytes_out.add(taken);
    if waiting.bytes.is_empty() {
        *backlog = None;
    }
    (!payload.is_empty()).then_some(payload)
}

/// Writes as much of a WebSocket's backlog as the socket takes. `Ok(true)` when it is empty.
pub(super) fn drain(link: &mut Link, metrics: &EngineMetrics) -> io::Result<bool> {
    let (Transport::WebSocket(socket), Some(backlog)) = (&link.transport, &mut link.backlog) else {
        return Ok(true);
    };
    let mut written = 0;
    let outcome = loop {
        match socket.send(&backlog.bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
            Err(error) => break Err(error),
        }
        if written == backlog.bytes.len() {
            break Ok(true);
        }
    };
    metrics.writes.increment();
    metrics.bytes_out.add(written as u64);
    metrics.queued_bytes.add((written as u64).wrapping_neg());
    backlog.bytes.drain(..written);
    if backlog.bytes.is_empty() {
        link.backlog = None;
    }
    outcome
}
