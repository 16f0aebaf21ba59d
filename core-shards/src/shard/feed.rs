//! What the store that nodes share tells of the channels that are at home here: their order.

use super::Shard;
use crate::Now;
use crate::outputs::Outputs;
use crate::store::{Refused, StoreEvent};

impl Shard {
    /// Something happened to the partitions whose feed this core hears.
    pub(super) fn hear_feed(&mut self, event: StoreEvent, now: Now, out: &mut Outputs) {
        let _ = (event, now, out);
    }

    /// A request about channels came to nothing.
    pub(super) fn hear_refusal(&mut self, refused: Refused, now: Now, out: &mut Outputs) {
        let _ = (refused, now, out);
    }
}
