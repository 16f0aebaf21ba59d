//! Following users: `presence:subscribe` and `presence:get`. The users' homes are asked, their answers gathered, and
//! whatever changes from then on is told by [`super::presence`].

use std::num::NonZeroUsize;

use protocol::chat::dialect::Style;
use protocol::chat::event;
use protocol::chat::request::Refusal;
use protocol::codes::ErrorCode;

use super::Shard;
use super::presence::note_of;
use super::table::Named;
use crate::Now;
use crate::ids::{CoreId, SessionId, UserId};
use crate::limits::FOLLOWED_MAX;
use crate::mail::{Asked, Mail, PresenceReport, Reply, Standpoint};
use crate::outputs::Outputs;

/// A user whom sessions of this core follow.
#[derive(Debug)]
pub(super) struct Followed {
    user: UserId,
    /// Slots of the sessions.
    pub(super) slots: Vec<u32>,
}

impl Named for Followed {
    fn name(&self) -> &str {
        &self.user
    }
}

/// Who waits for users' presence, and how it is told.
#[derive(Debug)]
pub(super) struct Survey {
    reply: Reply,
    /// `presence:subscribe`: an event, besides the acknowledgement.
    is_subscription: bool,
}

impl Survey {
    /// A session is told of users without having asked.
    pub(super) const fn told(session: SessionId) -> Self {
        Self { reply: Reply { session, ack: None }, is_subscription: true }
    }
}

/// What one core said of the users that it was asked about.
#[derive(Debug)]
pub(super) struct SurveyPart {
    users: Vec<(UserId, Standpoint)>,
    /// How many changes of presence had been heard of here when it came.
    tiding_count: u64,
}

impl Shard {
    /// A session wants to hear of users from now on, and how they are at present.
    pub(super) fn follow(
        &mut self,
        id: SessionId,
        users: Vec<UserId>,
        ack: Option<u64>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let mut new: Vec<UserId> = users.clone();
        new.sort_unstable();
        new.dedup();
        new.retain(|user| session.particulars.followed().binary_search(user).is_err());
        if session.particulars.followed().len() + new.len() > FOLLOWED_MAX {
            return Err(Refusal::new(
                ErrorCode::ValidationError,
                "a session follows at most 2000 users: send presence:unsubscribe first",
            ));
        }
        if self.burden.follows + new.len() > self.limits.memory.follows_max {
            return Err(Refusal::new(ErrorCode::ServerBusy, "too many users are followed, try again later"));
        }
        self.survey(Survey { reply: Reply { session: id, ack }, is_subscription: true }, users, out)?;
        self.burden.follows += new.len();
        if let Some(session) = self.sessions.get_mut(id) {
            session.particulars.follow(&new);
        }
        self.start_telling(id.slot, &new);
        Ok(())
    }

    /// A session does not want to hear of users any more.
    pub(super) fn unfollow(&mut self, id: SessionId, mut users: Vec<UserId>) {
        users.sort_unstable();
        users.dedup();
        let Some(session) = self.sessions.get_mut(id) else { return };
        users.retain(|user| session.particulars.followed().binary_search(user).is_ok());
        session.particulars.unfollow(|followed| users.binary_search(followed).is_err());
        self.burden.follows -= users.len();
        self.stop_telling(id.slot, &users);
    }

    /// Puts a session into the lists of those who hear of users.
    pub(super) fn start_telling(&mut self, slot: u32, users: &[UserId]) {
        for user in users {
            let known = self.followers.find(user, &self.placement);
            let index = known.unwrap_or_else(|| {
                let followed = Followed { user: user.clone(), slots: Vec::new() };
                self.followers.insert(followed, &self.placement)
            });
            self.followers.at_mut(index).slots.push(slot);
        }
    }

    /// Takes a session out of the lists of those who hear of users.
    pub(super) fn stop_telling(&mut self, slot: u32, users: &[UserId]) {
        for user in users {
            let Some(index) = self.followers.find(user, &self.placement) else { continue };
            let slots = &mut self.followers.at_mut(index).slots;
            slots.retain(|follower| *follower != slot);
            if slots.is_empty() {
                self.followers.remove(index, &self.placement);
            }
        }
    }

    /// A session wants to know how users are, once.
    pub(super) fn get_presence(
        &mut self,
        id: SessionId,
        users: Vec<UserId>,
        ack: Option<u64>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        self.survey(Survey { reply: Reply { session: id, ack }, is_subscription: false }, users, out)
    }

    /// Asks each user's home.
    pub(super) fn survey(
        &mut self,
        survey: Survey,
        users: Vec<UserId>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let mut by_core: Vec<(CoreId, Vec<UserId>)> = Vec::new();
        for user in users {
            let core = self.placement.home_of_user(&user);
            match by_core.iter_mut().find(|(known, _)| *known == core) {
                Some((_, users)) => users.push(user),
                None => by_core.push((core, vec![user])),
            }
        }
        let Some(part_count) = NonZeroUsize::new(by_core.len()) else {
            self.tell_survey(&survey, &[], out);
            return Ok(());
        };
        let Ok(gathering) = self.surveys.begin(part_count, survey) else {
            return Err(Refusal::new(ErrorCode::ServerBusy, "too many questions wait, ask again later"));
        };
        for (core, users) in by_core {
            self.post(core, Mail::AskPresence(Box::new(Asked { users, gathering })), out);
        }
        Ok(())
    }

    /// Answers for users whose home this is.
    pub(super) fn report_presence(&mut self, from: CoreId, asked: Asked, now: Now, out: &mut Outputs) {
        let tell = |user: UserId| {
            let known = self.users.find(&user, &self.placement);
            let standpoint = known.map_or(Standpoint::UNKNOWN, |index| self.standpoint(index, now));
            (user, standpoint)
        };
        let users = asked.users.into_iter().map(tell).collect();
        let report = PresenceReport { from: self.core, gathering: asked.gathering, users };
        self.post(from, Mail::PresenceReport(Box::new(report)), out);
    }

    /// A part of an answer came; with the last one the session is told.
    pub(super) fn gather_presence(&mut self, report: PresenceReport, out: &mut Outputs) {
        let part = SurveyPart { users: report.users, tiding_count: self.tidings.count() };
        let Some((survey, parts)) = self.surveys.add(report.gathering, part) else { return };
        if !self.sessions.is_live(survey.reply.session) {
            return self.metrics.stale_letters.increment();
        }
        let mut users: Vec<(UserId, Standpoint)> = Vec::new();
        for mut part in parts {
            // What was told while other parts were under way is newer.
            for change in self.tidings.after(part.tiding_count).filter(|change| !change.is_arrival) {
                for (_, standpoint) in part.users.iter_mut().filter(|(user, _)| *user == change.user) {
                    *standpoint = change.standpoint.clone();
                }
            }
            users.append(&mut part.users);
        }
        self.tell_survey(&survey, &users, out);
    }

    fn tell_survey(&self, survey: &Survey, users: &[(UserId, Standpoint)], out: &mut Outputs) {
        let Survey { reply: Reply { session, ack }, is_subscription } = *survey;
        let style = self.sessions.get(session).map_or(Style::Primary, |session| session.direct_style());
        let notes = users.iter().map(|(user, standpoint)| note_of(user, standpoint, None));
        out.send(session, |frame| {
            if is_subscription || ack.is_none() {
                event::push_presence_bulk(frame, style, None, notes.clone());
            }
            if let Some(ack) = ack {
                event::push_presences_ack(frame, ack, style, notes);
            }
        });
    }
}
