//! How a node goes without sending a crowd to its neighbours: at which step it is, and when the next session may be sent
//! away. Does not know what woke it.
//!
//! ```text
//!             asked to                delay over                 empty, time over, or asked again
//!   Serving ────────────> Leaving ──────────────────> Draining ──────────────────────────────────> the cores end
//!   ready                 not ready                   takes no connections,
//!                         takes connections           sends sessions away one after the other
//! ```

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use core_shards::SessionId;
use protocol::codes::CloseReason;

use super::application::Application;
use super::core::Core;
use super::settings::SETTLEMENT_MS;
use crate::rt;

const SERVING: u8 = 0;
const LEAVING: u8 = 1;
const DRAINING: u8 = 2;

/// How many sessions may be sent away at once because a core was late with them, as a part of a second's.
const BURST_NS: u64 = 50_000_000;

/// How long a core waits before it looks whether the next session may go, at least and at most: by how much it waits is
/// by chance, so that cores and nodes do not move in step.
const STEP_MS: (u64, u64) = (5, 25);

/// The node's way out, which all cores share.
#[derive(Debug, Default)]
pub struct Drain {
    step: AtomicU8,
    is_hurried: AtomicBool,
    /// Nanoseconds from one session to the next; 0 before the first.
    gap_ns: AtomicU64,
    /// When the next session may go.
    next_ns: AtomicU64,
}

impl Drain {
    /// Whether new clients are welcome.
    pub fn is_ready(&self) -> bool {
        self.step.load(Ordering::Acquire) == SERVING
    }

    /// Whether no more connections are taken.
    pub fn is_closing(&self) -> bool {
        self.step.load(Ordering::Acquire) == DRAINING
    }

    /// The node is to go; if it was told so before, at once.
    pub(super) fn ask(&self) {
        if self.step.compare_exchange(SERVING, LEAVING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.is_hurried.store(true, Ordering::Release);
        }
    }

    /// Whether the node was told twice.
    pub(super) fn is_hurried(&self) -> bool {
        self.is_hurried.load(Ordering::Acquire)
    }

    /// From here on so many sessions are sent away in the time that is given. The first core to come here decides.
    fn begin(&self, session_count: usize, spread: Duration, now_ns: u64) {
        let spread_ns = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
        // A little faster than asked for, so that the last ones go in time.
        let gap_ns = spread_ns / 100 * 95 / u64::try_from(session_count).unwrap_or(u64::MAX).max(1);
        let set = |number: &AtomicU64, value| {
            let _ = number.compare_exchange(0, value, Ordering::AcqRel, Ordering::Acquire);
        };
        set(&self.next_ns, now_ns);
        set(&self.gap_ns, gap_ns.max(1));
        self.step.store(DRAINING, Ordering::Release);
    }

    /// Whether one more session may be sent away. Who is told yes has taken its turn.
    fn take_turn(&self, now_ns: u64) -> bool {
        let gap_ns = self.gap_ns.load(Ordering::Acquire);
        let take = |next_ns: u64| {
            (next_ns <= now_ns).then(|| next_ns.max(now_ns.saturating_sub(BURST_NS)).saturating_add(gap_ns))
        };
        self.next_ns.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }
}

/// Takes one core from its last ordinary moment to the one in which it may close everything: waits until nobody is sent
/// here any more, closes the door, and sends the sessions away. Woken by a timer; may be dropped at any time.
pub(super) async fn leave<A: Application>(core: &Rc<Core<A>>) {
    let settings = &core.shared.settings;
    rt::sleep(Duration::from_millis(settings.drain_delay_ms.into())).await;
    let spread = Duration::from_millis(settings.drain_spread_ms.into());
    let began_ns = now_ns(core);
    core.shared.drain.begin(core.shared.session_count(), spread, began_ns);
    core.deaf.set();
    let ends_ns = began_ns.saturating_add(u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX));
    let mut waiting = Vec::new();
    while core.shared.session_count() > 0 && now_ns(core) < ends_ns {
        send_away(core, &mut waiting);
        rt::sleep(Duration::from_millis(pause_ms(random(core)))).await;
    }
}

/// Sends away whoever's turn it is. `waiting` are sessions of this core in the order in which they go.
fn send_away<A: Application>(core: &Rc<Core<A>>, waiting: &mut Vec<SessionId>) {
    let seed = random(core);
    core.turn(|state, now| {
        if waiting.is_empty() {
            *waiting = state.open_sessions();
            shuffle(waiting, seed);
        }
        while let Some(id) = waiting.pop() {
            // Who has gone, or moved to another core, takes nobody's turn.
            if state.is_open(id) {
                if !core.shared.drain.take_turn(1_000 * now.monotonic_us) {
                    waiting.push(id);
                    return;
                }
                state.end(id, CloseReason::ShuttingDown, now);
            }
        }
    });
}

