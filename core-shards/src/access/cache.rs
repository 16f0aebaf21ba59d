//! Answers of the permission webhook that still hold, and questions that are on their way, each with those who wait
//! for it: a channel that a thousand sessions of one user join at once is one question.
//!
//! Users and channels are kept as hashes. To forget what concerns one of them may then forget a stranger's answer,
//! too, once in 2^64 times; that costs a question, and the names would cost half a kilobyte an entry.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::limits::{ACCESS_QUESTIONS_MAX, ACCESS_WAITERS_MAX};
use crate::placement::Placement;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Fingerprint of both names.
    pub key: u128,
    user: u64,
    channel: u64,
}

impl AccessKey {
    /// The key of a user, with `roles` as the token has them, and a channel in its canonical spelling.
    ///
    /// Roles are part of it, because they are part of the question: what staff may is no answer for the same user's
    /// session with a lesser token.
    pub fn new(placement: &Placement, user: &str, roles: &[Box<str>], channel: &str) -> Self {
        let mut parts = vec!["access", user, channel];
        parts.extend(roles.iter().map(|role| &**role));
        let (user, channel) = (placement.hash(user), placement.hash(channel));
        Self { key: placement.fingerprint(&parts), user, channel }
    }

    /// The slot's hash: a fingerprint is uniformly distributed already.
    fn hash(&self) -> u64 {
        (self.key >> 64) as u64
    }
}

/// What is known when somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The answer; nobody waits.
    Known(bool),
    /// Nobody asked yet: send the question. The asker waits.
    Sent,
    /// The question is on its way, and the asker waits for it, too.
    Joined,
    /// Too many questions are on their way, or too many wait for this one. Refuse with `SERVER_BUSY`.
    Crowded,
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Concluded<W> {
    /// These waited for it, in the order in which they asked; none if nobody knows the question.
    Answered(Vec<W>),
    /// The answer was overtaken by [`AccessCache::invalidate`]: send the question again, everybody still waits.
    AskAgain,
}

#[derive(Debug)]
enum State<W> {
    /// On its way. Overtaken: what comes back may be older than what somebody was told since.
    Asked {
        waiters: Vec<W>,
        is_overtaken: bool,
    },
    Answered {
        is_allowed: bool,
        until_ms: u64,
    },
}

#[derive(Debug)]
struct Entry<W> {
    about: AccessKey,
    /// By which a place in the queue knows whether it is the entry's last.
    serial: u64,
    state: State<W>,
}

/// Answers and questions of one core. `W` is whatever waits.
#[derive(Debug)]
pub struct AccessCache<W> {
    entries: HashTable<Entry<W>>,
    /// Serials and keys of answers, the oldest first. Times to live differ, so this is not the order of their ends.
    by_age: VecDeque<(u64, u128)>,
    question_count: usize,
    serial: u64,
    answers_max: usize,
}

impl<W> AccessCache<W> {
    /// Nothing known yet, and never more answers than `answers_max`.
    pub const fn new(answers_max: usize) -> Self {
        Self { entries: HashTable::new(), by_age: VecDeque::new(), question_count: 0, serial: 0, answers_max }
    }

    /// Asks for `waiter`. The waiter is kept unless the answer is known or there are too many.
    pub fn ask(&mut self, about: AccessKey, waiter: W, now_ms: u64) -> Asked {
        let is_it = |entry: &Entry<W>| entry.about.key == about.key;
        match self.entries.find_mut(about.hash(), is_it).map(|entry| &mut entry.state) {
            Some(State::Answered { is_allowed, until_ms }) if *until_ms > now_ms => {
                return Asked::Known(*is_allowed);
            }
            Some(State::Asked { waiters, .. }) if waiters.len() >= ACCESS_WAITERS_MAX => {
                return Asked::Crowded;
            }
            Some(State::Asked { waiters, .. }) => {
                waiters.push(waiter);
                return Asked::Joined;
            }
            Some(State::Answered { .. }) | None => {}
        }
        if self.question_count >= ACCESS_QUESTIONS_MAX {
            return Asked::Crowded;
        }
        self.question_count += 1;
        self.put(about, State::Asked { waiters: vec![waiter], is_overtaken: false });
        Asked::Sent
    }

    /// The answer, if there is one that holds.
    pub fn known(&self, about: AccessKey, now_ms: u64) -> Option<bool> {
        match &self.entries.find(about.hash(), |entry| entry.about.key == about.key)?.state {
            State::Answered { is_allowed, until_ms } if *until_ms > now_ms => Some(*is_allowed),
            State::Answered { .. } | State::Asked { .. } => None,
        }
    }

