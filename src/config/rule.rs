//! What a setting's text may be: each rule reads it, or says what to write instead.

use std::net::IpAddr;

use jsonwebtoken::Algorithm;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The form of a setting.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// A whole number within bounds that are part of it.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// What is counted, such as `milliseconds`; empty for a bare number.
        unit: &'static str,
    },
    /// true or false, in the spellings that shells and compose files use.
    Switch,
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
    /// An IP address to listen on.
    Address,
    /// One algorithm of RFC 7518 that signs.
    Algorithm,
    /// `*`, or origins of pages separated by commas.
    Origins,
    /// A log level, or a filter of targets and levels.
    LogFilter,
    /// A path of a URL, from its slash.
    Path,
    /// A URL with one of these schemes.
    Url(&'static [&'static str]),
    /// Words separated by commas; blanks around them are dropped.
    List,
    /// Any text.
    Text,
}

/// What a rule has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Rule::Number`].
    Number(u64),
    /// Of [`Rule::Switch`].
    Switch(bool),
    /// Of [`Rule::Address`].
    Address(IpAddr),
    /// Of [`Rule::Algorithm`].
    Algorithm(Algorithm),
    /// Of [`Rule::List`].
    List(Vec<String>),
    /// Of all others; a word of [`Rule::OneOf`] as the rule spells it.
    Text(String),
}

impl Rule {
    /// Reads `text`, which is not empty.
    ///
    /// # Errors
    /// What to write instead, beginning with a verb; the text itself is not repeated, because it may be a secret.
    pub fn read(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Number { min, max, .. } => {
                text.parse().ok().filter(|number| (min..=max).contains(number)).map(Value::Number)
            }
            Self::Switch => switch(text).map(Value::Switch),
            Self::OneOf(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
                word.map(|word| Value::Text((*word).to_owned()))
            }
            Self::Address => text.parse().ok().map(Value::Address),
            Self::Algorithm if text.eq_ignore_ascii_case("none") => {
                return Err(format!(
                    "unsigned tokens are never accepted: {}, or REALTIME_AUTH_REQUIRED=false for development \
                     without tokens",
                    self.hint()
                ));
            }
            Self::Algorithm => text.parse().ok().map(Value::Algorithm),
            Self::Origins => are_origins(text).then(|| Value::Text(text.to_owned())),
            Self::LogFilter => is_log_filter(text).then(|| Value::Text(text.to_owned())),
            Self::Path => {
                let is_path =
                    text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c == '?');
                is_path.then(|| Value::Text(text.to_owned()))
            }
            Self::Url(schemes) => is_url(text, schemes).then(|| Value::Text(text.to_owned())),
            Self::List => Some(Value::List(words(text).map(str::to_owned).collect())),
            Self::Text => Some(Value::Text(text.to_owned())),
        };
        value.ok_or_else(|| self.hint())
    }

    /// What to write, beginning with a verb.
    fn hint(self) -> String {
        match self {
            Self::Number { min, max, unit: "" } => format!("write a whole number from {min} to {max}"),
            Self::Number { min, max, unit } => format!("write a whole number of {unit} from {min} to {max}"),
            Self::Switch => "write true or false".to_owned(),
            Self::OneOf(words) => format!("write {}", listed(words)),
            Self::Address => {
                "write an IP address: 0.0.0.0 for every interface, 127.0.0.1 for this machine only".to_owned()
            }
            Self::Algorithm => format!("write {}", listed(&ALGORITHMS)),
            Self::Origins => {
                "write * alone, or origins such as https://chat.example.org with commas between".to_owned()
            }
            Self::LogFilter => {
                "write error, warn, info, debug, trace or off, or a filter such as realtime=debug".to_owned()
            }
            Self::Path => "write a path such as /metrics".to_owned(),
            Self::Url(schemes) => {
                let examples: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://host")).collect();
                format!("write a URL such as {}", examples.join(" or "))
            }
            Self::List | Self::Text => "write some text".to_owned(),
        }
    }

    /// The name of the value in the help.
    pub fn value_name(self) -> &'static str {
        match self {
            Self::Number { unit: "milliseconds", .. } => "MS",
            Self::Number { .. } => "NUMBER",
            Self::Switch => "BOOL",
            Self::Address => "ADDRESS",
            Self::List | Self::Origins => "LIST",
            Self::Path => "PATH",
            Self::Url(_) => "URL",
            Self::OneOf(_) | Self::Algorithm | Self::LogFilter | Self::Text => "TEXT",
        }
    }
}

