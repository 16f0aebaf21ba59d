//! What the store that nodes share tells of the channels that are at home here. The store orders, and a publication is
//! handed out when the feed brings it back, on every node in the same order. While the store is away this core orders for
//! its own members, and remembers what the store has yet to get.
//!
//! ```text
//! appends      what the store has not confirmed
//! numbers      the numbers of a run's appends, and the positions in a lane
//! publishing   from an event to an append, and from its end to the acknowledgement
//! arrivals     what the feed brings
//! latest       what it brought lately, should it come again
//! opening      homes whose past is being asked for, and the letters that wait for it
//! outage       what happens while the store is away
//! repair       what followed meanwhile, and what cannot be known any more
//! past         a home's history, from what the store keeps
//! ```

mod appends;
mod arrivals;
mod latest;
mod numbers;
mod opening;
mod outage;
mod past;
mod publishing;
mod repair;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::Shard;
use crate::Now;
use crate::ids::{Epoch, Lane, Partition};
use crate::limits::{FORMER_EPOCHS_MAX, MemoryBounds};
use crate::outputs::Outputs;
use crate::placement::Placement;
use crate::store::{Refused, StoreEvent, StoreTrouble, Unanswered};
use appends::Appends;
use latest::Latest;
use numbers::Numbers;
use repair::Repair;

#[cfg(test)]
pub(super) use appends::Waiting;
pub(super) use opening::Tie;
pub(super) use publishing::published_of;

/// How a partition stands to the store.
///
/// ```text
///               Up                       caught up
///   Adrift ───────────> Repairing ─────────────────────> Live
///     ^  ^                 │   ^                           │ │
///     │  └─────────────────┘   └───────────────────────────┘ │
///     │     Down, refused          a hole, another epoch     │
///     └──────────────────────────────────────────────────────┘
///        Down, or an append whose end nobody knows
/// ```
#[derive(Debug, Default)]
enum State {
    /// The feed is not heard: this core orders for its own members.
    #[default]
    Adrift,
    /// The feed is heard, and what it did not bring is asked for.
    Repairing(Repair),
    /// Everything is heard in order.
    Live,
}

impl State {
    /// The states in the order of their gauges.
    const COUNT: usize = 3;

    const fn number(&self) -> usize {
        match self {
            Self::Adrift => 0,
            Self::Repairing(_) => 1,
            Self::Live => 2,
        }
    }
}

/// One partition of the channels, on the core that hears its feed.
#[derive(Debug)]
pub(super) struct Feed {
    partition: Partition,
    state: State,
    /// The partition's epoch, once the store told it.
    epoch: Option<Epoch>,
    /// Those that it had before, the latest last.
    former_epochs: VecDeque<Epoch>,
    /// The last number of the store that was heard of.
    heard: u64,
    /// The number up to which nothing of what was said to users is missing, if that is less; `u64::MAX` if not.
    whole: u64,
    numbers: Numbers,
    appends: Appends,
    latest: Latest,
    /// When the store is asked again without having said that it is back, monotonic milliseconds; `u64::MAX` if not.
    retry_at_ms: u64,
    /// Homes that are not open though the feed is heard are asked for again then.
    reopen_at_ms: u64,
    /// What the store has appended is to have come over the feed by then.
    overdue_at_ms: u64,
}

impl Feed {
    fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    fn is_adrift(&self) -> bool {
        matches!(self.state, State::Adrift)
    }

    fn next_retry_ms(&self) -> Option<u64> {
        let next_ms = self.retry_at_ms.min(self.reopen_at_ms).min(self.overdue_at_ms);
        (next_ms < u64::MAX).then_some(next_ms)
    }
}

/// The partitions whose feed a core hears. None without a store.
#[derive(Debug)]
pub(super) struct Feeds {
    feeds: Vec<Feed>,
    core_count: u16,
    /// Catch-ups that were asked for so far.
    ticket: u64,
    /// Letters that wait for homes.
    letter_count: usize,
    lingering: opening::Lingering,
}

