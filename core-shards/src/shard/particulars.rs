//! What few sessions have: an end of their token that somebody watches, joins that somebody outside is asked about,
//! users whom they follow. One word of each session that has none of it.

use crate::ids::{ChannelName, UserId};

/// A join that waits for somebody outside to allow it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// Which of the core's joins it is.
    pub(super) ticket: u32,
    pub(super) channel: ChannelName,
}

/// What a session is called that began on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Adopted {
    /// Its public id.
    pub(super) sid: Box<str>,
    /// Its private id.
    pub(super) pid: Box<str>,
    /// The cursor with which it came.
    pub(super) cursor: Box<str>,
    /// From where on the channels that it brought along are the session's, by the tickets of their joins here. What it
    /// was given at its arrival is behind that: another node finds it there for a client that did not get it.
    pub(super) starts: Box<[(u32, u64)]>,
    /// The same of its user's own room.
    pub(super) own_start: u64,
}

impl Adopted {
    /// From where on a channel is the session's, if it brought it along.
    pub(super) fn start_of(&self, ticket: u32) -> Option<u64> {
        self.starts.iter().find(|(of, _)| *of == ticket).map(|(_, start)| *start)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Kept {
    asking: Vec<Asking>,
    followed: Vec<UserId>,
    apart_begin: u64,
    apart_end: u64,
    only_here_end: u64,
    own_start: u64,
    adopted: Option<Adopted>,
    expires_at_ms: u64,
    looked_at_ms: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            asking: Vec::new(),
            followed: Vec::new(),
            apart_begin: 0,
            apart_end: 0,
            only_here_end: 0,
            own_start: 0,
            adopted: None,
            expires_at_ms: u64::MAX,
            looked_at_ms: u64::MAX,
        }
    }
}

/// The particulars of one session.
#[derive(Debug, Default)]
pub(super) struct Particulars {
    kept: Option<Box<Kept>>,
}

impl Particulars {
    /// Joins that wait for somebody outside to allow them.
    pub(super) fn asking(&self) -> &[Asking] {
        self.kept.as_ref().map_or(&[], |kept| &kept.asking)
    }

    /// A further join waits.
    pub(super) fn ask(&mut self, asking: Asking) {
        self.change(|kept| kept.asking.push(asking));
    }

    /// Joins that `is_over` names wait no more. Returns whether there was one.
    pub(super) fn stop_asking(&mut self, is_over: impl Fn(&Asking) -> bool) -> bool {
        let before = self.asking().len();
        if before > 0 {
            self.change(|kept| kept.asking.retain(|asking| !is_over(asking)));
        }
        self.asking().len() < before
    }

    /// Users whose presence the session follows, in the order of their ids.
    pub(super) fn followed(&self) -> &[UserId] {
        self.kept.as_ref().map_or(&[], |kept| &kept.followed)
    }

    /// The session follows further users.
    pub(super) fn follow(&mut self, users: &[UserId]) {
        self.change(|kept| {
            kept.followed.extend_from_slice(users);
            kept.followed.sort_unstable();
        });
    }

    /// The session follows only those that `is_followed` names.
    pub(super) fn unfollow(&mut self, is_followed: impl Fn(&UserId) -> bool) {
        self.change(|kept| {
            kept.followed.retain(|user| is_followed(user));
            kept.followed.shrink_to_fit();
        });
    }

