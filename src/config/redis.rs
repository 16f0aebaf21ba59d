//! Settings about the Redis over which nodes meet: where it is, who we are there, and how channels are spread over it.
//!
//! A URL says more than its parts and goes before them:
//! `redis[s]://[[user]:password@]host[:port][,host[:port]…][/database]`.

use std::path::PathBuf;

use super::resolved::Resolved;
use super::rule::masked_url;

/// Port of a Redis that nobody names one for.
const PORT: u16 = 6_379;

/// How long the beginning of all keys may be, in bytes.
const PREFIX_BYTES_MAX: usize = 32;

/// Where Redis is and what the node is there.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// Servers that may be asked, the first first: one, or some of a cluster. Never empty.
    pub hosts: Vec<(String, u16)>,
    /// Number of the database. A cluster has 0 only.
    pub db: u16,
    /// The user of an access control list, if one is set.
    pub user: Option<String>,
    /// The password, if one is set.
    pub password: Option<String>,
    /// File with certificates of authorities that are believed beside the usual ones, in PEM.
    pub ca_file: Option<PathBuf>,
    /// How all keys and topics begin.
    pub prefix: String,
    /// Over how many partitions channels are spread. The same on every node.
    pub partitions: u16,
}

impl std::fmt::Debug for RedisConfig {
    /// Without the password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RedisConfig({})", self.shown())
    }
}

impl RedisConfig {
    /// The settings, if nodes are to meet.
    ///
    /// # Errors
    /// What is wrong with them: a sentence that says what to write instead.
    pub(super) fn new(resolved: &Resolved) -> Result<Option<Self>, String> {
        if !resolved.switch("REALTIME_REDIS_ENABLED") {
            return Ok(None);
        }
        let mut config = Self {
            is_tls: false,
            hosts: vec![(resolved.text("REALTIME_REDIS_HOST"), resolved.number("REALTIME_REDIS_PORT"))],
            db: resolved.number("REALTIME_REDIS_DB"),
            user: resolved.text_if_set("REALTIME_REDIS_USERNAME"),
            password: resolved.text_if_set("REALTIME_REDIS_PASSWORD"),
            ca_file: resolved.text_if_set("REALTIME_REDIS_CA").map(PathBuf::from),
            prefix: resolved.text("REALTIME_REDIS_PREFIX"),
            partitions: resolved.number("REALTIME_REDIS_PARTITIONS"),
        };
        if let Some(url) = resolved.text_if_set("REALTIME_REDIS_URL") {
            config.read_url(&url).ok_or_else(|| {
                format!(
                    "REALTIME_REDIS_URL={}: write redis://user:password@host:6379/0, rediss:// for TLS, more hosts of \
                     a cluster with commas between, and marks of a password as %40",
                    masked_url(&url)
                )
            })?;
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
        if config.prefix.len() > PREFIX_BYTES_MAX || !config.prefix.bytes().all(is_plain) {
            return Err(format!(
                "REALTIME_REDIS_PREFIX: write at most {PREFIX_BYTES_MAX} letters, digits, and any of - _ : ."
            ));
        }
        Ok(Some(config))
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
        let hosts: Vec<String> = self.hosts.iter().map(|(host, port)| authority(host, *port)).collect();
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        let (hosts, db, partitions) = (hosts.join(","), self.db, self.partitions);
        format!("{scheme}://{hosts}/{db}, {partitions} partitions, keys {}*", self.prefix)
    }

    /// Takes over what a URL says; what it does not say of the user and the database is not taken from elsewhere,
    /// because it was written for another server.
    fn read_url(&mut self, url: &str) -> Option<()> {
        let (scheme, rest) = url.split_once("://")?;
        self.is_tls = scheme == "rediss";
        // A password may hold any mark.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let rest = rest.split(['?', '#']).next()?;
        let (hosts, db) = rest.split_once('/').unwrap_or((rest, ""));
        self.db = if db.is_empty() { 0 } else { db.parse().ok()? };
        self.hosts = hosts.split(',').map(host_and_port).collect::<Option<_>>()?;
        (self.user, self.password) = (None, None);
        if let Some(credentials) = credentials {
            let (user, password) = credentials.split_once(':').unwrap_or(("", credentials));
            let said = |text: &str| (!text.is_empty()).then(|| decoded(text));
            self.user = said(user);
            self.password = said(password);
        }
        Some(())
    }
}

/// A host's name and port as a URL has them, brackets around an IPv6 address.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// A part of a URL without its percent signs; one that is not followed by two digits stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| byte == b'%');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (rest, _) = match code {
            Some(code) => (&after[2..], bytes.push(code)),
            None => (after, bytes.push(byte)),
        };
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
        assert_eq!(config.hosts, [("cache".to_owned(), 7_000)]);
        assert_eq!((config.user.as_deref(), config.password.as_deref()), (Some("chat"), Some("hush")));
        assert_eq!((config.db, config.partitions, config.prefix.as_str()), (1, 16, "prod:rt"));
        assert_eq!(config.ca_file, Some(PathBuf::from("ca.pem")));
        assert_eq!(config.shown(), "redis://cache:7000/1, 16 partitions, keys prod:rt*");
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(read(&[]).unwrap().unwrap().hosts, [("redis".to_owned(), 6_379)]);
    }

    #[test]
    fn a_url_says_everything_about_its_server() {
        let check = |url: &str, shown: &str, user: Option<&str>, password: Option<&str>| {
            let others = [("REALTIME_REDIS_PASSWORD", "other"), ("REALTIME_REDIS_HOST", "other")];
            let config = read(&[&[("REALTIME_REDIS_URL", url)][..], &others].concat()).unwrap().unwrap();
            assert_eq!(config.shown(), format!("{shown}, 4 partitions, keys rt*"), "{url}");
            assert_eq!((config.user.as_deref(), config.password.as_deref()), (user, password), "{url}");
        };
        check("redis://cache", "redis://cache:6379/0", None, None);
        check("rediss://:hush@cache:7000/3", "rediss://cache:7000/3", None, Some("hush"));
        check("redis://chat:h%40u@sh%@cache/", "redis://cache:6379/0", Some("chat"), Some("h@u@sh%"));
        check("redis://a:7000,b,[::1]:7002", "redis://a:7000,b:6379,[::1]:7002/0", None, None);
        check("redis://[::1]", "redis://[::1]:6379/0", None, None);
    }

    #[test]
    fn a_url_that_names_no_server_is_refused_without_its_password() {
        for url in [
            "redis://:hush@cache/one",
            "redis://:hush@a:1,,b:2",
            "redis://:hush@a:x,b:1",
            "redis://:hush@a/70000",
        ] {
            let error = read(&[("REALTIME_REDIS_URL", url)]).unwrap_err();
            assert!(error.contains("write redis://") && !error.contains("hush"), "{error}");
        }
        assert!(read(&[("REALTIME_REDIS_PREFIX", "a{b}")]).unwrap_err().contains("REALTIME_REDIS_PREFIX"));
    }
}
