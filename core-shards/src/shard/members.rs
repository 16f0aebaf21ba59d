//! The users in one channel, on whatever core, in the order in which most of them came. Most channels are small: their
//! members stand in a list and nothing else.
//!
//! Does not know what others are told of them; the channel's home does.

use std::sync::Arc;

use hashbrown::HashTable;

use protocol::chat::status::{CustomStatus, Status};

use crate::ids::UserId;
use crate::mail::Standpoint;
use crate::placement::Placement;

/// A list of up to so many members is looked through, a longer one has an index: 5 bytes and a second place to look at
/// for each member.
const LOOKED_THROUGH_MAX: usize = 32;

/// A user in the channel.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) user: UserId,
    pub(super) name: Option<Arc<str>>,
    pub(super) joined_at_unix_ms: u64,
    /// When others saw the user last, see [`Standpoint::last_seen_unix_ms`].
    pub(super) last_seen_unix_ms: u64,
    custom: Option<Arc<CustomStatus>>,
    /// Sessions on this node; all that the user has on others count as one.
    pub(super) session_count: u32,
    /// What the user's home said of the user.
    own_status: Status,
    /// What a back end said of the user in this channel alone, until the user changes anything.
    override_status: Option<Status>,
    /// A part of the name's hash, so that a look at the name is rarely in vain.
    tag: u16,
}

impl Member {
    /// A user who comes with a first session.
    pub(super) fn new(user: UserId, name: Option<Arc<str>>, standpoint: Standpoint, unix_ms: u64) -> Self {
        Self {
            user,
            name,
            joined_at_unix_ms: unix_ms,
            last_seen_unix_ms: standpoint.last_seen_unix_ms,
            custom: standpoint.custom,
            session_count: 1,
            own_status: standpoint.status,
            override_status: None,
            tag: 0,
        }
    }

    /// The status that others see in this channel.
    pub(super) fn status(&self) -> Status {
        self.override_status.unwrap_or(self.own_status)
    }

    /// Whether others see the user as a member at all. Who hides is not there.
    pub(super) fn is_visible(&self) -> bool {
        self.status() != Status::Offline
    }

    /// The text beside the status.
    pub(super) fn custom(&self) -> Option<&Arc<CustomStatus>> {
        self.custom.as_ref()
    }

    /// How the user is, whatever a back end said.
    pub(super) fn standpoint(&self) -> Standpoint {
        let (custom, last_seen_unix_ms) = (self.custom.clone(), self.last_seen_unix_ms);
        Standpoint { status: self.own_status, custom, last_seen_unix_ms }
    }

    /// The user is another way: what a back end said is over.
    pub(super) fn change(&mut self, standpoint: &Standpoint) {
        self.own_status = standpoint.status;
        self.custom.clone_from(&standpoint.custom);
        self.last_seen_unix_ms = standpoint.last_seen_unix_ms;
        self.override_status = None;
    }

    /// A back end says how the user is here.
    pub(super) fn override_with(&mut self, status: Status) {
        self.override_status = Some(status);
    }
}

/// All members of one channel.
#[derive(Debug, Default)]
pub(super) struct Members {
    list: Vec<Member>,
    /// Positions in the list by name, once it is long.
    by_name: Option<Box<HashTable<u32>>>,
}

impl Members {
    /// How many there are, those who hide included.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nobody is here.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every member.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// The member of a name.
    pub(super) fn find(&self, user: &str, placement: &Placement) -> Option<&Member> {
        self.list.get(self.position(user, placement.hash(user))?)
    }

    /// As [`find`](Self::find), to be changed.
    pub(super) fn find_mut(&mut self, user: &str, placement: &Placement) -> Option<&mut Member> {
        let position = self.position(user, placement.hash(user))?;
        self.list.get_mut(position)
    }

