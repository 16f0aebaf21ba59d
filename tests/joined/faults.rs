//! Mistakes that are planted between the store and a node, or between the cores of one, to see the checker find them.

use core_shards::Mail;
use core_shards::store::StoreEvent;

/// One kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A publication of the feed does not come, and nobody notices.
    LosePush,
    /// A publication of the feed is handed out twice.
    DoublePush,
    /// A catch-up leaves out the last thing that followed on a channel, and says that it was all.
    ShortenCatchUp,
    /// A catch-up does not say which appends were carried out.
    ForgetAppended,
    /// A catch-up says that everything was carried out.
    PretendAppended,
    /// Nobody is told that something is missing.
    HideGap,
    /// A channel's past is shorter than it says.
    ShortenPast,
    /// What was said to a user does not reach the user's core.
    LoseOwn,
}

impl Fault {
    pub(crate) const ALL: [Self; 8] = [
        Self::LosePush,
        Self::DoublePush,
        Self::ShortenCatchUp,
        Self::ForgetAppended,
        Self::PretendAppended,
        Self::HideGap,
        Self::ShortenPast,
        Self::LoseOwn,
    ];

    /// Of the runs that it strikes in, how many at least are to end in a violation. What the node itself finds out and
    /// repairs is none.
    pub(crate) const fn caught_percent_min(self) -> u32 {
        match self {
            // What is known by its offset is dropped, and what is missing is asked for when the next one shows the hole.
            Self::DoublePush | Self::ShortenPast => 0,
            Self::ShortenCatchUp => 4,
            // The user has no session that it could reach.
            Self::LoseOwn => 8,
            Self::ForgetAppended => 10,
            Self::LosePush | Self::PretendAppended | Self::HideGap => 25,
        }
    }
}

/// The fault of a run.
#[derive(Debug)]
pub(crate) struct Faults {
    fault: Option<Fault>,
    random: fastrand::Rng,
    pub(crate) has_struck: bool,
}

impl Faults {
    pub(crate) fn new(fault: Option<Fault>, seed: u64) -> Self {
        Self { fault, random: fastrand::Rng::with_seed(seed ^ 0xfa17), has_struck: false }
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.fault == Some(fault) && self.random.u8(..4) == 0;
        self.has_struck |= strikes;
        strikes
    }

    /// What comes to a node instead of what the store told it.
    pub(crate) fn distort(&mut self, mut event: StoreEvent) -> Vec<StoreEvent> {
        match &mut event {
            StoreEvent::Fed(_) if self.strikes(Fault::LosePush) => return Vec::new(),
            StoreEvent::Fed(stored) if self.strikes(Fault::DoublePush) => {
                let again = crate::store::copy(stored);
                return vec![event, StoreEvent::Fed(Box::new(again))];
            }
            StoreEvent::CaughtUp(caught_up) => {
                let longest = caught_up.channels.iter_mut().find(|progress| progress.tail.len() > 1);
                if let Some(progress) = longest.filter(|_| self.strikes(Fault::ShortenCatchUp)) {
                    progress.tail.pop();
                    progress.offset = progress.offset.before();
                }
                if caught_up.appended > 0 && self.strikes(Fault::ForgetAppended) {
                    caught_up.appended = 0;
                    caught_up.channels.clear();
                }
                if self.strikes(Fault::PretendAppended) {
                    caught_up.appended = u32::MAX >> 1;
                }
            }
            StoreEvent::Opened(opened) if !opened.tail.is_empty() && self.strikes(Fault::ShortenPast) => {
                opened.tail.pop();
                opened.offset = opened.offset.before();
            }
            _ => {}
        }
        vec![event]
    }

    /// Whether a letter between cores is lost.
    pub(crate) fn loses(&mut self, letter: &Mail) -> bool {
        match letter {
            Mail::Gap(_) => self.strikes(Fault::HideGap),
            Mail::Own(_) => self.strikes(Fault::LoseOwn),
            _ => false,
        }
    }
}
