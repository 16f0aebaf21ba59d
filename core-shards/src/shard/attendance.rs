//! Who comes to the channels that are at home here and who goes, in whatever form they read them, and who is told.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::event;

use super::Shard;
use super::members::Member;
use crate::Now;
use crate::ids::{CoreId, SessionId, UserId};
use crate::limits::MEMBERS_TOLD_MAX;
use crate::mail::{Join, Joined, Leave, Mail, Notice, Replay, ReplayPurpose, Restyle};
use crate::metrics::EventClass;
use crate::outputs::Outputs;
use crate::publication::Note;

impl Shard {
    /// A session of `from` becomes a member; the answer carries the position from which it gets everything.
    pub(super) fn admit_member(&mut self, from: CoreId, join: Join, now: Now, out: &mut Outputs) {
        let index = self.homes.find_or_insert(&join.channel, &self.placement, now);
        // Many may be in it already, on other nodes.
        self.grow_if_big(index, now, out);
        let seq = self.seq_of(&join.channel);
        let home = self.homes.table.at_mut(index);
        // A history that the store told may have come further than what was handed out.
        let seq = seq.max(home.last_seq());
        let mut past = home.replay(&join.past);
        if past.purpose == ReplayPurpose::Resumed && !self.knows_all(index) {
            past = Replay { is_complete: false, publications: Vec::new(), ..past };
        }
        let home = self.homes.table.at_mut(index);
        let is_first = !join.is_repeat && home.add_session(from, &join, &self.placement, now);
        let joined = Joined {
            room: join.room,
            reply: join.reply,
            manner: join.manner,
            ticket: join.ticket,
            member_count: home.member_count(),
            members: home.list_members(&join.user),
            heard: self.tidings.heard().into(),
            epoch: home.epoch,
            offset: home.last_offset,
            seq,
            past,
            is_big: home.crowd.is_some(),
        };
        self.metrics.count_past(&join.past, &joined.past, joined.epoch);
        if is_first {
            // Before the newcomer is a member, so that it does not hear of itself.
            self.tell_arrival(index, &join.user, now, out);
            self.grow_if_big(index, now, out);
        }
        self.post(from, Mail::Joined(Box::new(joined)), out);
        self.look_at_home(index);
    }

    /// A session of `from` is no longer a member.
    pub(super) fn dismiss_member(&mut self, from: CoreId, leave: &Leave, now: Now, out: &mut Outputs) {
        let Some(index) = self.homes.table.find(&leave.channel, &self.placement) else {
            return self.metrics.stale_letters.increment();
        };
        let home = self.homes.table.at_mut(index);
        if let Some(member) = home.remove_session(from, leave, &self.placement) {
            self.bid_farewell(index, &member, leave.was_lost, now, out);
        }
        self.look_at_home(index);
    }

    /// A member is gone from a channel on all nodes.
    pub(super) fn bid_farewell(
        &mut self,
        index: u32,
        member: &Member,
        was_lost: bool,
        now: Now,
        out: &mut Outputs,
    ) {
        let home = self.homes.table.at_mut(index);
        // Who hid is known already, or was never seen here.
        if was_lost && member.is_visible() {
            home.seen.note(&member.user, member.last_seen_unix_ms, now.monotonic_ms());
        }
        self.stop_typing(index, &member.user, now, out);
        self.tell_departure(index, member, now, out);
    }

    /// A member is reached in another form.
    pub(super) fn restyle_member(&mut self, restyle: &Restyle) {
        if let Some(index) = self.homes.table.find(&restyle.channel, &self.placement) {
            let home = self.homes.table.at_mut(index);
            home.remove_form(restyle.from);
            home.add_form(restyle.to);
        }
    }

    /// Tells those who read the old names that a user came.
    pub(super) fn tell_arrival(&mut self, index: u32, user: &UserId, now: Now, out: &mut Outputs) {
        let home = self.homes.table.at(index);
        let Some(member) = home.member(user, &self.placement).filter(|member| member.is_visible()) else {
            return;
        };
        let name = member.name.clone();
        self.tell_movement(index, user, name.as_deref(), true, now, out);
    }

    fn tell_departure(&mut self, index: u32, member: &Member, now: Now, out: &mut Outputs) {
        if member.is_visible() {
            self.tell_movement(index, &member.user, member.name.as_deref(), false, now, out);
        }
    }

    /// `user:joined` and `user:left`, for those who want them and where they are not noise.
    fn tell_movement(
        &mut self,
        index: u32,
        user: &UserId,
        name: Option<&str>,
        has_joined: bool,
        now: Now,
        out: &mut Outputs,
    ) {
        let home = self.homes.table.at(index);
        if home.members.len() > MEMBERS_TOLD_MAX {
            return;
        }
        let mut forms = home.volatile_forms();
        forms.retain(|form| form.style.is_legacy() || self.limits.tells_joins);
        if forms.is_empty() {
            return;
        }
        let key = self.note_key("member", &home.channel, user, "");
        let mut note = Note { key, class: EventClass::Membership, ..Note::default() };
        for form in forms {
            note.frames.add(form, |frame| {
                let push = if has_joined { event::push_user_joined } else { event::push_user_left };
                push(frame, form.style, &home.channel, user, name, now.unix_ms);
            });
        }
        self.post_note(index, note, None, out);
    }

    /// Sends a note to every core that watches. `except` does not get it.
    pub(super) fn post_note(
        &mut self,
        index: u32,
        note: Note,
        except: Option<(CoreId, SessionId)>,
        out: &mut Outputs,
    ) {
        if note.frames.form_count() == 0 {
            return;
        }
        self.metrics.volatile_encodes.add(note.frames.form_count() as u64);
        let note = Arc::new(note);
        let watchers = &self.homes.table.at(index).watchers;
        let letters: SmallVec<[(CoreId, Notice); 4]> = watchers
            .iter()
            .map(|watcher| {
                let except = except.filter(|(core, _)| *core == watcher.core).map(|(_, session)| session);
                (watcher.core, Notice { room: watcher.room, note: note.clone(), except })
            })
            .collect();
        for (core, notice) in letters {
            self.post(core, Mail::Notice(notice), out);
        }
    }

    /// What makes an older note void: one about the same thing.
    pub(super) fn note_key(&self, about: &str, channel: &str, user: &str, detail: &str) -> u64 {
        self.placement.fingerprint(&[about, channel, user, detail]) as u64
    }
}
