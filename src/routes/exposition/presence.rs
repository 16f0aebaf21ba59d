//! Who is how, who hears of it, who types.

use super::page::{Page, Type};
use crate::routes::Surroundings;

pub(super) fn all(page: &mut Page, surroundings: &Surroundings) {
    page.by(
        "status",
        (
            "realtime_presence_users",
            Type::Gauge,
            "Users by the status that others see; who hides is offline.",
        ),
        surroundings.users_by_status().map(|(status, count)| (status.name(), count)),
    );
    page.counter(
        "realtime_presence_coalesced_total",
        "Changes that went out together with others.",
        surroundings.sum_shards(|shard| &shard.presence_coalesced),
    );
    page.gauge(
        "realtime_presence_followed",
        "Users who are followed, once for each core with followers.",
        surroundings.sum_shards(|shard| &shard.followed),
    );
    page.counter(
        "realtime_typing_updates_total",
        "Changes of who types that were told.",
        surroundings.sum_shards(|shard| &shard.typing_updates),
    );
}