    /// Adds a member who is none yet.
    pub(super) fn insert(&mut self, member: Member, placement: &Placement) {
        if self.list.len() == self.list.capacity() {
            // Little more than what is needed: it is kept for as long as the channel is, and there are many.
            self.list.reserve_exact((self.list.len() / 4).max(1));
        }
        let hash = placement.hash(&member.user);
        self.list.push(Member { tag: hash as u16, ..member });
        match &mut self.by_name {
            Some(index) => index_last(index, &self.list, placement),
            None if self.list.len() > LOOKED_THROUGH_MAX => {
                let mut index = Box::default();
                for count in 1..=self.list.len() {
                    index_last(&mut index, &self.list[..count], placement);
                }
                self.by_name = Some(index);
            }
            None => {}
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, user: &str, placement: &Placement) -> Option<Member> {
        let hash = placement.hash(user);
        let position = self.position(user, hash)?;
        let removed = self.list.swap_remove(position);
        if let Some(index) = &mut self.by_name {
            if let Ok(found) = index.find_entry(hash, |known| *known as usize == position) {
                found.remove();
            }
            // The last of the list took the free place.
            let moved = self.list.get(position).map(|moved| placement.hash(&moved.user));
            let was_last = self.list.len();
            let found = moved.and_then(|hash| index.find_mut(hash, |known| *known as usize == was_last));
            if let Some(known) = found {
                *known = position as u32;
            }
        }
        if self.list.len() <= LOOKED_THROUGH_MAX / 2 {
            self.by_name = None;
        }
        if self.list.len() < self.list.capacity() / 2 {
            self.list.shrink_to(self.list.len() + self.list.len() / 4);
        }
        Some(removed)
    }

    fn position(&self, user: &str, hash: u64) -> Option<usize> {
        let is_it = |member: &Member| member.tag == hash as u16 && *member.user == *user;
        match &self.by_name {
            None => self.list.iter().position(is_it),
            Some(index) => {
                let found = index.find(hash, |known| is_it(&self.list[*known as usize]));
                found.map(|position| *position as usize)
            }
        }
    }
}

fn index_last(index: &mut HashTable<u32>, list: &[Member], placement: &Placement) {
    let hash_at = |position: &u32| placement.hash(&list[*position as usize].user);
    let position = u32::try_from(list.len() - 1).expect("users are fewer than 2^32");
    index.insert_unique(hash_at(&position), position, hash_at);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEMENT: Placement = Placement::new(1, (1, 2));

    fn member(number: u32) -> Member {
        Member::new(number.to_string().into(), None, Standpoint::UNKNOWN, u64::from(number))
    }

    #[test]
    fn a_member_costs_eight_words_and_a_small_channel_has_little_room_to_spare() {
        assert_eq!(size_of::<Member>(), 64);
        let mut members = Members::default();
        for number in 0..10 {
            members.insert(member(number), &PLACEMENT);
            assert!(members.list.capacity() - members.len() < 2, "after {number}");
        }
        assert!(members.by_name.is_none());
    }

    #[test]
    fn what_a_back_end_said_is_over_once_the_user_is_another_way() {
        let mut member = member(1);
        assert!(!member.is_visible());
        member.override_with(Status::Away);
        assert_eq!((member.status(), member.standpoint().status), (Status::Away, Status::Offline));
        member.change(&Standpoint { status: Status::Dnd, last_seen_unix_ms: 9, ..Standpoint::UNKNOWN });
        assert_eq!((member.status(), member.last_seen_unix_ms), (Status::Dnd, 9));
    }

    #[test]
    fn members_are_those_who_came_and_did_not_go() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut members, mut model) = (Members::default(), std::collections::BTreeMap::new());
            // Channels grow past the size from which on they have an index, and shrink again.
            for step in 0..600 {
                let number = random.u32(..90);
                let name = number.to_string();
                let is_growing = (step / 200) % 2 == 0;
                if random.u8(..4) > 0 && is_growing {
                    if model.insert(name, number).is_none() {
                        members.insert(member(number), &PLACEMENT);
                    }
                } else {
                    let removed = members.remove(&name, &PLACEMENT);
                    let expected = model.remove(&name);
                    assert_eq!(
                        removed.map(|member| member.user.to_string()),
                        expected.map(|_| name),
                        "seed {seed}"
                    );
                }
                let asked = random.u32(..90).to_string();
                let found = members.find(&asked, &PLACEMENT).map(|member| member.joined_at_unix_ms);
                assert_eq!(found, model.get(&asked).map(|number| u64::from(*number)), "seed {seed}");
                assert_eq!((members.len(), members.is_empty()), (model.len(), model.is_empty()));
                let mut names: Vec<&str> = members.iter().map(|member| &*member.user).collect();
                names.sort_unstable();
                assert!(names.iter().eq(model.keys()), "seed {seed}: {names:?}");
                let is_indexed = members.by_name.is_some();
                assert!(is_indexed || members.len() <= LOOKED_THROUGH_MAX, "seed {seed}");
                assert!(!is_indexed || members.len() > LOOKED_THROUGH_MAX / 2, "seed {seed}");
            }
        }
    }
}
