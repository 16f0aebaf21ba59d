//! Presence in one channel, at its home: how its members are, what back ends say of them there, and big channels, in
//! which changes are told in batches.

use smallvec::SmallVec;

use protocol::chat::event;
use protocol::chat::status::Status;

use super::Shard;
use super::crowd::{CROWD_BATCH_MAX, Crowd};
use super::members::Member;
use super::presence::note_of;
use crate::Now;
use crate::ids::{ChannelName, UserId};
use crate::limits::{GROWN_OVERLAP_MS, MEMBERS_TOLD_MAX};
use crate::mail::{Mail, PresenceChange, Standpoint};
use crate::metrics::EventClass;
use crate::outputs::Outputs;
use crate::publication::Note;

impl Shard {
    /// A user's presence changed: a channel at home here notes it, and tells it if it is big.
    pub(super) fn note_presence_at_home(
        &mut self,
        channel: &str,
        change: &PresenceChange,
        now: Now,
        out: &mut Outputs,
    ) {
        if self.placement.home_of_channel(channel) != self.core {
            return;
        }
        self.homes.distant.change(channel, &change.user, &change.standpoint, &self.placement);
        let Some(index) = self.homes.table.find(channel, &self.placement) else { return };
        let home = self.homes.table.at_mut(index);
        let change_member = |member: &mut Member| member.change(&change.standpoint);
        let is_member = home.change_member(&change.user, &self.placement, now, change_member).is_some();
        let member_count = home.members.len();
        if let (true, Some(crowd)) = (is_member, &mut home.crowd) {
            if crowd.note(&change.user, change.standpoint.clone(), member_count, &self.placement) {
                self.metrics.presence_dropped.increment();
            }
            self.tell_crowd(index, now, out);
            self.look_at_home(index);
        }
    }

    /// A back end says how a user is in a channel; the user need not be there.
    pub(super) fn set_presence_here(
        &mut self,
        channel: &ChannelName,
        user: &UserId,
        status: Status,
        now: Now,
        out: &mut Outputs,
    ) {
        let index = self.homes.find_or_insert(channel, &self.placement, now);
        let home = self.homes.table.at_mut(index);
        let now_ms = now.monotonic_ms();
        let before = match home.member(user, &self.placement) {
            Some(member) => member.status(),
            None => home.seen.status(user, now_ms).unwrap_or(Status::Offline),
        };
        let change = |member: &mut Member| member.override_with(status);
        let custom = match home.change_member(user, &self.placement, now, change) {
            Some(member) => member.custom().cloned().filter(|_| status != Status::Offline),
            None => {
                home.seen.set(user, status, now.unix_ms, now_ms, self.limits.presence_grace_ms);
                None
            }
        };
        if before != status {
            let standpoint = Standpoint { status, custom, last_seen_unix_ms: now.unix_ms };
            self.metrics.presence_updates.increment();
            self.tell_presence_here(index, user, &standpoint, now, out);
        }
        self.look_at_home(index);
    }

    /// What back ends said of users who are not here holds for a time. Then they are offline again.
    pub(super) fn end_said(&mut self, index: u32, now: Now, out: &mut Outputs) {
        let ended = self.homes.table.at_mut(index).seen.expire_said(now.monotonic_ms());
        for (user, last_seen_unix_ms) in ended {
            let standpoint = Standpoint { last_seen_unix_ms, ..Standpoint::UNKNOWN };
            self.tell_presence_here(index, &user, &standpoint, now, out);
        }
    }

