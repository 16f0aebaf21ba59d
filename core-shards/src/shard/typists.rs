//! Who types in one channel, in each of its threads: what is worth telling the others, and when somebody is taken
//! to have stopped.
//!
//! Says nothing to anybody; the channel's home does, by what is returned here.

use std::sync::Arc;

use crate::Now;
use crate::ids::{SessionId, UserId};

/// Users that one channel knows to be typing, counted once per thread. Reached: whoever else types is not announced.
pub(super) const TYPISTS_MAX: usize = 64;

/// Somebody who goes on typing is announced again no sooner than after this many milliseconds.
const REPEAT_MS: u64 = 1_000;

/// How long typing lasts, and how often it is told. With 3000 and 300 ms somebody who types once is taken to have
/// stopped three seconds later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TypingTimes {
    /// Without a sign for so long, the user has stopped.
    pub(super) timeout_ms: u64,
    /// Signs within this time of an announcement are not announced.
    pub(super) debounce_ms: u64,
}

/// A sign that somebody types.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign<'a> {
    pub(super) user: &'a UserId,
    pub(super) name: Option<&'a Arc<str>>,
    /// The thread of the channel; `None` is the channel itself.
    pub(super) thread: Option<&'a str>,
    /// What the client calls the room's kind, to be echoed.
    pub(super) room_type: Option<&'a str>,
    /// Where it came from.
    pub(super) session: SessionId,
}

/// What a sign is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The user began: tell the others.
    Announce,
    /// The user goes on: tell the others again.
    Again,
    /// The others were told a moment ago.
    Quiet,
    /// Too many type already: the sign is forgotten.
    Crowded,
}

/// Somebody who types.
#[derive(Debug)]
pub(super) struct Typist {
    pub(super) user: UserId,
    pub(super) name: Option<Arc<str>>,
    pub(super) thread: Option<Box<str>>,
    pub(super) room_type: Option<Box<str>>,
    /// Where the latest sign came from.
    pub(super) session: SessionId,
    /// The first sign, in milliseconds since the epoch.
    pub(super) started_at_unix_ms: u64,
    /// The latest sign, in milliseconds since the epoch.
    pub(super) refreshed_at_unix_ms: u64,
    told_ms: u64,
    end_ms: u64,
}

impl Typist {
    fn is(&self, user: &str, thread: Option<&str>) -> bool {
        *self.user == *user && self.thread.as_deref() == thread
    }
}

/// In the order in which they began.
#[derive(Debug, Default)]
struct Desk {
    typists: Vec<Typist>,
}

/// Everybody who types in one channel. One word while nobody does.
#[derive(Debug, Default)]
pub(super) struct Typists {
    desk: Option<Box<Desk>>,
}

impl Typists {
    /// Takes a sign that a user types.
    pub(super) fn start(&mut self, sign: &Sign<'_>, now: Now, times: &TypingTimes) -> Told {
        let now_ms = now.monotonic_ms();
        let end_ms = now_ms.saturating_add(times.timeout_ms);
        let typists = &mut self.desk.get_or_insert_default().typists;
        if let Some(typist) = typists.iter_mut().find(|typist| typist.is(sign.user, sign.thread)) {
            typist.end_ms = end_ms;
            typist.session = sign.session;
            typist.refreshed_at_unix_ms = now.unix_ms;
            if typist.room_type.as_deref() != sign.room_type {
                typist.room_type = sign.room_type.map(Box::from);
            }
            if now_ms.saturating_sub(typist.told_ms) < times.debounce_ms.max(REPEAT_MS) {
                return Told::Quiet;
            }
            typist.told_ms = now_ms;
            return Told::Again;
        }
        if typists.len() >= TYPISTS_MAX {
            return Told::Crowded;
        }
        typists.push(Typist {
            user: sign.user.clone(),
            name: sign.name.cloned(),
            thread: sign.thread.map(Box::from),
            room_type: sign.room_type.map(Box::from),
            session: sign.session,
            started_at_unix_ms: now.unix_ms,
            refreshed_at_unix_ms: now.unix_ms,
            told_ms: now_ms,
            end_ms,
        });
        Told::Announce
    }

    /// A user stopped, or sent what was typed. Returns who it was, if the user had been typing in that thread.
    pub(super) fn stop(&mut self, user: &str, thread: Option<&str>) -> Option<Typist> {
        self.take(|typist| typist.is(user, thread)).pop()
    }

    /// A user is gone from the channel: all of what the user had been typing.
    pub(super) fn stop_all_of(&mut self, user: &str) -> Vec<Typist> {
        self.take(|typist| *typist.user == *user)
    }