impl Feeds {
    pub(super) fn new(core: crate::CoreId, placement: &Placement) -> Self {
        let own = (0..placement.partition_count()).map(Partition);
        let own = own.filter(|partition| placement.core_of_partition(*partition) == core);
        let feed = |partition| Feed {
            partition,
            state: State::default(),
            epoch: None,
            former_epochs: VecDeque::new(),
            heard: 0,
            whole: u64::MAX,
            numbers: Numbers::default(),
            appends: Appends::default(),
            latest: Latest::default(),
            retry_at_ms: u64::MAX,
            reopen_at_ms: u64::MAX,
            overdue_at_ms: u64::MAX,
        };
        Self {
            feeds: own.map(feed).collect(),
            core_count: placement.core_count(),
            ticket: 0,
            letter_count: 0,
            lingering: opening::Lingering::default(),
        }
    }

    /// The feed of a partition, if this core hears it.
    fn find(&self, partition: Partition) -> Option<&Feed> {
        let feed = self.feeds.get(usize::from(partition.0 / self.core_count));
        feed.filter(|feed| feed.partition == partition)
    }

    fn find_mut(&mut self, partition: Partition) -> Option<&mut Feed> {
        let feed = self.feeds.get_mut(usize::from(partition.0 / self.core_count));
        feed.filter(|feed| feed.partition == partition)
    }

    /// The feed of a home's partition.
    fn of(&mut self, partition: Partition) -> &mut Feed {
        self.find_mut(partition).expect("a channel is at home on the core that hears its partition")
    }

    /// The last position in a partition's lane that was handed out.
    pub(super) fn seq(&self, partition: Partition) -> u64 {
        self.find(partition).map_or(0, |feed| feed.numbers.seq())
    }

    /// Whether one more append may wait.
    fn has_room(&self, bounds: &MemoryBounds) -> bool {
        let count: usize = self.feeds.iter().map(|feed| feed.appends.len()).sum();
        let bytes: usize = self.feeds.iter().map(|feed| feed.appends.bytes()).sum();
        count < bounds.appends_max && bytes < bounds.appends_bytes_max
    }

    /// Publications that the store has not confirmed.
    pub(super) fn waiting_count(&self) -> usize {
        self.feeds.iter().map(|feed| feed.appends.len()).sum()
    }

    /// Letters that wait for homes.
    pub(super) fn letter_count(&self) -> usize {
        self.letter_count
    }

    /// How many partitions are in each state.
    pub(super) fn states(&self) -> [u64; State::COUNT] {
        let mut counts = [0; State::COUNT];
        for feed in &self.feeds {
            counts[feed.state.number()] += 1;
        }
        counts
    }

    /// What the feed of one partition may bring while it is asked what was before: its share of what may wait.
    fn repair_bounds(&self, bounds: &MemoryBounds) -> (usize, usize) {
        let count = self.feeds.len().max(1);
        (bounds.appends_max / count, bounds.appends_bytes_max / count)
    }

    /// When the store is to be asked for something again, in monotonic milliseconds.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        let retry = self.feeds.iter().filter_map(Feed::next_retry_ms).min();
        [retry, self.lingering.next_deadline_ms()].into_iter().flatten().min()
    }
}

impl Shard {
    /// Something happened to the partitions whose feed this core hears.
    pub(super) fn hear_feed(&mut self, event: StoreEvent, now: Now, out: &mut Outputs) {
        match event {
            StoreEvent::Up(partition) => self.begin_repair(partition),
            StoreEvent::Down(partition) => {
                if let Some(feed) = self.feeds.find_mut(partition) {
                    feed.retry_at_ms = u64::MAX;
                    self.go_adrift(partition, now, out);
                }
            }
            StoreEvent::Fed(stored) => self.hear(stored, now, out),
            StoreEvent::Appended { partition, number, place, known_as } => {
                self.note_appended(partition, number, place, known_as, now, out);
            }
            StoreEvent::Opened(opened) => self.open_home(*opened, now, out),
            StoreEvent::CaughtUp(caught_up) => self.catch_up(*caught_up, now, out),
            StoreEvent::Signal(..)
            | StoreEvent::Taken { .. }
            | StoreEvent::Absences { .. }
            | StoreEvent::Leases { .. }
            | StoreEvent::Refused(_) => {}
        }
        self.count_states();
    }

