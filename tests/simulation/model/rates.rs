//! What is one too many: a window for each user and class that begins with the first event in it.

use std::collections::BTreeMap;

use core_shards::limits::RateLimits;

/// What events count as, and how many times the usual number of them is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Message,
    Typing,
    Presence,
    Receipt,
    Membership,
}

impl Class {
    fn limit(self, limits: &RateLimits) -> u32 {
        if self == Self::Membership { 5 * limits.points } else { limits.points }
    }
}

/// When the window of each user and class began, and what was accepted in it.
#[derive(Debug, Default)]
pub(super) struct Rates {
    windows: BTreeMap<(String, Class), (u64, u32)>,
    pub(super) refused: u64,
}

impl Rates {
    /// Whether one more is fine; if not, after how many seconds.
    pub(super) fn take(
        &mut self,
        user: &str,
        class: Class,
        now_ms: u64,
        limits: &RateLimits,
    ) -> Result<(), u64> {
        if !limits.is_enabled {
            return Ok(());
        }
        let (began_ms, accepted) = self.windows.entry((user.to_owned(), class)).or_insert((now_ms, 0));
        if now_ms - *began_ms >= limits.window_ms {
            (*began_ms, *accepted) = (now_ms, 0);
        }
        if *accepted < class.limit(limits) {
            *accepted += 1;
            return Ok(());
        }
        self.refused += 1;
        Err((*began_ms + limits.window_ms - now_ms).div_ceil(1000))
    }
}
