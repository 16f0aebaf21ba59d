//! What a client says in its handshake, beside who it is: hints that the node acts on, each bounded, none of them believed
//! further than it does no harm.

use core_shards::Identity;
use core_shards::limits::DefaultDialect;
use protocol::json::Json;

use super::Denial;

/// The longest hint in bytes.
const HINT_BYTES_MAX: usize = 256;

/// A client that may come in.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// Who it is.
    pub identity: Identity,
    /// What it asks for.
    pub hints: Hints,
}

/// What a client asks for in its handshake. What is missing, of the wrong type, or overlong is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `dialect`: `primary`, `legacy`, `socket` or `both`.
    pub dialect: Option<DefaultDialect>,
    /// `recovery`: whether the client wants to take up a lost session.
    pub recovery: Option<bool>,
    /// `pid`: the private id of the session that the client had before.
    pub pid: Option<Box<str>>,
    /// `offset`: the last position that the client saw.
    pub offset: Option<Box<str>>,
    /// `presence`, or else `status`: the status to begin with, as the client spells it.
    pub status: Option<Box<str>>,
}

/// Reads the `auth` object of a CONNECT packet in one walk: token, user id, hints.
pub(super) fn read(auth: Option<Json<'_>>) -> Result<(Option<Json<'_>>, Option<Json<'_>>, Hints), Denial> {
    let Some(auth) = auth else { return Ok((None, None, Hints::default())) };
    let names = ["token", "userId", "dialect", "recovery", "pid", "offset", "presence", "status"];
    let [token, user_id, dialect, recovery, pid, offset, presence, status] =
        auth.read(names).map_err(|_| Denial::Malformed)?;
    let dialect = text(dialect).and_then(|name| DefaultDialect::from_name(&name));
    let hints = Hints {
        // Asking for whatever is usual is asking for nothing.
        dialect: dialect.filter(|dialect| *dialect != DefaultDialect::Auto),
        recovery: recovery.and_then(Json::as_bool),
        pid: text(pid),
        offset: text(offset),
        status: text(presence).or_else(|| text(status)),
    };
    Ok((token, user_id, hints))
}

fn text(hint: Option<Json<'_>>) -> Option<Box<str>> {
    // The raw text is the longer one, so a hint that is no hint is not even decoded.
    let hint = hint.filter(|hint| hint.as_raw().len() <= 6 * HINT_BYTES_MAX)?.as_str()?;
    (!hint.is_empty() && hint.len() <= HINT_BYTES_MAX).then(|| hint.into())
}

#[cfg(test)]
mod tests {
    use protocol::json::Validator;

    use super::*;

    #[test]
    fn hints_are_taken_only_as_what_they_should_be() {
        let mut validator = Validator::new();
        let mut check = |text: &str, expected: Result<Hints, Denial>| {
            let hints = read(Some(validator.check(text).unwrap())).map(|(.., hints)| hints);
            assert_eq!(hints, expected, "{text}");
        };
        let none = Hints::default();
        check("{}", Ok(none.clone()));
        check("[]", Ok(none.clone()));
        check(
            r#"{"dialect":"socket","recovery":false,"pid":"p1","offset":"c1.2s","status":"away"}"#,
            Ok(Hints {
                dialect: Some(DefaultDialect::Hybrid),
                recovery: Some(false),
                pid: Some("p1".into()),
                offset: Some("c1.2s".into()),
                status: Some("away".into()),
            }),
        );
        check(
            r#"{"dialect":"legacy","presence":"dnd","status":"away"}"#,
            Ok(Hints {
                dialect: Some(DefaultDialect::Legacy),
                status: Some("dnd".into()),
                ..Hints::default()
            }),
        );
        check(r#"{"dialect":"auto"}"#, Ok(none.clone()));
        check(
            r#"{"dialect":"klingon","recovery":"yes","pid":7,"offset":{},"status":null}"#,
            Ok(none.clone()),
        );
        check(r#"{"pid":"","offset":["x"]}"#, Ok(none.clone()));
        check(&format!(r#"{{"pid":"{}"}}"#, "x".repeat(HINT_BYTES_MAX + 1)), Ok(none));
        let long = "x".repeat(HINT_BYTES_MAX);
        let kept = Hints { pid: Some(long.as_str().into()), ..Hints::default() };
        check(&format!(r#"{{"pid":"{long}"}}"#), Ok(kept));
        check(r#"{"pid":"a","pid":"b"}"#, Err(Denial::Malformed));
    }
}
