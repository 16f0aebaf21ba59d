//! What follows from one turn: frames for sessions, mail for other cores, answers to requests, sessions to close.
//!
//! A frame is kept once; its receivers are a list of slots that refers to it. Frames for many and frames for one
//! lie in two separate arenas, so that all frames of a busy channel stand side by side and a
//! member's share of a turn is usually one contiguous piece of memory: one write, nothing copied. Frames that
//! a later one may replace lie in a third one, each behind its key, so that no two of them are ever taken for one.

use std::ops::Range;

use protocol::codes::CloseReason;
use protocol::http::response::Response;

use crate::ids::{CoreId, SessionId};
use crate::mail::Mail;

/// Which of the arenas a frame lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arena {
    /// Frames that go to many sessions.
    Shared,
    /// Frames that go to one session.
    Direct,
    /// Frames that a later one of the same key may replace while they wait for a slow reader.
    Volatile,
}

/// Bytes of the key in front of a volatile frame.
const KEY_BYTES: usize = size_of::<u64>();

/// Where a frame lies: whole WebSocket frames, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef {
    /// The arena.
    pub arena: Arena,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A request that waits for its answer: a number that its core gives out once and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One frame and the slots of the sessions that it goes to.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What is sent.
    pub frame: FrameRef,
    receivers: Range<u32>,
}

/// Everything that a turn wants done, in order. `M` is the application's mail.
#[derive(Debug)]
pub struct Outputs<M = Mail> {
    shared: Vec<u8>,
    direct: Vec<u8>,
    volatile: Vec<u8>,
    deliveries: Vec<Delivery>,
    receivers: Vec<u32>,
    mail: Vec<(CoreId, M)>,
    answers: Vec<(Ticket, Response)>,
    closes: Vec<(SessionId, CloseReason)>,
    latency_marks: Vec<u64>,
}

impl<M> Default for Outputs<M> {
    fn default() -> Self {
        Self {
            shared: Vec::new(),
            direct: Vec::new(),
            volatile: Vec::new(),
            deliveries: Vec::new(),
            receivers: Vec::new(),
            mail: Vec::new(),
            answers: Vec::new(),
            closes: Vec::new(),
            latency_marks: Vec::new(),
        }
    }
}

impl<M> Outputs<M> {
    /// Sends what `write` appends, one or more whole frames, to one session.
    pub fn send(&mut self, session: SessionId, write: impl FnOnce(&mut Vec<u8>)) {
        let frame = append(Arena::Direct, &mut self.direct, write);
        self.deliver(frame, &[session.slot]);
    }

    /// Sends finished frames to every session of `slots`. The bytes are copied once per core and turn.
    pub fn broadcast(&mut self, frames: &[u8], slots: &[u32]) {
        self.broadcast_with(slots, |arena| arena.extend_from_slice(frames));
    }

    /// Sends what `write` appends, one or more whole frames, to every session of `slots`.
    pub fn broadcast_with(&mut self, slots: &[u32], write: impl FnOnce(&mut Vec<u8>)) {
        if slots.is_empty() {
            return;
        }
        let frame = append(Arena::Shared, &mut self.shared, write);
        self.deliver(frame, slots);
    }

    /// Sends what `write` appends to one session, unless the session is slow and a later frame of the same key
    /// replaces it before it is written.
    ///
    /// What was sent before it is written before it; what was sent after it may overtake it.
    pub fn send_volatile(&mut self, session: SessionId, key: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.volatile.extend_from_slice(&key.to_ne_bytes());
        let frame = append(Arena::Volatile, &mut self.volatile, write);
        self.deliver(frame, &[session.slot]);
    }

    /// Sends finished frames to every session of `slots`, each as [`send_volatile`](Self::send_volatile) does.
    pub fn broadcast_volatile(&mut self, frames: &[u8], slots: &[u32], key: u64) {
        if slots.is_empty() {
            return;
        }
        self.volatile.extend_from_slice(&key.to_ne_bytes());
        let write = |arena: &mut Vec<u8>| arena.extend_from_slice(frames);
        let frame = append(Arena::Volatile, &mut self.volatile, write);
        self.deliver(frame, slots);
    }

    fn deliver(&mut self, frame: FrameRef, slots: &[u32]) {
        let start = length(&self.receivers);
        self.receivers.extend_from_slice(slots);
        self.deliveries.push(Delivery { frame, receivers: start..length(&self.receivers) });
    }

