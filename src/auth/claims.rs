//! From claims to an identity: the places where the issuers of the field put the user, the roles and the name.

use std::sync::Arc;

use core_shards::{Grants, Identity};
use serde_json::Value;

use super::{Claims, Denial};

/// The longest user id in bytes.
const USER_BYTES_MAX: usize = 255;
/// Roles of one token that are kept.
const ROLES_MAX: usize = 32;
/// Where hasura-auth puts its claims.
const HASURA: &str = "https://hasura.io/jwt/claims";

/// The identity of somebody who has no claims.
pub(super) fn named(user: &str) -> Result<Identity, Denial> {
    if user.is_empty() || user.len() > USER_BYTES_MAX || user.chars().any(char::is_control) {
        return Err(Denial::Claims);
    }
    Ok(Identity {
        user: user.into(),
        session: None,
        name: None,
        roles: Box::default(),
        grants: None,
        expires_at_unix_ms: None,
    })
}

/// Reads the identity out of verified claims. Exclusive: a token that names channels opens no others.
pub(super) fn identity(
    claims: &Claims,
    user_claim: Option<&str>,
    is_exclusive: bool,
) -> Result<Identity, Denial> {
    let hasura = hasura_claims(claims);
    let user = user_claim
        .and_then(|name| text(claims, name))
        .or_else(|| text(claims, "userId"))
        .or_else(|| hasura.as_ref().and_then(|claims| text(claims, "x-hasura-user-id")))
        .or_else(|| text(claims, "x-hasura-user-id"))
        .or_else(|| text(claims, "sub"))
        .or_else(|| text(claims, "user_id"))
        .ok_or(Denial::Claims)?;
    let identity = named(&user)?;
    let first = |names: [&str; 3]| names.into_iter().find_map(|name| text(claims, name));
    Ok(Identity {
        session: first(["sessionId", "sid", "jti"]).map(String::into_boxed_str),
        name: first(["displayName", "name", "username"]).map(Arc::from),
        roles: roles(claims, hasura.as_ref()),
        grants: grants(claims, hasura.as_ref(), is_exclusive).map(Arc::new),
        expires_at_unix_ms: claims
            .get("exp")
            .and_then(Value::as_f64)
            .map(|seconds| (seconds * 1000.0) as u64),
        ..identity
    })
}

/// Hasura's namespace, which may be an object or an object written as a string.
fn hasura_claims(claims: &Claims) -> Option<Claims> {
    match claims.get(HASURA)? {
        Value::Object(object) => Some(object.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// A claim as text; whole numbers are taken as ids, too.
fn text(claims: &Claims, name: &str) -> Option<String> {
    match claims.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

fn roles(claims: &Claims, hasura: Option<&Claims>) -> Box<[Box<str>]> {
    let mut roles: Vec<Box<str>> = Vec::new();
    let sources = [
        claims.get("role"),
        claims.get("roles"),
        hasura.and_then(|claims| claims.get("x-hasura-default-role")),
        hasura.and_then(|claims| claims.get("x-hasura-allowed-roles")),
    ];
    for source in sources.into_iter().flatten() {
        for role in listed(source) {
            if roles.len() < ROLES_MAX && !roles.iter().any(|known| **known == *role) {
                roles.push(role.into());
            }
        }
    }
    roles.into()
}

/// The channels that the token names; none if it has no such claim. A claim of the wrong type names no channel, so an
/// exclusive token with one opens nothing.
fn grants(claims: &Claims, hasura: Option<&Claims>, is_exclusive: bool) -> Option<Grants> {
    let sources = [
        claims.get("rooms"),
        claims.get("channels"),
        hasura.and_then(|claims| claims.get("x-hasura-channels")),
    ];
    let present: Vec<&Value> = sources.into_iter().flatten().filter(|claim| !claim.is_null()).collect();
    if present.is_empty() {
        return None;
    }
    let patterns: Vec<String> = present.into_iter().flat_map(listed).collect();
    Some(Grants::new(patterns.iter().map(String::as_str), is_exclusive))
}

/// One text, an array of texts, or a Postgres array literal `{a,b}`.
fn listed(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(literal) => elements(literal),
            None => vec![text.clone()],
        },
        _ => Vec::new(),
    }
}

/// The elements of an array literal without its braces (PostgreSQL manual, section 8.15.2): a quoted one may hold
/// commas, and a backslash takes the next character as it is. `a,"b,c"` has two.
fn elements(literal: &str) -> Vec<String> {
    let (mut elements, mut element) = (Vec::new(), String::new());
    let (mut is_quoted, mut letters) = (false, literal.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => element.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => elements.push(std::mem::take(&mut element)),
            _ => element.push(letter),
        }
    }
    elements.push(element);
    elements.retain(|element| !element.is_empty());
    elements
}
