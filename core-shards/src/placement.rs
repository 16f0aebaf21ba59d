//! Which core is at home where: the same keyed hash on every core. Names come from strangers, so the
//! key is secret and a crowd of names cannot be aimed at one core.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

use crate::ids::CoreId;

/// Maps users and channels to cores, and names to hashes for the tables.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    key: (u64, u64),
    core_count: u16,
}

impl Placement {
    /// A placement over `core_count` cores (at least one), keyed by two random words.
    pub fn new(core_count: u16, key: (u64, u64)) -> Self {
        assert!(core_count > 0, "a node has at least one core");
        Self { key, core_count }
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
    pub fn home_of_channel(&self, channel: &str) -> CoreId {
        self.core(self.hash_with(b'c', channel))
    }

    /// The hash under which a name stands in a table.
    pub fn hash(&self, name: &str) -> u64 {
        self.hash_with(b't', name)
    }

    /// A 128-bit fingerprint of several parts: two different lists never meet in practice.
    pub fn fingerprint(&self, parts: &[&str]) -> u128 {
        let half = |domain: u8| {
            let mut hasher = self.hasher(domain);
            for part in parts {
                hasher.write_u64(part.len() as u64);
                hasher.write(part.as_bytes());
            }
            u128::from(hasher.finish())
        };
        half(b'x') << 64 | half(b'y')
    }

    fn core(&self, hash: u64) -> CoreId {
        // Multiply-shift: the upper bits choose the core without a division.
        CoreId((u128::from(hash) * u128::from(self.core_count) >> 64) as u16)
    }

    fn hash_with(&self, domain: u8, name: &str) -> u64 {
        let mut hasher = self.hasher(domain);
        hasher.write(name.as_bytes());
        hasher.finish()
    }

    fn hasher(&self, domain: u8) -> SipHasher13 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u8(domain);
        hasher
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
    fn a_fingerprint_knows_where_one_part_ends() {
        let placement = Placement::new(1, (1, 2));
        assert_ne!(placement.fingerprint(&["ab", "c"]), placement.fingerprint(&["a", "bc"]));
    }
}
