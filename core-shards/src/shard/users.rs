//! The users whose home this core is: their sessions, those that were lost and may come back, their presence, what
//! they may still do in this minute, and where they stopped reading. Known while any of it matters.

use smallvec::SmallVec;

use protocol::chat::status::Status;

use super::elsewhere::Abroad;
use super::rates::{Exceeded, Left, RateClass, Rates};
use super::sessions::Session;
use super::standing::Standing;
use super::table::{Named, Table};
use super::{Deadline, Shard};
use crate::Now;
use crate::ids::{ChannelName, Place, SessionId, UserId};
use crate::limits::{ABSENCES_MAX, DETACHED_PER_USER_MAX};
use crate::mail::Since;
use crate::outputs::Outputs;
use crate::placement::Placement;

/// A session that lost its connection. It stays a member of its channels, so that nothing happens if it comes back
/// soon.
#[derive(Debug)]
pub(super) struct Detached {
    pub(super) session: Box<Session>,
    /// Until when a client may take it up again, in monotonic milliseconds; 0 if it may not.
    pub(super) resumable_until_ms: u64,
    /// Until when the user counts as present because of it, in monotonic milliseconds.
    pub(super) present_until_ms: u64,
    /// Until when it is kept, in monotonic milliseconds.
    pub(super) kept_until_ms: u64,
    /// How many changes of presence its core had heard of when the connection was lost.
    pub(super) tiding_count: u64,
    /// Which of the core's losses it is.
    pub(super) loss_number: u32,
}

/// Where a user stopped reading a channel, because the last connection was lost.
#[derive(Debug)]
pub(super) struct Absence {
    pub(super) channel: ChannelName,
    pub(super) since: Since,
    /// The session whose join asks for what was missed and has no answer yet.
    pub(super) asked_by: Option<SessionId>,
    pub(super) end_ms: u64,
}

/// One user.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) id: UserId,
    /// Slots of the user's sessions.
    pub(super) sessions: SmallVec<[u32; 2]>,
    pub(super) standing: Standing,
    pub(super) rates: Rates,
    /// What is kept only of users who were away; none of it for most.
    pub(super) past: Option<Box<UserPast>>,
    /// When the wheel looks at this user next, monotonic milliseconds; `u64::MAX` if it does not.
    pub(super) looked_at_ms: u64,
}

/// What a user left behind.
#[derive(Debug, Default)]
pub(super) struct UserPast {
    /// Sessions without a connection, the oldest first.
    pub(super) detached: Vec<Detached>,
    pub(super) absences: Vec<Absence>,
}

impl UserPast {
    fn is_empty(&self) -> bool {
        self.detached.is_empty() && self.absences.is_empty()
    }
}

impl Named for User {
    fn name(&self) -> &str {
        &self.id
    }
}

impl User {
    fn new(id: UserId) -> Self {
        Self { id, looked_at_ms: u64::MAX, ..Self::default() }
    }

    pub(super) fn detached(&self) -> &[Detached] {
        self.past.as_ref().map_or(&[], |past| &past.detached)
    }

    pub(super) fn absences(&self) -> &[Absence] {
        self.past.as_ref().map_or(&[], |past| &past.absences)
    }

    /// Whether the session of one of the core's losses is still kept.
    pub(super) fn has_lost(&self, loss_number: u32) -> bool {
        self.detached().iter().any(|detached| detached.loss_number == loss_number)
    }

    /// Keeps a session that lost its connection. Returns the oldest if it is one too many.
    pub(super) fn keep_lost(&mut self, detached: Detached) -> Option<Detached> {
        let lost = &mut self.past.get_or_insert_default().detached;
        push_closely(lost, detached);
        (lost.len() > DETACHED_PER_USER_MAX).then(|| lost.remove(0))
    }

    /// Takes out the lost sessions that `is_meant` names.
    pub(super) fn take_detached(&mut self, mut is_meant: impl FnMut(&Detached) -> bool) -> Vec<Detached> {
        let Some(past) = &mut self.past else { return Vec::new() };
        let taken = past.detached.extract_if(.., |detached| is_meant(detached)).collect();
        self.tidy();
        taken
    }

    /// Lost sessions that `is_meant` names count for nothing from now on.
    pub(super) fn end_detached_at(&mut self, now_ms: u64, is_meant: impl Fn(&Detached) -> bool) {
        for detached in self.past.iter_mut().flat_map(|past| &mut past.detached) {
            if is_meant(detached) {
                (detached.present_until_ms, detached.kept_until_ms) = (now_ms, now_ms);
                detached.resumable_until_ms = 0;
            }
        }
    }

