//! How the operator of a simulated node has set it up: small numbers, so that bounds and ends are met often.

use std::sync::Arc;

use core_shards::limits::RateLimits;
use core_shards::{AccessRules, Limits};

/// Characters of content that the simulated node accepts.
pub(super) const CONTENT_CHARS_MAX: usize = 40;

pub(super) fn choose(random: &mut fastrand::Rng) -> Limits {
    let mut one_of = |times: &[u64]| times[random.usize(0..times.len())];
    let presence_grace_ms = one_of(&[0, 40, 300, 30_000]);
    let recovery_window_ms = one_of(&[0, 50, 400, 5_000, 120_000, 120_000]);
    let history_life_ms = one_of(&[30, 500, 300_000, 300_000]);
    let offline_life_ms = one_of(&[0, 300, 300_000, 300_000]);
    let typing_timeout_ms = one_of(&[20, 200, 3_000]);
    let window_ms = one_of(&[20, 200, 2_500, 60_000]);
    Limits {
        channels_per_session_max: random.usize(1..5),
        message_chars_max: CONTENT_CHARS_MAX,
        presence_enabled: random.u32(0..6) > 0,
        presence_grace_ms,
        typing_timeout_ms,
        typing_debounce_ms: random.u64(0..typing_timeout_ms),
        rate: RateLimits { is_enabled: random.u32(0..3) == 0, points: random.u32(1..20), window_ms },
        history_size_max: [0, 1, 3, 8, 1_000, 1_000][random.usize(0..6)],
        history_life_ms,
        recovery_window_ms,
        offline_life_ms,
        session_timeout_ms: random.u64(0..200),
        tells_joins: random.u32(0..4) == 0,
        access: Arc::new(AccessRules { has_webhook: random.u32(0..4) == 0, ..AccessRules::default() }),
        ..Limits::default()
    }
}
