//! What is done to frames on their way from a core to its sessions.

use protocol::websocket::frame;

use super::{Fault, Faults};
use crate::node::Delivered;

impl Faults {
    /// Hits what one input sends to sessions. `live_slots` are the slots in use on the core.
    pub(crate) fn distort(&mut self, frames: &mut [Delivered], live_slots: &[u32]) {
        let Some(fault) = self.fault else { return };
        for delivered in frames {
            let is_opportunity = match fault {
                Fault::SkipMember | Fault::RepeatToMember => delivered.is_shared,
                Fault::TellStranger => delivered.is_shared && stranger(delivered, live_slots).is_some(),
                Fault::TellNobody => true,
                Fault::RepeatAck | Fault::LoseAck => is_ack(delivered),
                Fault::MisdirectAck => is_ack(delivered) && stranger(delivered, live_slots).is_some(),
                Fault::AlterFrame => !delivered.is_shared || delivered.slots.len() > 1,
                Fault::SwapFrames => first_two(delivered).is_some(),
                Fault::SkipReplayed | Fault::RepeatReplayed => is_replayed(delivered),
                _ => false,
            };
            if is_opportunity && self.strikes() {
                self.struck = Some(format!("{delivered:?}"));
                return self.spoil(fault, delivered, live_slots);
            }
        }
    }

    fn spoil(&mut self, fault: Fault, delivered: &mut Delivered, live_slots: &[u32]) {
        let chosen = self.random.usize(0..delivered.slots.len());
        match fault {
            Fault::SkipMember => drop(delivered.slots.remove(chosen)),
            Fault::RepeatToMember => delivered.slots.push(delivered.slots[chosen]),
            Fault::TellStranger => delivered.slots.extend(stranger(delivered, live_slots)),
            Fault::TellNobody => delivered.slots.push(u32::MAX),
            Fault::MisdirectAck => delivered.slots = stranger(delivered, live_slots).into_iter().collect(),
            Fault::LoseAck => delivered.frames.truncate(before_ack(delivered)),
            Fault::SkipReplayed => delivered.frames.clear(),
            Fault::RepeatReplayed => delivered.frames.extend_from_within(..),
            Fault::RepeatAck => {
                let ack = delivered.frames[before_ack(delivered)..].to_vec();
                delivered.frames.extend(ack);
            }
            Fault::AlterFrame => {
                let digits: Vec<usize> =
                    (4..delivered.frames.len()).filter(|at| delivered.frames[*at].is_ascii_digit()).collect();
                if let Some(&at) = digits.get(self.random.usize(0..digits.len().max(1))) {
                    delivered.frames[at] = b'0' + (delivered.frames[at] - b'0' + 1) % 10;
                }
            }
            Fault::SwapFrames => {
                if let Some((first, both)) = first_two(delivered) {
                    delivered.frames[..both].rotate_left(first);
                }
            }
            _ => {}
        }
    }
}

/// A slot in use that does not get the frame.
fn stranger(delivered: &Delivered, live_slots: &[u32]) -> Option<u32> {
    live_slots.iter().copied().find(|slot| !delivered.slots.contains(slot))
}

/// The length of the first frame, and of the first two together.
fn first_two(delivered: &Delivered) -> Option<(usize, usize)> {
    let mut walk = frame::frames(&delivered.frames);
    walk.next()?;
    let first = walk.frame_bytes();
    walk.next()?;
    Some((first, first + walk.frame_bytes()))
}

fn is_ack(delivered: &Delivered) -> bool {
    before_ack(delivered) < delivered.frames.len()
}

/// Where the acknowledgement begins that stands last among the frames.
fn before_ack(delivered: &Delivered) -> usize {
    let mut walk = frame::frames(&delivered.frames);
    let (mut at, mut last) = (0, delivered.frames.len());
    while let Some((_, payload)) = walk.next() {
        if payload.starts_with(b"43") {
            last = at;
        }
        at += walk.frame_bytes();
    }
    last
}

/// Whether it is a publication for one session alone: one that was missed.
fn is_replayed(delivered: &Delivered) -> bool {
    let first = frame::frames(&delivered.frames).next().map(|(_, payload)| payload);
    let names: [&[u8]; 4] = [b"42[\"message\"", b"42[\"message:new\"", b"42[\"reaction", b"42[\"read"];
    !delivered.is_shared && first.is_some_and(|payload| names.iter().any(|name| payload.starts_with(name)))
}