    /// A request about channels came to nothing.
    pub(super) fn hear_refusal(&mut self, refused: Refused, now: Now, out: &mut Outputs) {
        match refused.request {
            Unanswered::Append(partition, number) => {
                self.note_not_appended(partition, number, refused.reason, now, out);
            }
            Unanswered::Open(channel) => self.go_without_past(&channel, now, out),
            Unanswered::CatchUp(partition, ticket) => self.give_up_repair(partition, ticket, now, out),
            Unanswered::KeepSession(_)
            | Unanswered::TakeSession(_)
            | Unanswered::NoteAbsences(_)
            | Unanswered::AskAbsences(_)
            | Unanswered::Renew => {}
        }
        self.count_states();
    }

    /// Asks the store again for what it refused, and closes channels that nobody has been in for a while.
    pub(super) fn feeds_are_due(&mut self, now: Now) {
        let now_ms = now.monotonic_ms();
        for at in 0..self.feeds.feeds.len() {
            let feed = &mut self.feeds.feeds[at];
            let partition = feed.partition;
            if feed.retry_at_ms <= now_ms {
                self.begin_repair(partition);
            } else if feed.reopen_at_ms <= now_ms {
                self.ask_for_pasts(partition);
            } else if feed.overdue_at_ms <= now_ms {
                self.look_for_overdue(partition, now);
            }
        }
        self.close_deserted(now);
        self.count_states();
    }

    /// Whether anything waits for the store that would be lost with this node.
    pub fn owes(&self) -> bool {
        self.feeds.waiting_count() + self.feeds.letter_count() > 0
    }

    /// Whether what a home remembers is all that was handed out of its channel: then it can tell a session of another node
    /// what followed.
    pub(super) fn knows_all(&self, index: u32) -> bool {
        let home = self.homes.table.at(index);
        let feed = home.tie.as_ref().and_then(|tie| self.feeds.find(tie.partition));
        home.is_open() && feed.is_some_and(|feed| !feed.numbers.has_early())
    }

    /// The last position that was handed out of a channel's lane.
    pub(super) fn seq_of(&self, channel: &str) -> u64 {
        self.placement.partition_of(channel).map_or(self.seq, |partition| self.feeds.seq(partition))
    }

    pub(super) fn count_states(&self) {
        for (gauge, count) in self.metrics.partitions.iter().zip(self.feeds.states()) {
            gauge.set(count);
        }
        self.metrics.appends_waiting.set(self.feeds.waiting_count() as u64);
    }

    /// Everybody is told that the positions of a partition begin anew.
    fn begin_epoch(&mut self, partition: Partition, epoch: Epoch, heard: u64, out: &mut Outputs) {
        let feed = self.feeds.of(partition);
        if feed.former_epochs.len() >= FORMER_EPOCHS_MAX {
            feed.former_epochs.pop_front();
        }
        feed.former_epochs.extend(feed.epoch);
        (feed.epoch, feed.heard) = (Some(epoch), heard);
        feed.numbers.begin_lane();
        feed.latest.begin_epoch();
        for core in 0..self.placement.core_count() {
            let begun = crate::mail::Mail::LaneBegun(Lane::from(partition), epoch);
            self.post(crate::CoreId(core), begun, out);
        }
    }
}

/// Whether the store surely did not do what it refused.
const fn is_surely_undone(trouble: StoreTrouble) -> bool {
    match trouble {
        StoreTrouble::Unable | StoreTrouble::Busy => true,
        StoreTrouble::Away => false,
    }
}
