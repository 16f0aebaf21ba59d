//! The conditions of a comparison in words: the machine and the load.

use std::fs;
use std::process::Command;

use crate::cli::CompareArgs;

/// A paragraph that says on what machine and under what load the numbers were measured.
pub(super) fn conditions(args: &CompareArgs) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let cpu = cpu.map_or("unknown CPU", |(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let node = Command::new("node").arg("--version").output();
    let node =
        node.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    format!(
        "Machine: {cpus} CPUs of {cpu}, Linux {}, loopback. Node.js {node}; REALTIME_CORES={}; server CPUs {}, load \
         tester CPUs {}.\n\nLoad: {} connections in rooms of {}, held {:?} idle; then {} messages/s of {} bytes for \
         {:?}. {} rounds, alternating; each cell is the median (lowest..highest) of the rounds.\n",
        kernel.trim(),
        args.cores,
        args.server_cpus.as_deref().unwrap_or("any"),
        args.client_cpus.as_deref().unwrap_or("any"),
        args.connections,
        args.members,
        args.hold,
        args.load.rate,
        args.load.payload,
        args.load.duration,
        args.rounds,
    )
}
