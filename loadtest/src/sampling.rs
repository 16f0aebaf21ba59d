//! What a process has used so far, read from `/proc`: memory, CPU time, threads.
//!
//! CPU time is the sum of `/proc/<pid>/task/*/schedstat`, which is in nanoseconds and counts every thread,
//! kernel helpers such as io_uring's workers included. Its split into user and system time is that of
//! `/proc/<pid>/stat`, which the kernel samples at its ticks. Work that the kernel does for a socket outside of
//! any process (softirq threads) is in neither.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;
use serde::Serialize;

use crate::clock::Moment;

/// One reading of a process.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was read.
    pub at: Moment,
    /// Resident memory, in KiB, as `VmRSS` says.
    pub rss_kib: u64,
    /// The highest resident memory so far, in KiB, as `VmHWM` says.
    pub rss_peak_kib: u64,
    /// The CPU time of each living thread, in nanoseconds.
    pub threads: Vec<ThreadTime>,
    /// User time, in kernel ticks, ended threads included.
    user_ticks: u64,
    /// System time, in kernel ticks, ended threads included.
    system_ticks: u64,
}

/// One thread's CPU time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadTime {
    /// The kernel's id of the thread.
    pub id: u32,
    /// Nanoseconds on a CPU since it started.
    pub cpu_nanos: u64,
}

/// What a process used between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// The time between the samples, in seconds.
    pub seconds: f64,
    /// CPU time in user mode, in seconds.
    pub user_s: f64,
    /// CPU time in the kernel, in seconds.
    pub system_s: f64,
    /// The share of the time that the busiest thread was on a CPU, from 0 to 1.
    pub busiest_thread: f64,
    /// Resident memory at the end, in KiB.
    pub rss_kib: u64,
    /// The highest resident memory of the process so far, in KiB.
    pub rss_peak_kib: u64,
    /// Threads at the end.
    pub threads: usize,
}

impl Sample {
    /// Reads process `pid`.
    ///
    /// # Errors
    /// If there is no such process or it may not be read.
    pub fn read(pid: u32) -> Result<Self> {
        Self::read_at(&PathBuf::from(format!("/proc/{pid}")))
            .with_context(|| format!("cannot read process {pid}"))
    }

    /// Reads this process.
    ///
    /// # Errors
    /// If `/proc` is not mounted.
    pub fn own() -> Result<Self> {
        Self::read_at(Path::new("/proc/self")).context("cannot read the load tester's own use")
    }

    fn read_at(process: &Path) -> Result<Self> {
        let status = fs::read_to_string(process.join("status"))?;
        let stat = fs::read_to_string(process.join("stat"))?;
        let (user_ticks, system_ticks) = ticks(&stat).context("unknown form of /proc/<pid>/stat")?;
        Ok(Self {
            at: Moment::now(),
            rss_kib: kib(&status, "VmRSS:").context("no VmRSS: is it a kernel thread or a zombie?")?,
            rss_peak_kib: kib(&status, "VmHWM:").unwrap_or(0),
            threads: threads(&process.join("task"))?,
            user_ticks,
            system_ticks,
        })
    }

    /// What was used from `earlier` to here.
    pub fn usage_since(&self, earlier: &Self) -> Usage {
        let seconds = self.at.since(earlier.at).as_secs_f64();
        let started_at =
            |id| earlier.threads.iter().find(|before| before.id == id).map_or(0, |before| before.cpu_nanos);
        let nanos =
            || self.threads.iter().map(|thread| thread.cpu_nanos.saturating_sub(started_at(thread.id)));
        let busiest_s = nanos().max().unwrap_or(0) as f64 / 1e9;
        let precise_s = nanos().sum::<u64>() as f64 / 1e9;

        let user = self.user_ticks.saturating_sub(earlier.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(earlier.system_ticks) as f64;
        let ticks = user + system;
        let system_share = if ticks > 0.0 { system / ticks } else { 0.0 };
        // Threads that ended in between are only in the ticks, which are rounded by up to one in each of the two.
        let ticks_s = (ticks - 2.0) / clock_ticks_per_second() as f64;
        let cpu_s = precise_s.max(ticks_s);
        Usage {
            seconds,
            user_s: cpu_s * (1.0 - system_share),
            system_s: cpu_s * system_share,
            busiest_thread: if seconds > 0.0 { busiest_s / seconds } else { 0.0 },
            rss_kib: self.rss_kib,
            rss_peak_kib: self.rss_peak_kib,
            threads: self.threads.len(),
        }
    }
}

impl Usage {
    /// User and system time together, in seconds.
    pub const fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }

    /// The average number of cores in use.
    pub fn cores(&self) -> f64 {
        if self.seconds > 0.0 { self.cpu_s() / self.seconds } else { 0.0 }
    }
}

/// The CPU time of each thread under `tasks`; threads that end while we read are left out.
fn threads(tasks: &Path) -> Result<Vec<ThreadTime>> {
    let mut threads = Vec::new();
    for task in fs::read_dir(tasks)? {
        let task = task?;
        let text = match fs::read_to_string(task.path().join("schedstat")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => {
                continue;
            }
            Err(error) => return Err(error).context("no schedstat: the kernel needs CONFIG_SCHED_INFO"),
        };
        let id = task.file_name().to_string_lossy().parse().context("a thread id is a number")?;
        let cpu_nanos =
            text.split(' ').next().unwrap_or_default().parse().context("unknown form of schedstat")?;
        threads.push(ThreadTime { id, cpu_nanos });
    }
    Ok(threads)
}

/// "No such process": the thread ended between the listing and the reading.
const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();

/// The value of a line such as `VmRSS:     123 kB` in `/proc/<pid>/status`.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// User and system ticks: fields 14 and 15 of `/proc/<pid>/stat`, counted after the name in parentheses,
/// which may hold spaces and parentheses itself.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_and_parentheses_do_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 321 45 0 0 20 0 11 0 4811";
        assert_eq!(ticks(stat), Some((321, 45)));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(kib("Name:\tx\nVmHWM:\t  12 kB\nVmRSS:\t   9 kB\n", "VmRSS:"), Some(9));
        assert_eq!(kib("Name:\tx\n", "VmRSS:"), None);
    }

    #[test]
    fn work_done_between_two_samples_is_seen() {
        let before = Sample::own().unwrap();
        let mut sum = 0u64;
        while Moment::now().nanos_since(before.at) < 50_000_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let usage = Sample::own().unwrap().usage_since(&before);
        assert!(usage.cpu_s() > 0.0 && usage.busiest_thread > 0.0 && usage.rss_kib > 0, "{usage:?}");
        assert!(usage.busiest_thread <= usage.cores() + 0.01, "{usage:?}");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_with_its_number() {
        let error = Sample::read(u32::MAX).unwrap_err();
        assert!(error.to_string().contains("4294967295"));
    }
}