    /// Lost sessions do not count for the user's presence any more.
    pub(super) fn discount_detached(&mut self, now_ms: u64) {
        for detached in self.past.iter_mut().flat_map(|past| &mut past.detached) {
            detached.present_until_ms = detached.present_until_ms.min(now_ms);
        }
    }

    /// Notes where the user stopped reading, unless something earlier is noted already. Returns whether it is noted
    /// besides what was before.
    pub(super) fn note_absence(&mut self, absence: Absence) -> bool {
        let absences = &mut self.past.get_or_insert_default().absences;
        if let Some(known) = absences.iter_mut().find(|known| known.channel == absence.channel) {
            known.end_ms = absence.end_ms;
            return false;
        }
        let has_room = absences.len() < ABSENCES_MAX;
        if has_room {
            push_closely(absences, absence);
        }
        has_room
    }

    /// Where the user stopped reading a channel.
    pub(super) fn absence_mut(&mut self, channel: &str) -> Option<&mut Absence> {
        let absences = &mut self.past.as_mut()?.absences;
        absences.iter_mut().find(|absence| *absence.channel == *channel)
    }

    /// Forgets absences. Returns how many.
    pub(super) fn end_absences(&mut self, is_over: impl Fn(&Absence) -> bool) -> usize {
        let before = self.absences().len();
        if let Some(past) = &mut self.past {
            past.absences.retain(|absence| !is_over(absence));
        }
        let ended = before - self.absences().len();
        self.tidy();
        ended
    }

    fn tidy(&mut self) {
        self.past.take_if(|past| past.is_empty());
    }

    /// When something of the user ends, in monotonic milliseconds.
    fn next_deadline_ms(&self, now: Now) -> u64 {
        let now_ms = now.monotonic_ms();
        let past = self.past.iter().flat_map(|past| {
            let detached = past.detached.iter().flat_map(|detached| {
                // A presence that is over already was dealt with.
                let present = (detached.present_until_ms > now_ms).then_some(detached.present_until_ms);
                [present, Some(detached.kept_until_ms)].into_iter().flatten()
            });
            detached.chain(past.absences.iter().map(|absence| absence.end_ms))
        });
        let custom_ms = |end_unix_ms: u64| now_ms.saturating_add(end_unix_ms.saturating_sub(now.unix_ms));
        let custom = self.standing.next_end_unix_ms().map(custom_ms);
        // Of a user without sessions, the windows of the rate limits are all that may be left.
        let rates = self.rates.end_ms().filter(|end_ms| self.sessions.is_empty() && *end_ms > now_ms);
        past.chain(custom).chain(rates).min().unwrap_or(u64::MAX)
    }
}

/// Most users lose one session and one channel with it: a list that begins with room for four would mostly be empty.
fn push_closely<T>(list: &mut Vec<T>, entry: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).max(1));
    }
    list.push(entry);
}

/// All users of a core.
pub(super) type Users = Table<User>;

impl Users {
    /// The user of a name, who begins to exist with the first question.
    pub(super) fn find_or_insert(&mut self, id: &UserId, placement: &Placement) -> u32 {
        let known = self.find(id, placement);
        known.unwrap_or_else(|| self.insert(User::new(id.clone()), placement))
    }
}

impl Shard {
    /// Counts an operation of a user against its limit.
    pub(super) fn spend(&mut self, user: u32, class: RateClass, now: Now) -> Result<Left, Exceeded> {
        let limits = self.limits.rate;
        let spent = self.users.at_mut(user).rates.take(class, now.monotonic_ms(), &limits);
        if spent.is_err() {
            self.metrics.rate_limited[class as usize].increment();
        } else if self.elsewhere.has(user) {
            let id = self.users.at(user).id.clone();
            self.tell_spent(&id, class);
        }
        spent
    }

    /// What each device that counts says of its user.
    pub(super) fn said(&self, user: u32, now: Now) -> SmallVec<[Option<Status>; 4]> {
        let user = self.users.at(user);
        let live = user.sessions.iter().filter_map(|slot| self.sessions.at(*slot));
        let lost = user
            .detached()
            .iter()
            .filter(|detached| detached.present_until_ms > now.monotonic_ms())
            .map(|detached| &*detached.session);
        live.chain(lost).map(|session| session.said).collect()
    }

    /// As [`said`](Self::said), with what the devices on other nodes say.
    pub(super) fn said_everywhere(&self, user: u32, now: Now) -> SmallVec<[Option<Status>; 4]> {
        let mut said = self.said(user, now);
        let abroad = self.elsewhere.abroad(user).into_iter();
        said.extend(abroad.flat_map(Abroad::statuses).map(Some));
        said
    }

