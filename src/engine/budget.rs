//! What a core keeps of requests and messages that have not arrived whole: bounded for all of its connections
//! together, because each of them alone may send as much as a message may have.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use protocol::socket_io::Assembler;

use super::metrics::EngineMetrics;
use super::settings::BODIES_BYTES_MAX;

/// The bytes of one core.
#[derive(Debug)]
pub(super) struct Budget {
    used_bytes: Cell<usize>,
    metrics: Arc<EngineMetrics>,
}

impl Budget {
    /// An unused budget.
    pub(super) fn new(metrics: Arc<EngineMetrics>) -> Rc<Self> {
        Rc::new(Self { used_bytes: Cell::new(0), metrics })
    }

    fn set_used(&self, bytes: usize) {
        self.used_bytes.set(bytes);
        self.metrics.half_received_bytes.set(bytes as u64);
    }
}

/// What one connection has taken of the budget. Dropping it gives that back.
#[derive(Debug)]
pub(super) struct Bill {
    budget: Rc<Budget>,
    bytes: usize,
}

impl Bill {
    /// A bill of nothing.
    pub(super) fn new(budget: &Rc<Budget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// The connection keeps so many bytes. `false` if there is no room for more than it had: then they are to be
    /// given up.
    #[must_use]
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let used_bytes = self.budget.used_bytes.get() - self.bytes + bytes;
        if bytes > self.bytes && used_bytes > BODIES_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.budget.set_used(used_bytes);
        true
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.budget.set_used(self.budget.used_bytes.get() - self.bytes);
    }
}

/// A packet whose attachments have not all come, and the bill for it and for the message that carries the next one:
/// two words, and no heap in between.
#[derive(Debug, Default)]
pub(super) struct HalfReceived {
    /// The packet.
    pub(super) assembler: Assembler,
    bill: Option<Box<Bill>>,
}

impl HalfReceived {
    /// Brings the bill up to date; `message_bytes` are kept of a message. `false` if there is no room for so much.
    #[must_use]
    pub(super) fn settle(&mut self, budget: &Rc<Budget>, message_bytes: usize) -> bool {
        let bytes = message_bytes + self.assembler.held_bytes();
        match &mut self.bill {
            None if bytes == 0 => true,
            bill if bytes == 0 => {
                *bill = None;
                true
            }
            bill => bill.get_or_insert_with(|| Box::new(Bill::new(budget))).set(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_by_others() {
        let metrics = Arc::new(EngineMetrics::default());
        let budget = Budget::new(metrics.clone());
        let (mut one, mut other) = (Bill::new(&budget), Bill::new(&budget));
        assert!(one.set(BODIES_BYTES_MAX - 10));
        assert!(!other.set(11));
        assert!(other.set(10));
        assert!(!one.set(BODIES_BYTES_MAX));
        // Less than before is never refused.
        assert!(one.set(7));
        assert_eq!(metrics.half_received_bytes.get(), 17);
        drop((one, other));
        assert_eq!(metrics.half_received_bytes.get(), 0);
    }

    #[test]
    fn nothing_half_received_costs_nothing() {
        let budget = Budget::new(Arc::default());
        let mut half = HalfReceived::default();
        assert!(half.settle(&budget, 0) && half.bill.is_none());
        assert!(half.settle(&budget, 5) && budget.used_bytes.get() == 5);
        assert!(half.assembler.text("51-[\"file\",{\"_placeholder\":true,\"num\":0}]").is_ok());
        assert!(half.settle(&budget, 0) && budget.used_bytes.get() == half.assembler.held_bytes());
        assert!(half.assembler.binary(b"whole", 1_000).is_ok());
        assert!(half.settle(&budget, 0) && half.bill.is_none());
        assert_eq!(budget.used_bytes.get(), 0);
        assert_eq!(size_of::<HalfReceived>(), 2 * size_of::<usize>());
    }
}
