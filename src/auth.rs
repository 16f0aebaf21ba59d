//! Who a client is: tokens are verified, and their claims become an [`Identity`]. The identity comes
//! from the token alone; what a client says of itself is a hint that must agree with it.

mod claims;
mod greeting;
mod rest;

use std::sync::Arc;

use core_shards::Identity;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use protocol::codes::ErrorCode;
use protocol::json::Json;
use serde_json::{Map, Value};

pub use greeting::{Greeting, Hints};
use rest::ServerKeys;
pub use rest::{Caller, RestAuth};

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Clock differences between issuer and node that are forgiven, in seconds.
const LEEWAY_S: u64 = 30;

/// A claim set.
pub type Claims = Map<String, Value>;

/// Why somebody was not let in: the metric label, and what the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Denial {
    /// No token.
    Missing,
    /// Not a token, or one that is signed in another way than ours.
    Malformed,
    /// The signature is not ours.
    Signature,
    /// The token's time is over.
    Expired,
    /// The token's time has not begun.
    Immature,
    /// A required claim is missing or not as it should be.
    Claims,
    /// A token for one purpose, such as a password reset, or one half of a two-factor sign-in.
    Purpose,
    /// `auth.userId` names somebody else.
    Mismatch,
    /// A back end's key that is not ours.
    Key,
}

impl Denial {
    /// Every denial with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Missing, "missing"),
        (Self::Malformed, "malformed"),
        (Self::Signature, "signature"),
        (Self::Expired, "expired"),
        (Self::Immature, "immature"),
        (Self::Claims, "claims"),
        (Self::Purpose, "purpose"),
        (Self::Mismatch, "mismatch"),
        (Self::Key, "key"),
    ];

    /// The code and the message that clients show. The details stay in the metrics.
    pub const fn answer(self) -> (ErrorCode, &'static str) {
        match self {
            Self::Missing => (ErrorCode::AuthenticationFailed, "Authentication required"),
            Self::Expired => (ErrorCode::TokenExpired, "Token expired"),
            Self::Mismatch => (ErrorCode::AuthenticationFailed, "userId does not match the token"),
            Self::Key => (ErrorCode::AuthenticationFailed, "Invalid API key"),
            Self::Malformed | Self::Signature | Self::Immature | Self::Claims | Self::Purpose => {
                (ErrorCode::AuthenticationFailed, "Invalid token")
            }
        }
    }
}

impl From<&Error> for Denial {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::Immature,
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
            | ErrorKind::InvalidAudience
            | ErrorKind::InvalidIssuer
            | ErrorKind::InvalidSubject => Self::Claims,
            _ => Self::Malformed,
        }
    }
}

/// What decides about tokens.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// The secret or PEM key; also Hasura's form `{"type":"HS256","key":"…"}`.
    pub secret: Option<String>,
    /// The one algorithm that is accepted, whatever a token's header says.
    pub algorithm: Algorithm,
    /// Insecure development mode when off: identities are believed.
    pub is_required: bool,
    /// Whether a client without a token may come in, under a name of ours.
    pub allows_anonymous: bool,
    /// The claim that names the user, before the usual ones.
    pub user_claim: Option<String>,
    /// Claims that a token must have.
    pub required_claims: Vec<String>,
    /// The issuer that a token must name.
    pub issuer: Option<String>,
    /// The audience that a token must name.
    pub audience: Option<String>,
    /// Whether a token that names channels opens no others.
    pub claims_are_exclusive: bool,
    /// `X-API-Key` of back ends.
    pub api_key: Option<String>,
    /// `X-Plugin-Secret` of the tools around the node.
    pub plugin_secret: Option<String>,
    /// Who may use REST.
    pub rest: RestAuth,
}

impl Default for AuthSettings {
    /// Tokens and credentials are required, and there is no secret yet.
    fn default() -> Self {
        Self {
            secret: None,
            algorithm: Algorithm::HS256,
            is_required: true,
            allows_anonymous: false,
            user_claim: None,
            required_claims: Vec::new(),
            issuer: None,
            audience: None,
            claims_are_exclusive: true,
            api_key: None,
            plugin_secret: None,
            rest: RestAuth::Required,
        }
    }
}

/// Decides who a client is.
pub struct Verifier {
    settings: AuthSettings,
    key: Option<DecodingKey>,
    validation: Validation,
    server_keys: ServerKeys,
}

