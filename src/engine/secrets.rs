//! Secrets of sessions: straight from the kernel, many with one call.

use std::cell::RefCell;

/// What a session's client shows to be recognised, and nobody else can guess.
pub(super) type Secret = [u8; 16];

/// Secrets that one call to the kernel gives: 256 bytes, which it hands out without being interrupted.
const SUPPLY: usize = 16;

/// One core's supply of secrets. None is given out twice, and none is kept once it was.
#[derive(Default)]
pub(super) struct Secrets {
    supply: RefCell<Vec<Secret>>,
}

impl Secrets {
    /// 128 random bits.
    pub(super) fn next(&self) -> Secret {
        let mut supply = self.supply.borrow_mut();
        supply.pop().unwrap_or_else(|| {
            let mut fresh = [Secret::default(); SUPPLY];
            getrandom::fill(fresh.as_flattened_mut())
                .expect("the kernel gives randomness once it has booted");
            let [first, others @ ..] = fresh;
            supply.extend(others);
            first
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_secret_is_given_out_twice() {
        let secrets = Secrets::default();
        let seen: HashSet<Secret> = (0..10 * SUPPLY + 1).map(|_| secrets.next()).collect();
        assert_eq!(seen.len(), 10 * SUPPLY + 1);
    }
}
