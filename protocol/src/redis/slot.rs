//! The slots of a Redis Cluster: which master a key belongs to.

/// How many slots a cluster has.
pub const SLOT_COUNT: u16 = 16_384;

/// One of the slots over which a cluster spreads its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot of a key. If the key has a tag in braces, the tag alone counts: `{a}.x` and `{a}.y` are together.
    pub fn of(key: &[u8]) -> Self {
        Self(redis_protocol::redis_keyslot(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_into_the_slots_that_redis_gives_them() {
        let check = |key: &str, slot| assert_eq!(Slot::of(key.as_bytes()), Slot(slot), "{key}");
        // As `CLUSTER KEYSLOT` answers.
        check("123456789", 12_739);
        check("foo", 12_182);
        check("{foo}.bar", 12_182);
        check("foo{}{bar}", Slot::of(b"foo{}{bar}").0);
        check("", 0);
        assert_eq!(Slot::of(b"{a}.x"), Slot::of(b"{a}.y"));
        assert_ne!(Slot::of(b"{}a"), Slot::of(b"{}b"), "an empty tag is none");
    }
}