impl Verifier {
    /// Prepares the key.
    ///
    /// # Errors
    /// A sentence that says what to set when the key is missing or does not fit the algorithm.
    pub fn new(settings: AuthSettings) -> Result<Self, String> {
        let key =
            settings.secret.as_deref().map(|secret| decoding_key(secret, settings.algorithm)).transpose()?;
        if settings.is_required && key.is_none() {
            return Err("REALTIME_JWT_SECRET is not set: set it to the secret that signs your tokens, \
                        or start with --dev for development without tokens"
                .to_owned());
        }
        let mut validation = Validation::new(settings.algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.validate_aud = settings.audience.is_some();
        let mut required = vec!["exp"];
        if let Some(issuer) = &settings.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &settings.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let server_keys = ServerKeys::new(settings.api_key.as_deref(), settings.plugin_secret.as_deref());
        Ok(Self { settings, key, validation, server_keys })
    }

    /// Whether identities are believed without proof.
    pub fn is_insecure(&self) -> bool {
        !self.settings.is_required
    }

    /// Reads the `auth` object of a CONNECT packet. `anonymous` makes a name for somebody who has none.
    ///
    /// # Errors
    /// Why the client is not let in. A field that occurs twice is one of the reasons; a hint of the wrong type is none.
    pub fn authenticate(
        &self,
        auth: Option<Json<'_>>,
        anonymous: impl FnOnce() -> String,
    ) -> Result<Greeting, Denial> {
        let (token, user_id, hints) = greeting::read(auth)?;
        let identity = self.identify(token, user_id, anonymous)?;
        Ok(Greeting { identity, hints })
    }

    fn identify(
        &self,
        token: Option<Json<'_>>,
        user_id: Option<Json<'_>>,
        anonymous: impl FnOnce() -> String,
    ) -> Result<Identity, Denial> {
        let hint = user_id.and_then(Json::as_str).filter(|hint| !hint.is_empty());
        let token = token.and_then(Json::as_str).filter(|token| !token.is_empty());
        match token {
            Some(token) if self.settings.is_required || is_jwt(&token) => {
                let identity = self.verify(&token)?;
                match hint {
                    Some(hint) if self.settings.is_required && *hint != *identity.user => {
                        Err(Denial::Mismatch)
                    }
                    _ => Ok(identity),
                }
            }
            None if self.settings.is_required && !self.settings.allows_anonymous => Err(Denial::Missing),
            None if self.settings.is_required => claims::named(&anonymous()),
            token => {
                let named = token.as_deref().and_then(|token| token.strip_prefix("user:"));
                match named.or(hint.as_deref()) {
                    Some(name) => claims::named(name),
                    None => claims::named(&anonymous()),
                }
            }
        }
    }

    /// Verifies a token and reads its claims. A broken library is a refused token, not a broken core.
    pub fn verify(&self, token: &str) -> Result<Identity, Denial> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denial::Malformed);
        }
        let verified = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.verified_claims(token)));
        let claims = verified.unwrap_or(Err(Denial::Malformed))?;
        if claims.get("mfa") == Some(&Value::Bool(true)) || claims.contains_key("purpose") {
            return Err(Denial::Purpose);
        }
        if !self.settings.required_claims.iter().all(|claim| claims.contains_key(claim)) {
            return Err(Denial::Claims);
        }
        claims::identity(&claims, self.settings.user_claim.as_deref(), self.settings.claims_are_exclusive)
    }

    fn verified_claims(&self, token: &str) -> Result<Claims, Denial> {
        let Some(key) = &self.key else {
            // Insecure mode without a secret: what the token says is believed.
            let decoded = jsonwebtoken::dangerous::insecure_decode::<Claims>(token);
            return decoded.map(|decoded| decoded.claims).map_err(|_| Denial::Malformed);
        };
        let decoded = jsonwebtoken::decode::<Claims>(token, key, &self.validation);
        let decoded = decoded.map_err(|error| Denial::from(&error))?;
        match decoded.header.crit {
            // What it says is critical is not understood here.
            Some(_) => Err(Denial::Malformed),
            None => Ok(decoded.claims),
        }
    }
}

/// Three parts with dots between: worth verifying. Development tokens such as `dev-token` are not.
fn is_jwt(token: &str) -> bool {
    token.starts_with("ey") && token.split('.').count() == 3
}

fn decoding_key(secret: &str, algorithm: Algorithm) -> Result<DecodingKey, String> {
    let hasura = serde_json::from_str::<Value>(secret).ok();
    let secret = hasura.as_ref().and_then(|json| json.get("key")).and_then(Value::as_str).unwrap_or(secret);
    if secret.is_empty() {
        return Err("REALTIME_JWT_SECRET is empty: set it to the secret that signs your tokens".to_owned());
    }
    let pem = secret.as_bytes();
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            // A public key used as a secret is known to everybody.
            if secret.contains("-----BEGIN") {
                return Err(
                    "REALTIME_JWT_SECRET is a PEM key, but REALTIME_JWT_ALGORITHM is for shared secrets: \
                            set it to the key's algorithm, such as RS256"
                        .to_owned(),
                );
            }
            return Ok(DecodingKey::from_secret(pem));
        }
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_rsa_pem(pem),
    };
    key.map_err(|error| format!("REALTIME_JWT_SECRET is not a PEM key for {algorithm:?}: {error}"))
}

/// Shared by all cores.
pub type SharedVerifier = Arc<Verifier>;

#[cfg(test)]
mod tests;