    /// Takes an answer over, and remembers it for `ttl_ms`.
    pub fn conclude(&mut self, key: u128, is_allowed: bool, ttl_ms: u64, now_ms: u64) -> Concluded<W> {
        let is_it = |entry: &Entry<W>| entry.about.key == key;
        let Some(entry) = self.entries.find_mut((key >> 64) as u64, is_it) else {
            return Concluded::Answered(Vec::new());
        };
        let State::Asked { waiters, is_overtaken } = &mut entry.state else {
            return Concluded::Answered(Vec::new());
        };
        if std::mem::take(is_overtaken) {
            return Concluded::AskAgain;
        }
        let (about, waiters) = (entry.about, std::mem::take(waiters));
        self.question_count -= 1;
        if ttl_ms == 0 {
            self.remove(key, |_| true);
        } else {
            let until_ms = now_ms.saturating_add(ttl_ms);
            let serial = self.put(about, State::Answered { is_allowed, until_ms });
            self.by_age.push_back((serial, key));
            if self.by_age.len() > self.answers_max {
                self.forget_oldest();
            }
        }
        Concluded::Answered(waiters)
    }

    /// Forgets what is known of a user, a channel, or a user in a channel; with neither, everything. Questions on
    /// their way are asked again when their answers come, because those may be older than the reason for this call.
    pub fn invalidate(&mut self, placement: &Placement, user: Option<&str>, channel: Option<&str>) {
        let (user, channel) =
            (user.map(|user| placement.hash(user)), channel.map(|name| placement.hash(name)));
        let is_meant = |about: &AccessKey| {
            user.is_none_or(|user| user == about.user)
                && channel.is_none_or(|channel| channel == about.channel)
        };
        self.entries.retain(|entry| match &mut entry.state {
            _ if !is_meant(&entry.about) => true,
            State::Asked { is_overtaken, .. } => {
                *is_overtaken = true;
                true
            }
            State::Answered { .. } => false,
        });
        self.give_back();
    }

