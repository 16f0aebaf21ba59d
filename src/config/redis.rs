//! Settings about the Redis over which nodes meet: where it is, who we are there, and how channels are spread over it.

use std::path::PathBuf;

use super::resolved::Resolved;
use super::rule::masked_url;
use crate::redis::{Host, RedisSettings};

/// How long the beginning of all keys may be, in bytes.
const PREFIX_BYTES_MAX: usize = 32;

/// Where Redis listens if nobody says otherwise.
const PORT: u16 = 6_379;

/// Where Redis is and what the node keeps there. Its password is not shown.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is, and who we are there.
    pub settings: RedisSettings,
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
        let prefix = resolved.text("REALTIME_REDIS_PREFIX");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
        if prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(is_plain) {
            return Err(format!(
                "REALTIME_REDIS_PREFIX: write at most {PREFIX_BYTES_MAX} letters, digits, and any of - _ : ."
            ));
        }
        let settings = RedisSettings {
            hosts: vec![Host {
                name: resolved.text("REALTIME_REDIS_HOST"),
                port: resolved.number("REALTIME_REDIS_PORT"),
            }],
            is_tls: false,
            ca_file: resolved.text_if_set("REALTIME_REDIS_CA").map(PathBuf::from),
            username: resolved.text_if_set("REALTIME_REDIS_USERNAME"),
            password: resolved.text_if_set("REALTIME_REDIS_PASSWORD"),
            database: resolved.number("REALTIME_REDIS_DB"),
            client_name: "realtime".to_owned(),
        };
        let settings = match resolved.text_if_set("REALTIME_REDIS_URL") {
            Some(url) => read_url(&url, settings.clone()).ok_or_else(|| {
                format!(
                    "REALTIME_REDIS_URL={}: write redis://user:password@host:6379/0, rediss:// for TLS, more hosts of a \
                     cluster with commas between, and marks in a password as %40",
                    masked_url(&url)
                )
            })?,
            None => settings,
        };
        settings.check().map_err(|problem| format!("REALTIME_REDIS_CA: {problem}"))?;
        Ok(Some(Self { settings, prefix, partitions: resolved.number("REALTIME_REDIS_PARTITIONS") }))
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
        let scheme = if self.settings.is_tls { "rediss" } else { "redis" };
        let hosts: Vec<String> = self.settings.hosts.iter().map(Host::to_string).collect();
        let (hosts, database, partitions) = (hosts.join(","), self.settings.database, self.partitions);
        format!("{scheme}://{hosts}/{database}, {partitions} partitions, keys {}*", self.prefix)
    }
}

/// Reads `redis[s]://[[user]:password@]host[:port][,host[:port]…][/database]` over other settings.
fn read_url(url: &str, others: RedisSettings) -> Option<RedisSettings> {
    let (scheme, rest) = url.split_once("://")?;
    // A password may hold any mark.
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((credentials, rest)) => (Some(credentials), rest),
        None => (None, rest),
    };
    let rest = rest.split(['?', '#']).next()?;
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    let credentials = credentials.map(|text| text.split_once(':').unwrap_or(("", text)));
    let said = |text: &str| (!text.is_empty()).then(|| decoded(text));
    Some(RedisSettings {
        hosts: hosts.split(',').map(host).collect::<Option<_>>()?,
        is_tls: scheme == "rediss",
        username: credentials.and_then(|(user, _)| said(user)),
        password: credentials.and_then(|(_, password)| said(password)),
        database: if database.is_empty() { 0 } else { database.parse().ok()? },
        ..others
    })
}

fn host(text: &str) -> Option<Host> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            (name, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok())?;
    (!name.is_empty()).then(|| Host { name: name.to_owned(), port })
}

/// A part of a URL without its percent signs; one that is not followed by two digits stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| byte == b'%');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
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
        assert!(RedisConfig::new(&resolved).unwrap().is_none());
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
        ]);
        let config = config.unwrap().unwrap();
        let settings = &config.settings;
        assert_eq!(
            (settings.username.as_deref(), settings.password.as_deref()),
            (Some("chat"), Some("hush"))
        );
        assert_eq!(config.shown(), "redis://cache:7000/1, 16 partitions, keys prod:rt*");
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(read(&[]).unwrap().unwrap().shown(), "redis://redis:6379/1, 4 partitions, keys rt*");
    }

    #[test]
    fn a_url_goes_before_all_single_settings() {
        let check = |url: &str, shown: &str, user: Option<&str>, password: Option<&str>| {
            let others = [("REALTIME_REDIS_PASSWORD", "other"), ("REALTIME_REDIS_HOST", "other")];
            let config = read(&[&[("REALTIME_REDIS_URL", url)][..], &others].concat()).unwrap().unwrap();
            assert_eq!(config.shown(), format!("{shown}, 4 partitions, keys rt*"), "{url}");
            let settings = &config.settings;
            assert_eq!(
                (settings.username.as_deref(), settings.password.as_deref()),
                (user, password),
                "{url}"
            );
        };
        check("redis://cache", "redis://cache:6379/0", None, None);
        check("redis://:hush@cache:7000/3", "redis://cache:7000/3", None, Some("hush"));
        check("redis://hush@cache", "redis://cache:6379/0", None, Some("hush"));
        check("redis://chat:h%40u@sh%@cache/", "redis://cache:6379/0", Some("chat"), Some("h@u@sh%"));
        check("redis://a:7000,b,[::1]:7002", "redis://a:7000,b:6379,[::1]:7002/0", None, None);
        check("rediss://[::1]", "rediss://[::1]:6379/0", None, None);
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
