//! Settings about who may do what: rules of channels, the permission webhook, keys of back ends, REST.

use std::time::Duration;

use core_shards::AccessRules;
use ureq::http::{HeaderValue, Uri};

use super::resolved::Resolved;
use crate::auth::RestAuth;
use crate::permissions::PermissionSettings;

/// Bytes that a key of back ends should have at least; it is tried over the network, and not against a hash.
const KEY_BYTES_MIN: usize = 16;

/// Who may do what, beside what tokens say.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// `REALTIME_CLAIM_MODE` is `exclusive`.
    pub claims_are_exclusive: bool,
    /// `REALTIME_API_KEY`, if it is set.
    pub api_key: Option<String>,
    /// `PLUGIN_INTERNAL_SECRET`, if it is set.
    pub plugin_secret: Option<String>,
    /// `REALTIME_REST_AUTH`, if it is set.
    pub rest_auth: Option<RestAuth>,
    /// `REALTIME_PERMISSION_WEBHOOK_URL`, if it is set, and what belongs to it.
    pub webhook: Option<PermissionSettings>,
    /// Whether `REALTIME_PERMISSION_WEBHOOK_SECRET` is set.
    has_webhook_secret: bool,
}

impl AccessConfig {
    pub(super) fn new(resolved: &Resolved) -> Self {
        let plugin_secret = resolved.text_if_set("PLUGIN_INTERNAL_SECRET");
        let secret = resolved.text_if_set("REALTIME_PERMISSION_WEBHOOK_SECRET");
        let url = resolved.text_if_set("REALTIME_PERMISSION_WEBHOOK_URL");
        Self {
            claims_are_exclusive: resolved.text("REALTIME_CLAIM_MODE") == "exclusive",
            api_key: resolved.text_if_set("REALTIME_API_KEY"),
            rest_auth: resolved.text_if_set("REALTIME_REST_AUTH").map(|word| match word.as_str() {
                "off" => RestAuth::Off,
                "optional" => RestAuth::Optional,
                _ => RestAuth::Required,
            }),
            has_webhook_secret: secret.is_some(),
            webhook: url.map(|url| PermissionSettings {
                url,
                secret,
                plugin_secret: plugin_secret.clone(),
                timeout: Duration::from_millis(resolved.number("REALTIME_PERMISSION_WEBHOOK_TIMEOUT")),
                allowed_ttl_ms: 1_000 * resolved.number::<u64>("REALTIME_PERMISSION_WEBHOOK_TTL"),
            }),
            plugin_secret,
        }
    }

    /// Who may use REST: credentials are asked for unless anybody could be anyone anyway.
    pub(super) fn rest(&self, is_insecure: bool) -> RestAuth {
        self.rest_auth.unwrap_or(if is_insecure { RestAuth::Optional } else { RestAuth::Required })
    }

