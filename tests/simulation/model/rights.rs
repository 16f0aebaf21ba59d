//! Who may join, who is asked about it, and what waits for the answer.

use std::collections::{BTreeMap, VecDeque};

use core_shards::limits::ACCESS_WAITERS_MAX;
use core_shards::mail::Revocation;
use core_shards::{Question, Verdict};
use protocol::codes::ErrorCode;

use super::answers::{Body, Expected};
use super::members::Wish;
use super::{Checked, Model};
use crate::client::Seat;

/// What is to be done once somebody has allowed it.
#[derive(Debug)]
pub(super) enum Errand {
    /// The number tells this join from all others.
    Join {
        seat: Seat,
        number: u64,
        channel: String,
        wish: Wish,
    },
    Stay {
        seat: Seat,
        channel: String,
    },
}

/// Whether somebody may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Allowed,
    Asked,
    Refused(ErrorCode),
}

/// What a core knows about a user and a channel from outside.
#[derive(Debug)]
enum Known {
    Asked { waiters: VecDeque<Errand>, is_overtaken: bool },
    Answered { is_allowed: bool, until_ms: u64 },
}

/// Everything that was asked, by user and channel.
#[derive(Debug, Default)]
pub(super) struct Rights {
    known: BTreeMap<(String, String), Known>,
    /// Questions that the node must have asked in this input.
    asked: Vec<(String, String)>,
}

impl Model {
    /// Whether a session may join a channel that it is not in. Where somebody is asked, the wish waits.
    pub(super) fn permit_join(&mut self, seat: Seat, channel: &str, wish: &Wish) -> Access {
        let Some(session) = self.sessions.get(&seat) else { return Access::Asked };
        let user = session.user.clone();
        let is_full =
            session.memberships.len() + session.asking.len() >= self.limits.channels_per_session_max;
        if is_full && self.must_ask(&user, channel) {
            return Access::Refused(ErrorCode::MaxRoomsExceeded);
        }
        self.memberships_made += 1;
        let number = self.memberships_made;
        let errand = Errand::Join { seat, number, channel: channel.to_owned(), wish: wish.clone() };
        let access = self.ask(&user, channel, errand);
        if access == Access::Asked
            && let Some(session) = self.sessions.get_mut(&seat)
        {
            session.asking.insert(number, channel.to_owned());
        }
        access
    }

    /// Whether nobody here knows if a user may be in a channel.
    fn must_ask(&self, user: &str, channel: &str) -> bool {
        let known = self.rights.known.get(&(user.to_owned(), channel.to_owned()));
        let is_answered =
            |known: &Known| matches!(known, Known::Answered { until_ms, .. } if *until_ms > self.now_ms());
        self.limits.access.has_webhook && is_owner(user, channel).is_none() && !known.is_some_and(is_answered)
    }

    fn ask(&mut self, user: &str, channel: &str, errand: Errand) -> Access {
        match is_owner(user, channel) {
            Some(true) => return Access::Allowed,
            Some(false) => return Access::Refused(ErrorCode::RoomAccessDenied),
            None if !self.limits.access.has_webhook => return Access::Allowed,
            None => {}
        }
        let now_ms = self.now_ms();
        let key = (user.to_owned(), channel.to_owned());
        match self.rights.known.get_mut(&key) {
            Some(Known::Answered { is_allowed, until_ms }) if *until_ms > now_ms => {
                return if *is_allowed {
                    Access::Allowed
                } else {
                    Access::Refused(ErrorCode::RoomAccessDenied)
                };
            }
            Some(Known::Asked { waiters, .. }) if waiters.len() >= ACCESS_WAITERS_MAX => {
                return Access::Refused(ErrorCode::ServerBusy);
            }
            Some(Known::Asked { waiters, .. }) => waiters.push_back(errand),
            Some(Known::Answered { .. }) | None => {
                self.rights.asked.push(key.clone());
                let waiters = VecDeque::from([errand]);
                self.rights.known.insert(key, Known::Asked { waiters, is_overtaken: false });
            }
        }
        Access::Asked
    }

    /// The node asks somebody outside.
    pub(crate) fn hear_question(&mut self, question: &Question) -> Checked {
        let key = (question.user.to_string(), question.channel.to_string());
        match self.rights.asked.iter().position(|asked| *asked == key) {
            Some(position) => {
                self.rights.asked.remove(position);
                Ok(())
            }
            None => Err(format!("nobody needs to know {question:?}")),
        }
    }

    /// Every question that was due has been asked.
    pub(super) fn check_questions(&self) -> Checked {
        match self.rights.asked.first() {
            Some(asked) => Err(format!("nobody was asked about {asked:?}")),
            None => Ok(()),
        }
    }

