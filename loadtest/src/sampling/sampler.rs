//! The thread that reads the server and the tester four times a second while a scenario runs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::clock::Moment;
use crate::fleet::{Totals, Watch};
use crate::sampling::Sample;
use crate::sampling::series::{Row, Rows, Series, Use};

/// How often it reads.
const INTERVAL: Duration = Duration::from_millis(250);

/// A running sampler; it ends with [`Sampler::finish`], or by itself when it is dropped.
pub struct Sampler {
    phases: Sender<&'static str>,
    handle: JoinHandle<Series>,
}

/// What was read last.
struct Reading {
    server: Option<Sample>,
    own: Sample,
    totals: Totals,
}

impl Sampler {
    /// Begins to read the process `server_pid`, this process, and what `fleet` shows.
    ///
    /// # Errors
    /// If one of the processes cannot be read or the kernel refuses a thread.
    pub fn begin(server_pid: Option<u32>, fleet: Watch) -> Result<Self> {
        let (phases, coming_phases) = channel();
        let first = Reading {
            server: server_pid.map(Sample::read).transpose()?,
            own: Sample::own()?,
            totals: fleet.totals(),
        };
        let handle = thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || run(server_pid, &fleet, &coming_phases, first))
            .context("cannot start a thread")?;
        Ok(Self { phases, handle })
    }

    /// Notes that the run enters a phase of this name.
    pub fn enter_phase(&self, name: &'static str) {
        // Without a thread to take it there is no series to note it in either, which `finish` says.
        let _ = self.phases.send(name);
    }

    /// Reads once more, ends the thread and returns what it read.
    ///
    /// # Errors
    /// If the thread has panicked.
    pub fn finish(self) -> Result<Series> {
        drop(self.phases);
        self.handle.join().map_err(|_| anyhow!("the sampler panicked"))
    }
}

/// Reads at every interval until nobody listens any more; woken by time, by phases and by the end.
fn run(server_pid: Option<u32>, fleet: &Watch, phases: &Receiver<&'static str>, first: Reading) -> Series {
    let start = first.own.at;
    let mut rows = Rows::new(INTERVAL);
    let mut last = first;
    let mut due = start + INTERVAL;
    loop {
        match phases.recv_timeout(due.since(Moment::now())) {
            Ok(name) => {
                rows.enter_phase(Moment::now().since(start).as_secs_f64(), name);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => due = next_due(due),
            Err(RecvTimeoutError::Disconnected) => {
                if let Some(row) = read(server_pid, fleet, &mut last, start) {
                    rows.push(row);
                }
                return rows.into_series();
            }
        }
        if let Some(row) = read(server_pid, fleet, &mut last, start) {
            rows.push(row);
        }
    }
}

/// The next moment to read at; what was missed while the machine did something else is left out.
fn next_due(due: Moment) -> Moment {
    let (next, now) = (due + INTERVAL, Moment::now());
    if next > now { next } else { now + INTERVAL }
}

/// What was used since `last`, which becomes what is read here; `None` if this process cannot be read.
fn read(server_pid: Option<u32>, fleet: &Watch, last: &mut Reading, start: Moment) -> Option<Row> {
    let own = Sample::own().ok()?;
    // A server that has ended leaves a gap in its columns.
    let server = server_pid.and_then(|pid| Sample::read(pid).ok());
    let totals = fleet.totals();
    let seconds = own.at.since(last.own.at).as_secs_f64();
    let used = server.as_ref().zip(last.server.as_ref());
    let row = Row {
        at_s: own.at.since(start).as_secs_f64(),
        seconds,
        deliveries: totals.delivered.saturating_sub(last.totals.delivered),
        open: totals.open(),
        server: used.map(|(server, before)| Use::of(&server.usage_since(before))),
        tester: Use::of(&own.usage_since(&last.own)),
    };
    *last = Reading { server, own, totals };
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_any_length_has_a_row_at_its_end() {
        let sampler = Sampler::begin(Some(std::process::id()), Watch::default()).unwrap();
        sampler.enter_phase("waiting");
        let series = sampler.finish().unwrap();
        assert_eq!(series.at_s.len(), 1);
        assert_eq!(series.phases[0].name, "waiting");
        let server = series.server.unwrap();
        assert!(server.rss_kib[0] > 0 && server.threads[0] > 1, "{server:?}");
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error_at_once() {
        assert!(Sampler::begin(Some(u32::MAX), Watch::default()).is_err());
    }
}
