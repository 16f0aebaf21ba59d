//! The way out: frames of a turn become at most one write per socket. What a socket does not take
//! waits in its backlog, bounded in bytes.

mod round;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use core_shards::{FrameRef, Outputs, SessionId};

use super::backlog::Backlog;
use super::link::{Link, Links, NONE, Pending, Transport};
use super::metrics::{Carrier, EngineMetrics};
use super::polling::{payload_response, take_payload};
use super::settings::POLL_RECORDS_MAX;
use crate::rt::{Socket, Volley};

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
    volley: Volley,
    shots: Vec<round::Shot>,
    /// Frames of the shots that lie in several pieces. Not `gathered`, which a session uses that goes the long way meanwhile.
    shot_bytes: Vec<u8>,
    outcomes: Vec<io::Result<usize>>,
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
    fn next_dirty(&mut self) -> Option<u32> {
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
        let is_waiting = link.backlog.is_some();
        match &link.transport {
            Transport::WebSocket(_) if !is_waiting => {}
            Transport::Polling(polling) if !is_waiting && polling.waiter.is_some() => {}
            Transport::WebSocket(_) | Transport::Polling(_) => {
                return self.keep(link, pending, out, limits, metrics);
            }
            Transport::Free | Transport::Moved(_) | Transport::Closing(_) | Transport::Leaving(_) => {
                return Written::Fine;
            }
        }
        if pending.more.0 == NONE {
            return self.write_bytes(id, link, out.bytes(pending.first), limits, metrics);
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        self.gather(pending, out, &mut gathered);
        let written = self.write_bytes(id, link, &gathered, limits, metrics);
        gathered.clear();
        gathered.shrink_to(64 * 1024);
        self.gathered = gathered;
        written
    }

    /// All ranges of one session, in order.
    fn ranges(&self, pending: Pending) -> impl Iterator<Item = FrameRef> {
        let mut next = pending.more.0;
        let further = std::iter::from_fn(move || {
            let node = self.nodes.get(next as usize)?;
            next = node.next;
            Some(node.frame)
        });
        std::iter::once(pending.first).chain(further)
    }

    /// Appends what is pending for one session to `bytes`.
    fn gather<M>(&self, pending: Pending, out: &Outputs<M>, bytes: &mut Vec<u8>) {
        for frame in self.ranges(pending) {
            bytes.extend_from_slice(out.bytes(frame));
        }
    }

    /// Writes to a session for which nothing waits.
    fn write_bytes(
        &mut self,
        id: SessionId,
        link: &mut Link,
        bytes: &[u8],
        limits: &EgressLimits,
        metrics: &EngineMetrics,
    ) -> Written {
        let Transport::WebSocket(socket) = &link.transport else {
            wait(link, bytes, metrics);
            answer_poll(link, limits, metrics);
            return Written::Fine;
        };
        let outcome = socket.send(bytes);
        self.sent(id, link, bytes, outcome, metrics)
    }

    fn count_write(bytes_taken: usize, metrics: &EngineMetrics) {
        metrics.writes.increment();
        metrics.bytes_out[Carrier::WebSocket as usize].add(bytes_taken as u64);
    }

    /// What a socket did not take of what was sent to it waits.
    fn sent(
        &mut self,
        id: SessionId,
        link: &mut Link,
        bytes: &[u8],
        outcome: io::Result<usize>,
        metrics: &EngineMetrics,
    ) -> Written {
        let taken = match outcome {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Written::Broken,
        };
        Self::count_write(taken, metrics);
        if taken < bytes.len()
            && let Transport::WebSocket(socket) = &link.transport
        {
            metrics.blocked_writes.increment();
            self.blocked.push((id, socket.clone()));
            // The rest waits as it is, volatile frames included: the first of them may be partly written.
            link.backlog.get_or_insert_with(Box::<Backlog>::default).begin(bytes, taken);
            metrics.queued_bytes.add((bytes.len() - taken) as u64);
        }
        Written::Fine
    }

    /// Keeps what is pending for a session that does not take it at the moment.
    fn keep<M>(
        &self,
        link: &mut Link,
        pending: Pending,
        out: &Outputs<M>,
        limits: &EgressLimits,
        metrics: &EngineMetrics,
    ) -> Written {
        let backlog = link.backlog.get_or_insert_with(Box::<Backlog>::default);
        // One turn's share is taken whole, so that what is larger than the bound can be delivered to a reader that
        // keeps up.
        let is_first = backlog.is_empty();
        for frame in self.ranges(pending) {
            let bytes = out.bytes(frame);
            if !is_first && backlog.byte_count() + bytes.len() > limits.queue_bytes_max {
                return Written::TooSlow;
            }
            metrics.queued_bytes.add(bytes.len() as u64);
            let Some(key) = out.key(frame) else {
                backlog.push(bytes);
                continue;
            };
            if let Some(former_bytes) = backlog.replace(key, bytes) {
                metrics.coalesced.increment();
                metrics.queued_bytes.add((former_bytes as u64).wrapping_neg());
            }
            if backlog.is_crowded() {
                return Written::TooSlow;
            }
        }
        Written::Fine
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

/// Lets what a session was just sent wait, in order, as the first that does.
fn wait(link: &mut Link, bytes: &[u8], metrics: &EngineMetrics) {
    link.backlog.get_or_insert_with(Box::<Backlog>::default).push(bytes);
    metrics.queued_bytes.add(bytes.len() as u64);
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
    let front = waiting.front(POLL_RECORDS_MAX);
    let before = front.len();
    let payload = take_payload(front, limits.payload_bytes_max);
    let taken = (before - front.len()) as u64;
    metrics.queued_bytes.add(taken.wrapping_neg());
    if waiting.is_empty() {
        *backlog = None;
    }
    (!payload.is_empty()).then_some(payload)
}

/// Writes as much of a WebSocket's backlog as the socket takes, also after the session's end. `Ok(true)` when it is empty.
pub(super) fn drain(link: &mut Link, metrics: &EngineMetrics) -> io::Result<bool> {
    let (Transport::WebSocket(socket) | Transport::Closing(socket), Some(backlog)) =
        (&link.transport, &mut link.backlog)
    else {
        return Ok(true);
    };
    metrics.writes.increment();
    let mut written = 0;
    let outcome = loop {
        let front = backlog.front(usize::MAX);
        if front.is_empty() {
            break Ok(true);
        }
        match socket.send(front) {
            Ok(count) => {
                backlog.written(count);
                written += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
            Err(error) => break Err(error),
        }
    };
    metrics.bytes_out[Carrier::WebSocket as usize].add(written as u64);
    metrics.queued_bytes.add((written as u64).wrapping_neg());
    if backlog.is_empty() {
        link.backlog = None;
        if let Transport::Closing(socket) = &link.transport {
            // The last that it took was the close frame.
            socket.shutdown_write();
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use protocol::engine_io::sid::Sid;
    use protocol::websocket::frame::{Opcode, frames, push_frame};

    use super::*;
    use crate::engine::polling::Polling;
    use crate::engine::settings::VOLATILE_KEYS_MAX;
    use crate::rt::{self, Driver};

    const LIMITS: EgressLimits = EgressLimits { queue_bytes_max: 1 << 20, payload_bytes_max: 1 << 20 };

    /// One session and everything between it and its core.
    struct Way {
        egress: Egress,
        links: Links,
        out: Outputs<()>,
        metrics: EngineMetrics,
        id: SessionId,
    }

    impl Way {
        fn to(transport: Transport) -> Self {
            let mut links = Links::default();
            let id = links.insert(transport, 0, 0);
            Self {
                egress: Egress::default(),
                links,
                out: Outputs::default(),
                metrics: EngineMetrics::default(),
                id,
            }
        }

        fn to_polling() -> Self {
            let sid = Sid { node: None, core: 0, slot: 0, secret: [0; 16] };
            Self::to(Transport::Polling(Box::new(Polling::new(sid, None))))
        }

        fn say(&mut self, text: &str) {
            self.out.send(self.id, |frames| push_frame(frames, Opcode::Text, text.as_bytes()));
        }

        fn show(&mut self, key: u64, text: &str) {
            self.out.send_volatile(self.id, key, |frames| push_frame(frames, Opcode::Text, text.as_bytes()));
        }

        /// The end of a turn.
        fn flush(&mut self) -> Written {
            let Self { egress, links, out, metrics, id } = self;
            out.take_deliveries(|frame, slots| {
                for &slot in slots {
                    egress.pend(slot, links.at_mut(slot).unwrap(), frame);
                }
            });
            let mut written = Written::Fine;
            egress.write_round(usize::MAX, links, out, &LIMITS, metrics, |which, came| {
                assert_eq!(which, *id);
                written = came;
            });
            assert!(egress.is_clean());
            egress.reset();
            out.clear_frames();
            written
        }

        fn poll(&mut self) -> Option<String> {
            let link = self.links.get_mut(self.id).unwrap();
            take_from(&mut link.backlog, &LIMITS, &self.metrics)
                .map(|payload| String::from_utf8(payload).unwrap())
        }
    }

    #[test]
    fn a_client_between_two_polls_gets_the_latest_of_each_key_behind_what_lasts() {
        let mut way = Way::to_polling();
        for number in 0..3 {
            way.show(1, &format!("typing {number}"));
            way.say(&format!("message {number}"));
            way.show(2, &format!("status {number}"));
            assert_eq!(way.flush(), Written::Fine);
        }
        assert_eq!(way.poll().unwrap(), "message 0\x1emessage 1\x1emessage 2");
        assert_eq!(way.poll().unwrap(), "typing 2\x1estatus 2");
        assert_eq!(way.poll(), None);
        assert_eq!((way.metrics.coalesced.get(), way.metrics.queued_bytes.get()), (4, 0));
    }

    #[test]
    fn a_round_gives_each_session_its_own_however_they_are_reached() {
        rt::run(Driver::Epoll, || async {
            let mut way = Way::to_polling();
            let waiter = Rc::default();
            if let Transport::Polling(polling) = &mut way.links.get_mut(way.id).unwrap().transport {
                polling.waiter = Some(Rc::clone(&waiter));
            }
            let (mut sessions, mut ends) = (Vec::new(), Vec::new());
            for number in 0..5 {
                let (near, far) = UnixStream::pair().unwrap();
                let transport = Transport::WebSocket(Rc::new(rt::Socket::new(near.into()).unwrap()));
                sessions.push(way.links.insert(transport, number, 0));
                ends.push(far);
            }
            // In two pieces for each, because another one's lie between them; the one that polls is in the middle.
            sessions.insert(2, way.id);
            for part in ["one", "two"] {
                for session in &sessions {
                    let text = format!("{part} of {}", session.slot);
                    way.out.send(*session, |frames| push_frame(frames, Opcode::Text, text.as_bytes()));
                }
            }
            assert_eq!(way.flush(), Written::Fine);
            for (end, session) in ends.iter_mut().zip(sessions.iter().filter(|session| **session != way.id)) {
                let mut heard = [0; 64];
                let length = end.read(&mut heard).unwrap();
                let mut expected = Vec::new();
                for part in ["one", "two"] {
                    push_frame(&mut expected, Opcode::Text, format!("{part} of {}", session.slot).as_bytes());
                }
                assert_eq!(heard[..length], expected);
            }
            let heard = String::from_utf8(waiter.answered().await.body).unwrap();
            assert_eq!(heard, format!("one of {0}\x1etwo of {0}", way.id.slot));
        })
        .unwrap();
    }

    #[test]
    fn a_client_that_waits_gets_everything_in_order() {
        let mut way = Way::to_polling();
        let waiter = Rc::default();
        if let Transport::Polling(polling) = &mut way.links.get_mut(way.id).unwrap().transport {
            polling.waiter = Some(Rc::clone(&waiter));
        }
        for number in 0..3 {
            way.show(1, &format!("typing {number}"));
            way.say(&format!("message {number}"));
        }
        assert_eq!(way.flush(), Written::Fine);
        let response = rt::run(Driver::Epoll, || async move { waiter.answered().await }).unwrap();
        let expected = "typing 0\x1emessage 0\x1etyping 1\x1emessage 1\x1etyping 2\x1emessage 2";
        assert_eq!(String::from_utf8(response.body).unwrap(), expected);
        assert_eq!((way.metrics.coalesced.get(), way.metrics.queued_bytes.get()), (0, 0));
    }

    #[test]
    fn more_keys_or_bytes_than_may_wait_are_too_slow() {
        let mut way = Way::to_polling();
        for key in 0..VOLATILE_KEYS_MAX as u64 {
            way.show(key, "x");
            assert_eq!(way.flush(), Written::Fine);
        }
        way.show(0, "y");
        assert_eq!(way.flush(), Written::Fine);
        way.show(u64::MAX, "z");
        assert_eq!(way.flush(), Written::TooSlow);

        let mut way = Way::to_polling();
        let large = "x".repeat(LIMITS.queue_bytes_max / 2);
        way.show(1, &large);
        assert_eq!(way.flush(), Written::Fine);
        way.show(2, &large);
        assert_eq!(way.flush(), Written::TooSlow);
    }

    #[test]
    fn a_reader_that_stops_gets_what_lasts_in_order_and_the_latest_of_each_key() {
        const ROUNDS: usize = 200;
        let (node, mut client) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        let texts = rt::run(Driver::Epoll, || async move {
            let socket = Rc::new(Socket::new(node.into()).unwrap());
            let mut way = Way::to(Transport::WebSocket(socket));
            let (mut said, filler) = (0, "x".repeat(10_000));
            while way.metrics.blocked_writes.get() == 0 {
                way.say(&format!("message {said} {filler}"));
                assert_eq!(way.flush(), Written::Fine);
                said += 1;
            }
            for round in 0..ROUNDS {
                way.show(1, &format!("typing {round}"));
                if round % 50 == 0 {
                    way.say(&format!("message {said} ."));
                    said += 1;
                }
                assert_eq!(way.flush(), Written::Fine);
            }
            assert_eq!(way.metrics.coalesced.get(), ROUNDS as u64 - 1);
            let mut bytes = Vec::new();
            loop {
                let _ = client.read_to_end(&mut bytes);
                if drain(way.links.get_mut(way.id).unwrap(), &way.metrics).unwrap() {
                    break;
                }
            }
            let _ = client.read_to_end(&mut bytes);
            assert_eq!(way.metrics.queued_bytes.get(), 0);
            way.say(&format!("message {said} ."));
            assert_eq!(way.flush(), Written::Fine);
            let _ = client.read_to_end(&mut bytes);
            let text = |(_, payload): (Opcode, &[u8])| String::from_utf8(payload.to_vec()).unwrap();
            frames(&bytes).map(text).collect::<Vec<_>>()
        })
        .unwrap();
        let typing = texts.iter().position(|text| text.starts_with("typing")).unwrap();
        assert_eq!(texts[typing], format!("typing {}", ROUNDS - 1));
        assert_eq!(typing, texts.len() - 2);
        let messages = texts.iter().filter(|text| text.starts_with("message"));
        for (number, message) in messages.enumerate() {
            assert!(message.starts_with(&format!("message {number} ")), "{number}: {message:.20}");
        }
        assert_eq!(texts.iter().filter(|text| !text.starts_with("message")).count(), 1);
    }
}
