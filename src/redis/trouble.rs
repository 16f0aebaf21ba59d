//! What can be wrong with Redis, and what is done about it.

use std::borrow::Cow;
use std::io;

use core_shards::store::StoreTrouble;

/// What is wrong, as counters and logs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection could be made, or it was closed.
    Unreachable,
    /// The name of the host is not known.
    UnknownHost,
    /// Encryption could not be agreed on.
    Tls,
    /// Nothing came for too long.
    Silent,
    /// It does not speak RESP3, or is older than 6.2.
    Foreign,
    /// It is out of memory (`OOM`).
    OutOfMemory,
    /// It is a replica, or was made one (`READONLY`).
    ReadOnly,
    /// It reads its data from disk (`LOADING`).
    Loading,
    /// It does not know us (`NOAUTH`, `WRONGPASS`).
    NotAuthenticated,
    /// We may not do what we must (`NOPERM`).
    NotPermitted,
    /// It is a replica that has lost its master (`MASTERDOWN`).
    MasterDown,
    /// The cluster is not whole (`CLUSTERDOWN`).
    ClusterDown,
    /// A slot is on its way (`TRYAGAIN`).
    TryAgain,
    /// A script runs for too long (`BUSY`).
    Busy,
    /// It refuses to write because it cannot save, or has too few replicas (`MISCONF`, `NOREPLICAS`).
    Unsafe,
    /// It has too many clients.
    TooManyClients,
    /// It forgot the scripts (`NOSCRIPT`).
    NoScript,
}

impl Trouble {
    /// Every trouble with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::Unreachable, "unreachable"),
        (Self::UnknownHost, "unknown_host"),
        (Self::Tls, "tls"),
        (Self::Silent, "silent"),
        (Self::Foreign, "foreign"),
        (Self::OutOfMemory, "out_of_memory"),
        (Self::ReadOnly, "read_only"),
        (Self::Loading, "loading"),
        (Self::NotAuthenticated, "not_authenticated"),
        (Self::NotPermitted, "not_permitted"),
        (Self::MasterDown, "master_down"),
        (Self::ClusterDown, "cluster_down"),
        (Self::TryAgain, "try_again"),
        (Self::Busy, "busy"),
        (Self::Unsafe, "unsafe"),
        (Self::TooManyClients, "too_many_clients"),
        (Self::NoScript, "no_script"),
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// What an error reply says about the server. `None`: it is about the command.
    pub fn of(error: &[u8]) -> Option<Self> {
        let code = error.split(|byte| *byte == b' ').next().unwrap_or_default();
        Some(match code {
            b"OOM" => Self::OutOfMemory,
            b"READONLY" => Self::ReadOnly,
            b"LOADING" => Self::Loading,
            b"NOAUTH" | b"WRONGPASS" => Self::NotAuthenticated,
            b"NOPERM" => Self::NotPermitted,
            b"MASTERDOWN" => Self::MasterDown,
            b"CLUSTERDOWN" => Self::ClusterDown,
            b"TRYAGAIN" => Self::TryAgain,
            b"BUSY" => Self::Busy,
            b"MISCONF" | b"NOREPLICAS" => Self::Unsafe,
            b"NOSCRIPT" => Self::NoScript,
            b"NOPROTO" => Self::Foreign,
            b"ERR" => return Self::of_sentence(error),
            _ => return None,
        })
    }

    /// Troubles that have no code of their own, or whose code is inside of a script's error (before Redis 7).
    fn of_sentence(error: &[u8]) -> Option<Self> {
        if error.starts_with(b"ERR max number of clients") {
            return Some(Self::TooManyClients);
        }
        // What a script may not do has no code in Redis 7.0.
        if error.starts_with(b"ERR The user executing the script can't") {
            return Some(Self::NotPermitted);
        }
        if !error.starts_with(b"ERR Error running script")
            && !error.starts_with(b"ERR Error compiling script")
        {
            return None;
        }
        let code = error.windows(3).position(|window| window == b": -").map(|place| &error[place + 3..])?;
        if code.starts_with(b"ERR") { None } else { Self::of(code) }
    }

    /// Whether only a new connection can help.
    pub(super) fn needs_reconnect(self) -> bool {
        matches!(self, Self::NotAuthenticated | Self::ReadOnly | Self::MasterDown | Self::NoScript)
    }

    /// What whoever asked is told.
    pub(super) fn for_store(self) -> StoreTrouble {
        match self {
            Self::Unreachable | Self::UnknownHost | Self::Tls | Self::Silent | Self::Foreign => {
                StoreTrouble::Away
            }
            _ => StoreTrouble::Unable,
        }
    }
}

/// Why there is no connection, or no longer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) trouble: Trouble,
    /// For the operator.
    pub(super) sentence: Cow<'static, str>,
}

impl Failure {
    pub(super) fn new(trouble: Trouble, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { trouble, sentence: sentence.into() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let trouble = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Trouble::Tls,
            io::ErrorKind::TimedOut => Trouble::Silent,
            _ => Trouble::Unreachable,
        };
        let sentence = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
            _ => error.to_string(),
        };
        Self::new(trouble, sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_have_their_numbers_and_labels() {
        for (number, (trouble, label)) in Trouble::ALL.into_iter().enumerate() {
            assert_eq!((trouble as usize, trouble.label()), (number, label));
        }
    }

    #[test]
    fn errors_of_the_server_are_told_from_errors_of_the_command() {
        let check = |error: &str, expected| assert_eq!(Trouble::of(error.as_bytes()), expected, "{error}");
        check("OOM command not allowed when used memory > 'maxmemory'.", Some(Trouble::OutOfMemory));
        check("LOADING Redis is loading the dataset in memory", Some(Trouble::Loading));
        check("NOSCRIPT No matching script. Please use EVAL.", Some(Trouble::NoScript));
        check("ERR max number of clients reached", Some(Trouble::TooManyClients));
        check(
            "ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed",
            Some(Trouble::OutOfMemory),
        );
        check("ERR Error running script (call to f_1): @user_script:1: -ERR no", None);
        check(
            "ERR The user executing the script can't run this command or subcommand script: 1, on @user_script:7.",
            Some(Trouble::NotPermitted),
        );
        check("ERR unknown command", None);
        check("MOVED 1 a:1", None);
        check("", None);
    }
}
