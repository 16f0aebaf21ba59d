//! Where Redis is, and who we are there.

use std::fmt;
use std::path::PathBuf;

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where Redis is.
    pub address: Address,
    /// Certificates to trust beside the usual ones, in PEM, if there is such a file.
    pub ca_file: Option<PathBuf>,
    /// What connections call themselves in `CLIENT LIST`; without blanks.
    pub client_name: String,
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

/// Where Redis is, and who we are there. Its password is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// At least one; more are the first nodes of a cluster to be asked for all others.
    pub hosts: Vec<Host>,
    /// The connection is encrypted.
    pub is_tls: bool,
    /// The user of the access list; without one, the default user.
    pub username: Option<String>,
    /// The password, if there is one.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u32,
}

/// Where Redis listens if nobody says otherwise.
const PORT: u16 = 6379;

impl Address {
    /// Reads `redis://[[user]:password@]host[:port][,host[:port]]…[/database]`; `rediss` is the same with TLS.
    ///
    /// Bytes of user and password may be written as `%20`. Without a database it is 0.
    ///
    /// # Errors
    /// A sentence that does not repeat the password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("a Redis URL begins with redis:// or rediss://")?;
        let is_tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err("a Redis URL begins with redis:// or rediss://".to_owned()),
        };
        // A password may have any of the signs that divide the rest.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let (username, password) = match credentials.map(|text| text.split_once(':').unwrap_or(("", text))) {
            Some((username, password)) => (Some(decoded(username)?), Some(decoded(password)?)),
            None => (None, None),
        };
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database.split('?').next().unwrap_or_default() {
            "" => 0,
            digits => digits.parse().map_err(|_| "the database of a Redis URL is a number".to_owned())?,
        };
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        let is_said = |text: &String| !text.is_empty();
        Ok(Self {
            hosts,
            is_tls,
            username: username.filter(is_said),
            password: password.filter(is_said),
            database,
        })
    }
}

fn host(text: &str) -> Result<Host, String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or("an address lacks its closing bracket")?;
            (name, rest.strip_prefix(':'))
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Ok(PORT), str::parse).map_err(|_| format!("the port of {name} is no port"))?;
    if name.is_empty() {
        return Err("a Redis URL names a host".to_owned());
    }
    Ok(Host { name: name.to_owned(), port })
}

/// Undoes `%20` and its like.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "a Redis URL has a broken % in its user or password".to_owned();
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(wrong)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or_else(wrong)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The URL without who we are.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_tls { "rediss://" } else { "redis://" })?;
        for (place, host) in self.hosts.iter().enumerate() {
            write!(formatter, "{}{host}", if place > 0 { "," } else { "" })?;
        }
        write!(formatter, "/{}", self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_and_who() {
        let check = |url: &str, shown: &str, username: Option<&str>, password: Option<&str>| {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown, "{url}");
            assert_eq!(
                (address.username.as_deref(), address.password.as_deref()),
                (username, password),
                "{url}"
            );
            assert!(!format!("{address:?}").contains("hush"), "{url}");
        };
        check("redis://redis", "redis://redis:6379/0", None, None);
        check("rediss://u:hush@redis:1/2", "rediss://redis:1/2", Some("u"), Some("hush"));
        check("redis://:hu@sh:/@[::1]:7/1", "redis://[::1]:7/1", None, Some("hu@sh:/"));
        check("redis://:h%20%40%c3%bc@a,b:2,c/", "redis://a:6379,b:2,c:6379/0", None, Some("h @ü"));
        check("redis://hush@a", "redis://a:6379/0", None, Some("hush"));
    }

    #[test]
    fn a_broken_address_is_refused_without_showing_the_password() {
        let urls = ["redis", "http://a", "redis://", "redis://:hush@", "redis://a:port", "redis://a:70000"];
        for url in
            urls.into_iter().chain(["redis://a/x", "redis://:hush%2@a", "redis://:hush%+f@a", "redis://[::1"])
        {
            let error = Address::parse(url).unwrap_err();
            assert!(!error.contains("hush"), "{url}: {error}");
        }
    }
}
