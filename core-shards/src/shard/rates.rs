//! How much one user may do: a fixed window per class of operation, counted over all of the user's devices.
//!
//! Knows neither what is refused nor how that is said; whoever asks decides.

use crate::limits::RateLimits;

/// What an operation counts as. Each class has a window of its own: who types too much may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClass {
    /// A message, over a socket or REST.
    Message,
    /// Somebody begins or stops typing.
    Typing,
    /// A presence that changes.
    Presence,
    /// A read receipt or a reaction.
    Receipt,
    /// Joining or leaving a channel.
    Membership,
}

impl RateClass {
    /// How many classes there are.
    pub const COUNT: usize = 5;

    /// Clients join all of their channels in one burst when they reconnect.
    const fn factor(self) -> u32 {
        match self {
            Self::Membership => 5,
            Self::Message | Self::Typing | Self::Presence | Self::Receipt => 1,
        }
    }
}

/// The operation is within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Operations that fit a window; `u32::MAX` where nothing is limited.
    pub(super) limit: u32,
    /// How many more fit this window.
    pub(super) remaining: u32,
    /// Milliseconds until the window ends.
    pub(super) reset_ms: u64,
}

/// The operation is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// Operations that fit a window.
    pub(super) limit: u32,
    /// Milliseconds until the window ends, at least one.
    pub(super) retry_after_ms: u64,
}

/// A window is open before its end.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    end_ms: u64,
    used: u32,
}

/// The windows of one user. Somebody who never did anything costs one word.
#[derive(Debug, Default)]
pub(super) struct Rates {
    windows: Option<Box<[Window; RateClass::COUNT]>>,
}

impl Rates {
    /// Counts one operation, if there is room for it. A refused one costs nothing and prolongs nothing.
    pub(super) fn take(
        &mut self,
        class: RateClass,
        now_ms: u64,
        limits: &RateLimits,
    ) -> Result<Left, Exceeded> {
        if !limits.is_enabled {
            return Ok(Left { limit: u32::MAX, remaining: u32::MAX, reset_ms: 0 });
        }
        let limit = limits.points.saturating_mul(class.factor());
        let window = &mut self.windows.get_or_insert_default()[class as usize];
        if now_ms >= window.end_ms {
            *window = Window { end_ms: now_ms.saturating_add(limits.window_ms), used: 0 };
        }
        let reset_ms = window.end_ms - now_ms;
        if window.used >= limit {
            return Err(Exceeded { limit, retry_after_ms: reset_ms.max(1) });
        }
        window.used += 1;
        Ok(Left { limit, remaining: limit - window.used, reset_ms })
    }

    /// When the last window ends: from then on, forgetting the user's rates changes nothing. None if there was none.
    pub(super) fn end_ms(&self) -> Option<u64> {
        self.windows.iter().flat_map(|windows| windows.iter()).map(|window| window.end_ms).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RateLimits = RateLimits { is_enabled: true, points: 3, window_ms: 1_000 };

    const CLASSES: [RateClass; RateClass::COUNT] = [
        RateClass::Message,
        RateClass::Typing,
        RateClass::Presence,
        RateClass::Receipt,
        RateClass::Membership,
    ];

    #[test]
    fn a_window_begins_with_its_first_operation() {
        let mut rates = Rates::default();
        let mut take = |now_ms| rates.take(RateClass::Message, now_ms, &LIMITS);
        let left = |remaining, reset_ms| Ok(Left { limit: 3, remaining, reset_ms });
        assert_eq!(take(700), left(2, 1_000));
        assert_eq!(take(1_000), left(1, 700));
        assert_eq!(take(1_699), left(0, 1));
        assert_eq!(take(1_699), Err(Exceeded { limit: 3, retry_after_ms: 1 }));
        assert_eq!(take(1_700), left(2, 1_000));
    }

    #[test]
    fn one_class_does_not_use_up_another() {
        let mut rates = Rates::default();
        for _ in 0..4 {
            let _ = rates.take(RateClass::Typing, 0, &LIMITS);
        }
        assert!(rates.take(RateClass::Typing, 0, &LIMITS).is_err());
        let joins = (0..20).filter(|_| rates.take(RateClass::Membership, 0, &LIMITS).is_ok());
        assert_eq!(joins.count(), 15);
        assert!(rates.take(RateClass::Presence, 0, &LIMITS).is_ok());
    }

    #[test]
    fn nothing_is_limited_or_kept_when_limits_are_off() {
        let mut rates = Rates::default();
        let off = RateLimits { is_enabled: false, points: 0, window_ms: 1_000 };
        assert!((0..1_000).all(|_| rates.take(RateClass::Message, 0, &off).is_ok()));
        assert!(rates.windows.is_none());
    }

    #[test]
    fn extreme_limits_do_not_overflow() {
        let check = |points, window_ms, now_ms, is_first_allowed| {
            let limits = RateLimits { is_enabled: true, points, window_ms };
            let taken = Rates::default().take(RateClass::Membership, now_ms, &limits);
            assert_eq!(taken.is_ok(), is_first_allowed, "{limits:?}");
        };
        check(u32::MAX, u64::MAX, u64::MAX, true);
        check(0, u64::MAX, 1, false);
        check(0, 0, 1, false);
        check(1, 0, 1, true);
    }

    #[test]
    fn rates_cost_a_word_until_they_are_needed() {
        assert_eq!(size_of::<Rates>(), size_of::<usize>());
        assert!(size_of::<[Window; RateClass::COUNT]>() <= 100);
    }

    /// Counts from the beginning each time: the windows follow from the list of everything that was tried.
    fn is_allowed_by_model(tries: &[u64], limit: u32, window_ms: u64) -> bool {
        let (mut begin_ms, mut used, mut is_allowed) = (None, 0, false);
        for &now_ms in tries {
            if begin_ms.is_none_or(|begin_ms| now_ms - begin_ms >= window_ms) {
                (begin_ms, used) = (Some(now_ms), 0);
            }
            is_allowed = used < limit;
            used += u32::from(is_allowed);
        }
        is_allowed
    }

    #[test]
    fn exactly_what_a_list_of_all_operations_allows_is_allowed() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let limits =
                RateLimits { is_enabled: true, points: random.u32(0..6), window_ms: random.u64(0..60) };
            let (mut rates, mut now_ms) = (Rates::default(), random.u64(0..100));
            let mut tries = [const { Vec::new() }; RateClass::COUNT];
            for _ in 0..200 {
                now_ms += random.u64(0..1 + limits.window_ms / 2);
                let class = CLASSES[random.usize(..RateClass::COUNT)];
                let tried = &mut tries[class as usize];
                tried.push(now_ms);
                let expected = is_allowed_by_model(tried, limits.points * class.factor(), limits.window_ms);
                let taken = rates.take(class, now_ms, &limits);
                assert_eq!(taken.is_ok(), expected, "seed {seed}, {class:?} at {now_ms} ms");
            }
            let ends = rates.windows.iter().flat_map(|windows| windows.iter()).map(|window| window.end_ms);
            assert_eq!(rates.end_ms(), ends.max(), "seed {seed}");
        }
    }
}
