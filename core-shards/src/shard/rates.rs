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

    /// The class of a number that another node gave.
    pub(super) const fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Message),
            1 => Some(Self::Typing),
            2 => Some(Self::Presence),
            3 => Some(Self::Receipt),
            4 => Some(Self::Membership),
            _ => None,
        }
    }

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
pub(super) struct Window {
    end_ms: u64,
    used: u32,
}

impl Window {
    fn take(&mut self, limit: u32, now_ms: u64, window_ms: u64) -> Result<Left, Exceeded> {
        if now_ms >= self.end_ms {
            *self = Self { end_ms: now_ms.saturating_add(window_ms), used: 0 };
        }
        let reset_ms = self.end_ms - now_ms;
        if self.used >= limit {
            return Err(Exceeded { limit, retry_after_ms: reset_ms.max(1) });
        }
        self.used += 1;
        Ok(Left { limit, remaining: limit - self.used, reset_ms })
    }
}

/// The windows of one user, two words for whoever does one kind of thing: most join a channel and listen.
#[derive(Debug, Default)]
pub(super) enum Rates {
    /// Nothing was done.
    #[default]
    Idle,
    /// One class of operations, in a window that may be over.
    One {
        /// The class.
        class: RateClass,
        /// [`Window::used`].
        used: u32,
        /// [`Window::end_ms`].
        end_ms: u64,
    },
    /// A window for each class.
    All(Box<[Window; RateClass::COUNT]>),
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
        match self {
            Self::All(windows) => windows[class as usize].take(limit, now_ms, limits.window_ms),
            Self::One { class: known, used, end_ms } if *known != class && now_ms < *end_ms => {
                let mut windows = [Window::default(); RateClass::COUNT];
                windows[*known as usize] = Window { end_ms: *end_ms, used: *used };
                let taken = windows[class as usize].take(limit, now_ms, limits.window_ms);
                *self = Self::All(Box::new(windows));
                taken
            }
            Self::Idle | Self::One { .. } => {
                let mut window = match self {
                    Self::One { class: known, used, end_ms } if *known == class => {
                        Window { end_ms: *end_ms, used: *used }
                    }
                    _ => Window::default(),
                };
                let taken = window.take(limit, now_ms, limits.window_ms);
                *self = Self::One { class, used: window.used, end_ms: window.end_ms };
                taken
            }
        }
    }

    /// When the last window ends: from then on, forgetting the user's rates changes nothing. None if there was none.
    pub(super) fn end_ms(&self) -> Option<u64> {
        match self {
            Self::Idle => None,
            Self::One { end_ms, .. } => Some(*end_ms),
            Self::All(windows) => windows.iter().map(|window| window.end_ms).max(),
        }
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
        assert!(matches!(rates, Rates::Idle));
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
    fn a_class_costs_two_words_and_all_of_them_a_hundred_bytes_more() {
        assert_eq!(size_of::<Rates>(), 2 * size_of::<usize>());
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

    /// When the window of the last operation ends.
    fn window_end_ms(tries: &[u64], window_ms: u64) -> Option<u64> {
        let later = |end_ms: Option<u64>, now_ms: &u64| match end_ms {
            Some(end_ms) if *now_ms < end_ms => Some(end_ms),
            _ => Some(now_ms + window_ms),
        };
        tries.iter().fold(None, later)
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
            let ends_ms = tries.iter().filter_map(|tries| window_end_ms(tries, limits.window_ms));
            let last_ms = ends_ms.max().filter(|end_ms| *end_ms > now_ms);
            assert_eq!(rates.end_ms().filter(|end_ms| *end_ms > now_ms), last_ms, "seed {seed}");
        }
    }
}
