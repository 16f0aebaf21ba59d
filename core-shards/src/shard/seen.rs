//! The users who were in a channel and are not there any more as far as others may know: `GET /presence` lists them as
//! offline. And what back ends say of users who are not there, for as long as it holds.

use std::collections::VecDeque;

use protocol::chat::status::Status;

use crate::ids::UserId;
use crate::limits::{SEEN_LIFE_MS, SEEN_MAX};

#[derive(Debug)]
struct Former {
    user: UserId,
    /// What a back end says of somebody who is not here, and until when, in monotonic milliseconds.
    said: Option<(Status, u64)>,
    last_seen_unix_ms: u64,
    end_ms: u64,
}

#[derive(Debug)]
struct List {
    /// The longest gone first.
    formers: VecDeque<Former>,
    /// When the first of what back ends said ends, or something that ended since; `u64::MAX` if there is nothing.
    said_end_ms: u64,
}

/// Former members of one channel. One word while there are none.
#[derive(Debug, Default)]
pub(super) struct Seen {
    list: Option<Box<List>>,
}

impl Seen {
    /// Somebody is not here any more.
    pub(super) fn note(&mut self, user: &UserId, last_seen_unix_ms: u64, now_ms: u64) {
        self.add(Former { user: user.clone(), said: None, last_seen_unix_ms, end_ms: now_ms + SEEN_LIFE_MS });
    }

    /// A back end says how somebody is who is not here. It holds for `life_ms`.
    pub(super) fn set(&mut self, user: &UserId, status: Status, unix_ms: u64, now_ms: u64, life_ms: u64) {
        let said_end_ms = now_ms.saturating_add(life_ms);
        let said = (status != Status::Offline).then_some((status, said_end_ms));
        let end_ms = now_ms + SEEN_LIFE_MS;
        self.add(Former { user: user.clone(), said, last_seen_unix_ms: unix_ms, end_ms });
    }

    fn add(&mut self, former: Former) {
        self.remove(&former.user);
        let list = self
            .list
            .get_or_insert_with(|| Box::new(List { formers: VecDeque::new(), said_end_ms: u64::MAX }));
        if list.formers.len() >= SEEN_MAX {
            list.formers.pop_front();
        }
        list.said_end_ms = former.said.map_or(u64::MAX, |(_, end_ms)| end_ms).min(list.said_end_ms);
        list.formers.push_back(former);
    }

    /// A former member is here again.
    pub(super) fn remove(&mut self, user: &str) {
        self.change(|list| list.formers.retain(|former| *former.user != *user));
    }

    /// Forgets the longest gone, because memory is short elsewhere. Returns whether there was one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let before = self.count();
        self.change(|list| drop(list.formers.pop_front()));
        self.count() < before
    }

    /// Forgets those who were gone for too long.
    pub(super) fn expire(&mut self, now_ms: u64) {
        self.change(|list| while list.formers.pop_front_if(|former| former.end_ms <= now_ms).is_some() {});
    }

    /// Ends what back ends said and does not hold any longer. Returns of whom, with when they were seen last.
    pub(super) fn expire_said(&mut self, now_ms: u64) -> Vec<(UserId, u64)> {
        let Some(list) = self.list.as_mut().filter(|list| list.said_end_ms <= now_ms) else {
            return Vec::new();
        };
        let mut ended = Vec::new();
        list.said_end_ms = u64::MAX;
        for former in &mut list.formers {
            match former.said {
                Some((_, end_ms)) if end_ms <= now_ms => {
                    former.said = None;
                    ended.push((former.user.clone(), former.last_seen_unix_ms));
                }
                Some((_, end_ms)) => list.said_end_ms = end_ms.min(list.said_end_ms),
                None => {}
            }
        }
        ended
    }

    fn change(&mut self, change: impl FnOnce(&mut List)) {
        if let Some(list) = &mut self.list {
            change(list);
            if list.formers.is_empty() {
                self.list = None;
            }
        }
    }

    /// When the longest gone is forgotten.
    pub(super) fn next_end_ms(&self) -> Option<u64> {
        Some(self.list.as_ref()?.formers.front()?.end_ms)
    }

    /// When something ends that a back end said.
    pub(super) fn next_said_end_ms(&self) -> Option<u64> {
        self.list.as_ref().map(|list| list.said_end_ms).filter(|end_ms| *end_ms < u64::MAX)
    }

    /// How many are known.
    pub(super) fn count(&self) -> usize {
        self.list.as_ref().map_or(0, |list| list.formers.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    /// The status that was last told of somebody.
    pub(super) fn status(&self, user: &str, now_ms: u64) -> Option<Status> {
        self.iter(now_ms).find(|(known, ..)| ***known == *user).map(|(_, status, _)| status)
    }

    /// Each with the status and the time of leaving, in milliseconds since the epoch.
    pub(super) fn iter(&self, now_ms: u64) -> impl Iterator<Item = (&UserId, Status, u64)> {
        self.list.iter().flat_map(|list| &list.formers).map(move |former| {
            let said = former.said.filter(|(_, end_ms)| *end_ms > now_ms);
            (&former.user, said.map_or(Status::Offline, |(status, _)| status), former.last_seen_unix_ms)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_here_is_known_for_a_time_and_within_a_number() {
        let mut seen = Seen::default();
        for number in 0..SEEN_MAX + 5 {
            seen.note(&number.to_string().into(), number as u64, 10);
        }
        seen.note(&"6".into(), 9_999, 20);
        seen.remove("7");
        assert_eq!(seen.iter(0).count(), SEEN_MAX - 1);
        assert_eq!(seen.iter(0).last().map(|(user, _, at)| (&**user, at)), Some(("6", 9_999)));
        seen.expire(9 + SEEN_LIFE_MS);
        assert_eq!(seen.iter(0).count(), SEEN_MAX - 1);
        seen.expire(10 + SEEN_LIFE_MS);
        assert_eq!(seen.iter(0).count(), 1);
        seen.expire(20 + SEEN_LIFE_MS);
        assert!(seen.is_empty());
        assert_eq!(seen.next_end_ms(), None);
    }

    #[test]
    fn what_a_back_end_says_of_an_absent_user_holds_for_a_time() {
        let mut seen = Seen::default();
        seen.set(&"7".into(), Status::Away, 1_000, 10, 500);
        let status = |seen: &Seen, now_ms| seen.iter(now_ms).next().map(|(_, status, _)| status);
        assert_eq!(status(&seen, 509), Some(Status::Away));
        assert_eq!(status(&seen, 510), Some(Status::Offline));
    }

    #[test]
    fn the_end_of_what_a_back_end_said_is_told_once() {
        let mut seen = Seen::default();
        seen.note(&"6".into(), 900, 5);
        seen.set(&"7".into(), Status::Away, 1_000, 10, 500);
        seen.set(&"8".into(), Status::Online, 1_000, 20, 500);
        seen.set(&"9".into(), Status::Offline, 1_000, 20, 500);
        assert_eq!(seen.next_said_end_ms(), Some(510));
        assert!(seen.expire_said(509).is_empty());
        assert_eq!(seen.expire_said(510), [("7".into(), 1_000)]);
        assert_eq!(seen.next_said_end_ms(), Some(520));
        seen.remove("8");
        assert!(seen.expire_said(520).is_empty(), "who is here again has a status of their own");
        assert_eq!((seen.next_said_end_ms(), seen.count()), (None, 3));
        assert_eq!(size_of::<Seen>(), size_of::<usize>());
    }
}
