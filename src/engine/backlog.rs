//! What waits for one session whose socket does not take more, or that polls: frames that last, in order, and
//! behind them volatile ones, of each key the latest.

use protocol::codes::CloseReason;
use protocol::websocket::frame::{push_close, rest_of_frame};

use super::settings::VOLATILE_KEYS_MAX;

/// Frames that wait. Whole ones but for a first one that is partly written.
///
/// ```text
/// bytes:     [rest of m1][m2][m3]            written first, in this order
/// volatile:  (k2, t5) (k1, t7)               written when `bytes` is empty; the next frame of k2 replaces t5
/// ```
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    /// How many of the bytes belong to a frame that is partly written.
    begun_bytes: usize,
    /// The latest frames of their keys, the longest unchanged first.
    volatile: Vec<(u64, Vec<u8>)>,
    volatile_bytes: usize,
}

impl Backlog {
    /// All bytes that wait.
    pub(super) fn byte_count(&self) -> usize {
        self.bytes.len() + self.volatile_bytes
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.volatile.is_empty()
    }

    /// Takes over what a socket left of frames of which it took the first `taken` bytes, when nothing waited.
    pub(super) fn begin(&mut self, frames: &[u8], taken: usize) {
        self.begun_bytes = rest_of_frame(frames, taken);
        self.bytes.extend_from_slice(&frames[taken..]);
    }

    /// Appends frames that last.
    pub(super) fn push(&mut self, frames: &[u8]) {
        self.bytes.extend_from_slice(frames);
    }

    /// Puts the latest frames of a key in the place of those that it makes pointless. Returns how many bytes these
    /// had, if there were any.
    pub(super) fn replace(&mut self, key: u64, frames: &[u8]) -> Option<usize> {
        let former = self.volatile.iter().position(|(former, _)| *former == key);
        let former_bytes = former.map(|place| self.volatile.remove(place).1.len());
        self.volatile.push((key, frames.to_vec()));
        self.volatile_bytes = self.volatile_bytes + frames.len() - former_bytes.unwrap_or(0);
        former_bytes
    }

    /// Whether more keys wait than may.
    pub(super) fn is_crowded(&self) -> bool {
        self.volatile.len() > VOLATILE_KEYS_MAX
    }

    /// What is written next: the frames that last or, if there are none, the volatile ones of the first so many
    /// keys, which from then on cannot be replaced. The caller drains what it has written.
    pub(super) fn front(&mut self, keys_max: usize) -> &mut Vec<u8> {
        if self.bytes.is_empty() {
            let count = keys_max.min(self.volatile.len());
            for (_, frames) in self.volatile.drain(..count) {
                self.volatile_bytes -= frames.len();
                self.bytes.extend_from_slice(&frames);
            }
        }
        &mut self.bytes
    }

    /// Forgets what was written of the front.
    pub(super) fn written(&mut self, count: usize) {
        self.begun_bytes = match count.checked_sub(self.begun_bytes) {
            Some(beyond) => rest_of_frame(&self.bytes[self.begun_bytes..], beyond),
            None => self.begun_bytes - count,
        };
        self.bytes.drain(..count);
    }

    /// The end of a frame that is partly written, and a close frame: the rest is given up.
    pub(super) fn cut_short(mut self, reason: CloseReason) -> Self {
        self.bytes.truncate(self.begun_bytes);
        self.volatile.clear();
        self.closed(reason)
    }

    /// The same with a close frame behind it, and nothing that can be replaced.
    pub(super) fn closed(self, reason: CloseReason) -> Self {
        let (code, text) = reason.websocket();
        let begun_bytes = self.begun_bytes;
        let mut bytes = self.into_bytes();
        push_close(&mut bytes, code, text);
        Self { bytes, begun_bytes, ..Self::default() }
    }

    /// Everything that waits, in the order in which it is written.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        for (_, frames) in &self.volatile {
            self.bytes.extend_from_slice(frames);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use protocol::websocket::frame::{Opcode, push_frame};

    use super::*;

    #[test]
    fn the_latest_of_a_key_waits_behind_everything_that_lasts() {
        let mut backlog = Backlog::default();
        backlog.push(b"one ");
        assert_eq!(backlog.replace(1, b"typing "), None);
        assert_eq!(backlog.replace(2, b"away "), None);
        backlog.push(b"two ");
        assert_eq!(backlog.replace(1, b"stopped "), Some(7));
        assert_eq!(backlog.byte_count(), b"one two away stopped ".len());
        assert_eq!(backlog.front(usize::MAX), b"one two ");
        assert_eq!(backlog.into_bytes(), b"one two away stopped ");
    }

    #[test]
    fn what_is_being_written_is_not_replaced() {
        let mut backlog = Backlog::default();
        for key in 0..3 {
            backlog.replace(key, b"early ");
        }
        assert_eq!(backlog.front(2), b"early early ");
        assert_eq!(backlog.replace(0, b"late "), None);
        assert_eq!(backlog.replace(2, b"later "), Some(6));
        backlog.front(2).clear();
        assert_eq!(backlog.byte_count(), b"late later ".len());
        assert_eq!(backlog.front(usize::MAX), b"late later ");
        backlog.front(usize::MAX).clear();
        assert!(backlog.is_empty());
    }

    #[test]
    fn what_is_given_up_ends_with_the_frame_that_is_partly_written() {
        let (mut frames, mut close) = (Vec::new(), Vec::new());
        for length in [4, 300, 5] {
            push_frame(&mut frames, Opcode::Text, &vec![b'x'; length]);
        }
        let (code, text) = CloseReason::SlowReader.websocket();
        push_close(&mut close, code, text);
        let ends = [0, 6, 310, 317];
        for taken in 0..frames.len() {
            for written in 0..frames.len() - taken {
                let mut backlog = Backlog::default();
                backlog.begin(&frames, taken);
                backlog.written(written);
                let at = taken + written;
                let end = ends.into_iter().find(|end| *end >= at).unwrap_or(at);
                let left = backlog.cut_short(CloseReason::SlowReader).into_bytes();
                assert_eq!(left, [&frames[at..end], &close].concat(), "{taken} {written}");
            }
        }
    }

    #[test]
    fn keys_are_counted() {
        let mut backlog = Backlog::default();
        for key in 0..VOLATILE_KEYS_MAX as u64 {
            backlog.replace(key, b"x");
            backlog.replace(0, b"y");
        }
        assert!(!backlog.is_crowded());
        backlog.replace(u64::MAX, b"z");
        assert!(backlog.is_crowded());
    }
}
