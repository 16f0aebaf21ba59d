//! What a connection says about who it is: a signed token, or only a name for servers in insecure mode.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::seating::Seat;

/// How long a token is good for.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Who the connections say they are; seat `n` is the user `lt-<n>`.
#[derive(Clone)]
pub enum Identity {
    /// An HS256 token with `sub`, `iat` and `exp`, signed with this secret.
    Signed(String),
    /// `userId` without any proof, for servers that do not ask for one.
    Claimed,
}

impl Identity {
    /// The token of `seat`, if there is a secret to sign it with.
    pub fn token(&self, seat: Seat) -> Option<String> {
        match self {
            Self::Signed(secret) => Some(mint(secret, seat, SystemTime::now())),
            Self::Claimed => None,
        }
    }

    /// The CONNECT packet's auth object for `seat`, as JSON text.
    pub fn auth(&self, seat: Seat) -> String {
        match self.token(seat) {
            Some(token) => format!(r#"{{"token":"{token}"}}"#),
            None => format!(r#"{{"userId":"lt-{}"}}"#, seat.0),
        }
    }
}

/// A JSON Web Token (RFC 7519) for `seat`, issued at `now`.
fn mint(secret: &str, seat: Seat, now: SystemTime) -> String {
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let expires = issued + LIFETIME.as_secs();
    let claims = format!(r#"{{"sub":"lt-{}","iat":{issued},"exp":{expires}}}"#, seat.0);
    let mut token = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(token.as_bytes());
    let signature = mac.finalize().into_bytes();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_other_implementations_sign() {
        let token = mint("secret", Seat(7), UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(token, EXPECTED);
    }

    /// Made with `node:crypto`: `createHmac("sha256", "secret")` over the same header and claims.
    const EXPECTED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJsdC03IiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwNDMyMDB9.qbUNmdPnm5isyqNo4d3FRYLpEzSobn_G3K9ZKRmAx2o";

    #[test]
    fn without_a_secret_only_the_name_is_given() {
        assert_eq!(Identity::Claimed.auth(Seat(3)), r#"{"userId":"lt-3"}"#);
    }
}
