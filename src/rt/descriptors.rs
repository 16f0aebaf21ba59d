//! How many descriptors the process may have: each connection is one.

use std::io;

/// Raises the soft limit of open descriptors to the hard one, and returns what it was and what it is.
///
/// # Errors
/// When the kernel refuses. The node can go on, with fewer connections.
pub fn raise_descriptor_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "getrlimit(2)")]
    // SAFETY: the limit is a valid place for the answer during the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let former = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    #[expect(unsafe_code, reason = "setrlimit(2)")]
    // SAFETY: the limit is valid for reads during the call.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok((former, limit.rlim_cur)) }
}
