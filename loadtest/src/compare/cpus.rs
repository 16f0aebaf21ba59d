//! Which CPUs a process may run on, as lists such as `0,2-3`.

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where the servers and the load tester run; `None` leaves it to the kernel.
pub(super) struct Affinity {
    /// The CPUs of the server under test.
    pub(super) server: Option<CpuSet>,
    /// The CPUs of the load tester.
    pub(super) client: Option<CpuSet>,
}

impl Affinity {
    /// Reads both lists.
    pub(super) fn new(server: Option<&str>, client: Option<&str>) -> Result<Self> {
        Ok(Self { server: server.map(read).transpose()?, client: client.map(read).transpose()? })
    }
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
    fn lists_of_cpus_are_numbers_and_ranges() {
        check("0", Some(&[0]));
        check("0,2-4", Some(&[0, 2, 3, 4]));
        check("", None);
        check("3-1", None);
        check("1-", None);
        check("9999999", None);
    }
}