    /// Checks what single values cannot show.
    pub(super) fn check(&self, is_insecure: bool) -> Result<(), String> {
        if !is_insecure && self.rest(is_insecure) != RestAuth::Required {
            return Err(
                "REALTIME_REST_AUTH lets anybody speak for every user, and works in development mode only: \
                        write required, or unset it; back ends send REALTIME_API_KEY as X-API-Key"
                    .to_owned(),
            );
        }
        for (name, key) in self.keys() {
            let is_header = HeaderValue::from_str(key).is_ok_and(|value| value.to_str().is_ok());
            if !is_header || key.trim() != key {
                return Err(format!(
                    "{name} cannot be sent in a header: write letters, digits and marks of ASCII without blanks \
                     around them"
                ));
            }
        }
        match &self.webhook {
            Some(webhook) if webhook.url.parse::<Uri>().is_err() => Err(
                "REALTIME_PERMISSION_WEBHOOK_URL cannot be asked: write a URL of ASCII characters such as \
                     https://back.example.org/permissions"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// What is allowed and probably not meant.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for (name, key) in self.keys().filter(|(_, key)| key.len() < KEY_BYTES_MIN) {
            let count = key.len();
            doubts.push(format!(
                "{name} has {count} bytes and can be guessed: write {KEY_BYTES_MIN} random bytes or more"
            ));
        }
        if self.has_webhook_secret && self.webhook.is_none() {
            doubts.push(
                "REALTIME_PERMISSION_WEBHOOK_SECRET signs nothing: REALTIME_PERMISSION_WEBHOOK_URL is not set"
                    .to_owned(),
            );
        }
        doubts
    }

    fn keys(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let keys = [("REALTIME_API_KEY", &self.api_key), ("PLUGIN_INTERNAL_SECRET", &self.plugin_secret)];
        keys.into_iter().filter_map(|(name, key)| Some((name, key.as_deref()?)))
    }
}

/// The rules of channels. A prefix may be written as a pattern, `private-*`, and with the kind that channels need not
/// have, `channel:private-`.
pub(super) fn rules(resolved: &Resolved) -> AccessRules {
    let prefixes = resolved.names("REALTIME_PRIVATE_PREFIXES").into_iter();
    let bare = |prefix: Box<str>| {
        let prefix = prefix.strip_suffix('*').unwrap_or(&prefix);
        Box::from(prefix.strip_prefix("channel:").unwrap_or(prefix))
    };
    AccessRules {
        admin_roles: resolved.names("REALTIME_ADMIN_ROLES").into(),
        private_prefixes: prefixes.map(bare).collect(),
        default_allows: resolved.text("REALTIME_ROOM_DEFAULT") == "allow",
        has_webhook: resolved.text_if_set("REALTIME_PERMISSION_WEBHOOK_URL").is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command_line::Flags;
    use super::*;

    fn resolved(variables: &[(&str, &str)]) -> Resolved {
        Resolved::new(&Flags::default(), variables.iter().map(|(name, text)| (name.into(), text.into())))
    }

    #[test]
    fn rules_are_read_as_people_write_them() {
        let check = |name: &str, text: &str, expected: AccessRules| {
            assert_eq!(rules(&resolved(&[(name, text)])), expected, "{name}={text}");
        };
        let usual = AccessRules::default;
        let list = |words: &[&str]| words.iter().copied().map(Box::from).collect::<Box<[_]>>();
        check("REALTIME_PORT", "1", usual());
        check(
            "REALTIME_ADMIN_ROLES",
            "root, boss",
            AccessRules { admin_roles: list(&["root", "boss"]), ..usual() },
        );
        check("REALTIME_ADMIN_ROLES", "none", AccessRules { admin_roles: list(&[]), ..usual() });
        let private = AccessRules { private_prefixes: list(&["vip-", "x", "dm:"]), ..usual() };
        check("REALTIME_PRIVATE_PREFIXES", "vip-*,channel:x,dm:", private);
        check("REALTIME_PRIVATE_PREFIXES", "None", AccessRules { private_prefixes: list(&[]), ..usual() });
        check("REALTIME_ROOM_DEFAULT", "DENY", AccessRules { default_allows: false, ..usual() });
        let asks = AccessRules { has_webhook: true, ..usual() };
        check("REALTIME_PERMISSION_WEBHOOK_URL", "http://back/may", asks);
    }

    #[test]
    fn the_webhook_is_set_as_a_whole() {
        let config = AccessConfig::new(&resolved(&[
            ("REALTIME_PERMISSION_WEBHOOK_URL", "https://back/may"),
            ("REALTIME_PERMISSION_WEBHOOK_SECRET", "signs"),
            ("PLUGIN_INTERNAL_SECRET", "tells apart"),
            ("REALTIME_PERMISSION_WEBHOOK_TTL", "7"),
        ]));
        let webhook = config.webhook.unwrap();
        assert_eq!((webhook.url.as_str(), webhook.secret.as_deref()), ("https://back/may", Some("signs")));
        assert_eq!(webhook.plugin_secret.as_deref(), Some("tells apart"));
        assert_eq!((webhook.timeout, webhook.allowed_ttl_ms), (Duration::from_secs(2), 7_000));
        assert!(AccessConfig::new(&resolved(&[])).webhook.is_none());
    }

    #[test]
    fn rest_is_open_in_development_mode_only() {
        let check = |word: Option<&str>, is_insecure: bool, expected: Option<RestAuth>| {
            let variables = word.map(|word| ("REALTIME_REST_AUTH", word));
            let config = AccessConfig::new(&resolved(variables.as_slice()));
            let rest = config.check(is_insecure).ok().map(|()| config.rest(is_insecure));
            assert_eq!(rest, expected, "{word:?} {is_insecure}");
        };
        check(None, false, Some(RestAuth::Required));
        check(None, true, Some(RestAuth::Optional));
        check(Some("required"), true, Some(RestAuth::Required));
        check(Some("off"), true, Some(RestAuth::Off));
        check(Some("off"), false, None);
        check(Some("optional"), false, None);
    }
}