    /// Forgets the oldest answers that hold no longer. Nothing depends on when this is called: an answer is looked at
    /// with its end in mind.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some(&(serial, key)) = self.by_age.front() {
            let is_it = |entry: &Entry<W>| entry.about.key == key && entry.serial == serial;
            let entry = self.entries.find((key >> 64) as u64, is_it);
            if let Some(Entry { state: State::Answered { until_ms, .. }, .. }) = entry
                && *until_ms > now_ms
            {
                return;
            }
            self.forget_oldest();
        }
        self.give_back();
    }

    /// When [`expire`](Self::expire) has something to forget, in monotonic milliseconds.
    pub fn next_end_ms(&self) -> Option<u64> {
        let (serial, key) = *self.by_age.front()?;
        let is_it = |entry: &Entry<W>| entry.about.key == key && entry.serial == serial;
        match self.entries.find((key >> 64) as u64, is_it).map(|entry| &entry.state) {
            Some(State::Answered { until_ms, .. }) => Some(*until_ms),
            Some(State::Asked { .. }) | None => Some(0),
        }
    }

    /// How many answers and questions are kept.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    fn put(&mut self, about: AccessKey, state: State<W>) -> u64 {
        self.serial += 1;
        let entry = Entry { about, serial: self.serial, state };
        let is_it = |kept: &Entry<W>| kept.about.key == about.key;
        match self.entries.find_mut(about.hash(), is_it) {
            Some(kept) => *kept = entry,
            None => drop(self.entries.insert_unique(about.hash(), entry, |entry| entry.about.hash())),
        }
        self.serial
    }

    /// Takes the oldest place out of the queue, and its entry unless that has a later place or is asked about again.
    fn forget_oldest(&mut self) {
        let Some((serial, key)) = self.by_age.pop_front() else { return };
        self.remove(key, |entry| entry.serial == serial);
    }

    fn remove(&mut self, key: u128, is_meant: impl Fn(&Entry<W>) -> bool) {
        let is_it = |entry: &Entry<W>| entry.about.key == key && is_meant(entry);
        if let Ok(entry) = self.entries.find_entry((key >> 64) as u64, is_it) {
            entry.remove();
        }
    }

    /// Gives memory back once nothing is kept.
    fn give_back(&mut self) {
        if self.entries.is_empty() {
            self.by_age = VecDeque::new();
            self.entries = HashTable::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEMENT: Placement = Placement::new(1, (1, 2));

    const ANSWERS_MAX: usize = 2 * ACCESS_QUESTIONS_MAX;

    fn about(user: &str, channel: &str) -> AccessKey {
        AccessKey::new(&PLACEMENT, user, &[], channel)
    }

    fn answered<W>(waiters: impl IntoIterator<Item = W>) -> Concluded<W> {
        Concluded::Answered(waiters.into_iter().collect())
    }

    #[test]
    fn many_who_ask_the_same_are_one_question() {
        let mut cache = AccessCache::new(ANSWERS_MAX);
        let key = about("7", "a");
        assert_eq!(cache.ask(key, 1, 0), Asked::Sent);
        assert_eq!(cache.ask(key, 2, 0), Asked::Joined);
        assert_eq!(cache.ask(about("7", "b"), 3, 0), Asked::Sent);
        assert_eq!(cache.conclude(key.key, true, 100, 10), answered([1, 2]));
        assert_eq!(cache.ask(key, 4, 109), Asked::Known(true));
        assert_eq!(cache.ask(key, 5, 110), Asked::Sent);
        assert_eq!(cache.conclude(key.key, false, 0, 110), answered([5]));
        assert_eq!(cache.ask(key, 6, 110), Asked::Sent);
    }

    #[test]
    fn roles_are_part_of_the_question() {
        let keys = [&[][..], &["a".into()], &["a".into(), "b".into()]];
        let keys = keys.map(|roles| AccessKey::new(&PLACEMENT, "7", roles, "c").key);
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    }

    #[test]
    fn an_answer_that_nobody_asked_for_changes_nothing() {
        let mut cache = AccessCache::<u8>::new(ANSWERS_MAX);
        let key = about("7", "a");
        assert_eq!(cache.conclude(key.key, true, 100, 0), answered([]));
        cache.ask(key, 1, 0);
        cache.conclude(key.key, false, 100, 0);
        assert_eq!(cache.conclude(key.key, true, 100, 0), answered([]));
        assert_eq!(cache.ask(key, 1, 0), Asked::Known(false));
    }

    #[test]
    fn what_is_revoked_is_asked_anew() {
        let check = |user: Option<&str>, channel: Option<&str>, gone: [bool; 4]| {
            let mut cache = AccessCache::new(ANSWERS_MAX);
            let keys = [about("7", "a"), about("7", "b"), about("8", "a"), about("8", "b")];
            for key in keys {
                cache.ask(key, (), 0);
                cache.conclude(key.key, true, 100, 0);
            }
            cache.invalidate(&PLACEMENT, user, channel);
            let asked = keys.map(|key| cache.ask(key, (), 1) == Asked::Sent);
            assert_eq!(asked, gone, "{user:?} {channel:?}");
        };
        check(Some("7"), None, [true, true, false, false]);
        check(None, Some("a"), [true, false, true, false]);
        check(Some("8"), Some("b"), [false, false, false, true]);
        check(None, None, [true; 4]);
        check(Some("9"), None, [false; 4]);
    }

    #[test]
    fn an_answer_older_than_a_revocation_admits_nobody() {
        let mut cache = AccessCache::new(ANSWERS_MAX);
        let key = about("7", "a");
        cache.ask(key, 1, 0);
        cache.invalidate(&PLACEMENT, Some("7"), None);
        assert_eq!(cache.ask(key, 2, 0), Asked::Joined);
        assert_eq!(cache.conclude(key.key, true, 100, 0), Concluded::AskAgain);
        assert_eq!(cache.conclude(key.key, false, 100, 0), answered([1, 2]));
        assert_eq!(cache.ask(key, 3, 0), Asked::Known(false));
    }

    #[test]
    fn everything_is_bounded() {
        let mut cache = AccessCache::new(ANSWERS_MAX);
        let channels = |count: usize| (0..count).map(|number| about("7", &number.to_string()));
        for key in channels(ACCESS_QUESTIONS_MAX) {
            assert_eq!(cache.ask(key, (), 0), Asked::Sent);
        }
        assert_eq!(cache.ask(about("8", "a"), (), 0), Asked::Crowded);
        for _ in 1..ACCESS_WAITERS_MAX {
            assert_eq!(cache.ask(about("7", "0"), (), 0), Asked::Joined);
        }
        assert_eq!(cache.ask(about("7", "0"), (), 0), Asked::Crowded);
        for key in channels(ACCESS_QUESTIONS_MAX) {
            cache.conclude(key.key, true, 100, 0);
        }
        for key in channels(ANSWERS_MAX + 10).skip(ACCESS_QUESTIONS_MAX) {
            cache.ask(key, (), 0);
            cache.conclude(key.key, true, 100, 0);
        }
        assert_eq!((cache.count(), cache.by_age.len()), (ANSWERS_MAX, ANSWERS_MAX));
        assert_eq!(cache.ask(about("7", "9"), (), 0), Asked::Sent);
        assert_eq!(cache.ask(about("7", "10"), (), 0), Asked::Known(true));
    }

    #[test]
    fn answers_that_ended_are_forgotten_and_their_memory_given_back() {
        let mut cache = AccessCache::new(ANSWERS_MAX);
        for (number, ttl_ms) in [(0, 10), (1, 30), (2, 20)] {
            let key = about("7", &number.to_string());
            cache.ask(key, (), 0);
            cache.conclude(key.key, true, ttl_ms, 0);
        }
        cache.expire(9);
        assert_eq!(cache.count(), 3);
        cache.expire(25);
        assert_eq!(cache.count(), 2);
        cache.expire(30);
        assert_eq!((cache.count(), cache.by_age.capacity(), cache.entries.capacity()), (0, 0, 0));
    }

    #[test]
    fn the_bill_says_what_an_answer_costs() {
        let entry = size_of::<Entry<crate::ids::SessionId>>() * 8 / 7 * 2;
        assert!(entry + size_of::<(u64, u128)>() * 2 <= crate::limits::ACCESS_ANSWER_BYTES);
    }
}
