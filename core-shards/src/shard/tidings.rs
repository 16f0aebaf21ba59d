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
use crate::limits::{TIDINGS_CHANNELS_MAX, TIDINGS_LIFE_MS, TIDINGS_MAX};
use crate::mail::PresenceChange;

/// One change that was heard of.
#[derive(Debug)]
struct Tiding {
    from: CoreId,
    change: Arc<PresenceChange>,
    heard_ms: u64,
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
    /// How long those who were lost may want to know of a change.
    window_ms: u64,
}

impl Tidings {
    /// Nothing heard yet, from none of `core_count` cores. What will be is kept for `window_ms` for those who were lost.
    pub(super) fn new(core_count: u16, window_ms: u64) -> Self {
        let heard = vec![0; usize::from(core_count)].into();
        Self { kept: VecDeque::new(), channel_count: 0, count: 0, heard, window_ms }
    }

    /// Keeps a change that was heard of.
    pub(super) fn note(&mut self, from: CoreId, change: &Arc<PresenceChange>, now_ms: u64) {
        self.count += 1;
        self.heard[from.index()] = change.number;
        self.channel_count += change.channels.len();
        // Before it is added: the list would double for one more than it may hold.
        self.drop_while(|tidings, _| {
            tidings.kept.len() >= TIDINGS_MAX || tidings.channel_count > TIDINGS_CHANNELS_MAX
        });
        self.kept.push_back(Tiding { from, change: change.clone(), heard_ms: now_ms });
    }

    /// Drops what is too old: older than the window if somebody was lost, and than a letter may be if not.
    pub(super) fn expire(&mut self, now_ms: u64, is_somebody_owed: bool) {
        let life_ms = self.life_ms(is_somebody_owed);
        self.drop_while(|_, oldest| oldest.heard_ms.saturating_add(life_ms) <= now_ms);
    }

    fn life_ms(&self, is_somebody_owed: bool) -> u64 {
        if is_somebody_owed { self.window_ms.max(TIDINGS_LIFE_MS) } else { TIDINGS_LIFE_MS }
    }

    fn drop_while(&mut self, is_over: impl Fn(&Self, &Tiding) -> bool) {
        while let Some(oldest) = self.kept.front()
            && is_over(self, oldest)
        {
            self.channel_count -= oldest.change.channels.len();
            self.kept.pop_front();
            if self.kept.is_empty() {
                self.kept = VecDeque::new();
            }
        }
    }

    /// Drops the latest as far as they came from `core`. For this very core's, when nobody here waits for a list and
    /// nobody is lost: whatever letter asks for a list from now on goes behind the change.
    pub(super) fn forget_latest_of(&mut self, core: CoreId) {
        while let Some(tiding) = self.kept.pop_back_if(|tiding| tiding.from == core) {
            self.channel_count -= tiding.change.channels.len();
        }
    }

    /// When the oldest is too old, in monotonic milliseconds.
    pub(super) fn next_end_ms(&self, is_somebody_owed: bool) -> Option<u64> {
        let life_ms = self.life_ms(is_somebody_owed);
        self.kept.front().map(|oldest| oldest.heard_ms.saturating_add(life_ms))
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
        // A list is rarely far behind, and the numbers tell by how many changes: nothing before those is looked at.
        let missing: u64 =
            self.heard.iter().zip(heard).map(|(here, there)| here.saturating_sub(*there)).sum();
        let newest = self.kept.iter().rev().filter(is_unheard).map(|tiding| &tiding.change);
        let newest: Vec<_> = newest.take(usize::try_from(missing).unwrap_or(usize::MAX)).collect();
        newest.into_iter().rev()
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
        let changes: Vec<_> = changes.collect();
        let mut latest: BTreeMap<&str, Option<&PresenceChange>> =
            changes.iter().map(|change| (&*change.user, None)).collect();
        let mut missing_count = latest.len();
        // From the newest on, and no further than needed: in a storm thousands are kept, and each arrival comes here.
        let mut newest = self.kept.iter().rev();
        while missing_count > 0
            && let Some(tiding) = newest.next()
        {
            if let Some(found @ None) = latest.get_mut(&*tiding.change.user) {
                *found = Some(&*tiding.change);
                missing_count -= 1;
            }
        }
        changes.iter().filter_map(|change| latest.get_mut(&*change.user)?.take()).collect()
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
        let mut tidings = Tidings::new(1, 60_000);
        tidings.note(CoreId(0), &change(1), 0);
        tidings.note(CoreId(0), &change(2), 10);
        let ends_ms = [true, false].map(|is_somebody_owed| tidings.next_end_ms(is_somebody_owed));
        assert_eq!(ends_ms, [Some(60_000), Some(TIDINGS_LIFE_MS)]);
        tidings.expire(59_999, true);
        assert_eq!(tidings.kept_count(), 2);
        tidings.expire(TIDINGS_LIFE_MS, false);
        assert_eq!((numbers(tidings.after(0)), tidings.count()), (vec![2], 2));
        tidings.expire(TIDINGS_LIFE_MS + 10, false);
        assert_eq!((tidings.next_end_ms(true), tidings.kept.capacity(), tidings.channel_count), (None, 0, 0));
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
    fn what_a_core_said_itself_is_dropped_back_to_what_another_said() {
        let mut tidings = Tidings::new(2, 1_000);
        for (core, number) in [(0, 1), (1, 1), (0, 2), (0, 3)] {
            tidings.note(CoreId(core), &change(number), 0);
        }
        tidings.forget_latest_of(CoreId(0));
        assert_eq!((numbers(tidings.after(0)), tidings.count(), tidings.channel_count), (vec![1, 1], 4, 4));
        assert_eq!(tidings.heard(), [3, 1]);
        tidings.note(CoreId(1), &change(2), 0);
        assert_eq!(numbers(tidings.unheard(&[1, 0])), [1, 2]);
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
