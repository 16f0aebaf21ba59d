//! Whether the runs came to the places where mistakes like to be: a simulation that never congests proves nothing about
//! congestion.

/// How often a run came to the places where mistakes like to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) held_letters: u64,
    pub(crate) voided_joins: u64,
    pub(crate) retries: u64,
    pub(crate) busy_retries: u64,
    pub(crate) stale_letters: u64,
    pub(crate) deliveries: u64,
    pub(crate) refused_joins: u64,
    pub(crate) wall_clock_jumps: u64,
    pub(crate) slots_reused: u64,
}

impl Coverage {
    pub(crate) fn add(&mut self, mut other: Self) {
        for ((_, sum), (_, more)) in self.counts_mut().into_iter().zip(other.counts_mut()) {
            *sum += *more;
        }
    }

    /// A place that no run came to.
    pub(crate) fn unreached(mut self) -> Option<&'static str> {
        self.counts_mut().into_iter().find(|(_, count)| **count == 0).map(|(name, _)| name)
    }

    fn counts_mut(&mut self) -> [(&'static str, &mut u64); 9] {
        [
            ("held letters", &mut self.held_letters),
            ("voided joins", &mut self.voided_joins),
            ("retries", &mut self.retries),
            ("busy retries", &mut self.busy_retries),
            ("stale letters", &mut self.stale_letters),
            ("deliveries", &mut self.deliveries),
            ("refused joins", &mut self.refused_joins),
            ("wall clock jumps", &mut self.wall_clock_jumps),
            ("slots reused", &mut self.slots_reused),
        ]
    }
}
