//! Sessions that another node lost, and that their clients take up here.

use super::Shard;
use crate::Now;
use crate::outputs::Outputs;

impl Shard {
    /// The record of a session that a client wants to take up, if the store had it.
    pub(super) fn restore(&mut self, ticket: u64, record: Option<&[u8]>, now: Now, out: &mut Outputs) {
        let _ = (ticket, record, now, out);
    }

    /// A client took a session up on another node that is perhaps still here: it goes to the core that its private id names.
    pub(super) fn pass_eviction(&mut self, pid: &str, out: &mut Outputs) {
        let _ = (pid, out);
    }
}
