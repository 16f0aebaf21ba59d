//! What was used over time: rows while a run lasts, columns in its report. It does not read anything itself.

use std::time::Duration;

use serde::Serialize;

use crate::sampling::Usage;

/// How many rows are kept. When there are more, each two become one: a run of any length has from half of these to
/// all of them, and they take at most 200 KiB.
const ROWS_MAX: usize = 1200;
/// How many phases are kept; further ones are not noted.
const PHASES_MAX: usize = 64;

/// What a process used in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Use {
    user_s: f64,
    system_s: f64,
    busiest_s: f64,
    rss_kib: u64,
    threads: usize,
}

/// One interval.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// When it ended, in seconds after the start of the run.
    pub(super) at_s: f64,
    /// How long it was, in seconds.
    pub(super) seconds: f64,
    /// Messages that members got in it.
    pub(super) deliveries: u64,
    /// Connections that were ready at its end.
    pub(super) open: u64,
    /// The server, if its process is known and was there.
    pub(super) server: Option<Use>,
    /// The tester.
    pub(super) tester: Use,
}

/// The intervals so far, never more than [`ROWS_MAX`].
pub(super) struct Rows {
    interval: Duration,
    rows: Vec<Row>,
    phases: Vec<Phase>,
    /// How many intervals become one row.
    per_row: u32,
    /// The row that is not whole yet, and of how many intervals it is.
    begun: Option<(Row, u32)>,
}

/// A run over time: one value in each column for each row of [`Series::at_s`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    /// How far rows are apart, in milliseconds; the last one may be nearer.
    pub interval_ms: u64,
    /// When each row ended, in seconds after the start of the run.
    pub at_s: Vec<f64>,
    /// What the run did from when on.
    pub phases: Vec<Phase>,
    /// Messages that members got, per second.
    pub deliveries_per_s: Vec<f64>,
    /// Connections that were ready.
    pub open: Vec<u64>,
    /// The server, if its process is known.
    pub server: Option<ProcessSeries>,
    /// The tester.
    pub tester: ProcessSeries,
}

/// A part of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// When it began, in seconds after the start of the run.
    pub at_s: f64,
    /// What it is, such as `sending`.
    pub name: &'static str,
}

/// A process over time; where it could not be read, all is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProcessSeries {
    /// Cores in use in user mode.
    pub user_cores: Vec<f64>,
    /// Cores in use in the kernel.
    pub system_cores: Vec<f64>,
    /// The share of the time that the busiest thread was on a CPU, from 0 to 1.
    pub busiest_thread: Vec<f64>,
    /// Resident memory, in KiB.
    pub rss_kib: Vec<u64>,
    /// Threads.
    pub threads: Vec<usize>,
}

impl Use {
    /// What `usage` says.
    pub(super) fn of(usage: &Usage) -> Self {
        let Usage { user_s, system_s, rss_kib, threads, .. } = *usage;
        Self { user_s, system_s, busiest_s: usage.busiest_thread * usage.seconds, rss_kib, threads }
    }

    fn and_then(self, later: Self) -> Self {
        Self {
            user_s: self.user_s + later.user_s,
            system_s: self.system_s + later.system_s,
            busiest_s: self.busiest_s + later.busiest_s,
            ..later
        }
    }
}

impl Row {
    fn and_then(self, later: Self) -> Self {
        Self {
            seconds: self.seconds + later.seconds,
            deliveries: self.deliveries + later.deliveries,
            server: self.server.zip(later.server).map(|(one, other)| one.and_then(other)),
            tester: self.tester.and_then(later.tester),
            ..later
        }
    }
}

