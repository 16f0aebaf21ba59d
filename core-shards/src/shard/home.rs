//! One channel at its home: its order, who is in it, on which cores, and in which forms they read it.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::event;
use protocol::chat::status::Status;

use super::crowd::Crowd;
use super::feed::Tie;
use super::history::History;
use super::members::{Member, Members};
use super::queries::Poller;
use super::seen::Seen;
use super::table::Named;
use super::typists::Typists;
use crate::Now;
use crate::ids::{ChannelName, CoreId, Epoch, MessageId, Offset, RoomId};
use crate::limits::{MEMBERS_LISTED_MAX, MEMBERS_SAMPLED};
use crate::mail::{Join, Leave, Receipt, Standpoint};
use crate::placement::Placement;
use crate::publication::{FormKey, Publication};

/// How late a history may forget, in milliseconds: the ends of many come together.
const HISTORY_STEP_MS: u64 = 1_000;

/// A core with members in the channel.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) core: CoreId,
    pub(super) room: RoomId,
    pub(super) session_count: u32,
}

/// One channel: its order, and who is in it.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) channel: ChannelName,
    pub(super) epoch: Epoch,
    pub(super) last_offset: Offset,
    pub(super) last_timestamp_ms: u64,
    pub(super) watchers: SmallVec<[Watcher; 1]>,
    /// The forms that are read in the channel, and by how many sessions.
    forms: SmallVec<[(FormKey, u32); 2]>,
    pub(super) members: Members,
    /// How many members have each status, by its number.
    pub(super) status_counts: [u32; 4],
    pub(super) history: History<Arc<Publication>>,
    pub(super) typists: Typists,
    /// Changes of presence that wait for the next batch; there once the channel has grown.
    pub(super) crowd: Option<Box<Crowd<Standpoint>>>,
    /// Users who were here.
    pub(super) seen: Seen,
    /// How many of them the core counts.
    pub(super) former_count: usize,
    /// Requests that wait for a message.
    pub(super) pollers: Vec<Poller>,
    /// When the wheel looks at this home next, monotonic milliseconds; `u64::MAX` if it does not.
    pub(super) looked_at_ms: u64,
    /// Its number among the channels that became deserted; 0 while somebody is here.
    pub(super) deserted_number: u64,
    /// There if nodes share the channel.
    pub(super) tie: Option<Box<Tie>>,
}

impl Named for Home {
    fn name(&self) -> &str {
        &self.channel
    }
}

impl Home {
    pub(super) fn new(channel: ChannelName, epoch: Epoch, now: Now) -> Self {
        Self {
            channel,
            epoch,
            last_offset: Offset(0),
            last_timestamp_ms: 0,
            watchers: SmallVec::new(),
            forms: SmallVec::new(),
            members: Members::default(),
            status_counts: [0; 4],
            history: History::new(now.unix_ms),
            typists: Typists::default(),
            crowd: None,
            seen: Seen::default(),
            former_count: 0,
            pollers: Vec::new(),
            looked_at_ms: u64::MAX,
            deserted_number: 0,
            tie: None,
        }
    }

    /// Adds a session. Returns whether it is its user's first here.
    pub(super) fn add_session(&mut self, from: CoreId, join: &Join, placement: &Placement, now: Now) -> bool {
        match self.watchers.iter_mut().find(|watcher| watcher.core == from) {
            Some(watcher) => watcher.session_count += 1,
            None => self.watchers.push(Watcher { core: from, room: join.room, session_count: 1 }),
        }
        self.add_form(join.form);
        if let Some(member) = self.members.find_mut(&join.user, placement) {
            member.session_count += 1;
            return false;
        }
        let standpoint = join.standpoint.clone();
        self.add_member(Member::new(join.user.clone(), join.name.clone(), standpoint, now.unix_ms), placement)
    }

