//! Tokens that must be refused, each with the reason that the metrics show, and those that must not.

use jsonwebtoken::{EncodingKey, Header, encode};
use protocol::json::Validator;
use serde_json::json;

use super::*;

const SECRET: &str = "a secret that only tests know, 32+ bytes";
const FAR: u64 = 4_000_000_000;

fn settings() -> AuthSettings {
    AuthSettings { secret: Some(SECRET.to_owned()), ..AuthSettings::default() }
}

fn verifier(change: impl FnOnce(&mut AuthSettings)) -> Verifier {
    let mut settings = settings();
    change(&mut settings);
    Verifier::new(settings).unwrap()
}

fn sign(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn token(claims: Value) -> String {
    sign(&claims, Algorithm::HS256, SECRET)
}

fn user(verifier: &Verifier, claims: Value) -> Result<String, Denial> {
    verifier.verify(&token(claims)).map(|identity| identity.user.to_string())
}

#[test]
fn bad_tokens_are_refused_each_for_its_reason() {
    let verifier = verifier(|_| {});
    let check = |token: &str, expected| assert_eq!(verifier.verify(token).unwrap_err(), expected, "{token}");
    let good = token(json!({"sub": "u1", "exp": FAR}));
    let (head_and_claims, _) = good.rsplit_once('.').unwrap();
    check(&format!("{head_and_claims}.AAAA"), Denial::Signature);
    check(&sign(&json!({"sub": "u1", "exp": FAR}), Algorithm::HS256, "another secret"), Denial::Signature);
    check(&sign(&json!({"sub": "u1", "exp": FAR}), Algorithm::HS512, SECRET), Denial::Malformed);
    check("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSIsImV4cCI6NDAwMDAwMDAwMH0.", Denial::Malformed);
    check("not a token", Denial::Malformed);
    check(&"x".repeat(1_000_000), Denial::Malformed);
    check(&token(json!({"sub": "u1", "exp": 1})), Denial::Expired);
    check(&token(json!({"sub": "u1"})), Denial::Claims);
    check(&token(json!({"sub": "u1", "exp": "soon"})), Denial::Claims);
    check(&token(json!({"sub": "u1", "exp": FAR, "nbf": FAR})), Denial::Immature);
    check(&token(json!({"exp": FAR})), Denial::Claims);
    check(&token(json!({"sub": "", "exp": FAR})), Denial::Claims);
    check(&token(json!({"sub": "u\n1", "exp": FAR})), Denial::Claims);
    check(&token(json!({"sub": "u1", "exp": FAR, "mfa": true})), Denial::Purpose);
    check(&token(json!({"sub": "u1", "exp": FAR, "purpose": "password-reset"})), Denial::Purpose);
}

#[test]
fn configured_claims_are_demanded() {
    let strict = verifier(|settings| {
        settings.issuer = Some("nchat".to_owned());
        settings.audience = Some("realtime".to_owned());
        settings.required_claims = vec!["role".to_owned()];
    });
    let complete = json!({"sub": "u1", "exp": FAR, "iss": "nchat", "aud": "realtime", "role": "member"});
    assert_eq!(user(&strict, complete.clone()), Ok("u1".to_owned()));
    for claim in ["iss", "aud", "role"] {
        let mut without = complete.clone();
        without.as_object_mut().unwrap().remove(claim);
        assert_eq!(user(&strict, without), Err(Denial::Claims), "without {claim}");
        let mut wrong = complete.clone();
        wrong[claim] = json!(5);
        if claim != "role" {
            assert_eq!(user(&strict, wrong), Err(Denial::Claims), "wrong {claim}");
        }
    }
}

#[test]
fn the_user_is_found_where_issuers_put_it() {
    let plain = verifier(|_| {});
    let check = |claims: Value, expected: &str| {
        let mut claims = claims;
        claims["exp"] = json!(FAR);
        assert_eq!(user(&plain, claims).as_deref(), Ok(expected));
    };
    check(json!({"userId": "a", "sub": "b"}), "a");
    check(json!({"https://hasura.io/jwt/claims": {"x-hasura-user-id": "h"}, "sub": "b"}), "h");
    check(json!({"https://hasura.io/jwt/claims": "{\"x-hasura-user-id\":\"h\"}"}), "h");
    check(json!({"x-hasura-user-id": "x", "sub": "b"}), "x");
    check(json!({"sub": "b", "user_id": "c"}), "b");
    check(json!({"user_id": 7}), "7");
    let configured = verifier(|settings| settings.user_claim = Some("auth_id".to_owned()));
    assert_eq!(user(&configured, json!({"auth_id": "z", "userId": "a", "exp": FAR})), Ok("z".to_owned()));
}

#[test]
fn a_token_tells_name_roles_and_end() {
    let claims = json!({
        "sub": "u1", "exp": 4_000_000_000u64, "username": "ann", "role": "admin", "jti": "s9",
        "https://hasura.io/jwt/claims": {"x-hasura-allowed-roles": "{admin,member}"},
    });
    let identity = verifier(|_| {}).verify(&token(claims)).unwrap();
    assert_eq!(identity.name.as_deref(), Some("ann"));
    assert_eq!(identity.session.as_deref(), Some("s9"));
    assert_eq!(identity.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["admin", "member"]);
    assert_eq!(identity.expires_at_unix_ms, Some(4_000_000_000_000));
}

#[test]
fn what_a_client_says_of_itself_must_agree_with_its_token() {
    let mut validator = Validator::new();
    let mut check = |verifier: &Verifier, auth: Value, expected: Result<&str, Denial>| {
        let text = auth.to_string();
        let json = validator.check(&text).unwrap();
        let greeting = verifier.authenticate(Some(json), || "anon-1".to_owned());
        assert_eq!(
            greeting.map(|greeting| greeting.identity.user.to_string()),
            expected.map(str::to_owned),
            "{text}"
        );
    };
    let good = token(json!({"sub": "u1", "exp": FAR}));
    let strict = verifier(|_| {});
    check(&strict, json!({"token": good}), Ok("u1"));
    check(&strict, json!({"token": good, "userId": "u1"}), Ok("u1"));
    check(&strict, json!({"token": good, "userId": "u2"}), Err(Denial::Mismatch));
    check(&strict, json!({"userId": "u2"}), Err(Denial::Missing));
    check(&strict, json!({"token": "user:u1"}), Err(Denial::Malformed));
    let open = verifier(|settings| settings.allows_anonymous = true);
    check(&open, json!({"userId": "u2"}), Ok("anon-1"));
    let insecure = verifier(|settings| settings.is_required = false);
    check(&insecure, json!({"token": "user:u7"}), Ok("u7"));
    check(&insecure, json!({"token": "invalid-token", "userId": "u8"}), Ok("u8"));
    check(&insecure, json!({"token": good, "userId": "u9"}), Ok("u1"));
    check(&insecure, json!({"token": format!("{good}x")}), Err(Denial::Signature));
    check(&insecure, json!({}), Ok("anon-1"));
    let believing = verifier(|settings| (settings.is_required, settings.secret) = (false, None));
    check(&believing, json!({"token": sign(&json!({"sub": "u5"}), Algorithm::HS256, "whatever")}), Ok("u5"));
}

#[test]
fn a_key_that_does_not_fit_is_refused_at_start() {
    let refused = |change: &dyn Fn(&mut AuthSettings)| {
        let mut settings = settings();
        change(&mut settings);
        Verifier::new(settings).err().expect("it must be refused")
    };
    assert!(refused(&|settings| settings.secret = None).contains("--dev"));
    assert!(refused(&|settings| settings.secret = Some(String::new())).contains("empty"));
    assert!(
        refused(&|settings| settings.secret = Some("-----BEGIN PUBLIC KEY-----".to_owned()))
            .contains("RS256")
    );
    assert!(refused(&|settings| settings.algorithm = Algorithm::RS256).contains("PEM"));
    let hasura =
        verifier(|settings| settings.secret = Some(json!({"type": "HS256", "key": SECRET}).to_string()));
    assert_eq!(user(&hasura, json!({"sub": "u1", "exp": FAR})), Ok("u1".to_owned()));
}

#[test]
fn channels_that_a_token_names_are_its_grants() {
    let check = |claims: Value, open: &[&str], shut: &[&str]| {
        let mut claims = claims;
        (claims["sub"], claims["exp"]) = (json!("u1"), json!(FAR));
        let grants = verifier(|_| {}).verify(&token(claims.clone())).unwrap().grants;
        let names = |channel: &&str| grants.as_ref().is_some_and(|grants| grants.name(channel));
        assert_eq!(grants.is_some(), !(open.is_empty() && shut.is_empty()), "{claims}");
        assert!(open.iter().all(names) && !shut.iter().any(names), "{claims}");
    };
    let hasura = "https://hasura.io/jwt/claims";
    check(json!({"role": "member"}), &[], &[]);
    check(json!({"rooms": null, hasura: {"x-hasura-channels": null}}), &[], &[]);
    check(json!({"rooms": ["a", "channel:b", 7]}), &["a", "b"], &["c", "7"]);
    check(json!({"channels": ["team-*"], "rooms": ["a"]}), &["a", "team-1"], &["teams"]);
    check(json!({"rooms": []}), &[], &["a"]);
    check(json!({"rooms": {"a": true}}), &[], &["a"]);
    check(json!({"rooms": "a"}), &["a"], &["b"]);
    check(json!({hasura: {"x-hasura-channels": ["a"]}}), &["a"], &["b"]);
    check(
        json!({hasura: {"x-hasura-channels": "{a,\"b,c\",\"d\\\"e\"}"}}),
        &["a", "b,c", "d\"e"],
        &["b", "c"],
    );
    check(json!({hasura: r#"{"x-hasura-channels":"{a}"}"#}), &["a"], &["{a}"]);
    check(json!({hasura: {"x-hasura-channels": "{}"}}), &[], &["a", ""]);
}

#[test]
fn whether_grants_shut_the_rest_is_configured() {
    let decide = |claims_are_exclusive: bool| {
        let verifier = verifier(|settings| settings.claims_are_exclusive = claims_are_exclusive);
        let identity = verifier.verify(&token(json!({"sub": "u1", "exp": FAR, "rooms": ["a"]}))).unwrap();
        let rules = core_shards::AccessRules::default();
        core_shards::access::decide(&rules, "u1", &[], identity.grants.as_deref(), "b")
    };
    assert!(matches!(decide(true), core_shards::Access::Deny(_)));
    assert_eq!(decide(false), core_shards::Access::Allow);
}
