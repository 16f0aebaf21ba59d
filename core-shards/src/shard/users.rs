//! The users whose home this core is, while they have a session here.

use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use crate::ids::UserId;
use crate::placement::Placement;

/// One user with at least one session.
#[derive(Debug)]
pub(super) struct User {
    pub(super) id: UserId,
    /// Slots of the user's sessions.
    pub(super) sessions: SmallVec<[u32; 2]>,
}

/// All users of a core, by index and by name.
#[derive(Debug, Default)]
pub(super) struct Users {
    users: Slab<User>,
    by_name: HashTable<u32>,
}

impl Users {
    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    pub(super) fn get(&self, index: u32) -> &User {
        &self.users[index as usize]
    }

    /// Adds a session to its user, who begins to exist with the first one.
    pub(super) fn add_session(&mut self, id: &UserId, slot: u32, placement: &Placement) -> u32 {
        let hash = placement.hash(id);
        let users = &mut self.users;
        let known = self.by_name.find(hash, |index| users[*index as usize].id == *id).copied();
        let index = known.unwrap_or_else(|| {
            let index = index_of(users.insert(User { id: id.clone(), sessions: SmallVec::new() }));
            self.by_name.insert_unique(hash, index, |index| placement.hash(&users[*index as usize].id));
            index
        });
        self.users[index as usize].sessions.push(slot);
        index
    }

    /// Takes a session from its user, who is forgotten with the last one: then it returns `true`.
    pub(super) fn remove_session(&mut self, index: u32, slot: u32, placement: &Placement) -> bool {
        let user = &mut self.users[index as usize];
        user.sessions.retain(|session| *session != slot);
        if !user.sessions.is_empty() {
            return false;
        }
        let user = self.users.remove(index as usize);
        if let Ok(entry) = self.by_name.find_entry(placement.hash(&user.id), |entry| *entry == index) {
            entry.remove();
        }
        true
    }
}

fn index_of(key: usize) -> u32 {
    u32::try_from(key).expect("a core has fewer than 2^32 users")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_there_from_the_first_session_to_the_last() {
        let (mut users, placement) = (Users::default(), Placement::new(1, (1, 2)));
        let (ann, bob) = (UserId::from("ann"), UserId::from("bob"));
        let index = users.add_session(&ann, 3, &placement);
        assert_eq!(users.add_session(&ann, 4, &placement), index);
        let other = users.add_session(&bob, 5, &placement);
        assert_ne!(other, index);
        assert_eq!(users.get(index).sessions.as_slice(), [3, 4]);
        assert!(!users.remove_session(index, 3, &placement));
        assert!(users.remove_session(index, 4, &placement));
        assert_eq!(users.count(), 1);
        assert_eq!(&*users.get(other).id, "bob");
        users.add_session(&ann, 3, &placement);
        assert_eq!(users.count(), 2);
    }
}
