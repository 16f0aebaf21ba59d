//! Where a run was made: the machine in a few words, for the report's end.

use std::fs;
use std::time::SystemTime;

use serde::Serialize;

/// Words after which the next argument of a command line is a secret.
const SECRET_FLAGS: [&str; 2] = ["--secret", "--api-key"];

/// The machine that the tester runs on, and on loopback the server too.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The CPU's name, as the kernel knows it.
    pub cpu: String,
    /// How many CPUs the kernel has.
    pub cpu_count: usize,
    /// The kernel's version.
    pub kernel: String,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

impl Machine {
    /// This machine; what cannot be read stays `unknown` or 0.
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let memory =
            meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
        let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            cpu: cpu.map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            cpu_count: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: if kernel.is_empty() { "unknown".to_owned() } else { kernel },
            memory_mib: memory.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024,
        }
    }

    /// The machine, the moment and the command, as names and values.
    pub fn conditions(&self) -> Vec<(String, String)> {
        let Self { cpu, cpu_count, kernel, memory_mib } = self;
        let gib = *memory_mib as f64 / 1024.0;
        [
            ("machine", format!("{cpu_count} CPUs of {cpu}, {gib:.1} GiB")),
            ("kernel", format!("Linux {kernel}")),
            ("load tester", format!("realtime-loadtest {}", env!("CARGO_PKG_VERSION"))),
            ("finished", humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
            ("command", command(std::env::args())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// A command line without its secrets, and with the program's name in place of its path.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words = Vec::new();
    let mut is_secret = false;
    for (index, argument) in arguments.enumerate() {
        let flag = argument.split_once('=').map_or(argument.as_str(), |(flag, _)| flag);
        words.push(match argument.as_str() {
            _ if is_secret => "…".to_owned(),
            _ if index == 0 => argument.rsplit('/').next().unwrap_or_default().to_owned(),
            _ if flag != argument && SECRET_FLAGS.contains(&flag) => format!("{flag}=…"),
            _ => argument.clone(),
        });
        is_secret = SECRET_FLAGS.contains(&argument.as_str());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_shows_no_secret() {
        let arguments =
            ["a/b/realtime-loadtest", "fanout", "--secret", "s3cret", "--api-key=k3y", "--rate", "5"];
        let shown = command(arguments.map(str::to_owned).into_iter());
        assert_eq!(shown, "realtime-loadtest fanout --secret … --api-key=… --rate 5");
    }

    #[test]
    fn the_machine_is_known() {
        let machine = Machine::here();
        assert!(
            machine.cpu_count > 0 && machine.memory_mib > 0 && machine.kernel != "unknown",
            "{machine:?}"
        );
    }
}
