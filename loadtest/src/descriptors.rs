//! The limit on open files: raised as far as the kernel lets us, or a sentence on what stopped it.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is not a connection: epoll, timers, wakers, standard streams, `/proc` files.
const RESERVE: u64 = 200;

/// Makes sure that `connections` sockets can be open at once, raising the soft limit if it is too low.
///
/// # Errors
/// If the hard limit is too low, or the kernel refuses to raise the soft one.
pub fn reserve(connections: u32) -> Result<()> {
    let needed = u64::from(connections) + RESERVE;
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        bail!(
            "{connections} connections need {needed} open files, but the hard limit (ulimit -Hn) is {hard}: \
             use at most {} connections per process or have the limit raised",
            hard.saturating_sub(RESERVE)
        );
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: limit.maximum }) {
        bail!("cannot raise the limit on open files from {soft} to {hard}: {error}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_beyond_the_hard_limit_says_what_stopped_it() {
        let hard = getrlimit(Resource::Nofile).maximum;
        if hard.is_some_and(|hard| hard < u64::from(u32::MAX)) {
            let refused = reserve(u32::MAX).unwrap_err().to_string();
            assert!(refused.contains("hard limit") && refused.contains("at most"), "{refused}");
        }
        reserve(1).unwrap();
    }
}
