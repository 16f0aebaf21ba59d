//! Processor time, of this thread and of another process.

use std::fs;
use std::time::Duration;

/// Of this thread, by the scheduler's account, in nanoseconds.
pub(crate) fn of_this_thread() -> Duration {
    read("/proc/thread-self/schedstat")
}

/// Of another process: that of its first thread, which is the one that does the work in Redis.
pub(crate) fn of_process(pid: u32) -> Duration {
    read(&format!("/proc/{pid}/schedstat"))
}

fn read(path: &str) -> Duration {
    let text = fs::read_to_string(path).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