    /// Takes over what the user chose on other nodes. Returns whether others see a change of the text.
    fn heed_choices(&mut self, user: u32, now: Now) -> bool {
        let counts_here = self.elsewhere.abroad(user).is_some() && !self.said(user, now).is_empty();
        let Some(abroad) = self.elsewhere.abroad_mut(user) else { return false };
        let is_new = abroad.weigh(counts_here);
        let (status, custom) = abroad.choices();
        self.users.at_mut(user).standing.adopt(status, custom, is_new, now.unix_ms)
    }

    /// The user chose on a device here: that is later than whatever was chosen before, wherever.
    pub(super) fn stamp_choices(&mut self, user: u32, is_status: bool, is_custom: bool, now: Now) {
        if !self.placement.is_joined() {
            return;
        }
        let (run, abroad) = (self.run, self.elsewhere.abroad_or_default(user));
        abroad.stamp(&self.users.at(user).standing, is_status, is_custom, now.unix_ms, run);
    }

    /// Arms the wheel for whatever of a user ends next, and forgets one of whom nothing is left.
    pub(super) fn look_at_user(&mut self, index: u32, now: Now) {
        let place = self.users.place(index);
        let is_abroad = self.elsewhere.abroad(index).is_some();
        let user = self.users.at_mut(index);
        let deadline_ms = user.next_deadline_ms(now);
        if deadline_ms == u64::MAX && user.sessions.is_empty() && !is_abroad {
            self.users.remove(index, &self.placement);
            return self.count_sessions();
        }
        if deadline_ms < user.looked_at_ms {
            user.looked_at_ms = deadline_ms;
            self.arm(deadline_ms, Deadline::User(place));
        }
    }

    /// Makes one presence of all devices that count now; others hear of it if it changes what they see, `acting`
    /// excepted. Lost sessions whose time is over are given up after that: their channels are to hear of it, too.
    pub(super) fn settle_user(&mut self, user: u32, acting: Option<SessionId>, now: Now, out: &mut Outputs) {
        let is_custom_new = self.heed_choices(user, now);
        let said = self.said_everywhere(user, now);
        let seen_unix_ms = self.elsewhere.abroad(user).map_or(0, Abroad::last_seen_unix_ms);
        let standing = &mut self.users.at_mut(user).standing;
        let is_custom_over = standing.expire(now.unix_ms);
        let is_status_new = standing.settle(said, now.unix_ms);
        standing.was_seen(seen_unix_ms);
        if is_status_new || is_custom_over || is_custom_new {
            self.tell_presence(user, acting, now, out);
        }
        // Other nodes hear it in the same order: away first, then out of the channels.
        self.tell_devices(user, false, now);
        let now_ms = now.monotonic_ms();
        let ended = self.users.at_mut(user).take_detached(|detached| detached.kept_until_ms <= now_ms);
        for detached in ended {
            self.end_detached(detached, out);
        }
        self.tell_devices(user, false, now);
        self.look_at_user(user, now);
    }

    /// A deadline of a user has come.
    pub(super) fn user_is_due(&mut self, place: Place, now: Now, out: &mut Outputs) {
        let now_ms = now.monotonic_ms();
        let Some(user) = self.users.get_mut(place).filter(|user| user.looked_at_ms <= now_ms) else { return };
        user.looked_at_ms = u64::MAX;
        self.burden.absences -= user.end_absences(|absence| absence.end_ms <= now_ms);
        self.settle_user(place.index, None, now, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, Offset};

    fn absence(channel: &str, offset: u64) -> Absence {
        let since = Since::Position(Epoch::from_random(1), Offset(offset));
        Absence { channel: channel.into(), since, asked_by: None, end_ms: 10 }
    }

    #[test]
    fn an_absence_begins_where_the_user_stopped_reading_first() {
        let mut user = User::new("7".into());
        user.note_absence(absence("a", 3));
        user.note_absence(absence("a", 5));
        assert_eq!(user.absence_mut("a").map(|known| known.since.clone()), Some(absence("a", 3).since));
        assert_eq!(user.end_absences(|absence| &*absence.channel == "a"), 1);
        assert!(user.absence_mut("a").is_none());
        assert!(user.past.is_none(), "nothing is kept of who missed nothing");
    }

    #[test]
    fn absences_are_bounded_and_end() {
        let mut user = User::new("7".into());
        for number in 0..ABSENCES_MAX + 1 {
            user.note_absence(absence(&number.to_string(), 1));
        }
        assert_eq!(user.past.as_ref().map(|past| past.absences.len()), Some(ABSENCES_MAX));
        assert_eq!(user.end_absences(|absence| absence.end_ms <= 9), 0);
        assert!(user.past.is_some());
        assert_eq!(user.end_absences(|absence| absence.end_ms <= 10), ABSENCES_MAX);
        assert!(user.past.is_none());
    }
}