    /// One session of a user is gone: what the user had been typing there, and not on another device since.
    pub(super) fn stop_all_from(&mut self, user: &str, session: SessionId) -> Vec<Typist> {
        self.take(|typist| *typist.user == *user && typist.session == session)
    }

    /// Takes out whoever gave no sign for too long.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<Typist> {
        self.take(|typist| typist.end_ms <= now_ms)
    }

    /// When the first is taken to have stopped, in monotonic milliseconds.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.iter().map(|typist| typist.end_ms).min()
    }

    /// Who types in a thread, in the order in which they began.
    pub(super) fn in_thread<'a>(
        &'a self,
        thread: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Typist> + Clone + 'a {
        self.iter().filter(move |typist| typist.thread.as_deref() == thread)
    }

    /// Whether nobody types.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.desk.is_none()
    }

    fn iter(&self) -> impl Iterator<Item = &Typist> + Clone {
        self.desk.iter().flat_map(|desk| &desk.typists)
    }

    fn take(&mut self, is_over: impl Fn(&Typist) -> bool) -> Vec<Typist> {
        let Some(desk) = &mut self.desk else { return Vec::new() };
        let stopped = desk.typists.extract_if(.., |typist| is_over(typist)).collect();
        if desk.typists.is_empty() {
            self.desk = None;
        }
        stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: TypingTimes = TypingTimes { timeout_ms: 3_000, debounce_ms: 300 };

    fn at(monotonic_ms: u64) -> Now {
        Now { monotonic_us: monotonic_ms * 1_000, unix_ms: 1_000_000 + monotonic_ms }
    }

    fn session(slot: u32) -> SessionId {
        SessionId { slot, generation: 0 }
    }

    fn sign<'a>(user: &'a UserId, thread: Option<&'a str>) -> Sign<'a> {
        Sign { user, name: None, thread, room_type: None, session: session(0) }
    }

    fn names(typists: &[Typist]) -> Vec<(&str, Option<&str>)> {
        typists.iter().map(|typist| (&*typist.user, typist.thread.as_deref())).collect()
    }

    #[test]
    fn somebody_who_goes_on_is_told_once_a_second() {
        let (mut typists, ann) = (Typists::default(), UserId::from("ann"));
        let mut start = |now_ms| typists.start(&sign(&ann, None), at(now_ms), &TIMES);
        assert_eq!(start(0), Told::Announce);
        assert_eq!([start(100), start(300), start(999)], [Told::Quiet; 3]);
        assert_eq!(start(1_000), Told::Again);
        assert_eq!([start(1_001), start(1_999)], [Told::Quiet; 2]);
        assert_eq!(start(2_600), Told::Again);
        assert_eq!(start(3_500), Told::Quiet);
        let typist = typists.stop("ann", None).unwrap();
        assert_eq!((typist.started_at_unix_ms, typist.refreshed_at_unix_ms), (1_000_000, 1_003_500));
    }

    #[test]
    fn a_long_debounce_is_kept() {
        let (mut typists, ann) = (Typists::default(), UserId::from("ann"));
        let times = TypingTimes { debounce_ms: 2_000, ..TIMES };
        let mut start = |now_ms| typists.start(&sign(&ann, None), at(now_ms), &times);
        assert_eq!([start(0), start(1_500), start(2_000)], [Told::Announce, Told::Quiet, Told::Again]);
    }

    #[test]
    fn without_a_sign_for_the_timeout_the_user_has_stopped() {
        let (mut typists, ann, bob) = (Typists::default(), UserId::from("ann"), UserId::from("bob"));
        typists.start(&sign(&ann, None), at(0), &TIMES);
        typists.start(&sign(&bob, None), at(100), &TIMES);
        typists.start(&sign(&ann, None), at(200), &TIMES);
        assert_eq!(typists.next_deadline_ms(), Some(3_100));
        assert!(typists.expire(3_099).is_empty());
        assert_eq!(names(&typists.expire(3_100)), [("bob", None)]);
        assert_eq!(names(&typists.expire(3_200)), [("ann", None)]);
        assert!(typists.is_empty() && typists.next_deadline_ms().is_none());
        assert_eq!(typists.start(&sign(&ann, None), at(3_200), &TIMES), Told::Announce);
    }

    #[test]
    fn threads_are_typed_in_apart() {
        let (mut typists, ann, bob) = (Typists::default(), UserId::from("ann"), UserId::from("bob"));
        for (user, thread) in [(&bob, None), (&ann, Some("t")), (&ann, None)] {
            assert_eq!(typists.start(&sign(user, thread), at(0), &TIMES), Told::Announce);
        }
        let in_channel: Vec<&str> = typists.in_thread(None).map(|typist| &*typist.user).collect();
        assert_eq!(in_channel, ["bob", "ann"]);
        assert!(typists.stop("bob", Some("t")).is_none());
        assert!(typists.stop("ann", None).is_some());
        assert!(typists.stop("ann", None).is_none());
        assert_eq!(names(&typists.stop_all_of("ann")), [("ann", Some("t"))]);
        assert_eq!(names(&typists.stop_all_of("bob")), [("bob", None)]);
        assert!(typists.is_empty() && typists.stop_all_of("bob").is_empty());
    }

    #[test]
    fn what_was_typed_on_another_device_since_goes_on() {
        let (mut typists, ann) = (Typists::default(), UserId::from("ann"));
        typists.start(&sign(&ann, None), at(0), &TIMES);
        typists.start(&sign(&ann, Some("t")), at(0), &TIMES);
        typists.start(&Sign { session: session(1), ..sign(&ann, None) }, at(10), &TIMES);
        assert_eq!(names(&typists.stop_all_from("ann", session(0))), [("ann", Some("t"))]);
        assert!(typists.stop_all_from("bob", session(1)).is_empty());
        assert_eq!(names(&typists.stop_all_from("ann", session(1))), [("ann", None)]);
    }

    #[test]
    fn the_latest_name_of_the_room_is_echoed() {
        let (mut typists, ann) = (Typists::default(), UserId::from("ann"));
        typists.start(&sign(&ann, None), at(0), &TIMES);
        typists.start(&Sign { room_type: Some("dm"), ..sign(&ann, None) }, at(1), &TIMES);
        let typist = typists.stop("ann", None).unwrap();
        assert_eq!((typist.room_type.as_deref(), typist.name), (Some("dm"), None));
    }

    #[test]
    fn no_more_than_the_bound_are_known() {
        let mut typists = Typists::default();
        let users: Vec<UserId> = (0..=TYPISTS_MAX).map(|number| number.to_string().into()).collect();
        for user in &users[..TYPISTS_MAX] {
            assert_eq!(typists.start(&sign(user, None), at(0), &TIMES), Told::Announce);
        }
        let late = sign(&users[TYPISTS_MAX], None);
        assert_eq!(typists.start(&late, at(0), &TIMES), Told::Crowded);
        assert_eq!(typists.start(&sign(&users[3], None), at(1_000), &TIMES), Told::Again);
        typists.stop("7", None);
        assert_eq!(typists.start(&late, at(0), &TIMES), Told::Announce);
        assert_eq!(size_of::<Typists>(), size_of::<usize>());
    }

    #[test]
    fn typists_are_those_whose_last_sign_is_recent() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let users: [UserId; 3] = ["ann".into(), "bob".into(), "cid".into()];
            let threads = [None, Some("t")];
            // The last sign and the last announcement of each user in each thread.
            let mut model = [[None; 2]; 3];
            let (mut typists, mut now_ms) = (Typists::default(), 0);
            for _ in 0..200 {
                now_ms += random.u64(0..700);
                let (user, thread) = (random.usize(..3), random.usize(..2));
                let expected: usize = model
                    .as_flattened()
                    .iter()
                    .flatten()
                    .filter(|(sign_ms, _)| sign_ms + 3_000 <= now_ms)
                    .count();
                assert_eq!(typists.expire(now_ms).len(), expected, "seed {seed} at {now_ms} ms");
                for known in model.as_flattened_mut() {
                    known.take_if(|(sign_ms, _)| *sign_ms + 3_000 <= now_ms);
                }
                let known = &mut model[user][thread];
                if random.u8(..4) == 0 {
                    let stopped = typists.stop(&users[user], threads[thread]);
                    assert_eq!(stopped.is_some(), known.take().is_some(), "seed {seed} at {now_ms} ms");
                } else {
                    let told = typists.start(&sign(&users[user], threads[thread]), at(now_ms), &TIMES);
                    let (told_ms, expected) = match *known {
                        None => (now_ms, Told::Announce),
                        Some((_, told_ms)) if now_ms - told_ms >= 1_000 => (now_ms, Told::Again),
                        Some((_, told_ms)) => (told_ms, Told::Quiet),
                    };
                    *known = Some((now_ms, told_ms));
                    assert_eq!(told, expected, "seed {seed} at {now_ms} ms");
                }
                let next_ms = model.as_flattened().iter().flatten().map(|(sign_ms, _)| sign_ms + 3_000).min();
                assert_eq!(typists.next_deadline_ms(), next_ms, "seed {seed} at {now_ms} ms");
                for (number, thread) in threads.into_iter().enumerate() {
                    let count = model.iter().filter(|known| known[number].is_some()).count();
                    assert_eq!(typists.in_thread(thread).count(), count, "seed {seed} at {now_ms} ms");
                }
            }
        }
    }
}
