//! Whether the runs came to the places where mistakes like to be: a simulation that never congests proves nothing about
//! congestion, and one in which nobody comes back nothing about coming back.

/// Makes the counters, their sum over many runs, and their names from one list.
macro_rules! coverage {
    ($($count:ident),* $(,)?) => {
        /// How often a run came to the places where mistakes like to be.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct Coverage {
            $(pub(crate) $count: u64,)*
        }

        impl Coverage {
            pub(crate) fn add(&mut self, other: Self) {
                $(self.$count += other.$count;)*
            }

            /// A place that no run came to.
            pub(crate) fn unreached(self) -> Option<&'static str> {
                [$((stringify!($count), self.$count),)*].into_iter().find(|(_, count)| *count == 0).map(|(name, _)| name)
            }
        }
    };
}

coverage! {
    held_letters, voided_joins, retries, busy_retries, stale_letters, deliveries, refused_joins, wall_clock_jumps,
    slots_reused, frames_lost, old_cursors, foreign_pids, resumes, resumes_refused, replayed, missed, lost, recovered,
    recovered_not, evicted, revocations, late_verdicts, limited, typing_heard, presence_heard, hidden_users,
}