    /// Tells the members of one channel how a user is there: who came, or what a back end said.
    pub(super) fn tell_presence_here(
        &mut self,
        index: u32,
        user: &UserId,
        standpoint: &Standpoint,
        now: Now,
        out: &mut Outputs,
    ) {
        if !self.limits.presence_enabled {
            return;
        }
        let home = self.homes.table.at_mut(index);
        let member_count = home.members.len();
        if let Some(crowd) = &mut home.crowd {
            if crowd.note(user, standpoint.clone(), member_count, &self.placement) {
                self.metrics.presence_dropped.increment();
            }
            return self.tell_crowd(index, now, out);
        }
        let channel = home.channel.clone();
        let key = self.note_key("presence", &channel, user, "");
        let mut note = Note { key, class: EventClass::Presence, ..Note::default() };
        for form in self.homes.table.at(index).volatile_forms() {
            note.frames.add(form, |frame| {
                event::push_presence(frame, form.style, &note_of(user, standpoint, Some(&channel)));
            });
        }
        self.post_note(index, note, None, out);
    }

    /// Above a size, presence comes in batches; the cores that watch are told so.
    pub(super) fn grow_if_big(&mut self, index: u32, now: Now, out: &mut Outputs) {
        let home = self.homes.table.at_mut(index);
        if home.crowd.is_some() || home.members.len() <= MEMBERS_TOLD_MAX {
            return;
        }
        let mut crowd = Box::<Crowd<Standpoint>>::default();
        // What changed lately may reach a core after the news that this home tells it from now on.
        let since_unix_ms = now.unix_ms.saturating_sub(GROWN_OVERLAP_MS);
        let member_count = home.members.len();
        for member in home.members.iter().filter(|member| member.last_seen_unix_ms >= since_unix_ms) {
            crowd.note(&member.user, member.standpoint(), member_count, &self.placement);
        }
        home.crowd = Some(crowd);
        let watchers: SmallVec<[_; 4]> =
            home.watchers.iter().map(|watcher| (watcher.core, watcher.room)).collect();
        for (core, room) in watchers {
            self.post(core, Mail::Grown(room), out);
        }
    }

