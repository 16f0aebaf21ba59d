//! What this core heard lately of users' presence: for those who could not be told at once, because their list of
//! members was under way or their connection was lost.
//!
//! ```text
//! user's home ──── change 7 ────> this core: told, and kept here
//!      └───────── change 7 ────> channel's home: in the lists of members from here on
//! ```
//!
//! A change and a list travel on different ways. A list says up to which change of each core it knows; whatever is
//! kept here and came after that is told behind it. Kept for a time, so neither way need be the faster one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::ids::CoreId;
use crate::limits::{TIDINGS_CHANNELS_MAX, TIDINGS_MAX};
use crate::mail::PresenceChange;

/// One change that was heard of.
#[derive(Debug)]
struct Tiding {
    from: CoreId,
    change: Arc<PresenceChange>,
    end_ms: u64,
}

/// The latest changes, in the order in which this core heard of them.
#[derive(Debug)]
pub(super) struct Tidings {
    kept: VecDeque<Tiding>,
    /// Channels that the kept ones name.
    channel_count: usize,
    /// Changes that this core heard of, kept or not.
    count: u64,
    /// The number of the last change that came from each core.
    heard: Box<[u64]>,
    life_ms: u64,
}

impl Tidings {
    /// Nothing heard yet, from none of `core_count` cores. What will be is kept for `life_ms`.
    pub(super) fn new(core_count: u16, life_ms: u64) -> Self {
        let heard = vec![0; usize::from(core_count)].into();
        Self { kept: VecDeque::new(), channel_count: 0, count: 0, heard, life_ms }
    }

    /// Keeps a change that was heard of.
    pub(super) fn note(&mut self, from: CoreId, change: &Arc<PresenceChange>, now_ms: u64) {
        self.count += 1;
        self.heard[from.index()] = change.number;
        self.channel_count += change.channels.len();
        let end_ms = now_ms.saturating_add(self.life_ms);
        self.kept.push_back(Tiding { from, change: change.clone(), end_ms });
        self.expire(now_ms);
    }

    /// Drops what is too old or too much.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let is_too_much = |kept: &VecDeque<Tiding>, channel_count: usize| {
            kept.len() > TIDINGS_MAX || channel_count > TIDINGS_CHANNELS_MAX
        };
        while let Some(oldest) = self.kept.front()
            && (oldest.end_ms <= now_ms || is_too_much(&self.kept, self.channel_count))
        {
            self.channel_count -= oldest.change.channels.len();
            self.kept.pop_front();
            if self.kept.is_empty() {
                self.kept = VecDeque::new();
            }
        }
    }

    /// When the oldest is too old, in monotonic milliseconds.
    pub(super) fn next_end_ms(&self) -> Option<u64> {
        self.kept.front().map(|oldest| oldest.end_ms)
    }

    /// How many changes this core heard of so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How many of them are kept.
    pub(super) fn kept_count(&self) -> usize {
        self.kept.len()
    }

    /// Up to which change of each core this core knows.
    pub(super) fn heard(&self) -> &[u64] {
        &self.heard
    }

    /// What is kept and not known to a core that has heard so much of each.
    pub(super) fn unheard<'a>(&'a self, heard: &'a [u64]) -> impl Iterator<Item = &'a Arc<PresenceChange>> {
        let is_unheard = |tiding: &&Tiding| heard.get(tiding.from.index()) < Some(&tiding.change.number);
        self.kept.iter().filter(is_unheard).map(|tiding| &tiding.change)
    }

    /// What is kept and was heard of after the first `count` changes.
    pub(super) fn after(&self, count: u64) -> impl Iterator<Item = &Arc<PresenceChange>> {
        let new_count = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        self.kept.range(self.kept.len().saturating_sub(new_count)..).map(|tiding| &tiding.change)
    }

    /// The latest that is kept of each user of whom `changes` tell, in their order and each once: what a user was
    /// before is nobody's business.
    pub(super) fn latest<'a>(
        &'a self,
        changes: impl Iterator<Item = &'a Arc<PresenceChange>>,
    ) -> Vec<&'a PresenceChange> {
        let mut changes = changes.peekable();
        if changes.peek().is_none() {
            return Vec::new();
        }
        let kept = self.kept.iter().map(|tiding| (&*tiding.change.user, &*tiding.change));
        let mut latest: BTreeMap<&str, &PresenceChange> = kept.collect();
        changes.filter_map(|change| latest.remove(&*change.user)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Standpoint;

    fn change(number: u64) -> Arc<PresenceChange> {
        Arc::new(PresenceChange {
            user: number.to_string().into(),
            number,
            standpoint: Standpoint::UNKNOWN,
            channels: Box::new(["a".into(), "b".into()]),
            is_arrival: false,
            acting: None,
        })
    }

    fn numbers<'a>(changes: impl Iterator<Item = &'a Arc<PresenceChange>>) -> Vec<u64> {
        changes.map(|change| change.number).collect()
    }

    #[test]
    fn who_heard_less_of_a_core_is_told_the_rest() {
        let mut tidings = Tidings::new(2, 1_000);
        for (core, number) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
            tidings.note(CoreId(core), &change(number), 0);
        }
        assert_eq!(tidings.heard(), [2, 2]);
        assert_eq!(numbers(tidings.unheard(&[1, 2])), [2]);
        assert_eq!(numbers(tidings.unheard(&[2, 0])), [1, 2]);
        assert!(tidings.unheard(tidings.heard()).next().is_none());
        assert_eq!(numbers(tidings.after(2)), [2, 2]);
        assert_eq!((numbers(tidings.after(4)), tidings.after(0).count()), (Vec::new(), 4));
    }

    #[test]
    fn tidings_end_with_their_time_and_are_bounded() {
        let mut tidings = Tidings::new(1, 1_000);
        tidings.note(CoreId(0), &change(1), 0);
        tidings.note(CoreId(0), &change(2), 10);
        assert_eq!(tidings.next_end_ms(), Some(1_000));
        tidings.expire(1_000);
        assert_eq!((numbers(tidings.after(0)), tidings.count()), (vec![2], 2));
        tidings.expire(1_010);
        assert_eq!((tidings.next_end_ms(), tidings.kept.capacity(), tidings.channel_count), (None, 0, 0));
        for number in 3..TIDINGS_MAX as u64 + 10 {
            tidings.note(CoreId(0), &change(number), 2_000);
        }
        assert_eq!(tidings.kept_count(), TIDINGS_MAX);
        let many: Vec<crate::ids::ChannelName> = vec!["a".into(); TIDINGS_CHANNELS_MAX];
        let large = PresenceChange { channels: many.into(), ..Arc::into_inner(change(9_999)).unwrap() };
        tidings.note(CoreId(0), &Arc::new(large), 2_000);
        assert_eq!(numbers(tidings.after(0)), [9_999]);
    }

    #[test]
    fn of_each_user_the_latest_is_told_once() {
        let mut tidings = Tidings::new(1, 1_000);
        for (number, user) in [(1, "x"), (2, "y"), (3, "x"), (4, "z")] {
            let change = PresenceChange { user: user.into(), ..Arc::into_inner(change(number)).unwrap() };
            tidings.note(CoreId(0), &Arc::new(change), 0);
        }
        let latest = tidings.latest(tidings.after(0).filter(|change| &*change.user != "z"));
        assert_eq!(latest.iter().map(|change| change.number).collect::<Vec<_>>(), [3, 2]);
        assert!(tidings.latest(tidings.after(4)).is_empty());
    }
}
