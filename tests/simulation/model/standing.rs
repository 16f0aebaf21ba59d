//! How users are: what their devices say, and what they chose for all of them.

use std::collections::BTreeSet;

use protocol::chat::status::Status;

use super::Model;
use super::answers::Body;
use super::rates::Class;
use crate::client::Seat;

/// What others may see of a user: the status, and the text beside it.
pub(super) type Visible = (String, Option<String>);

/// One user.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Not to be disturbed, or hidden: holds whatever the devices say.
    chosen: Option<Status>,
    custom: Option<String>,
    /// How the user was when anybody looked last.
    shown: Option<Visible>,
    /// Everything that could be seen since the last quiet moment.
    seen_as: BTreeSet<Visible>,
}

impl Standing {
    /// Of somebody who has never been here.
    fn of_stranger() -> Self {
        let seen_as = BTreeSet::from([("offline".to_owned(), None)]);
        let shown = Some(("offline".to_owned(), None));
        Self { shown, seen_as, ..Self::default() }
    }

    /// The last device is gone.
    pub(super) fn forget_choice(&mut self) {
        (self.chosen, self.custom) = (None, None);
    }

    /// Whether the status could be seen since the last quiet moment, whatever the text.
    pub(super) fn was_status(&self, status: &str) -> bool {
        self.seen_as.iter().any(|(seen, _)| seen == status)
    }
}

impl Model {
    /// How a user is at this moment.
    pub(super) fn visible(&self, user: &str) -> Visible {
        let now_ms = self.now_ms();
        let live = self.sessions.values().filter(|session| session.user == user);
        let lost = self.detached.iter().filter(|lost| lost.present_until_ms > now_ms);
        let lost = lost.map(|lost| &lost.session).filter(|session| session.user == user);
        let most_available = live.chain(lost).map(|session| session.said.unwrap_or(Status::Online)).min();
        let standing = self.standings.get(user);
        let chosen = standing.and_then(|standing| standing.chosen);
        let status = most_available.map_or(Status::Offline, |status| chosen.unwrap_or(status));
        let custom = standing.and_then(|standing| standing.custom.clone());
        (status.name().to_owned(), custom.filter(|_| status != Status::Offline))
    }

    pub(super) fn is_hidden(&self, user: &str) -> bool {
        self.limits.presence_enabled && self.visible(user).0 == "offline"
    }

    /// Whether a user could be seen like this since the last quiet moment.
    pub(super) fn was_seen_as(&self, user: &str, visible: &Visible) -> bool {
        let standing = self.standings.get(user);
        standing.is_some_and(|standing| standing.seen_as.contains(visible)) || *visible == self.visible(user)
    }

    /// Writes down how everybody is, and who must be told.
    pub(super) fn note_standings(&mut self) {
        let users: Vec<String> = self.standings.keys().cloned().collect();
        for user in users {
            let visible = self.visible(&user);
            let Some(standing) = self.standings.get_mut(&user) else { continue };
            standing.seen_as.insert(visible.clone());
            let before = standing.shown.replace(visible.clone());
            if before.is_some_and(|before| before != visible) {
                self.expect_presence(&user, &visible);
            }
        }
    }

    /// Nothing is on its way: from here on only what is true now may be heard.
    pub(super) fn forget_former_standings(&mut self) {
        for standing in self.standings.values_mut() {
            standing.seen_as.clear();
        }
        self.note_standings();
    }

    /// A device came to a user, and perhaps says how the user is.
    pub(super) fn arrive(&mut self, seat: Seat, said: Option<Status>) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        let (user, before) = (session.user.clone(), session.said);
        session.said = said.or(before);
        self.standings.entry(user.clone()).or_insert_with(Standing::of_stranger);
        if let Some(status) = said {
            self.discount_lost(&user);
            if let Some(standing) = self.standings.get_mut(&user).filter(|_| before != said) {
                standing.chosen = is_choice(status).then_some(status);
            }
        }
        self.settle_standing(&user);
    }

    /// What lost devices said last does not weigh against what is said now.
    fn discount_lost(&mut self, user: &str) {
        let now_ms = self.now_ms();
        for lost in self.detached.iter_mut().filter(|lost| lost.session.user == user) {
            lost.present_until_ms = lost.present_until_ms.min(now_ms);
            lost.is_absence_noticed = true;
        }
    }

    /// Makes one presence of all devices that count now. Whoever has none left has chosen nothing any more; lost
    /// sessions whose time is over are given up.
    pub(super) fn settle_standing(&mut self, user: &str) {
        let now_ms = self.now_ms();
        let is_there = self.sessions.values().any(|session| session.user == user)
            || self.detached.iter().any(|lost| lost.session.user == user && lost.present_until_ms > now_ms);
        if !is_there && let Some(standing) = self.standings.get_mut(user) {
            standing.forget_choice();
        }
        for lost in self.detached.iter_mut().filter(|lost| lost.session.user == user) {
            lost.is_absence_noticed |= lost.present_until_ms <= now_ms;
        }
        self.note_standings();
        self.give_up_detached(|lost| lost.session.user == user && lost.kept_until_ms <= now_ms);
    }

    /// A session says how its user is. To say the same again means nothing, and is free.
    pub(super) fn say(
        &mut self,
        seat: Seat,
        status: Status,
        custom: Option<Option<String>>,
        ack: Option<u64>,
    ) {
        let session = &self.sessions[&seat];
        let (user, before) = (session.user.clone(), session.said);
        let standing = self.standings.entry(user.clone()).or_default();
        let is_same_text = custom.as_ref().is_none_or(|custom| *custom == standing.custom);
        let is_same_status = match before {
            Some(before) => before == status,
            None => status == Status::Online && standing.chosen.is_none(),
        };
        if self.limits.presence_enabled && !(is_same_text && is_same_status) {
            if let Err(refusal) = self.spend(&user, Class::Presence) {
                return self.expect_refusal(seat, refusal, "presence:update", None, ack);
            }
            self.is_saying = true;
            if let Some(session) = self.sessions.get_mut(&seat) {
                session.said = Some(status);
            }
            self.discount_lost(&user);
            let standing = self.standings.entry(user).or_default();
            if before != Some(status) {
                standing.chosen = is_choice(status).then_some(status);
            }
            if let Some(custom) = custom {
                standing.custom = custom;
            }
            self.note_standings();
        }
        self.expect_ack(seat, ack, Body::Plain);
    }
}

fn is_choice(status: Status) -> bool {
    matches!(status, Status::Dnd | Status::Offline)
}
