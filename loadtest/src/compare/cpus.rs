//! Which CPUs a process may run on, as lists such as `0,2-3`.

use std::num::NonZeroU32;

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// With fewer CPUs, servers and tester share them all: a tester on what is left would be what limits the run.
const CPUS_APART_MIN: u32 = 4;

/// Where the servers and the load tester run; `None` leaves it to the kernel.
pub(super) struct Affinity {
    /// The CPUs of the server under test.
    pub(super) server: Option<CpuSet>,
    /// The CPUs of the load tester.
    pub(super) client: Option<CpuSet>,
}

impl Affinity {
    /// Reads both lists. Without either, the first `cores` CPUs are the servers' and the others the tester's, if there
    /// are at least [`CPUS_APART_MIN`] and one is left.
    pub(super) fn new(server: Option<&str>, client: Option<&str>, cores: u32) -> Result<Self> {
        let listed = Self { server: server.map(read).transpose()?, client: client.map(read).transpose()? };
        if listed.server.is_some() || listed.client.is_some() {
            return Ok(listed);
        }
        let all = sched_getaffinity(None).context("cannot read the CPUs we run on")?;
        Ok(Self::divide(&all, cores))
    }

    /// The CPUs in words.
    pub(super) fn text(&self) -> String {
        format!("servers {}, load tester {}", list(self.server.as_ref()), list(self.client.as_ref()))
    }

    /// A thread for each of the tester's own CPUs; `None` if it has none of its own.
    pub(super) fn client_threads(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.client.as_ref()?.count())
    }

    fn divide(all: &CpuSet, cores: u32) -> Self {
        let (mut server, mut client) = (CpuSet::new(), CpuSet::new());
        if all.count() < CPUS_APART_MIN || all.count() <= cores {
            return Self { server: None, client: None };
        }
        for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)) {
            if server.count() < cores { server.set(cpu) } else { client.set(cpu) }
        }
        Self { server: Some(server), client: Some(client) }
    }
}

/// The numbers in `cpus`.
fn list(cpus: Option<&CpuSet>) -> String {
    let Some(cpus) = cpus else { return "any CPU".to_owned() };
    let numbers = (0..CpuSet::MAX_CPU).filter(|&cpu| cpus.is_set(cpu)).map(|cpu| cpu.to_string());
    format!("CPU {}", numbers.collect::<Vec<_>>().join(","))
}

/// Moves this thread, and the threads and processes that it starts from then on, to `cpus`.
pub(super) fn pin(cpus: Option<&CpuSet>) -> Result<()> {
    cpus.map_or(Ok(()), |cpus| sched_setaffinity(None, cpus).context("cannot run on the CPUs asked for"))
}

/// Runs `start` with this thread on `cpus`, so that what it starts stays there, and comes back.
pub(super) fn while_on<T>(cpus: Option<&CpuSet>, start: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None).context("cannot read the CPUs we run on")?;
    pin(cpus)?;
    let started = start();
    pin(Some(&before))?;
    started
}

/// Reads a list such as `0,2-3`.
fn read(list: &str) -> Result<CpuSet> {
    let mut cpus = CpuSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number =
            |text: &str| text.trim().parse::<usize>().with_context(|| format!("not a list of CPUs: {list}"));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= CpuSet::MAX_CPU {
            bail!("not a list of CPUs: {list}");
        }
        (first..=last).for_each(|cpu| cpus.set(cpu));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, expected: Option<&[usize]>) {
        let found = read(list).ok().map(|cpus| (0..64).filter(|&cpu| cpus.is_set(cpu)).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{list}");
    }

    #[test]
    fn the_first_cpus_are_the_servers_where_there_are_enough() {
        for (all, cores, expected) in [
            ("0-3", 1, "servers CPU 0, load tester CPU 1,2,3"),
            ("2-7", 2, "servers CPU 2,3, load tester CPU 4,5,6,7"),
            ("0-3", 4, "servers any CPU, load tester any CPU"),
            ("0-1", 1, "servers any CPU, load tester any CPU"),
        ] {
            assert_eq!(Affinity::divide(&read(all).unwrap(), cores).text(), expected);
        }
    }

    #[test]
    fn lists_of_cpus_are_numbers_and_ranges() {
        check("0", Some(&[0]));
        check("0,2-4", Some(&[0, 2, 3, 4]));
        check("", None);
        check("3-1", None);
        check("1-", None);
        check("9999999", None);
    }
}
