//! Who was refused what: identities, rights, rates.

use std::sync::atomic::Ordering;

use core_shards::access::Outcome;
use core_shards::shard::RateClass;
use protocol::codes::ErrorCode;

use super::page::{Page, Type};
use crate::auth::Denial;
use crate::routes::Surroundings;

/// Every class of the rate limits with its label, in the order of their numbers.
const RATE_CLASSES: [(RateClass, &str); RateClass::COUNT] = [
    (RateClass::Message, "message"),
    (RateClass::Typing, "typing"),
    (RateClass::Presence, "presence"),
    (RateClass::Receipt, "receipt"),
    (RateClass::Membership, "membership"),
];

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    let refused = |code: ErrorCode| surroundings.sum_shards(|shard| &shard.refusals[code as usize]);
    page.by(
        "code",
        ("realtime_refusals_total", Type::Counter, "Refused events and calls."),
        ErrorCode::ALL.map(|code| (code.name(), refused(code))),
    );
    page.by(
        "class",
        ("realtime_ratelimited_total", Type::Counter, "Events and calls over their user's limit."),
        RATE_CLASSES.map(|(class, label)| {
            (label, surroundings.sum_shards(|shard| &shard.rate_limited[class as usize]))
        }),
    );
    page.by(
        "reason",
        ("realtime_auth_failures_total", Type::Counter, "Refused identities."),
        Denial::ALL
            .map(|(denial, label)| (label, surroundings.sum_doors(|door| &door.denials[denial as usize]))),
    );
    page.counter(
        "realtime_token_expired_total",
        "Sessions told that their token has expired.",
        refused(ErrorCode::TokenExpired),
    );
    page.counter(
        "realtime_authz_denied_total",
        "Channels that somebody wanted and may not have.",
        refused(ErrorCode::RoomAccessDenied),
    );
    page.counter(
        "realtime_evictions_total",
        "Memberships ended because their permission did.",
        surroundings.sum_shards(|shard| &shard.evictions),
    );
    webhook(page, surroundings);
}

/// All zero on a node that asks nobody, so that a dashboard finds its series.
fn webhook(page: &mut Page, surroundings: &Surroundings) {
    let metrics = surroundings.permissions.as_ref().map(|permissions| permissions.metrics());
    page.by(
        "outcome",
        (
            "realtime_permission_answers_total",
            Type::Counter,
            "How questions to the permission webhook ended.",
        ),
        Outcome::ALL.map(|(outcome, label)| {
            let count = |metrics: &crate::permissions::PermissionMetrics| {
                metrics.outcomes[outcome as usize].load(Ordering::Relaxed)
            };
            (label, metrics.map_or(0, count))
        }),
    );
    let asked = metrics.map_or(0, |metrics| metrics.asked.load(Ordering::Relaxed));
    page.counter(
        "realtime_permission_asked_total",
        "Questions that the permission webhook was asked.",
        asked,
    );
    let asked_us = metrics.map_or(0, |metrics| metrics.asked_us.load(Ordering::Relaxed));
    page.counter(
        "realtime_permission_asked_seconds_total",
        "What it took for them, in sum.",
        asked_us as f64 / 1e6,
    );
    page.gauge(
        "realtime_permission_entries",
        "Answers remembered, and questions on their way.",
        surroundings.sum_shards(|shard| &shard.access_entries),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_classes_stand_in_the_order_of_their_numbers() {
        for (number, (class, label)) in RATE_CLASSES.into_iter().enumerate() {
            assert_eq!(class as usize, number, "{label}");
        }
    }
}
