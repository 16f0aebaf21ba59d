//! Who is there on other nodes, and which nodes live.

use super::Shard;
use crate::Now;
use crate::cursor::RunId;
use crate::outputs::Outputs;
use crate::store::Topic;

impl Shard {
    /// Another node told something that is not kept.
    pub(super) fn hear_signal(&mut self, topic: &Topic, signal: &[u8], now: Now, out: &mut Outputs) {
        let _ = now;
        let word = protocol::relay::signal::Signal::read(signal).map(|signal| signal.word);
        if let (Topic::Node(_), Some(protocol::relay::signal::Word::Evicted { pid })) = (topic, word) {
            self.pass_eviction(pid, out);
        }
    }

    /// Which nodes live.
    pub(super) fn hear_leases(
        &mut self,
        was_held: bool,
        was_any: bool,
        alive: &[(RunId, u32)],
        now: Now,
        out: &mut Outputs,
    ) {
        let _ = (was_held, was_any, alive, now, out);
    }
}
