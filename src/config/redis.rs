//! Settings about the Redis over which nodes meet: where it is, who we are there, and how channels are spread over it.

use std::path::PathBuf;

use super::resolved::Resolved;
use super::rule::masked_url;
use crate::redis::{Address, Host};

/// How long the beginning of all keys may be, in bytes.
const PREFIX_BYTES_MAX: usize = 32;

/// Where Redis is and what the node keeps there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is, and who we are there.
    pub address: Address,
    /// File with certificates of authorities that are believed beside the usual ones, in PEM.
    pub ca_file: Option<PathBuf>,
    /// How all keys and topics begin.
    pub prefix: String,
    /// Over how many partitions channels are spread. The same on every node.
    pub partitions: u16,
}

impl RedisConfig {
    /// The settings, if nodes are to meet. A URL goes before the single settings, all of them: they were written for
    /// another server.
    ///
    /// # Errors
    /// What is wrong with them: a sentence that says what to write instead.
    pub(super) fn new(resolved: &Resolved) -> Result<Option<Self>, String> {
        if !resolved.switch("REALTIME_REDIS_ENABLED") {
            return Ok(None);
        }
        let address = match resolved.text_if_set("REALTIME_REDIS_URL") {
            Some(url) => Address::parse(&url).map_err(|problem| {
                format!(
                    "REALTIME_REDIS_URL={}: {problem}; write redis://user:password@host:6379/0, rediss:// for TLS, \
                     more hosts of a cluster with commas between, and marks in a password as %40",
                    masked_url(&url)
                )
            })?,
            None => Address {
                hosts: vec![Host {
                    name: resolved.text("REALTIME_REDIS_HOST"),
                    port: resolved.number("REALTIME_REDIS_PORT"),
                }],
                is_tls: false,
                username: resolved.text_if_set("REALTIME_REDIS_USERNAME"),
                password: resolved.text_if_set("REALTIME_REDIS_PASSWORD"),
                database: resolved.number("REALTIME_REDIS_DB"),
            },
        };
        let prefix = resolved.text("REALTIME_REDIS_PREFIX");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
        if prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(is_plain) {
            return Err(format!(
                "REALTIME_REDIS_PREFIX: write at most {PREFIX_BYTES_MAX} letters, digits, and any of - _ : ."
            ));
        }
        let ca_file = resolved.text_if_set("REALTIME_REDIS_CA").map(PathBuf::from);
        let partitions = resolved.number("REALTIME_REDIS_PARTITIONS");
        Ok(Some(Self { address, ca_file, prefix, partitions }))
    }

    /// Whether Redis is spoken of and nodes do not meet, which is probably not meant.
    pub(super) fn doubt(resolved: &Resolved) -> Option<String> {
        let is_enabled = resolved.switch("REALTIME_REDIS_ENABLED");
        let said =
            ["REALTIME_REDIS_URL", "REALTIME_REDIS_HOST"].into_iter().find(|name| resolved.is_said(name));
        said.filter(|_| !is_enabled).map(|name| {
            format!("{name} is not used: write REALTIME_REDIS_ENABLED=true, or this node stays by itself")
        })
    }

    /// The settings for people: no password, no user.
    pub fn shown(&self) -> String {
        format!("{}, {} partitions, keys {}*", self.address, self.partitions, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::super::command_line::Flags;
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<RedisConfig>, String> {
        let variables = [&[("REALTIME_REDIS_ENABLED", "true")], variables].concat();
        let variables = variables.iter().map(|(name, text)| (name.into(), text.into()));
        RedisConfig::new(&Resolved::new(&Flags::default(), variables))
    }

    #[test]
    fn a_node_stays_by_itself_unless_it_is_told_otherwise() {
        let variables = [("REALTIME_REDIS_URL".into(), "redis://cache".into())];
        let resolved = Resolved::new(&Flags::default(), variables);
        assert_eq!(RedisConfig::new(&resolved), Ok(None));
        assert!(RedisConfig::doubt(&resolved).unwrap().contains("REALTIME_REDIS_ENABLED=true"));
    }

    #[test]
    fn single_settings_are_taken_where_no_url_is_set() {
        let config = read(&[
            ("REALTIME_REDIS_HOST", "cache"),
            ("REALTIME_REDIS_PORT", "7000"),
            ("REALTIME_REDIS_PASSWORD", "hush"),
            ("REALTIME_REDIS_USERNAME", "chat"),
            ("REALTIME_REDIS_PREFIX", "prod:rt"),
            ("REALTIME_REDIS_PARTITIONS", "16"),
            ("REALTIME_REDIS_CA", "ca.pem"),
        ]);
        let config = config.unwrap().unwrap();
        let address = &config.address;
        assert_eq!((address.username.as_deref(), address.password.as_deref()), (Some("chat"), Some("hush")));
        assert_eq!(config.ca_file, Some(PathBuf::from("ca.pem")));
        assert_eq!(config.shown(), "redis://cache:7000/1, 16 partitions, keys prod:rt*");
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(read(&[]).unwrap().unwrap().shown(), "redis://redis:6379/1, 4 partitions, keys rt*");
    }

    #[test]
    fn a_url_goes_before_all_single_settings() {
        let others = [("REALTIME_REDIS_PASSWORD", "other"), ("REALTIME_REDIS_HOST", "other")];
        let url = [("REALTIME_REDIS_URL", "rediss://chat:h%40sh@a:7000,b")];
        let config = read(&[&url[..], &others].concat()).unwrap().unwrap();
        assert_eq!(config.shown(), "rediss://a:7000,b:6379/0, 4 partitions, keys rt*");
        let address = &config.address;
        assert_eq!((address.username.as_deref(), address.password.as_deref()), (Some("chat"), Some("h@sh")));
    }

    #[test]
    fn what_is_wrong_is_refused_without_a_password() {
        for url in ["redis://:hush@cache/one", "redis://:hush@a:1,,b:2", "redis://:hush@a:x,b:1"] {
            let error = read(&[("REALTIME_REDIS_URL", url)]).unwrap_err();
            assert!(error.contains("write redis://") && !error.contains("hush"), "{error}");
        }
        assert!(read(&[("REALTIME_REDIS_PREFIX", "a{b}")]).unwrap_err().contains("REALTIME_REDIS_PREFIX"));
    }
}
