//! Scripts that run inside of Redis.

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::digest;

/// A Lua script. Every connection loads all scripts of its client before anything else, and calls name them by
/// their digest.
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    /// A script with this text.
    pub const fn new(text: &'static str) -> Self {
        Self { text, digest: OnceLock::new() }
    }

    /// The text.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// What Redis calls it: 40 hexadecimal letters.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let bytes = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.text.as_bytes());
            bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_called_what_redis_calls_it() {
        // As `SCRIPT LOAD "return 1"` answers.
        assert_eq!(Script::new("return 1").digest(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
