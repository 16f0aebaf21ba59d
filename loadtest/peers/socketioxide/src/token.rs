//! Who a client is: the `sub` of an HS256 token, or the name that it gives where no secret is set.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

/// What a client sends with its CONNECT packet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    token: Option<String>,
    user_id: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// What tokens are checked with; `None` believes everybody.
#[derive(Clone)]
pub struct Verifier(Option<(DecodingKey, Validation)>);

impl Verifier {
    /// A verifier for tokens that are signed with `secret`; an empty one believes everybody.
    pub fn new(secret: &str) -> Self {
        let key = || (DecodingKey::from_secret(secret.as_bytes()), Validation::new(Algorithm::HS256));
        Self((!secret.is_empty()).then(key))
    }

    /// The user's id.
    ///
    /// # Errors
    /// In words, if there is no good token.
    pub fn user_of(&self, auth: Auth) -> Result<String, String> {
        let Some((key, validation)) = &self.0 else {
            return Ok(auth.user_id.unwrap_or_else(|| "anonymous".to_owned()));
        };
        let token = auth.token.ok_or("Invalid token")?;
        let checked = decode::<Claims>(&token, key, validation).map_err(|_| "Invalid token")?;
        Ok(checked.claims.sub)
    }
}
