//! Who is in the channels at home here, on other nodes. Kept for every channel that somebody is in anywhere, so that whoever
//! comes to it here finds the others; a channel that is known here lists them among its members.

use crate::ids::ChannelName;
use crate::mail::Standpoint;
use crate::placement::Placement;
use crate::shard::members::{Member, Members};
use crate::shard::table::{Named, Table};

/// The members of one channel on other nodes.
#[derive(Debug)]
pub(in crate::shard) struct Crew {
    channel: ChannelName,
    pub(in crate::shard) members: Members,
}

impl Named for Crew {
    fn name(&self) -> &str {
        &self.channel
    }
}

/// All channels of which something is known.
#[derive(Debug, Default)]
pub(in crate::shard) struct Distant {
    crews: Table<Crew>,
    member_count: usize,
}

impl Distant {
    /// How many members all channels have elsewhere.
    pub(in crate::shard) fn member_count(&self) -> usize {
        self.member_count
    }

    /// Who is in a channel elsewhere.
    pub(in crate::shard) fn members(
        &self,
        channel: &str,
        placement: &Placement,
    ) -> impl Iterator<Item = &Member> {
        let crew = self.crews.find(channel, placement).map(|index| self.crews.at(index));
        crew.into_iter().flat_map(|crew| crew.members.iter())
    }

    /// Somebody came. Returns whether nobody knew; then the member is there.
    pub(in crate::shard) fn enter(
        &mut self,
        channel: &ChannelName,
        member: Member,
        placement: &Placement,
    ) -> bool {
        let known = self.crews.find(channel, placement);
        let index = known.unwrap_or_else(|| {
            let crew = Crew { channel: channel.clone(), members: Members::default() };
            self.crews.insert(crew, placement)
        });
        let crew = self.crews.at_mut(index);
        if crew.members.find(&member.user, placement).is_some() {
            return false;
        }
        crew.members.insert(member, placement);
        self.member_count += 1;
        true
    }

    /// Somebody went. Returns whether anybody knew.
    pub(in crate::shard) fn leave(&mut self, channel: &str, user: &str, placement: &Placement) -> bool {
        let Some(index) = self.crews.find(channel, placement) else { return false };
        let crew = self.crews.at_mut(index);
        let was_there = crew.members.remove(user, placement).is_some();
        self.member_count -= usize::from(was_there);
        if crew.members.is_empty() {
            self.crews.remove(index, placement);
        }
        was_there
    }

    /// Somebody is another way.
    pub(in crate::shard) fn change(
        &mut self,
        channel: &str,
        user: &str,
        standpoint: &Standpoint,
        placement: &Placement,
    ) {
        let Some(index) = self.crews.find(channel, placement) else { return };
        if let Some(member) = self.crews.at_mut(index).members.find_mut(user, placement) {
            member.change(standpoint);
        }
    }
}
