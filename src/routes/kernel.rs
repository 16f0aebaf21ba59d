//! What the kernel says about this process: memory, processor time, descriptors. A few small files, read when asked.

use std::fs;
use std::sync::OnceLock;

/// What the process uses. Zero, or none, where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Resident memory.
    pub(super) resident_bytes: u64,
    /// Processor time in user mode.
    pub(super) user_ms: u64,
    /// Processor time in the kernel.
    pub(super) system_ms: u64,
    /// Open descriptors; since Linux 6.2.
    pub(super) descriptors: Option<u64>,
    /// Descriptors that the process may open.
    pub(super) descriptors_max: Option<u64>,
}

/// What the process uses now.
pub(super) fn usage() -> Usage {
    let (user_ms, system_ms) = fs::read_to_string("/proc/self/stat").map_or((0, 0), |text| times_of(&text));
    Usage {
        resident_bytes: fs::read_to_string("/proc/self/status").map_or(0, |text| resident_of(&text)),
        user_ms,
        system_ms,
        // Its size is the number of descriptors, so nothing has to be listed.
        descriptors: fs::metadata("/proc/self/fd").ok().map(|folder| folder.len()).filter(|count| *count > 0),
        descriptors_max: descriptors_max(),
    }
}

/// The kernel's release, such as `6.18.1`; letters, digits and `.-_+~` only.
pub(super) fn release() -> String {
    static RELEASE: OnceLock<String> = OnceLock::new();
    let read = || {
        let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        text.chars().filter(|letter| letter.is_ascii_alphanumeric() || ".-_+~".contains(*letter)).collect()
    };
    RELEASE.get_or_init(read).clone()
}

/// It does not change while the process runs, unless somebody changes it from outside.
fn descriptors_max() -> Option<u64> {
    static MAX: OnceLock<Option<u64>> = OnceLock::new();
    *MAX.get_or_init(|| soft_limit_of(&fs::read_to_string("/proc/self/limits").ok()?))
}

/// The soft limit in the table of limits: `Max open files  1024  4096  files`.
fn soft_limit_of(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resident_of(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    1_024 * kib.unwrap_or(0)
}

/// User and system time: the 14th and 15th field, in ticks of 10 ms on every Linux. The name before may hold anything,
/// also spaces and parentheses.
fn times_of(stat: &str) -> (u64, u64) {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().unwrap_or(0));
    (10 * ticks.next().unwrap_or(0), 10 * ticks.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read_as_the_kernel_writes_them() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 120 34 0 0 20 0 5 0 1 2 3";
        assert_eq!(times_of(stat), (1_200, 340));
        assert_eq!(times_of("nonsense"), (0, 0));
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    8472 kB\nThreads:\t5\n"), 8_472 * 1_024);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(soft_limit_of(limits), Some(1_024));
        assert_eq!(soft_limit_of("Max open files  unlimited  unlimited  files"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.resident_bytes > 0 && usage.descriptors_max > Some(0), "{usage:?}");
        assert!(!release().is_empty());
    }
}
