//! Where Redis is, and who we are there.

use std::fmt;
use std::path::PathBuf;

use super::tls;

/// What a client needs to know. The password is not shown.
#[derive(Clone)]
pub struct RedisSettings {
    /// Where Redis listens: at least one place. Of a cluster, the nodes that are asked for all others.
    pub hosts: Vec<Host>,
    /// Connections are encrypted.
    pub is_tls: bool,
    /// Certificates to trust beside the usual ones, in PEM, if there is such a file.
    pub ca_file: Option<PathBuf>,
    /// The user of the access list; without one, the default user.
    pub username: Option<String>,
    /// The password, if there is one.
    pub password: Option<String>,
    /// The number of the database. A cluster has only 0, whatever this says.
    pub database: u32,
    /// What connections call themselves in `CLIENT LIST`; without blanks.
    pub client_name: String,
}

impl RedisSettings {
    /// Whether what the settings name can be used, before anything is connected to.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        if self.hosts.is_empty() {
            return Err("no Redis is named".to_owned());
        }
        match self.is_tls {
            true => tls::trust(self.ca_file.as_deref()).map(drop),
            false => Ok(()),
        }
    }
}

/// One place where Redis listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// A name or an IP address, without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(formatter, "[{}]:{}", self.name, self.port)
        } else {
            write!(formatter, "{}:{}", self.name, self.port)
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, is_tls, ca_file, username, password, database, client_name } = self;
        formatter
            .debug_struct("RedisSettings")
            .field("hosts", hosts)
            .field("is_tls", is_tls)
            .field("ca_file", ca_file)
            .field("username", username)
            .field("has_password", &password.is_some())
            .field("database", database)
            .field("client_name", client_name)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let settings = RedisSettings {
            hosts: vec![Host { name: "::1".to_owned(), port: 6379 }],
            is_tls: false,
            ca_file: None,
            username: Some("node".to_owned()),
            password: Some("hush".to_owned()),
            database: 1,
            client_name: "realtime".to_owned(),
        };
        assert!(!format!("{settings:?}").contains("hush"));
        assert_eq!(settings.hosts[0].to_string(), "[::1]:6379");
    }
}
