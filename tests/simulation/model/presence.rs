//! What sessions hear of other users. Whatever somebody is said to be must have been true since the last quiet moment;
//! once it is quiet, it must be true.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use super::answers::Answer;
use super::members::spelled;
use super::standing::Visible;
use super::{Checked, Model};
use crate::client::Seat;
use crate::faults::Audience;
use crate::heard::PresenceHeard;
use crate::heard::read_presence;

/// What a session heard of somebody: the status, and the text beside it unless only the status was told.
pub(super) type HeardOf = (String, Option<Option<String>>);

impl Model {
    pub(super) fn follow(&mut self, seat: Seat, users: &[&'static str], ack: Option<u64>) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        let all: BTreeSet<String> = users.iter().map(|user| (*user).to_owned()).collect();
        session.followed.extend(all.iter().cloned());
        self.joined_lately.insert(session.user.clone());
        session.surveys.push(all.clone());
        if let Some(ack) = ack {
            session.answers.insert(ack, Answer::Presences(all));
        }
    }

    pub(super) fn unfollow(&mut self, seat: Seat, users: &[&'static str]) {
        if let Some(session) = self.sessions.get_mut(&seat) {
            session.followed.retain(|user| !users.contains(&&**user));
            self.is_anybody_gone = true;
        }
    }

    /// A session wants to know how users are, once.
    pub(super) fn look(&mut self, seat: Seat, users: &[&'static str], ack: Option<u64>) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        let all: BTreeSet<String> = users.iter().map(|user| (*user).to_owned()).collect();
        self.joined_lately.insert(session.user.clone());
        match ack {
            Some(ack) => drop(session.answers.insert(ack, Answer::Presences(all))),
            None => session.surveys.push(all),
        }
    }

    /// One user is said to be like this.
    pub(super) fn hear_presence(&mut self, seat: Seat, heard: &PresenceHeard, is_legacy: bool) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        if session.is_legacy() != is_legacy {
            return Err(format!("{seat:?} of {:?} hears {heard:?}", session.dialect));
        }
        session.expect_mirrors(&["presence:update"], &heard.user, None);
        if self.is_saying && self.acting == Some(seat) && session.user == heard.user {
            return Err(format!("{seat:?} is told what it said: {heard:?}"));
        }
        if !self.limits.presence_enabled {
            return Err(format!("{heard:?} without presence"));
        }
        self.counts.presence_heard += 1;
        let known = (heard.status.clone(), Some(heard.custom.clone()));
        let is_replayed = self.is_replaying && self.acting == Some(seat);
        let is_racing =
            self.joined_lately.contains(&heard.user) || self.joined_lately.contains(&session.user);
        if session.heard_of.get(&heard.user) == Some(&known) && !is_racing && !is_replayed {
            return Err(format!("{seat:?} hears {heard:?} twice"));
        }
        self.check_turn(seat, heard)?;
        self.learn(seat, heard)
    }

    /// A change is told to everybody who shares a channel with the user or follows the user, once, and in its turn.
    pub(super) fn expect_presence(&mut self, user: &str, visible: &Visible) {
        if !self.is_calm || !self.limits.presence_enabled {
            return;
        }
        let seats = self.sessions.keys().copied().filter(|seat| self.is_acquainted(*seat, user));
        for seat in seats.collect::<Vec<_>>() {
            if let Some(session) = self.sessions.get_mut(&seat) {
                session.due_of.entry(user.to_owned()).or_default().push_back(visible.clone());
            }
        }
    }

    fn check_turn(&mut self, seat: Seat, heard: &PresenceHeard) -> Checked {
        let is_acquainted = self.is_acquainted(seat, &heard.user);
        let Some(session) = self.sessions.get_mut(&seat).filter(|_| self.is_calm && is_acquainted) else {
            return Ok(());
        };
        let told = (heard.status.clone(), heard.custom.clone());
        let due = session.due_of.get_mut(&heard.user);
        if session.was_resumed && due.as_ref().and_then(|due| due.front()) != Some(&told) {
            // It was on its way when the session came back.
            return Ok(());
        }
        let due = due.and_then(VecDeque::pop_front);
        if due == Some(told) {
            return Ok(());
        }
        Err(format!("{seat:?} hears {heard:?}, and was to hear {due:?}"))
    }

    /// Several are, in answer to a question.
    pub(super) fn hear_presences(
        &mut self,
        seat: Seat,
        all: &[PresenceHeard],
        channel: Option<&str>,
    ) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let users: BTreeSet<String> = all.iter().map(|heard| heard.user.clone()).collect();
        let position = session.surveys.iter().position(|asked| *asked == users);
        let Some(position) = position.filter(|_| channel.is_none() && users.len() == all.len()) else {
            return Err(format!("nobody asked for {all:?} in {channel:?}"));
        };
        session.surveys.remove(position);
        all.iter().try_for_each(|heard| self.learn_asked(seat, heard))
    }

    pub(super) fn hear_survey(&mut self, seat: Seat, users: &BTreeSet<String>, presences: &Value) -> Checked {
        let all = presences.as_array().map(|all| all.iter().map(read_presence).collect::<Option<Vec<_>>>());
        let all = all.flatten().unwrap_or_default();
        if all.len() != users.len() || all.iter().any(|heard| !users.contains(&heard.user)) {
            return Err(format!("asked how {users:?} are, and told {presences}"));
        }
        all.iter().try_for_each(|heard| self.learn_asked(seat, heard))
    }

    /// Who asks once is told of no change after it.
    fn learn_asked(&mut self, seat: Seat, heard: &PresenceHeard) -> Checked {
        let session = &self.sessions[&seat];
        let known = session.heard_of.get(&heard.user).cloned();
        let is_followed = session.followed.contains(&heard.user);
        self.learn(seat, heard)?;
        if let Some(session) = self.sessions.get_mut(&seat).filter(|_| !is_followed) {
            match known {
                Some(known) => session.heard_of.insert(heard.user.clone(), known),
                None => session.heard_of.remove(&heard.user),
            };
        }
        Ok(())
    }

    fn learn(&mut self, seat: Seat, heard: &PresenceHeard) -> Checked {
        let visible = (heard.status.clone(), heard.custom.clone());
        // Whoever comes back is told what was so in the meantime.
        let is_replayed = self.is_replaying && self.acting == Some(seat);
        if self.limits.presence_enabled && !is_replayed && !self.was_seen_as(&heard.user, &visible) {
            let truth = self.visible(&heard.user);
            return Err(format!("{seat:?} hears {heard:?}, which is {truth:?} and was not so lately"));
        }
        if heard.status != "offline" || heard.custom.is_none() {
            self.keep(seat, &heard.user, (visible.0, Some(visible.1)));
            return Ok(());
        }
        Err(format!("{heard:?} tells of somebody who is not there"))
    }

    /// Keeps what was heard of somebody with whom the session has to do.
    fn keep(&mut self, seat: Seat, user: &str, visible: HeardOf) {
        if self.is_acquainted(seat, user)
            && let Some(session) = self.sessions.get_mut(&seat)
        {
            session.heard_of.insert(user.to_owned(), visible);
        }
    }

    /// A list of members tells statuses, and nothing of what users say beside them.
    pub(super) fn learn_of_members(&mut self, seat: Seat, members: &[(String, String)]) -> Checked {
        if !self.limits.presence_enabled {
            return Ok(());
        }
        for (user, status) in members {
            let own = self.sessions[&seat].user == *user;
            let standing = self.standings.get(user);
            let was_seen = standing.is_some_and(|standing| standing.was_status(status));
            if !was_seen && self.visible(user).0 != *status {
                return Err(format!("{user} is listed as {status} and was not so lately"));
            }
            if own {
                continue;
            }
            if *status == "offline" {
                return Err(format!("{user} hides and is listed"));
            }
            self.keep(seat, user, (status.clone(), None));
        }
        Ok(())
    }

    /// Somebody came or went: told to those who read the old names, and to everybody if the operator says so.
    pub(super) fn hear_passage(
        &mut self,
        seat: Seat,
        has_joined: bool,
        channel: &str,
        room: &str,
        user: &str,
    ) -> Checked {
        let (session, tells_joins) = (&self.sessions[&seat], self.limits.tells_joins);
        if session.memberships.get(channel).is_none_or(|known| known.place.is_none()) {
            return Err(format!("{seat:?} hears of {user} in {channel}, where it is not"));
        }
        // In another spelling, too, if that was in use when the home wrote it.
        let is_named = match session.is_legacy() {
            true => room == channel || room == spelled(channel, true),
            false => room == channel,
        };
        let was_there = self.users_of_seats.values().any(|known| known == user);
        if !(session.is_legacy() || tells_joins) || !is_named || !was_there {
            return Err(format!("{seat:?} hears of {user} in {room}: {has_joined}"));
        }
        Ok(())
    }

    /// Who wants to know about whom at this moment.
    pub(crate) fn audience(&self) -> Audience {
        let mut audience = Audience::default();
        for (seat, session) in &self.sessions {
            let known = self.standings.keys().filter(|user| self.is_acquainted(*seat, user));
            audience.of_users.extend(known.map(|user| (seat.core, user.clone())));
            let channels = session.memberships.iter().filter(|(_, known)| known.place.is_some());
            audience.members.extend(channels.map(|(channel, _)| (channel.clone(), session.user.clone())));
        }
        audience
    }

    /// Whether a session shares a channel with a user, or follows the user.
    pub(super) fn is_acquainted(&self, seat: Seat, user: &str) -> bool {
        let Some(session) = self.sessions.get(&seat) else { return false };
        let mut channels = session.memberships.iter().filter(|(_, known)| known.place.is_some());
        session.user != user
            && (session.followed.contains(user) || channels.any(|(name, _)| self.is_user_in(user, name)))
    }

    /// What was heard of those with whom a session has nothing to do any more may be out of date.
    pub(super) fn forget_strangers(&mut self) {
        let seats: Vec<Seat> = self.sessions.keys().copied().collect();
        for seat in seats {
            let session = &self.sessions[&seat];
            let known: BTreeSet<String> =
                session.heard_of.keys().chain(session.due_of.keys()).cloned().collect();
            for user in known {
                if !self.is_acquainted(seat, &user)
                    && let Some(session) = self.sessions.get_mut(&seat)
                {
                    session.heard_of.remove(&user);
                    session.due_of.remove(&user);
                }
            }
        }
    }

    /// Once it is quiet, everybody knows how those are with whom they share a channel.
    pub(super) fn check_presence(&mut self) -> Checked {
        if !self.limits.presence_enabled {
            return Ok(());
        }
        for (seat, session) in &self.sessions {
            if let Some((user, due)) = session.due_of.iter().find(|(_, due)| !due.is_empty()) {
                return Err(format!("{seat:?} was not told that {user} is {due:?}"));
            }
        }
        let mut hidden = 0;
        for user in self.standings.keys() {
            let (status, custom) = self.visible(user);
            let is_hidden = status == "offline";
            hidden += u64::from(is_hidden && self.is_connected(user));
            for (seat, session) in &self.sessions {
                if !self.is_acquainted(*seat, user) {
                    continue;
                }
                let heard = session.heard_of.get(user);
                let fits = match heard {
                    Some((heard, text)) => {
                        *heard == status && text.as_ref().is_none_or(|text| *text == custom)
                    }
                    None => is_hidden || session.has_blanks,
                };
                if !fits {
                    return Err(format!(
                        "{seat:?} heard that {user} is {heard:?}, and it is {status} {custom:?}"
                    ));
                }
            }
        }
        self.counts.hidden_users += hidden;
        self.forget_former_standings();
        self.joined_lately.clear();
        Ok(())
    }

    fn is_connected(&self, user: &str) -> bool {
        self.sessions.values().any(|session| session.user == user)
    }
}
