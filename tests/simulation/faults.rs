//! Faults planted at the node's boundary, one per run: if the checker lets one of them pass, it is the checker that
//! is broken. The faults have their own random choices, so that a run is the same up to the fault.

mod frames;
mod letters;
mod mail;

pub(crate) use letters::Letter;
pub(crate) use mail::Audience;

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
    /// A join asks for one publication more than was missed or asked for.
    ShiftPast,
    /// Of what a session is told out of turn, one publication is left out.
    SkipReplayed,
    /// Of what a session is told out of turn, one publication comes twice.
    RepeatReplayed,
    /// Somebody hears that the own session types.
    EchoTyping,
    /// Who hides is said to be online.
    Reveal,
    /// Nobody wakes the node when something ends.
    Oversleep,
    /// Requests wait for room in all lanes instead of room for results: cores wait for each other.
    WaitForAllLanes,
    /// Letters are put into full lanes.
    IgnoreBounds,
}

impl Fault {
    /// Every fault that is tried. Lost and doubled restyles are not: they cost an encoding, and change no word. Signs of
    /// typing and questions that come twice mean the same as those that come once.
    pub(crate) const ALL: [Self; 44] = [
        Self::Lose(Letter::Join),
        Self::Lose(Letter::Leave),
        Self::Lose(Letter::Publish),
        Self::Lose(Letter::Typing),
        Self::Lose(Letter::Presence),
        Self::Lose(Letter::AskPresence),
        Self::Lose(Letter::PresenceReport),
        Self::Lose(Letter::Revoke),
        Self::Lose(Letter::Joined),
        Self::Lose(Letter::Deliver),
        Self::Lose(Letter::Notice),
        Self::Lose(Letter::Published),
        Self::Lose(Letter::Answer),
        Self::Double(Letter::Join),
        Self::Double(Letter::Leave),
        Self::Double(Letter::Publish),
        Self::Double(Letter::Presence),
        Self::Double(Letter::PresenceReport),
        Self::Double(Letter::Revoke),
        Self::Double(Letter::Joined),
        Self::Double(Letter::Deliver),
        Self::Double(Letter::Notice),
        Self::Double(Letter::Published),
        Self::Double(Letter::Answer),
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
        Self::ShiftPast,
        Self::SkipReplayed,
        Self::RepeatReplayed,
        Self::EchoTyping,
        Self::Reveal,
        Self::Oversleep,
        Self::WaitForAllLanes,
        Self::IgnoreBounds,
    ];
}

impl Fault {
    /// Whether there are few opportunities in a run.
    fn is_rare(self) -> bool {
        match self {
            _ if self.needs_calm() => true,
            Self::Lose(letter) | Self::Double(letter) => {
                matches!(
                    letter,
                    Letter::AskPresence | Letter::PresenceReport | Letter::Answer | Letter::Typing
                )
            }
            Self::SwapDeliveries | Self::DelayJoined | Self::PublishBeforeJoin => true,
            Self::ShiftPast | Self::SkipReplayed | Self::RepeatReplayed | Self::EchoTyping => true,
            _ => false,
        }
    }

    /// Whether it can be hidden by what those who join are told.
    fn needs_calm(self) -> bool {
        match self {
            Self::Lose(letter) | Self::Double(letter) => matches!(letter, Letter::Presence | Letter::Notice),
            Self::Reveal => true,
            _ => false,
        }
    }

    /// In how many of a hundred runs that it strikes the fault must be caught. What is done to a frame always shows; a
    /// letter may be for a session that leaves before it could miss anything, and cores that may wait for each
    /// other need not.
    pub(crate) fn caught_percent_min(self) -> u64 {
        match self {
            Self::SkipMember | Self::RepeatToMember | Self::TellStranger | Self::TellNobody => 100,
            Self::RepeatAck | Self::MisdirectAck | Self::SwapFrames | Self::IgnoreBounds => 100,
            Self::Double(Letter::Leave) | Self::DelayJoined | Self::PublishBeforeJoin => 20,
            Self::Double(Letter::PresenceReport) | Self::ShiftPast => 20,
            // The next sign, change or list of members makes up for most of them.
            Self::Lose(Letter::Typing | Letter::Notice) | Self::EchoTyping => 5,
            Self::Double(Letter::Notice) => 10,
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
    /// Nobody joins anything for the time being.
    pub(crate) is_calm: bool,
    /// Who would miss something, for the faults that depend on it.
    pub(crate) audience: Audience,
    /// Opportunities to let pass.
    patience: u32,
    /// What was done, once it was.
    pub(crate) struck: Option<String>,
}

impl Faults {
    pub(crate) fn new(fault: Option<Fault>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(!seed);
        let is_rare = fault.is_some_and(Fault::is_rare);
        let patience = random.u32(0..if is_rare { 2 } else { 24 });
        Self { fault, random, is_calm: false, audience: Audience::default(), patience, struck: None }
    }

    /// Whether it depends on who listens.
    pub(crate) fn needs_audience(&self) -> bool {
        let is_about_others = |letter| matches!(letter, Letter::Presence | Letter::Typing);
        match self.fault {
            Some(Fault::Lose(letter) | Fault::Double(letter)) => is_about_others(letter),
            fault => fault == Some(Fault::Reveal),
        }
    }

    /// Whether the fault should strike at this opportunity.
    fn strikes(&mut self) -> bool {
        let is_too_early = self.fault.is_some_and(Fault::needs_calm) && !self.is_calm;
        if self.struck.is_some() || is_too_early {
            return false;
        }
        let is_time = self.patience == 0;
        self.patience = self.patience.saturating_sub(1);
        is_time
    }

    pub(crate) fn waits_for_all_lanes(&mut self) -> bool {
        self.is_always(Fault::WaitForAllLanes)
    }

    pub(crate) fn oversleeps(&mut self) -> bool {
        self.is_always(Fault::Oversleep)
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
}
