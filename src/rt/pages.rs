//! How large the pages of the process are.

use std::io;

/// Keeps the process to pages of the usual size, also where the kernel would give everybody huge ones: what idle
/// sessions keep lies scattered, and a huge page with one session in it is 2 MB.
///
/// # Errors
/// When the kernel refuses. The node can go on, with more memory.
pub fn refuse_huge_pages() -> io::Result<()> {
    let (yes, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    #[expect(unsafe_code, reason = "prctl(2)")]
    // SAFETY: no memory is involved.
    let result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, yes, unused, unused, unused) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_to_small_pages_once_told_so() {
        refuse_huge_pages().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let enabled = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        assert!(enabled.is_none_or(|value| value.trim() == "0"), "{enabled:?}");
    }
}