    /// Adds a user with a first session, or one session more of a user who is here. Returns whether it is the first.
    pub(super) fn add_member(&mut self, member: Member, placement: &Placement) -> bool {
        if let Some(known) = self.members.find_mut(&member.user, placement) {
            known.session_count += 1;
            return false;
        }
        self.status_counts[member.status() as usize] += 1;
        if member.is_visible() {
            self.seen.remove(&member.user);
        }
        self.members.insert(member, placement);
        true
    }

    /// Takes a session out. Returns the member if it was the user's last session here.
    pub(super) fn remove_session(
        &mut self,
        from: CoreId,
        leave: &Leave,
        placement: &Placement,
    ) -> Option<Member> {
        if let Some(position) = self.watchers.iter().position(|watcher| watcher.core == from) {
            self.watchers[position].session_count -= 1;
            if self.watchers[position].session_count == 0 {
                self.watchers.swap_remove(position);
            }
        }
        self.remove_form(leave.form);
        self.remove_member(&leave.user, placement)
    }

    /// Takes one session of a user out. Returns the member if it was the last.
    pub(super) fn remove_member(&mut self, user: &str, placement: &Placement) -> Option<Member> {
        let member = self.members.find_mut(user, placement)?;
        member.session_count -= 1;
        if member.session_count > 0 {
            return None;
        }
        let member = self.members.remove(user, placement)?;
        self.status_counts[member.status() as usize] -= 1;
        Some(member)
    }

    pub(super) fn add_form(&mut self, form: FormKey) {
        match self.forms.iter_mut().find(|(known, _)| *known == form) {
            Some((_, count)) => *count += 1,
            None => self.forms.push((form, 1)),
        }
    }

    pub(super) fn remove_form(&mut self, form: FormKey) {
        let Some(position) = self.forms.iter().position(|(known, _)| *known == form) else { return };
        self.forms[position].1 -= 1;
        if self.forms[position].1 == 0 {
            self.forms.swap_remove(position);
        }
    }

    /// The forms that somebody reads.
    pub(super) fn forms(&self) -> impl Iterator<Item = FormKey> {
        self.forms.iter().map(|(form, _)| *form)
    }

