//! Faults planted at the node's boundary, one per run: if the checker lets one of them pass, it is the checker that
//! is broken. The faults have their own random choices, so that a run is the same up to the fault.

use std::collections::VecDeque;

use core_shards::mail::{Deliver, Join, Joined, Leave, Mail, Publish, Published};

use protocol::websocket::frame;

use crate::node::Delivered;

/// The kinds of letters, for the faults that hit one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    Join,
    Leave,
    Publish,
    Joined,
    Deliver,
    Published,
}

/// One way for a node to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A letter never arrives.
    Lose(Letter),
    /// A letter arrives twice.
    Double(Letter),
    /// Two deliveries of a channel change places in their lane.
    SwapDeliveries,
    /// A join's answer arrives after the next delivery of its room.
    DelayJoined,
    /// A publish overtakes the join of its sender.
    PublishBeforeJoin,
    /// One member is left out of a message.
    SkipMember,
    /// One member gets a message twice.
    RepeatToMember,
    /// A session that is no member gets a message.
    TellStranger,
    /// A frame goes to a slot that nobody is in.
    TellNobody,
    /// An acknowledgement is sent twice.
    RepeatAck,
    /// An acknowledgement is not sent.
    LoseAck,
    /// An acknowledgement goes to another session.
    MisdirectAck,
    /// A digit of a frame is another one.
    AlterFrame,
    /// The first two frames of an answer change places.
    SwapFrames,
    /// Requests wait for room in all lanes instead of room for results: cores wait for each other.
    WaitForAllLanes,
    /// Letters are put into full lanes.
    IgnoreBounds,
}

impl Fault {
    /// Every fault that is tried.
    pub(crate) const ALL: [Self; 26] = [
        Self::Lose(Letter::Join),
        Self::Lose(Letter::Leave),
        Self::Lose(Letter::Publish),
        Self::Lose(Letter::Joined),
        Self::Lose(Letter::Deliver),
        Self::Lose(Letter::Published),
        Self::Double(Letter::Join),
        Self::Double(Letter::Leave),
        Self::Double(Letter::Publish),
        Self::Double(Letter::Joined),
        Self::Double(Letter::Deliver),
        Self::Double(Letter::Published),
        Self::SwapDeliveries,
        Self::DelayJoined,
        Self::PublishBeforeJoin,
        Self::SkipMember,
        Self::RepeatToMember,
        Self::TellStranger,
        Self::TellNobody,
        Self::RepeatAck,
        Self::LoseAck,
        Self::MisdirectAck,
        Self::AlterFrame,
        Self::SwapFrames,
        Self::WaitForAllLanes,
        Self::IgnoreBounds,
    ];
}

impl Fault {
    /// In how many of a hundred runs that it strikes the fault must be caught. What is done to a frame always shows; a
    /// letter may be for a session that leaves before it could miss anything, and cores that may wait for each
    /// other need not.
    pub(crate) fn caught_percent_min(self) -> u64 {
        match self {
            Self::SkipMember | Self::RepeatToMember | Self::TellStranger | Self::TellNobody => 100,
            Self::RepeatAck | Self::MisdirectAck | Self::SwapFrames | Self::IgnoreBounds => 100,
            Self::Double(Letter::Leave) | Self::DelayJoined | Self::PublishBeforeJoin => 20,
            Self::WaitForAllLanes => 5,
            _ => 50,
        }
    }
}

/// The fault of one run, and when it strikes.
#[derive(Debug)]
pub(crate) struct Faults {
    fault: Option<Fault>,
    random: fastrand::Rng,
    /// Opportunities to let pass.
    patience: u32,
    /// What was done, once it was.
    pub(crate) struck: Option<String>,
}

impl Faults {
    pub(crate) fn new(fault: Option<Fault>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(!seed);
        let patience = random.u32(0..24);
        Self { fault, random, patience, struck: None }
    }

    /// Whether the fault should strike at this opportunity.
    fn strikes(&mut self) -> bool {
        if self.struck.is_some() {
            return false;
        }
        let is_time = self.patience == 0;
        self.patience = self.patience.saturating_sub(1);
        is_time
    }

    pub(crate) fn waits_for_all_lanes(&mut self) -> bool {
        self.is_always(Fault::WaitForAllLanes)
    }

    pub(crate) fn ignores_bounds(&mut self) -> bool {
        self.is_always(Fault::IgnoreBounds)
    }

    fn is_always(&mut self, fault: Fault) -> bool {
        let is_planted = self.fault == Some(fault);
        if is_planted {
            self.struck = Some("from now on".to_owned());
        }
        is_planted
    }

    /// Hits a lane into which a letter was just put.
    pub(crate) fn disturb(&mut self, lane: &mut VecDeque<Mail>) {
        let (Some(fault), Some(last)) = (self.fault, lane.back()) else { return };
        let before = lane.len().checked_sub(2).map(|position| &lane[position]);
        let is_opportunity = match fault {
            Fault::Lose(letter) | Fault::Double(letter) => kind(last) == letter,
            Fault::SwapDeliveries => matches!((before, last),
                (Some(Mail::Deliver(first)), Mail::Deliver(second)) if first.room == second.room),
            Fault::DelayJoined => matches!((before, last),
                (Some(Mail::Joined(joined)), Mail::Deliver(deliver)) if joined.room == deliver.room),
            Fault::PublishBeforeJoin => matches!((before, last),
                (Some(Mail::Join(join)), Mail::Publish(publish))
                    if join.channel == publish.channel && join.reply.session == publish.reply.session && !join.is_repeat),
            _ => false,
        };
        if !is_opportunity || !self.strikes() {
            return;
        }
        self.struck = Some(format!("{:?}", lane.back()));
        match fault {
            Fault::Lose(_) => drop(lane.pop_back()),
            Fault::Double(_) => lane.extend(lane.back().map(copy)),
            _ => {
                lane.swap_remove_back(lane.len() - 2).into_iter().for_each(|earlier| lane.push_back(earlier))
            }
        }
    }

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

fn kind(letter: &Mail) -> Letter {
    match letter {
        Mail::Join(_) => Letter::Join,
        Mail::Leave(_) => Letter::Leave,
        Mail::Publish(_) => Letter::Publish,
        Mail::Joined(_) => Letter::Joined,
        Mail::Deliver(_) => Letter::Deliver,
        Mail::Published(_) => Letter::Published,
    }
}

/// A second letter with the same words. The node itself never needs one.
fn copy(letter: &Mail) -> Mail {
    match letter {
        Mail::Join(join) => Mail::Join(Box::new(Join {
            channel: join.channel.clone(),
            user: join.user.clone(),
            name: join.name.clone(),
            ..**join
        })),
        Mail::Leave(leave) => {
            Mail::Leave(Box::new(Leave { channel: leave.channel.clone(), user: leave.user.clone() }))
        }
        Mail::Publish(publish) => Mail::Publish(Box::new(Publish {
            channel: publish.channel.clone(),
            client_message_id: publish.client_message_id.clone(),
            body: publish.body.clone(),
            attachments: publish.attachments.clone(),
            ..**publish
        })),
        Mail::Joined(joined) => {
            Mail::Joined(Box::new(Joined { members: joined.members.clone(), ..**joined }))
        }
        Mail::Deliver(deliver) => {
            Mail::Deliver(Deliver { room: deliver.room, publication: deliver.publication.clone() })
        }
        Mail::Published(published) => Mail::Published(Box::new(Published {
            channel: published.channel.clone(),
            client_message_id: published.client_message_id.clone(),
            ..**published
        })),
    }
}