/// Waits until the application has done what it was asked for, on every core, and has it take its leave. Bounded: a
/// store that is away must not hold the node.
pub(super) async fn settle_up<A: Application>(core: &Rc<Core<A>>) {
    let patience_ends_ms = core.shared.now().monotonic_ms() + SETTLEMENT_MS;
    let mut has_said_goodbye = false;
    loop {
        let owes = core.turn(|state, _| state.app.owes() || state.outbox.letter_count() > 0);
        core.shared.debtors[core.id.index()].store(owes, Ordering::Release);
        let is_late = core.shared.now().monotonic_ms() >= patience_ends_ms;
        if is_late || !core.shared.debtors.iter().any(|owes| owes.load(Ordering::Acquire)) {
            if has_said_goodbye {
                return;
            }
            core.turn(|state, now| state.app.handle_shutdown(now, &mut state.out));
            has_said_goodbye = true;
        }
        rt::sleep(Duration::from_millis(STEP_MS.0)).await;
    }
}

fn now_ns<A: Application>(core: &Core<A>) -> u64 {
    core.shared.now().monotonic_us.saturating_mul(1_000)
}

fn random<A: Application>(core: &Core<A>) -> u64 {
    core.secrets.next().first_chunk().map_or(0, |seed| u64::from_le_bytes(*seed))
}

fn pause_ms(random: u64) -> u64 {
    STEP_MS.0 + random % (STEP_MS.1 - STEP_MS.0 + 1)
}

/// Puts a list into an order of chance (Fisher and Yates, with an xorshift of Marsaglia's).
fn shuffle<T>(list: &mut [T], seed: u64) {
    let mut random = seed | 1;
    for last in (1..list.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        list.swap(last, (random % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn draining(session_count: usize, seconds: u64) -> Drain {
        let drain = Drain::default();
        drain.begin(session_count, Duration::from_secs(seconds), SECOND_NS);
        drain
    }

    /// How many may go when somebody asks at this time until he is told no.
    fn turns_at(drain: &Drain, now_ns: u64) -> u64 {
        std::iter::repeat_with(|| drain.take_turn(now_ns)).take_while(|is_yes| *is_yes).count() as u64
    }

    #[test]
    fn in_no_second_do_more_go_than_a_fifth_above_the_rate() {
        let drain = draining(10_000, 10);
        let steps: Vec<u64> =
            (0..1_000).map(|step| turns_at(&drain, SECOND_NS + step * SECOND_NS / 100)).collect();
        assert!(steps.iter().sum::<u64>() >= 10_000, "all are gone in time");
        for second in steps.windows(100) {
            let count: u64 = second.iter().sum();
            assert!((1_000..=1_200).contains(&count), "{count}");
        }
    }

    #[test]
    fn who_was_late_does_not_make_up_for_it_with_a_crowd() {
        let drain = draining(1_000, 10);
        assert_eq!(turns_at(&drain, SECOND_NS), 1);
        let after_a_pause = turns_at(&drain, 5 * SECOND_NS);
        assert!((5..=7).contains(&after_a_pause), "{after_a_pause}");
    }

    #[test]
    fn the_first_core_decides_for_all() {
        let drain = draining(100, 10);
        drain.begin(7, Duration::from_secs(1), 9 * SECOND_NS);
        assert_eq!(drain.gap_ns.load(Ordering::Relaxed), 95_000_000);
    }

    #[test]
    fn who_is_asked_twice_hurries() {
        let drain = Drain::default();
        assert!(drain.is_ready() && !drain.is_closing());
        drain.ask();
        assert!(!drain.is_ready() && !drain.is_closing() && !drain.is_hurried());
        drain.ask();
        assert!(drain.is_hurried());
        drain.begin(1, Duration::ZERO, 1);
        assert!(drain.is_closing());
    }

    #[test]
    fn an_order_of_chance_has_everybody_once() {
        for seed in 0..20 {
            let mut list: Vec<u32> = (0..100).collect();
            shuffle(&mut list, seed);
            assert_ne!(list, (0..100).collect::<Vec<_>>(), "seed {seed}");
            list.sort_unstable();
            assert_eq!(list, (0..100).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}
