//! What became of the messages, in the words of the report, and what each delivery cost the server.

use crate::cli::BoundArgs;
use crate::fleet::{Outcome, Totals};
use crate::ledger::Ledger;
use crate::objectives::Objective;
use crate::report::{FanoutServer, Messages};
use crate::sampling::Usage;

/// The messages of a whole run; what is lost is known receiver by receiver.
pub(super) fn of_run(outcome: &Outcome) -> Messages {
    let ledger = &outcome.ledger;
    Messages {
        sent: outcome.sent,
        unsent: ledger.unsent,
        expected: outcome.expected,
        delivered: ledger.delivered,
        lost: outcome.lost,
        members_with_loss: outcome.receivers_with_loss,
        doubled: ledger.doubled,
        reordered: ledger.reordered,
        misrouted: ledger.misrouted,
    }
}

/// The messages between two looks at the fleet with `page` counted in between; what is lost is known for all
/// receivers together.
pub(super) fn of_span(before: &Totals, after: &Totals, page: &Ledger) -> Messages {
    let expected = after.expected - before.expected;
    let delivered = after.delivered - before.delivered;
    Messages {
        sent: after.sent - before.sent,
        unsent: page.unsent,
        expected,
        delivered,
        lost: expected.saturating_sub(delivered),
        members_with_loss: 0,
        doubled: page.doubled,
        reordered: page.reordered,
        misrouted: page.misrouted,
    }
}

/// What `delivered` messages cost the server.
pub(super) fn cost(usage: Usage, delivered: u64) -> FanoutServer {
    let per_delivery = |seconds: f64| seconds * 1e6 / delivered.max(1) as f64;
    FanoutServer {
        cpu_us_per_delivery: per_delivery(usage.cpu_s()),
        user_us_per_delivery: per_delivery(usage.user_s),
        system_us_per_delivery: per_delivery(usage.system_s),
        usage,
    }
}

/// The objectives that all scenarios with messages have in common; `failed` connections failed or were lost.
pub(super) fn objectives(bounds: &BoundArgs, messages: &Messages, failed: u64) -> [Option<Objective>; 4] {
    let count = |what, at_most: Option<u64>, measured: u64| {
        Objective::new(what, "", at_most.map(|count| count as f64), Some(measured as f64))
    };
    [
        count("lost messages", bounds.max_lost, messages.lost + messages.unsent),
        count("doubled messages", bounds.max_doubled, messages.doubled),
        count("reordered messages", bounds.max_reordered, messages.reordered),
        count("failed and lost connections", bounds.max_failed, failed),
    ]
}