impl Rows {
    /// No rows yet, of intervals of this length.
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, rows: Vec::new(), phases: Vec::new(), per_row: 1, begun: None }
    }

    /// Notes a phase.
    pub(super) fn enter_phase(&mut self, at_s: f64, name: &'static str) {
        if self.phases.len() < PHASES_MAX {
            self.phases.push(Phase { at_s: rounded(at_s), name });
        }
    }

    /// Adds an interval.
    pub(super) fn push(&mut self, row: Row) {
        let (row, count) = match self.begun.take() {
            Some((begun, count)) => (begun.and_then(row), count + 1),
            None => (row, 1),
        };
        if count < self.per_row {
            self.begun = Some((row, count));
            return;
        }
        self.rows.push(row);
        if self.rows.len() == ROWS_MAX {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        while let Some(row) = rows.next() {
            self.rows.push(match rows.next() {
                Some(later) => row.and_then(later),
                None => row,
            });
        }
        self.per_row = self.per_row.saturating_mul(2);
    }

    /// The columns.
    pub(super) fn into_series(mut self) -> Series {
        self.rows.extend(self.begun.take().map(|(row, _)| row));
        let rows = &self.rows;
        let has_server = rows.iter().any(|row| row.server.is_some());
        Series {
            interval_ms: self.interval.as_millis() as u64 * u64::from(self.per_row),
            at_s: rows.iter().map(|row| rounded(row.at_s)).collect(),
            phases: self.phases,
            deliveries_per_s: rows.iter().map(|row| per_second(row.deliveries as f64, row).round()).collect(),
            open: rows.iter().map(|row| row.open).collect(),
            server: has_server.then(|| process(rows, |row| row.server.unwrap_or_default())),
            tester: process(rows, |row| row.tester),
        }
    }
}

fn process(rows: &[Row], of: impl Fn(&Row) -> Use) -> ProcessSeries {
    let share = |seconds: fn(Use) -> f64| {
        rows.iter().map(|row| rounded(per_second(seconds(of(row)), row))).collect::<Vec<f64>>()
    };
    ProcessSeries {
        user_cores: share(|used| used.user_s),
        system_cores: share(|used| used.system_s),
        busiest_thread: share(|used| used.busiest_s),
        rss_kib: rows.iter().map(|row| of(row).rss_kib).collect(),
        threads: rows.iter().map(|row| of(row).threads).collect(),
    }
}

fn per_second(amount: f64, row: &Row) -> f64 {
    if row.seconds > 0.0 { amount / row.seconds } else { 0.0 }
}

/// Thousandths, which keeps a line of JSON short.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at_s: f64) -> Row {
        let used = Use { user_s: 0.1, system_s: 0.05, busiest_s: 0.12, rss_kib: 7, threads: 3 };
        Row { at_s, seconds: 0.25, deliveries: 100, open: 5, server: Some(used), tester: used }
    }

    #[test]
    fn rates_are_per_second_and_memory_is_the_last() {
        let mut rows = Rows::new(Duration::from_millis(250));
        rows.push(row(0.25));
        let series = rows.into_series();
        assert_eq!((series.deliveries_per_s, series.open), (vec![400.0], vec![5]));
        let server = series.server.unwrap();
        assert_eq!(
            (server.user_cores[0], server.system_cores[0], server.busiest_thread[0]),
            (0.4, 0.2, 0.48)
        );
        assert_eq!((server.rss_kib[0], server.threads[0]), (7, 3));
    }

    #[test]
    fn long_runs_keep_all_that_happened_in_bounded_memory() {
        let mut rows = Rows::new(Duration::from_millis(250));
        let intervals = 10 * ROWS_MAX + 1;
        (1..=intervals).for_each(|number| rows.push(row(number as f64 * 0.25)));
        let series = rows.into_series();
        assert!(series.at_s.len() <= ROWS_MAX && series.at_s.len() >= ROWS_MAX / 2, "{}", series.at_s.len());
        assert_eq!(series.at_s.last(), Some(&(intervals as f64 * 0.25)));
        assert!(series.deliveries_per_s.iter().all(|&rate| rate == 400.0));
        assert_eq!(series.interval_ms, 16 * 250);
    }

    #[test]
    fn without_a_server_there_are_no_columns_of_it() {
        let mut rows = Rows::new(Duration::from_millis(250));
        rows.push(Row { server: None, ..row(0.25) });
        assert!(rows.into_series().server.is_none());
    }
}
