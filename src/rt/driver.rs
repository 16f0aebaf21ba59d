//! Which driver a node runs on, decided once at start by trying it.

use std::fmt;
use std::io;

use io_uring::{IoUring, opcode};

/// How the kernel is asked for readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring.
    Uring,
    /// epoll, monoio's legacy driver.
    Epoll,
}

impl Driver {
    /// The name in logs, health and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What the operator asked for: `REALTIME_IO_DRIVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DriverPreference {
    /// io_uring where it works, epoll elsewhere.
    Auto,
    /// io_uring, or refuse to start.
    Uring,
    /// epoll.
    Epoll,
}

/// The driver and why it was taken.
#[derive(Clone, Debug)]
pub struct DriverChoice {
    /// The driver.
    pub driver: Driver,
    /// One sentence for the log.
    pub reason: String,
}

/// Tries a ring of the size and flags that every core will build, and falls back or refuses as asked.
///
/// # Errors
/// When io_uring was demanded and cannot be had; the text says what stood in the way.
pub fn choose_driver(preference: DriverPreference, core_count: usize) -> Result<DriverChoice, String> {
    match (preference, try_rings(core_count)) {
        (DriverPreference::Epoll, _) => {
            Ok(DriverChoice { driver: Driver::Epoll, reason: "REALTIME_IO_DRIVER=epoll".to_owned() })
        }
        (_, Ok(())) => Ok(DriverChoice {
            driver: Driver::Uring,
            reason: "a ring for every core could be built".to_owned(),
        }),
        (DriverPreference::Auto, Err(error)) => {
            Ok(DriverChoice { driver: Driver::Epoll, reason: format!("io_uring is not available: {error}") })
        }
        (DriverPreference::Uring, Err(error)) => Err(format!(
            "REALTIME_IO_DRIVER=uring, but io_uring is not available: {error}. \
             Allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile, check \
             kernel.io_uring_disabled and the memlock limit, or set REALTIME_IO_DRIVER=auto"
        )),
    }
}

/// Sets what the cores' rings are built with. Cooperative task running saves interrupts; deferring
/// it further would starve completions whenever the run queue never empties.
pub(super) fn set_ring_flags(builder: &mut io_uring::Builder) {
    builder.setup_coop_taskrun().setup_single_issuer();
}

/// Builds all rings of all cores at once: locked memory is charged per user, so one that
/// fits alone proves nothing.
fn try_rings(core_count: usize) -> Result<(), String> {
    let mut rings = Vec::with_capacity(2 * core_count);
    for _ in 0..core_count {
        let mut builder = IoUring::builder();
        set_ring_flags(&mut builder);
        rings.push(builder.build(super::RING_ENTRIES).map_err(|error| explain(&error))?);
        rings.push(super::volley::build_ring().map_err(|error| explain(&error))?);
    }
    let mut probe = io_uring::Probe::new();
    let ring = &rings[0];
    ring.submitter().register_probe(&mut probe).map_err(|error| explain(&error))?;
    let needed = [
        opcode::PollAdd::CODE,
        opcode::Timeout::CODE,
        opcode::AsyncCancel::CODE,
        opcode::Read::CODE,
        opcode::Send::CODE,
    ];
    match needed.into_iter().all(|operation| probe.is_supported(operation)) {
        true => Ok(()),
        false => Err("the kernel lacks an operation that is needed".to_owned()),
    }
}

fn explain(error: &io::Error) -> String {
    let cause = match error.raw_os_error() {
        Some(libc::EPERM) => "denied by seccomp or kernel.io_uring_disabled",
        Some(libc::ENOSYS) => "not in this kernel, or hidden by seccomp",
        Some(libc::ENOMEM) => "the memlock limit is too small",
        Some(libc::EINVAL) => "the kernel is older than 6.0",
        _ => "unexpected",
    };
    format!("{error} ({cause})")
}