    /// The forms of volatile events that somebody reads, each once.
    pub(super) fn volatile_forms(&self) -> SmallVec<[FormKey; 4]> {
        let mut forms = SmallVec::new();
        for form in self.forms().map(FormKey::volatile) {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        forms
    }

    pub(super) fn member(&self, user: &str, placement: &Placement) -> Option<&Member> {
        self.members.find(user, placement)
    }

    /// Changes a member, and what follows from the status with it. `None` if the user is none.
    pub(super) fn change_member(
        &mut self,
        user: &str,
        placement: &Placement,
        now: Now,
        change: impl FnOnce(&mut Member),
    ) -> Option<&Member> {
        let member = self.members.find_mut(user, placement)?;
        let was_visible = member.is_visible();
        self.status_counts[member.status() as usize] -= 1;
        change(member);
        self.status_counts[member.status() as usize] += 1;
        match (was_visible, member.is_visible()) {
            (true, false) => {
                self.seen.note(&member.user, member.last_seen_unix_ms, now.monotonic_ms());
            }
            (false, true) => self.seen.remove(user),
            (true, true) | (false, false) => {}
        }
        Some(member)
    }

    /// Users that others see here.
    pub(super) fn member_count(&self) -> u32 {
        let hidden = self.status_counts[Status::Offline as usize] as usize;
        u32::try_from(self.members.len() - hidden).unwrap_or(u32::MAX)
    }

    /// The JSON array of `channel:members` for `asker`, cut in large channels. Who hides is listed for nobody
    /// but himself.
    pub(super) fn list_members(&self, asker: &str) -> Vec<u8> {
        let listed =
            if self.members.len() <= MEMBERS_LISTED_MAX { MEMBERS_LISTED_MAX } else { MEMBERS_SAMPLED };
        let visible = self.members.iter().filter(|member| member.is_visible() || *member.user == *asker);
        // One reservation for most lists: names are short.
        const ENTRY_BYTES: usize = 144;
        let mut list = Vec::with_capacity(2 + ENTRY_BYTES * self.members.len().min(listed));
        list.push(b'[');
        for member in visible.take(listed) {
            event::push_member(
                &mut list,
                &member.user,
                member.name.as_deref(),
                member.status(),
                Some(member.last_seen_unix_ms),
                member.joined_at_unix_ms,
            );
        }
        list.push(b']');
        list
    }

    /// The next place in the channel. Timestamps are the clock's, pushed forward where it stands still or went back.
    pub(super) fn next_receipt(&mut self, random: u128, is_kept: bool, now: Now) -> Receipt {
        if is_kept {
            self.last_offset = self.last_offset.next();
        }
        self.last_timestamp_ms = now.unix_ms.max(self.last_timestamp_ms + 1);
        Receipt {
            id: MessageId::new(self.last_timestamp_ms, random),
            offset: if is_kept { self.last_offset } else { Offset(0) },
            timestamp_ms: self.last_timestamp_ms,
        }
    }

    /// Whether nobody is here, on this node: then only what was remembers the channel.
    pub(super) fn is_deserted(&self) -> bool {
        // Members without a session here are on other nodes, and known for themselves.
        let is_pinned = self.tie.as_ref().is_some_and(|tie| tie.is_pinned());
        self.watchers.is_empty() && self.pollers.is_empty() && !is_pinned
    }

    pub(super) fn is_forgettable(&self) -> bool {
        // What the store tells of lingers: whoever was here is often back at once.
        self.is_deserted() && self.history.is_empty() && self.seen.is_empty() && !self.is_open()
    }

    /// When something of the channel ends or is due.
    pub(super) fn next_deadline_ms(&self) -> u64 {
        let crowd = self.crowd.as_ref().and_then(|crowd| crowd.next_deadline_ms());
        let pollers = self.pollers.iter().map(|poller| poller.deadline_ms).min();
        // The ends of histories are in no hurry: they come together.
        let slow = [self.history.next_end_ms(), self.seen.next_end_ms()].into_iter().flatten().min();
        let slow = slow.map(|end_ms| end_ms.next_multiple_of(HISTORY_STEP_MS));
        let soon = [self.typists.next_deadline_ms(), self.seen.next_said_end_ms()];
        [crowd, pollers, slow].into_iter().chain(soon).flatten().min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use super::*;
    use crate::limits::Limits;

    const NOW: Now = Now { monotonic_us: 0, unix_ms: 0 };

    fn join(trial: &mut Trial, number: usize) -> String {
        let session = trial.connect(u32::try_from(number).unwrap(), &format!("user-{number}"), None);
        let heard = trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
        heard.into_iter().rfind(|packet| packet.contains("channel:members")).expect("a list of members")
    }

    #[test]
    fn a_large_channel_lists_a_sample_and_the_true_total() {
        let mut trial = Trial::new(Limits::default());
        let count = |list: &str| list.matches(r#""status":"#).count();
        for number in 1..MEMBERS_LISTED_MAX {
            join(&mut trial, number);
        }
        let whole = join(&mut trial, MEMBERS_LISTED_MAX);
        assert_eq!(count(&whole), MEMBERS_LISTED_MAX);
        assert!(whole.ends_with(r#""total":1000}]"#));
        let sampled = join(&mut trial, MEMBERS_LISTED_MAX + 1);
        assert_eq!(count(&sampled), MEMBERS_SAMPLED);
        assert!(sampled.ends_with(r#""total":1001}]"#));
    }

    #[test]
    fn times_go_on_rising_when_the_clock_goes_back() {
        let mut home = Home::new("a".into(), Epoch::from_random(1), NOW);
        let mut time = |unix_ms| home.next_receipt(0, true, Now { monotonic_us: 0, unix_ms }).timestamp_ms;
        assert_eq!(
            [time(1_000), time(1_000), time(400), time(2_000), time(1_999)],
            [1_000, 1_001, 1_002, 2_000, 2_001]
        );
    }
}
