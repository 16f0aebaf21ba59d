//! Which core is at home where: the same keyed hash on every core. Names come from strangers, so the
//! key is secret and a crowd of names cannot be aimed at one core.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13To128};

use crate::ids::{CoreId, Partition};

/// Maps users and channels to cores, and names to hashes for the tables.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    key: (u64, u64),
    core_count: u16,
    /// Partitions of the store that nodes share; 0 if there is none.
    partition_count: u16,
}

impl Placement {
    /// A placement over `core_count` cores (at least one), keyed by two random words.
    pub const fn new(core_count: u16, key: (u64, u64)) -> Self {
        assert!(core_count > 0, "a node has at least one core");
        Self { key, core_count, partition_count: 0 }
    }

    /// The same, of a node that shares a store with others: channels are at home where their partition is.
    #[must_use]
    pub const fn joined(self, partition_count: u16) -> Self {
        assert!(partition_count > 0, "a store has at least one partition");
        Self { partition_count, ..self }
    }

    /// Whether other nodes share the channels.
    pub const fn is_joined(&self) -> bool {
        self.partition_count > 0
    }

    /// How many partitions the shared store has; 0 without one.
    pub const fn partition_count(&self) -> u16 {
        self.partition_count
    }

    /// Every partition of the shared store, in order.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.partition_count).map(Partition)
    }

    /// The partition of a name, the same on every node; `None` without a shared store.
    pub fn partition_of(&self, name: &str) -> Option<Partition> {
        // Without a key: every node must come to the same. Whoever aims many names at one partition loads one core.
        let hash = || SipHasher13::new().hash(name.as_bytes());
        self.is_joined().then(|| Partition((hash() % u64::from(self.partition_count)) as u16))
    }

    /// The core to which the store tells what happens in a partition.
    pub const fn core_of_partition(&self, partition: Partition) -> CoreId {
        CoreId(partition.0 % self.core_count)
    }

    /// How many cores share the node's users and channels.
    pub const fn core_count(&self) -> u16 {
        self.core_count
    }

    /// The core that owns a user's sessions.
    pub fn home_of_user(&self, user: &str) -> CoreId {
        self.core(self.hash_with(b'u', user))
    }

    /// The core that orders a channel.
    ///
    /// A user's own room is at home where the user is: what is said there reaches all of the user's sessions. With a
    /// shared store every channel is at home where its partition is.
    pub fn home_of_channel(&self, channel: &str) -> CoreId {
        if let Some(partition) = self.partition_of(channel) {
            return self.core_of_partition(partition);
        }
        if let Some(user) = channel.strip_prefix("user:") {
            return self.home_of_user(user);
        }
        self.core(self.hash_with(b'c', channel))
    }

    /// The hash under which a name stands in a table.
    pub fn hash(&self, name: &str) -> u64 {
        self.hash_with(b't', name)
    }

    /// A 128-bit fingerprint of several parts: two different lists never meet in practice.
    pub fn fingerprint(&self, parts: &[&str]) -> u128 {
        let (key, other_key) = self.key_for(b'x');
        let mut hasher = SipHasher13To128::new_with_keys(key, other_key);
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part.as_bytes());
        }
        hasher.finish128().as_u128()
    }

    /// A 128-bit fingerprint of a number, another one for each `domain` that it is used in. Who does not know the key
    /// cannot guess it, nor tell the number from it.
    pub fn fingerprint_of_number(&self, domain: u8, number: u64) -> u128 {
        let (key, other_key) = self.key_for(domain);
        SipHasher13To128::new_with_keys(key, other_key).hash(&number.to_le_bytes()).as_u128()
    }

    fn core(&self, hash: u64) -> CoreId {
        // Multiply-shift: the upper bits choose the core without a division.
        CoreId(((u128::from(hash) * u128::from(self.core_count)) >> 64) as u16)
    }

    fn hash_with(&self, domain: u8, name: &str) -> u64 {
        let (key, other_key) = self.key_for(domain);
        SipHasher13::new_with_keys(key, other_key).hash(name.as_bytes())
    }

    /// What a name is hashed for has a key of its own, so that the name is hashed in one piece.
    const fn key_for(&self, domain: u8) -> (u64, u64) {
        (self.key.0 ^ domain as u64, self.key.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_spread_evenly_over_the_cores() {
        let placement = Placement::new(4, (1, 2));
        let mut users_of_core = [0; 4];
        for number in 0..10_000 {
            users_of_core[placement.home_of_user(&format!("user-{number}")).index()] += 1;
        }
        assert!(users_of_core.iter().all(|count| (2_250..2_750).contains(count)), "{users_of_core:?}");
    }

    #[test]
    fn every_core_knows_the_same_homes_and_strangers_cannot_guess_them() {
        let (one, same, other) =
            (Placement::new(8, (1, 2)), Placement::new(8, (1, 2)), Placement::new(8, (1, 3)));
        let homes = |placement: Placement| {
            (0..64).map(|number| placement.home_of_channel(&number.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(homes(one), homes(same));
        assert_ne!(homes(one), homes(other));
        assert_ne!(one.hash("a"), other.hash("a"));
        assert_ne!(one.fingerprint(&["a"]), other.fingerprint(&["a"]));
    }

    #[test]
    fn every_home_is_a_core_of_the_node() {
        for core_count in [1, 2, 3, 5, 64, u16::MAX] {
            let placement = Placement::new(core_count, (3, 4));
            for number in 0..1_000 {
                let name = number.to_string();
                assert!(placement.home_of_user(&name).0 < core_count);
                assert!(placement.home_of_channel(&name).0 < core_count);
            }
        }
    }

    #[test]
    fn a_user_and_a_channel_of_the_same_name_are_placed_apart() {
        let placement = Placement::new(64, (1, 2));
        let apart = |number: &u32| {
            let name = number.to_string();
            placement.home_of_user(&name) != placement.home_of_channel(&name)
        };
        assert!((0..100).filter(apart).count() > 90);
    }

    #[test]
    fn a_fingerprint_knows_where_one_part_ends() {
        let placement = Placement::new(1, (1, 2));
        assert_ne!(placement.fingerprint(&["ab", "c"]), placement.fingerprint(&["a", "bc"]));
        assert_ne!(placement.fingerprint_of_number(b's', 1), placement.fingerprint_of_number(b'p', 1));
    }
}