    /// The last place in the core's journal of what was for this session alone; 0 if there was nothing.
    pub(super) fn apart_end(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.apart_end)
    }

    /// The first such place; 0 if there was nothing.
    pub(super) fn apart_begin(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.apart_begin)
    }

    /// The last place in the core's journal of what no other node could give the session; 0 if there was nothing.
    pub(super) fn only_here_end(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.only_here_end)
    }

    /// Something was for this session alone, and no other node could give it.
    pub(super) fn set_only_here_end(&mut self, position: u64) {
        self.set_apart_end(position);
        self.change(|kept| kept.only_here_end = position);
    }

    /// Something was for this session alone.
    pub(super) fn set_apart_end(&mut self, position: u64) {
        self.change(|kept| {
            kept.apart_end = position;
            if kept.apart_begin == 0 {
                kept.apart_begin = position;
            }
        });
    }

    /// The place in its lane from which on what is said in the user's own room is the session's, as far as the cursor
    /// does not say so.
    pub(super) fn own_start(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.own_start)
    }

    /// The cursor alone says from which place on the own room is the session's.
    pub(super) fn forget_own_start(&mut self) {
        if self.own_start() > 0 || self.adopted().is_some() {
            self.change(|kept| {
                kept.own_start = 0;
                if let Some(adopted) = &mut kept.adopted {
                    adopted.own_start = 0;
                }
            });
        }
    }

    /// The cursor alone says from which place on a channel is the session's that it brought along.
    pub(super) fn forget_start(&mut self, ticket: u32) {
        if self.adopted().is_some_and(|adopted| adopted.start_of(ticket).is_some()) {
            self.change(|kept| {
                let starts = kept.adopted.iter_mut().flat_map(|adopted| &mut adopted.starts);
                starts.filter(|(of, _)| *of == ticket).for_each(|(_, start)| *start = 0);
            });
        }
    }

    /// The names of a session that began on another node.
    pub(super) fn adopted(&self) -> Option<&Adopted> {
        self.kept.as_ref()?.adopted.as_ref()
    }

    /// The session began on another node.
    pub(super) fn adopt(&mut self, adopted: Adopted, own_start: u64) {
        self.change(|kept| (kept.adopted, kept.own_start) = (Some(adopted), own_start));
    }

    /// When the token ends, monotonic milliseconds; `u64::MAX` if it is not to be watched.
    pub(super) fn expires_at_ms(&self) -> u64 {
        self.kept.as_ref().map_or(u64::MAX, |kept| kept.expires_at_ms)
    }

    /// The token has another end.
    pub(super) fn set_expires_at_ms(&mut self, expires_at_ms: u64) {
        self.change(|kept| kept.expires_at_ms = expires_at_ms);
    }

    /// When the wheel looks at this session next, monotonic milliseconds; `u64::MAX` if it does not.
    pub(super) fn looked_at_ms(&self) -> u64 {
        self.kept.as_ref().map_or(u64::MAX, |kept| kept.looked_at_ms)
    }

    /// The wheel looks at this session at another time.
    pub(super) fn set_looked_at_ms(&mut self, looked_at_ms: u64) {
        self.change(|kept| kept.looked_at_ms = looked_at_ms);
    }

    /// Nobody watches the end of the token any more.
    pub(super) fn forget_expiry(&mut self) {
        self.change(|kept| (kept.expires_at_ms, kept.looked_at_ms) = (u64::MAX, u64::MAX));
    }

    /// Nothing stays that says nothing.
    fn change(&mut self, change: impl FnOnce(&mut Kept)) {
        change(self.kept.get_or_insert_default());
        self.kept.take_if(|kept| **kept == Kept::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(ticket: u32) -> Asking {
        Asking { ticket, channel: "a".into() }
    }

    #[test]
    fn a_session_without_particulars_costs_a_word() {
        let mut particulars = Particulars::default();
        let check = |particulars: &Particulars, is_kept: bool| {
            assert_eq!(particulars.kept.is_some(), is_kept, "{particulars:?}");
        };
        assert_eq!(size_of::<Particulars>(), size_of::<usize>());
        assert!(!particulars.stop_asking(|_| true));
        particulars.set_expires_at_ms(u64::MAX);
        particulars.unfollow(|_| false);
        check(&particulars, false);
        particulars.ask(asking(1));
        particulars.ask(asking(2));
        assert!(particulars.stop_asking(|asking| asking.ticket == 1));
        assert!(!particulars.stop_asking(|asking| asking.ticket == 1));
        assert_eq!(particulars.asking(), [asking(2)]);
        particulars.follow(&["b".into(), "a".into()]);
        assert_eq!(particulars.followed(), ["a".into(), "b".into()]);
        particulars.set_looked_at_ms(5);
        assert!(particulars.stop_asking(|_| true));
        particulars.unfollow(|_| false);
        check(&particulars, true);
        particulars.set_looked_at_ms(u64::MAX);
        check(&particulars, false);
        let expected = (u64::MAX, u64::MAX, 0);
        let found = (particulars.expires_at_ms(), particulars.looked_at_ms(), particulars.apart_end());
        assert_eq!(found, expected);
    }
}
