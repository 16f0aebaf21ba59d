//! The process: what runs, what it takes of the machine, whether it is going down.

use core_shards::Now;

use super::page::{Page, Type};
use crate::routes::kernel::{self, Usage};
use crate::routes::{Surroundings, VERSION};

pub(super) fn all(page: &mut Page, surroundings: &Surroundings, now: Now) {
    page.family("realtime_build_info", Type::Gauge, "The version that runs.")
        .sample(&[("version", VERSION)], 1);
    page.family(
        "realtime_io_driver_info",
        Type::Gauge,
        "The driver that was chosen at start, and the kernel.",
    )
    .sample(&[("driver", surroundings.driver.name()), ("kernel", &kernel::release())], 1);
    page.gauge(
        "realtime_config_hash",
        "A hash of the settings, so that nodes that should have the same can be compared.",
        surroundings.config_hash,
    );
    page.gauge("realtime_uptime_seconds", "Since the start.", now.monotonic_us / 1_000_000);
    let is_draining = !surroundings.shared.drain.is_ready();
    page.gauge("realtime_draining", "Whether the node is going down.", u64::from(is_draining));
    let remaining = if is_draining { surroundings.session_count() } else { 0 };
    page.gauge(
        "realtime_drain_remaining",
        "Sessions that a node that goes down has not sent away.",
        remaining,
    );
    let Usage { resident_bytes, user_ms, system_ms, descriptors, descriptors_max } = kernel::usage();
    page.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes);
    let cpu_seconds = (user_ms + system_ms) as f64 / 1e3;
    page.counter(
        "process_cpu_seconds_total",
        "Processor time used, in user mode and in the kernel.",
        cpu_seconds,
    );
    if let (Some(open), Some(max)) = (descriptors, descriptors_max) {
        page.gauge("process_open_fds", "Open file descriptors.", open);
        page.gauge("process_max_fds", "File descriptors that the process may open.", max);
        let ratio = open as f64 / max.max(1) as f64;
        page.gauge("realtime_fd_used_ratio", "How many of the file descriptors are open, 1 for all.", ratio);
    }
}
