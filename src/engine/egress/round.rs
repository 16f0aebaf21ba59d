//! A round of writes: what is pending for many sessions goes out with few calls to the kernel.
//!
//! A session whose socket takes what it can at once is shot at together with others. One that polls, or for which
//! something waits already, goes the long way of [`Egress::write`] on its own.

use std::ops::Range;

use core_shards::{FrameRef, Outputs, SessionId};

use super::{Egress, EgressLimits, Written};
use crate::engine::link::{Link, Links, NONE, Transport};
use crate::engine::metrics::EngineMetrics;
use crate::rt::VOLLEY_SENDS_MAX;

/// What one socket is sent in a round.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    slot: u32,
    piece: Piece,
}

/// Where the bytes of a shot lie.
#[derive(Clone, Debug)]
enum Piece {
    /// In one piece, as they were encoded.
    Frame(FrameRef),
    /// Gathered from several.
    Gathered(Range<usize>),
}

impl Egress {
    /// Writes what is pending for the next sessions, at most `sockets_max`, in the order in which they got it, and
    /// tells `each` of those for which not all went well.
    pub(in crate::engine) fn write_round<M>(
        &mut self,
        sockets_max: usize,
        links: &mut Links,
        out: &Outputs<M>,
        limits: &EgressLimits,
        metrics: &EngineMetrics,
        mut each: impl FnMut(SessionId, Written),
    ) {
        let mut left = sockets_max;
        while left > 0 && !self.is_clean() {
            while left > 0
                && self.shots.len() < VOLLEY_SENDS_MAX
                && let Some(slot) = self.next_dirty()
            {
                left -= 1;
                let Some(link) = links.at_mut(slot) else { continue };
                if self.aim(slot, link, out) {
                    continue;
                }
                let id = links.id_at(slot);
                let written = self.write(id, links, out, limits, metrics);
                if written != Written::Fine {
                    each(id, written);
                }
            }
            self.shoot(links, out, metrics, &mut each);
        }
    }

    /// Takes what is pending for a session into the round, if its socket can be written to directly.
    fn aim<M>(&mut self, slot: u32, link: &mut Link, out: &Outputs<M>) -> bool {
        if link.backlog.is_some() || !matches!(link.transport, Transport::WebSocket(_)) {
            return false;
        }
        let Some(pending) = link.pending.take() else { return true };
        let piece = if pending.more.0 == NONE {
            Piece::Frame(pending.first)
        } else {
            let mut bytes = std::mem::take(&mut self.shot_bytes);
            let start = bytes.len();
            self.gather(pending, out, &mut bytes);
            self.shot_bytes = bytes;
            Piece::Gathered(start..self.shot_bytes.len())
        };
        self.shots.push(Shot { slot, piece });
        true
    }

    /// Writes to everybody who was aimed at.
    fn shoot<M>(
        &mut self,
        links: &mut Links,
        out: &Outputs<M>,
        metrics: &EngineMetrics,
        each: &mut impl FnMut(SessionId, Written),
    ) {
        if self.shots.is_empty() {
            return;
        }
        let (mut shots, mut outcomes) = (std::mem::take(&mut self.shots), std::mem::take(&mut self.outcomes));
        let mut gathered = std::mem::take(&mut self.shot_bytes);
        let bytes_of = |shot: &Shot| match &shot.piece {
            Piece::Frame(frame) => out.bytes(*frame),
            Piece::Gathered(range) => &gathered[range.clone()],
        };
        let pieces = shots.iter().map(|shot| {
            let socket = links.socket_at(shot.slot).expect("who was aimed at in this round is still there");
            (socket, bytes_of(shot))
        });
        self.volley.fire(pieces, &mut outcomes);
        for (shot, outcome) in shots.drain(..).zip(outcomes.drain(..)) {
            let bytes = bytes_of(&shot);
            if let Ok(count) = outcome
                && count == bytes.len()
            {
                Self::count_write(count, metrics);
                continue;
            }
            let id = links.id_at(shot.slot);
            let Some(link) = links.at_mut(shot.slot) else { continue };
            let written = self.sent(id, link, bytes, outcome, metrics);
            if written != Written::Fine {
                each(id, written);
            }
        }
        gathered.clear();
        gathered.shrink_to(64 * 1024);
        (self.shots, self.shot_bytes, self.outcomes) = (shots, gathered, outcomes);
    }
}
