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

mod family;
pub mod sampler;
pub mod series;

/// A process whose CPU time is more than this share of what its busy threads and its CPUs allow is at its limit.
const SATURATED_SHARE: f64 = 0.9;
/// A thread that is on a CPU for less than this share of the time is a helper, not one that carries the load.
const BUSY_SHARE_MIN: f64 = 0.1;
/// A process that waits for a CPU for a larger share of the time shares its cores with something else.
const WAITING_SHARE_MAX: f64 = 0.1;

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
    /// How many CPUs it may run on.
    pub cpu_count: usize,
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
    /// Nanoseconds that it could have run but waited for a CPU.
    pub wait_nanos: u64,
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
    /// The share of the time that a thread was on a CPU or waiting for one, of the thread that was so most.
    pub hungriest_thread: f64,
    /// Whether the process could not have used much more CPU: all threads that carry its load, or all CPUs that it
    /// may run on, were busy.
    pub is_saturated: bool,
    /// Resident memory at the end, in KiB.
    pub rss_kib: u64,
    /// The highest resident memory of the process so far, in KiB.
    pub rss_peak_kib: u64,
    /// Threads at the end.
    pub threads: usize,
}

impl Sample {
    /// Reads process `pid` and those below it, as one. Memory that they share counts for each of them.
    ///
    /// # Errors
    /// If there is no such process or it may not be read.
    pub fn read(pid: u32) -> Result<Self> {
        let at = |pid: u32| Self::read_at(&PathBuf::from(format!("/proc/{pid}")));
        let mut sample = at(pid).with_context(|| format!("cannot read process {pid}"))?;
        // One that has ended meanwhile has nothing to add.
        family::descendants(pid).into_iter().flat_map(at).for_each(|below| sample.add(below));
        Ok(sample)
    }

    fn add(&mut self, below: Self) {
        self.rss_kib += below.rss_kib;
        self.rss_peak_kib += below.rss_peak_kib;
        self.threads.extend(below.threads);
        self.user_ticks += below.user_ticks;
        self.system_ticks += below.system_ticks;
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
            cpu_count: cpu_count(&status).unwrap_or(usize::MAX),
            user_ticks,
            system_ticks,
        })
    }

    /// What was used from `earlier` to here.
    pub fn usage_since(&self, earlier: &Self) -> Usage {
        let seconds = self.at.since(earlier.at).as_secs_f64();
        let share = |nanos: u64| if seconds > 0.0 { nanos as f64 / 1e9 / seconds } else { 0.0 };
        let threads = || self.threads.iter().map(|thread| thread.since(&earlier.threads));
        let busy_threads = threads().filter(|thread| share(thread.cpu_nanos) > BUSY_SHARE_MIN).count();
        let precise_s = threads().map(|thread| thread.cpu_nanos).sum::<u64>() as f64 / 1e9;

        let user = self.user_ticks.saturating_sub(earlier.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(earlier.system_ticks) as f64;
        let ticks = user + system;
        let system_share = if ticks > 0.0 { system / ticks } else { 0.0 };
        // Threads that ended in between are only in the ticks, which are rounded by up to one in each of the two.
        let ticks_s = (ticks - 2.0) / clock_ticks_per_second() as f64;
        let cpu_s = precise_s.max(ticks_s);
        let cores_max = busy_threads.min(self.cpu_count) as f64;
        Usage {
            seconds,
            user_s: cpu_s * (1.0 - system_share),
            system_s: cpu_s * system_share,
            busiest_thread: share(threads().map(|thread| thread.cpu_nanos).max().unwrap_or(0)),
            hungriest_thread: share(threads().map(|thread| thread.runnable_nanos()).max().unwrap_or(0)),
            is_saturated: busy_threads > 0 && cpu_s >= SATURATED_SHARE * cores_max * seconds,
            rss_kib: self.rss_kib,
            rss_peak_kib: self.rss_peak_kib,
            threads: self.threads.len(),
        }
    }
}

impl ThreadTime {
    /// What this thread used since it was among `earlier`, or since its start if it was not.
    fn since(&self, earlier: &[Self]) -> Self {
        let before = earlier.iter().find(|before| before.id == self.id);
        let before = before.map_or((0, 0), |before| (before.cpu_nanos, before.wait_nanos));
        Self {
            id: self.id,
            cpu_nanos: self.cpu_nanos.saturating_sub(before.0),
            wait_nanos: self.wait_nanos.saturating_sub(before.1),
        }
    }

    /// Nanoseconds on a CPU or waiting for one.
    const fn runnable_nanos(&self) -> u64 {
        self.cpu_nanos.saturating_add(self.wait_nanos)
    }
}

impl Usage {
    /// User and system time together, in seconds.
    pub const fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }

    /// The share of the time that its busiest thread waited for a CPU that something else was using.
    pub fn waiting_share(&self) -> f64 {
        (self.hungriest_thread - self.busiest_thread).max(0.0)
    }

    /// Whether that is so much that its numbers are those of a machine with too much to do.
    pub fn was_kept_waiting(&self) -> bool {
        self.waiting_share() > WAITING_SHARE_MAX
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
        let (cpu_nanos, wait_nanos) = run_times(&text).context("unknown form of schedstat")?;
        threads.push(ThreadTime { id, cpu_nanos, wait_nanos });
    }
    Ok(threads)
}

/// "No such process": the thread ended between the listing and the reading.
const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();

/// Nanoseconds on a CPU and waiting for one: the first two fields of `schedstat`.
fn run_times(schedstat: &str) -> Option<(u64, u64)> {
    let mut fields = schedstat.split(' ');
    Some((fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?))
}

/// How many CPUs the line `Cpus_allowed_list:  0,2-3` in `/proc/<pid>/status` names.
fn cpu_count(status: &str) -> Option<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let counts = list.trim().split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    counts.sum()
}

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
    fn cpus_that_it_may_run_on_are_counted() {
        for (list, expected) in [("0", Some(1)), ("0,2-3", Some(3)), ("0-3", Some(4)), ("3-0", None)] {
            assert_eq!(cpu_count(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n")), expected, "{list}");
        }
        assert_eq!(cpu_count("Name:\tx\n"), None);
    }

    /// A process on `cpu_count` CPUs whose threads were on a CPU for these shares of a second.
    fn check_saturated(cpu_count: usize, shares: &[f64], expected: bool) {
        let sample = |at, share: f64| Sample {
            at: Moment(at),
            rss_kib: 1,
            rss_peak_kib: 1,
            threads: (0..)
                .zip(shares)
                .map(|(id, busy)| ThreadTime { id, cpu_nanos: (busy * share * 1e9) as u64, wait_nanos: 0 })
                .collect(),
            cpu_count,
            user_ticks: 0,
            system_ticks: 0,
        };
        let usage = sample(1_000_000_000, 1.0).usage_since(&sample(0, 0.0));
        assert_eq!(usage.is_saturated, expected, "{shares:?} on {cpu_count}");
    }

    #[test]
    fn a_server_is_saturated_when_its_threads_or_its_cpus_are() {
        check_saturated(4, &[0.97, 0.01], true);
        check_saturated(4, &[0.97, 0.5], false);
        check_saturated(4, &[0.95, 0.96], true);
        check_saturated(1, &[0.3, 0.35, 0.3], true);
        check_saturated(4, &[0.01], false);
        check_saturated(4, &[], false);
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