    /// Tells the members of a big channel what changed lately, if it is time to.
    pub(super) fn tell_crowd(&mut self, index: u32, now: Now, out: &mut Outputs) {
        let home = self.homes.table.at_mut(index);
        let Some(crowd) = &mut home.crowd else { return };
        let batch = crowd.take(now.monotonic_ms(), &self.placement);
        if batch.is_empty() {
            return;
        }
        debug_assert!(batch.len() <= CROWD_BATCH_MAX, "a batch is bounded by who takes it");
        self.metrics.presence_coalesced.add(batch.len() as u64 - 1);
        self.batch_number += 1;
        let home = self.homes.table.at(index);
        // Each batch is about other users: none replaces another.
        let key = self.note_key("crowd", &home.channel, "", &self.batch_number.to_string());
        let mut note = Note { key, class: EventClass::Presence, ..Note::default() };
        for form in home.volatile_forms() {
            let notes = batch.iter().map(|(user, standpoint)| note_of(user, standpoint, None));
            note.frames.add(form, |frame| {
                event::push_presence_bulk(frame, form.style, Some(&home.channel), notes);
            });
        }
        self.post_note(index, note, None, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::trial::{self, Trial, pair, quiet, say, told};
    use super::*;
    use crate::ids::SessionId;
    use crate::limits::Limits;

    const GRACE_MS: u64 = 30_000;

    #[test]
    fn what_a_back_end_says_holds_until_the_user_says_something() {
        let (mut trial, watcher, watched) = pair(quiet());
        trial.set("a", "7", Status::Dnd);
        assert_eq!(told(&mut trial, watcher, "7"), ["dnd"]);
        trial.set("a", "7", Status::Dnd);
        assert!(told(&mut trial, watcher, "7").is_empty());
        assert!(trial.list("a").contains(r#""userId":"7","status":"dnd""#));
        say(&mut trial, watched, "away");
        assert_eq!(told(&mut trial, watcher, "7"), ["away"]);
        assert!(trial.list("a").contains(r#""userId":"7","status":"away""#));
    }

    #[test]
    fn what_a_back_end_says_of_an_absent_user_ends_with_the_grace() {
        let (mut trial, watcher, _) = pair(quiet());
        trial.set("a", "9", Status::Online);
        assert_eq!(told(&mut trial, watcher, "9"), ["online"]);
        assert!(trial.list("a").contains(r#""userId":"9","status":"online""#));
        trial.pass_slowly(GRACE_MS + 1_000);
        assert_eq!(told(&mut trial, watcher, "9"), ["offline"]);
        assert!(trial.list("a").contains(r#""userId":"9","status":"offline""#));
    }

    #[test]
    fn where_presence_is_off_nobody_hears_of_it() {
        let (mut trial, watcher, watched) = pair(Limits { presence_enabled: false, ..quiet() });
        say(&mut trial, watched, "away");
        trial.set("a", "7", Status::Dnd);
        trial.disconnect(watched);
        trial.pass_slowly(300_000);
        assert!(told(&mut trial, watcher, "7").is_empty());
    }

    #[test]
    fn a_big_channel_hears_of_changes_once_a_second() {
        let mut trial = Trial::new(quiet());
        let count = MEMBERS_TOLD_MAX as u32 + 50;
        let sessions: Vec<SessionId> = (0..count)
            .map(|slot| {
                let session = trial.connect(slot, &format!("user-{slot}"), None);
                trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
                session
            })
            .collect();
        let pass = |trial: &mut Trial| (0..6).for_each(|_| drop(trial.pass(1_100)));
        pass(&mut trial);
        trial.inbox(sessions[0]);
        for session in &sessions[1..=300] {
            say(&mut trial, *session, "away");
        }
        let heard = trial.inbox(sessions[0]);
        assert!(trial::of(&heard, "presence").is_empty() && trial::of(&heard, "presence:bulk").len() <= 1);
        pass(&mut trial);
        let later = trial.inbox(sessions[0]);
        let batches: Vec<&str> =
            [&heard, &later].into_iter().flat_map(|packets| trial::of(packets, "presence:bulk")).collect();
        let sizes: Vec<usize> =
            batches.iter().map(|batch| batch.matches(r#""status":"away""#).count()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 300, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= CROWD_BATCH_MAX), "{sizes:?}");
        trial.end(sessions[7], Ending::Lost);
        trial.pass_slowly(GRACE_MS + 3_000);
        let heard = trial.inbox(sessions[0]);
        assert!(heard.concat().contains(r#""userId":"user-7","status":"offline""#), "{heard:?}");
    }

    #[test]
    fn ten_thousand_arrivals_in_ten_seconds_are_few_frames_for_each_member() {
        const ARRIVALS: u32 = 10_000;
        const SECONDS: u32 = 10;
        let mut trial = Trial::new(quiet());
        let watcher = trial.connect(0, "watcher", None);
        trial.join(watcher, "a");
        let (mut single_count, mut batch_sizes) = (0, Vec::new());
        for slot in 1..=ARRIVALS {
            let session = trial.connect(slot, &format!("user-{slot}"), None);
            trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
            trial.pass(u64::from(SECONDS * 1_000 / ARRIVALS));
            if slot % 100 == 0 {
                let heard = trial.inbox(watcher);
                single_count += trial::of(&heard, "presence").len();
                let batches = trial::of(&heard, "presence:bulk");
                batch_sizes.extend(batches.iter().map(|batch| batch.matches(r#""userId":"#).count()));
                // Nobody else reads, and all of it would be kept.
                (1..=slot).for_each(|slot| drop(trial.inbox(SessionId { slot, generation: slot })));
            }
        }
        assert!(single_count <= MEMBERS_TOLD_MAX, "{single_count} told one by one");
        assert!(batch_sizes.len() <= SECONDS as usize + 1, "{batch_sizes:?}");
        assert!(batch_sizes.len() >= SECONDS as usize - 2, "{batch_sizes:?}");
        assert!(batch_sizes.iter().all(|size| *size <= CROWD_BATCH_MAX), "{batch_sizes:?}");
    }
}