/// The algorithms that tokens may be signed with, for people.
const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
];

/// `a, b or c`.
fn listed(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.concat(),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Schemes of any kind pass, because applications have their own; a path does not, because no browser sends one.
fn are_origins(text: &str) -> bool {
    let is_origin = |word: &str| {
        let host = word.split_once("://").map(|(_, host)| host.trim_end_matches('/'));
        word == "null" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', '*']))
    };
    text == "*" || words(text).all(is_origin)
}

/// A bare word must be a level: a filter would take any other as the name of a target, and log nothing.
fn is_log_filter(text: &str) -> bool {
    let is_bare = !text.contains(['=', ',', '[']);
    (!is_bare || text.parse::<LevelFilter>().is_ok()) && EnvFilter::try_new(text).is_ok()
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_good_port = match host.rsplit_once(':') {
        Some((_, port)) if !host.ends_with(']') => port.parse::<u16>().is_ok(),
        _ => true,
    };
    let is_clean = !text.contains(char::is_whitespace);
    schemes.contains(&scheme) && !host.is_empty() && !host.starts_with(':') && has_good_port && is_clean
}

/// A URL without what opens doors: the user's name and password, and the query.
pub fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return MASK.to_owned() };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], format!("{}{MASK}", &rest[at..=at])),
        None => (rest, String::new()),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{MASK}@{host}{query}"),
        None => format!("{scheme}://{rest}{query}"),
    }
}

/// What is shown in a secret's place, whatever its length.
pub const MASK: &str = "********";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_people_write_it() {
        let check =
            |rule: Rule, text: &str, expected: Value| assert_eq!(rule.read(text), Ok(expected), "{text}");
        check(Rule::Number { min: 0, max: 9, unit: "" }, "9", Value::Number(9));
        check(Rule::Switch, "Yes", Value::Switch(true));
        check(Rule::Switch, "0", Value::Switch(false));
        check(Rule::OneOf(&["auto", "uring"]), "URING", Value::Text("uring".to_owned()));
        check(Rule::List, " a, ,b ", Value::List(vec!["a".to_owned(), "b".to_owned()]));
        check(Rule::LogFilter, "INFO", Value::Text("INFO".to_owned()));
        check(Rule::Algorithm, "EdDSA", Value::Algorithm(Algorithm::EdDSA));
    }

    #[test]
    fn every_algorithm_of_the_hint_is_taken() {
        for name in ALGORITHMS {
            assert!(Rule::Algorithm.read(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn urls_need_their_scheme_and_a_host() {
        let check = |url: &str, expected: bool| {
            assert_eq!(Rule::Url(&["redis", "rediss"]).read(url).is_ok(), expected, "{url}");
        };
        check("redis://redis", true);
        check("rediss://user:a@b@host:6380/1", true);
        check("redis://[::1]:6379", true);
        check("redis://[::1]", true);
        check("redis", false);
        check("http://redis", false);
        check("redis://", false);
        check("redis://:6379", false);
        check("redis://user:word@", false);
        check("redis://redis:port", false);
        check("redis://red is", false);
    }

    #[test]
    fn a_shown_url_opens_no_door() {
        let check = |url: &str, expected: &str| assert_eq!(masked_url(url), expected);
        check("redis://:hush@host:6379/1", "redis://********@host:6379/1");
        check("redis://user:hu@sh@host", "redis://********@host");
        check("https://host/hook?token=hush", "https://host/hook?********");
        check("https://host/hook", "https://host/hook");
        check("hush", "********");
    }
}
