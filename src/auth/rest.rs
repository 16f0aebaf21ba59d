//! Who calls over REST: a back end with a key of the node, a user with a token, or, in development mode, anybody.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use core_shards::Identity;
use protocol::http::head::Request;

use super::{Denial, Verifier, is_jwt};

/// Who may use REST. All but the first are for development mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestAuth {
    /// Whoever has a key of the node or a token.
    Required,
    /// Anybody; credentials that are sent must be good.
    Optional,
    /// Anybody; a good key makes a back end, everything else is not looked at.
    Off,
}

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A back end that has a key of the node: it may speak for every user.
    Server,
    /// A user, who may speak for nobody else.
    User(Box<Identity>),
    /// Somebody, in development mode, who may speak for every user and has no right that needs a key.
    Open,
}

/// The keys of back ends, as digests: comparing those takes the same time for every wrong key, whatever its length.
pub(super) struct ServerKeys {
    keys: [(&'static str, Option<Digest>); 2],
}

impl ServerKeys {
    pub(super) fn new(api_key: Option<&str>, plugin_secret: Option<&str>) -> Self {
        let digest_of = |key: Option<&str>| key.map(|key| digest(&SHA256, key.as_bytes()));
        Self { keys: [("x-api-key", digest_of(api_key)), ("x-plugin-secret", digest_of(plugin_secret))] }
    }

    /// Whether a header has a key of ours; none if none has one that could be. Empty headers count as missing,
    /// because back ends without a key send them, and so do those for which this node has no key.
    fn check(&self, request: &Request<'_>) -> Option<bool> {
        let presented = self.keys.iter().filter_map(|(name, key)| {
            let presented = request.header(name).filter(|presented| !presented.is_empty())?;
            let presented = digest(&SHA256, presented.as_bytes());
            Some(verify_slices_are_equal(presented.as_ref(), key.as_ref()?.as_ref()).is_ok())
        });
        presented.reduce(|one, other| one || other)
    }
}

impl Verifier {
    /// Whether there is a key with which a caller can be a back end.
    pub fn has_server_key(&self) -> bool {
        self.server_keys.keys.iter().any(|(_, key)| key.is_some())
    }

    /// Finds out who sent a request from `X-API-Key`, `X-Plugin-Secret` or `Authorization: Bearer`, in this order.
    ///
    /// # Errors
    /// Why the caller is not let in; all are answered 401.
    pub fn authenticate_rest(&self, request: &Request<'_>) -> Result<Caller, Denial> {
        let key = self.server_keys.check(request);
        match (key, self.settings.rest) {
            (Some(true), _) => return Ok(Caller::Server),
            (_, RestAuth::Off) => return Ok(Caller::Open),
            (Some(false), _) => return Err(Denial::Key),
            (None, _) => {}
        }
        match bearer(request) {
            // As in the handshake: development tokens such as `dev-token` say nothing, and nothing has to be said.
            Some(token) if !self.is_insecure() || is_jwt(token) => {
                self.verify(token).map(|identity| Caller::User(Box::new(identity)))
            }
            _ if self.settings.rest == RestAuth::Required => Err(Denial::Missing),
            _ => Ok(Caller::Open),
        }
    }
}

/// The token of an `Authorization` header (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1).
fn bearer<'a>(request: &Request<'a>) -> Option<&'a str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use protocol::http::head::{HeadLimits, parse};
    use serde_json::json;

    use super::super::AuthSettings;
    use super::*;

    const SECRET: &str = "a secret that only tests know, 32+ bytes";

    fn verifier(rest: RestAuth, is_required: bool, has_keys: bool) -> Verifier {
        let key = |text: &str| has_keys.then(|| text.to_owned());
        let (api_key, plugin_secret) = (key("the key"), key("the plugin"));
        let secret = Some(SECRET.to_owned());
        let settings =
            AuthSettings { secret, is_required, api_key, plugin_secret, rest, ..AuthSettings::default() };
        Verifier::new(settings).unwrap()
    }