    /// An answer is about to come.
    pub(crate) fn verdict(&mut self, question: &Question, verdict: &Verdict) {
        let now_ms = self.now_ms();
        let key = (question.user.to_string(), question.channel.to_string());
        let Some(Known::Asked { waiters, is_overtaken }) = self.rights.known.get_mut(&key) else { return };
        if std::mem::take(is_overtaken) {
            return self.rights.asked.push(key);
        }
        let waiters = std::mem::take(waiters);
        if verdict.ttl_ms == 0 {
            self.rights.known.remove(&key);
        } else {
            let until_ms = now_ms + verdict.ttl_ms;
            self.rights.known.insert(key, Known::Answered { is_allowed: verdict.is_allowed, until_ms });
        }
        for errand in waiters {
            self.carry_on(errand, verdict.is_allowed);
        }
    }

    /// Whoever is gone, or has come back as another session, waits for nothing.
    fn carry_on(&mut self, errand: Errand, is_allowed: bool) {
        self.counts.late_verdicts += 1;
        match errand {
            Errand::Join { seat, number, channel, wish } => {
                let Some(session) = self.sessions.get_mut(&seat) else { return };
                let has_waited = session.asking.remove(&number).is_some();
                match (has_waited, is_allowed) {
                    (true, true) => self.become_waiting(seat, &channel, wish),
                    (true, false) => {
                        self.refuse_join(seat, &channel, &wish, ErrorCode::RoomAccessDenied.into());
                    }
                    // It left before anybody said that it may come.
                    (false, _) if wish.ack.is_some() => {
                        self.counts.refusals[ErrorCode::NotJoined as usize] += 1;
                        self.expect_ack(seat, wish.ack, Body::Failure(ErrorCode::NotJoined.into()));
                    }
                    (false, _) => {}
                }
            }
            Errand::Stay { seat, channel } if !is_allowed => self.evict(seat, &channel),
            Errand::Stay { .. } => {}
        }
    }

    /// A core is about to hear that rights have changed.
    pub(crate) fn revoke(&mut self, core: usize, revocation: &Revocation) {
        self.counts.revocations_heard += 1;
        let (user, channel) = (revocation.user.as_deref(), revocation.channel.as_deref());
        let placement = self.placement;
        let is_meant = |of_user: &str, of_channel: &str| {
            placement.home_of_user(of_user).index() == core
                && user.is_none_or(|user| user == of_user)
                && channel.is_none_or(|channel| channel == of_channel)
        };
        self.rights.known.retain(|(user, channel), known| match known {
            _ if !is_meant(user, channel) => true,
            Known::Asked { is_overtaken, .. } => {
                *is_overtaken = true;
                true
            }
            Known::Answered { .. } => false,
        });
        let mut settled = Vec::new();
        self.give_up_detached(|lost| {
            let is_in = |channel| lost.session.memberships.contains_key(channel);
            let is_meant = lost.core == core
                && user.is_none_or(|user| user == lost.session.user)
                && channel.is_none_or(is_in);
            settled.extend(is_meant.then(|| lost.session.user.clone()));
            is_meant
        });
        for user in settled {
            self.settle_standing(&user);
        }
        let mut affected = Vec::new();
        for (seat, session) in self.sessions.iter().filter(|(seat, _)| seat.core == core) {
            let channels = session.memberships.keys().filter(|name| is_meant(&session.user, name));
            affected.extend(channels.map(|channel| (*seat, channel.clone())));
        }
        for (seat, channel) in affected {
            let Some(session) = self.sessions.get(&seat) else { continue };
            let user = session.user.clone();
            let errand = Errand::Stay { seat, channel: channel.clone() };
            if let Access::Refused(_) = self.ask(&user, &channel, errand) {
                self.evict(seat, &channel);
            }
        }
    }

    /// Puts a session out of a channel.
    fn evict(&mut self, seat: Seat, channel: &str) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        let Some(membership) = session.memberships.get(channel) else { return };
        let (is_legacy, name) = (session.is_legacy(), membership.spelled(channel));
        let user = session.user.clone();
        self.counts.evicted += 1;
        self.end_membership(seat, channel);
        let left = match is_legacy {
            true => Expected::Left { name, user: None },
            false => Expected::Left { name: channel.to_owned(), user: Some(user) },
        };
        self.expect(seat, left);
        let denied = ErrorCode::RoomAccessDenied;
        self.expect_refusal(seat, denied.into(), "channel:join", Some(channel), None);
    }
}

/// User rooms are open to their owner, direct conversations to both sides; nobody owns the rest.
fn is_owner(user: &str, channel: &str) -> Option<bool> {
    match channel.split(':').collect::<Vec<_>>()[..] {
        ["user", owner] => Some(owner == user),
        ["dm", one, other] => Some(one == user || other == user),
        _ => None,
    }
}
