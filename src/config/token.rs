//! Tokens for development: signed with the node's own secret, and verified as the node would before they are shown.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use jsonwebtoken::{AlgorithmFamily, EncodingKey, Header, encode};
use serde_json::{Map, Value};

use super::Config;
use crate::auth::{AuthSettings, Verifier};

/// The longest life of a minted token, in seconds: ten years.
const TTL_S_MAX: u64 = 315_360_000;

/// For whom a token is minted.
#[derive(Clone, Debug, Args)]
pub struct TokenRequest {
    /// User id
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// Display name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Role, such as member or admin
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// How long the token is good: seconds, or 90s, 15m, 1h, 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    pub ttl: u64,
    /// Secret to sign with, before REALTIME_JWT_SECRET; other users of this machine can see it
    #[arg(long, value_name = "SECRET")]
    pub secret: Option<String>,
}

impl TokenRequest {
    /// What `--secret` says of the settings.
    pub(super) fn secret_flag(&self) -> Option<(&'static str, String)> {
        self.secret.clone().map(|secret| ("REALTIME_JWT_SECRET", secret))
    }

    /// Mints the token.
    ///
    /// # Errors
    /// A sentence that says what to change, when the secret is missing, when the algorithm needs a private key, and
    /// when a node with this configuration would refuse the token.
    pub fn mint(&self, config: &Config) -> Result<String, String> {
        let algorithm = config.jwt_algorithm;
        if !AlgorithmFamily::Hmac.algorithms().contains(&algorithm) {
            return Err(format!(
                "REALTIME_JWT_ALGORITHM={algorithm:?} signs with a private key, and this node knows the public one \
                 only: mint the token where the private key is, or try with REALTIME_JWT_ALGORITHM=HS256"
            ));
        }
        let Some(secret) = &config.jwt_secret else {
            return Err(
                "REALTIME_JWT_SECRET is not set: set it to the secret of your node, or pass --secret; \
                        a node in development mode needs no token"
                    .to_owned(),
            );
        };
        // Required, so that this is the verifier of a node that looks at tokens.
        let verifier = Verifier::new(AuthSettings { is_required: true, ..config.auth() })?;
        let hasura = serde_json::from_str::<Value>(secret).ok();
        let key = hasura.as_ref().and_then(|json| json.get("key")).and_then(Value::as_str).unwrap_or(secret);
        let key = EncodingKey::from_secret(key.as_bytes());
        let token = encode(&Header::new(algorithm), &self.claims(config), &key)
            .map_err(|error| format!("the token cannot be signed: {error}"))?;
        match verifier.verify(&token) {
            Ok(_) => Ok(token),
            Err(denial) => Err(format!(
                "the node would refuse the token ({denial:?}): the user id is 1 to 255 bytes without control \
                 characters, and REALTIME_JWT_REQUIRED_CLAIMS may ask for more than --user, --name and --role give"
            )),
        }
    }

    fn claims(&self, config: &Config) -> Map<String, Value> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        claim("sub", self.user.clone().into());
        if let Some(name) = &config.jwt_user_claim {
            claim(name, self.user.clone().into());
        }
        let texts = [
            ("displayName", &self.name),
            ("role", &self.role),
            ("iss", &config.jwt_issuer),
            ("aud", &config.jwt_audience),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                claim(name, text.clone().into());
            }
        }
        claim("iat", since.into());
        claim("exp", since.saturating_add(self.ttl).into());
        claims
    }
}

/// Reads `3600`, `90s`, `15m`, `1h` or `30d`.
fn seconds(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let total = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    total
        .filter(|total| (1..=TTL_S_MAX).contains(total))
        .ok_or_else(|| "write a time such as 90s, 15m, 1h or 30d, ten years at most".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(seconds(text).ok(), expected, "{text}");
        check("90", Some(90));
        check("90s", Some(90));
        check("15m", Some(900));
        check("1h", Some(3_600));
        check("3650d", Some(TTL_S_MAX));
        check("3651d", None);
        check("0", None);
        check("-1h", None);
        check("h", None);
        check("", None);
        check("1é", None);
        check("99999999999999999999d", None);
    }
}