    fn caller(verifier: &Verifier, headers: &str) -> Result<String, Denial> {
        let head = format!("POST /messages HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let request = parse(head.as_bytes(), &HeadLimits::STANDARD).unwrap().unwrap();
        verifier.authenticate_rest(&request).map(|caller| match caller {
            Caller::Server => "server".to_owned(),
            Caller::User(identity) => format!("user {}", identity.user),
            Caller::Open => "open".to_owned(),
        })
    }

    fn token(exp: u64) -> String {
        let claims = json!({"sub": "u1", "exp": exp});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&Header::default(), &claims, &key).unwrap();
        format!("Authorization: Bearer {token}\r\n")
    }

    #[test]
    fn a_caller_is_known_by_key_or_token() {
        let strict = verifier(RestAuth::Required, true, true);
        let check = |headers: &str, expected: Result<&str, Denial>| {
            assert_eq!(caller(&strict, headers).as_deref(), expected.as_deref(), "{headers}");
        };
        check("X-API-Key: the key\r\n", Ok("server"));
        check("X-Plugin-Secret: the plugin\r\n", Ok("server"));
        check("X-API-Key: \r\nX-Plugin-Secret: the plugin\r\n", Ok("server"));
        check("X-API-Key: wrong\r\nX-Plugin-Secret: the plugin\r\n", Ok("server"));
        check("X-API-Key: the plugin\r\n", Err(Denial::Key));
        check("X-API-Key: the ke\r\n", Err(Denial::Key));
        check(&format!("X-API-Key: wrong\r\n{}", token(4_000_000_000)), Err(Denial::Key));
        check(&token(4_000_000_000), Ok("user u1"));
        check(&token(4_000_000_000).replace("Bearer", "bearer"), Ok("user u1"));
        check(&token(4_000_000_000).replace("Bearer", "Basic"), Err(Denial::Missing));
        check(&token(1), Err(Denial::Expired));
        check("Authorization: Bearer dev-token\r\n", Err(Denial::Malformed));
        check("Authorization: Bearer\r\n", Err(Denial::Missing));
        check("", Err(Denial::Missing));
        check("X-API-Key: \r\n", Err(Denial::Missing));
        let keyless = verifier(RestAuth::Required, true, false);
        assert!(strict.has_server_key() && !keyless.has_server_key());
        assert_eq!(caller(&keyless, "X-API-Key: the key\r\n"), Err(Denial::Missing));
    }

    #[test]
    fn development_mode_is_open_and_still_knows_keys() {
        let check = |rest: RestAuth, headers: &str, expected: Result<&str, Denial>| {
            let caller = caller(&verifier(rest, false, true), headers);
            assert_eq!(caller.as_deref(), expected.as_deref(), "{rest:?} {headers}");
        };
        for rest in [RestAuth::Required, RestAuth::Optional, RestAuth::Off] {
            check(rest, "X-API-Key: the key\r\n", Ok("server"));
        }
        check(RestAuth::Optional, "", Ok("open"));
        check(RestAuth::Optional, "X-API-Key: \r\n", Ok("open"));
        check(RestAuth::Optional, "X-API-Key: wrong\r\n", Err(Denial::Key));
        check(RestAuth::Optional, "Authorization: Bearer dev-token\r\n", Ok("open"));
        check(RestAuth::Optional, &token(4_000_000_000), Ok("user u1"));
        check(RestAuth::Optional, &token(1), Err(Denial::Expired));
        check(RestAuth::Off, "X-API-Key: wrong\r\n", Ok("open"));
        check(RestAuth::Off, &token(1), Ok("open"));
        check(RestAuth::Required, "", Err(Denial::Missing));
        check(RestAuth::Required, "Authorization: Bearer dev-token\r\n", Err(Denial::Missing));
    }
}