    /// Puts a letter into the outgoing mail of this turn.
    pub fn mail(&mut self, to: CoreId, letter: M) {
        self.mail.push((to, letter));
    }

    /// Answers a request of this core that waits. Nothing happens if it does so no more.
    pub fn answer(&mut self, ticket: Ticket, response: Response) {
        self.answers.push((ticket, response));
    }

    /// Closes a session once everything that was sent to it before has been written.
    pub fn close(&mut self, session: SessionId, reason: CloseReason) {
        self.closes.push((session, reason));
    }

    /// Notes that a message received at `received_us` is written to sockets at the end of this turn.
    pub fn mark_latency(&mut self, received_us: u64) {
        self.latency_marks.push(received_us);
    }

    /// The bytes of a frame.
    pub fn bytes(&self, frame: FrameRef) -> &[u8] {
        let arena = match frame.arena {
            Arena::Shared => &self.shared,
            Arena::Direct => &self.direct,
            Arena::Volatile => &self.volatile,
        };
        &arena[frame.start as usize..frame.end as usize]
    }

    /// The key of a volatile frame, `None` of any other.
    pub fn key(&self, frame: FrameRef) -> Option<u64> {
        if frame.arena != Arena::Volatile {
            return None;
        }
        let start = frame.start as usize;
        self.volatile[..start].last_chunk::<KEY_BYTES>().map(|key| u64::from_ne_bytes(*key))
    }

    /// Takes the frames sent since the last call, with their receivers' slots, in order.
    pub fn take_deliveries(&mut self, mut each: impl FnMut(FrameRef, &[u32])) {
        for Delivery { frame, receivers } in self.deliveries.drain(..) {
            each(frame, &self.receivers[receivers.start as usize..receivers.end as usize]);
        }
        self.receivers.clear();
    }

    /// Takes the letters, in order.
    pub fn take_mail(&mut self) -> std::vec::Drain<'_, (CoreId, M)> {
        self.mail.drain(..)
    }

    /// Takes the answers, in order.
    pub fn take_answers(&mut self) -> std::vec::Drain<'_, (Ticket, Response)> {
        self.answers.drain(..)
    }

    /// Takes the sessions to close, in order.
    pub fn take_closes(&mut self) -> std::vec::Drain<'_, (SessionId, CloseReason)> {
        self.closes.drain(..)
    }

    /// Takes the marks of [`mark_latency`](Self::mark_latency).
    pub fn take_latency_marks(&mut self) -> std::vec::Drain<'_, u64> {
        self.latency_marks.drain(..)
    }

    /// How many bytes of frames are kept.
    pub fn arena_bytes(&self) -> usize {
        self.shared.len() + self.direct.len() + self.volatile.len()
    }

    /// Forgets all frames: every [`FrameRef`] handed out before is void. A burst's memory is given back.
    pub fn clear_frames(&mut self) {
        /// What an arena keeps for the next turn.
        const KEPT_BYTES_MAX: usize = 64 * 1024;
        for arena in [&mut self.shared, &mut self.direct, &mut self.volatile] {
            arena.clear();
            arena.shrink_to(KEPT_BYTES_MAX);
        }
    }
}

fn append(arena: Arena, bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> FrameRef {
    let start = length(bytes);
    write(bytes);
    FrameRef { arena, start, end: length(bytes) }
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).expect("a turn's output is bounded far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId { slot: 1, generation: 9 };

    /// Takes everything as (bytes, slots).
    fn taken(outputs: &mut Outputs<&str>) -> Vec<(Vec<u8>, Vec<u32>)> {
        let mut frames = Vec::new();
        outputs.take_deliveries(|frame, slots| frames.push((frame, slots.to_vec())));
        frames.into_iter().map(|(frame, slots)| (outputs.bytes(frame).to_vec(), slots)).collect()
    }

    #[test]
    fn frames_come_out_in_the_order_in_which_they_went_in() {
        let mut outputs = Outputs::<&str>::default();
        outputs.send(ONE, |frame| frame.extend(b"for one"));
        outputs.broadcast(b"for all", &[1, 2, 3]);
        outputs.send(ONE, |frame| frame.extend(b"again"));
        outputs.broadcast(b"once more", &[2]);
        let expected: [(&[u8], &[u32]); 4] =
            [(b"for one", &[1]), (b"for all", &[1, 2, 3]), (b"again", &[1]), (b"once more", &[2])];
        assert_eq!(taken(&mut outputs), expected.map(|(bytes, slots)| (bytes.to_vec(), slots.to_vec())));
        assert!(taken(&mut outputs).is_empty());
    }

    #[test]
    fn frames_of_one_channel_stand_side_by_side_whatever_comes_between() {
        let mut outputs = Outputs::<&str>::default();
        outputs.broadcast(b"first", &[1, 2]);
        outputs.send(ONE, |frame| frame.extend(b"between"));
        outputs.broadcast(b"second", &[1, 2]);
        let mut shared = Vec::new();
        outputs.take_deliveries(|frame, _| shared.push(frame));
        shared.retain(|frame| frame.arena == Arena::Shared);
        assert_eq!(shared[0].end, shared[1].start);
        let both = FrameRef { end: shared[1].end, ..shared[0] };
        assert_eq!(outputs.bytes(both), b"firstsecond");
    }

    #[test]
    fn volatile_frames_know_their_keys_and_never_touch() {
        let mut outputs = Outputs::<&str>::default();
        outputs.broadcast_volatile(b"here", &[1, 2], 7);
        outputs.broadcast_volatile(b"there", &[1], u64::MAX);
        outputs.send_volatile(ONE, 0, |frame| frame.extend(b"for one"));
        outputs.broadcast(b"lasting", &[1]);
        let mut frames = Vec::new();
        outputs.take_deliveries(|frame, slots| frames.push((frame, slots.to_vec())));
        let of = |frame: FrameRef| (outputs.bytes(frame), outputs.key(frame));
        let expected: [(&[u8], Option<u64>, &[u32]); 4] = [
            (b"here", Some(7), &[1, 2]),
            (b"there", Some(u64::MAX), &[1]),
            (b"for one", Some(0), &[1]),
            (b"lasting", None, &[1]),
        ];
        for ((frame, slots), (bytes, key, receivers)) in frames.iter().zip(expected) {
            assert_eq!((of(*frame), slots.as_slice()), ((bytes, key), receivers));
        }
        assert!(frames.windows(2).all(|pair| pair[0].0.end != pair[1].0.start));
    }

    #[test]
    fn a_message_for_nobody_costs_nothing() {
        let mut outputs = Outputs::<&str>::default();
        outputs.broadcast_volatile(b"unheard", &[], 1);
        outputs.broadcast(b"unheard", &[]);
        assert_eq!(outputs.arena_bytes(), 0);
        assert!(taken(&mut outputs).is_empty());
    }

    #[test]
    fn frames_stay_readable_until_they_are_cleared_and_a_burst_gives_its_memory_back() {
        let mut outputs = Outputs::<&str>::default();
        outputs.broadcast(&[7; 1 << 20], &[1]);
        let mut kept = None;
        outputs.take_deliveries(|frame, _| kept = Some(frame));
        outputs.send(ONE, |frame| frame.extend(b"later"));
        assert_eq!(kept.map(|frame| outputs.bytes(frame).len()), Some(1 << 20));
        assert_eq!(outputs.arena_bytes(), (1 << 20) + 5);
        outputs.clear_frames();
        assert_eq!(outputs.arena_bytes(), 0);
        assert!(outputs.shared.capacity() <= 128 * 1024, "{}", outputs.shared.capacity());
    }

    #[test]
    fn mail_answers_closes_and_marks_are_taken_once_and_in_order() {
        let mut outputs = Outputs::default();
        outputs.mail(CoreId(1), "first");
        outputs.mail(CoreId(0), "second");
        outputs.answer(Ticket(7), Response::empty(204));
        outputs.close(ONE, CloseReason::TokenExpired);
        outputs.mark_latency(17);
        assert_eq!(outputs.take_mail().collect::<Vec<_>>(), [(CoreId(1), "first"), (CoreId(0), "second")]);
        assert_eq!(outputs.take_answers().collect::<Vec<_>>(), [(Ticket(7), Response::empty(204))]);
        assert_eq!(outputs.take_closes().collect::<Vec<_>>(), [(ONE, CloseReason::TokenExpired)]);
        assert_eq!(outputs.take_latency_marks().collect::<Vec<_>>(), [17]);
        assert_eq!(outputs.take_mail().count() + outputs.take_closes().count(), 0);
        assert_eq!(outputs.take_latency_marks().count() + outputs.take_answers().count(), 0);
    }
}
