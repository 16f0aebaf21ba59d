//! The one gate for JSON from strangers: simd-json with buffers kept between calls.
//!
//! simd-json changes what it parses, so it works on a copy; the values handed out are slices of the original.

use std::fmt;

use serde::de::IgnoredAny;
use simd_json::{Buffers, ErrorType, Tape};

use super::{Json, text};

/// How deep arrays and objects may be nested: 64 `[` are accepted, 65 are not.
pub const DEPTH_MAX: usize = 64;

/// Texts up to this length leave their buffers for the next; after a longer one they are given back.
///
/// The buffers come to 35 bytes for every byte of text, or twice that after growing by doubling: at most 5 MB a core.
pub const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Why a text is not accepted as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The text is not JSON (RFC 8259).
    Syntax,
    /// The nesting is deeper than [`DEPTH_MAX`]. The text behind that point was not looked at.
    TooDeep,
    /// The text is JSON but has half a surrogate pair in an escape.
    ///
    /// JavaScript clients write that for a string cut in the middle of an emoji: answer the event with an error and
    /// keep the connection.
    LoneSurrogate,
    /// The text is JSON but has a number beyond the range of a double, such as `1e999`. To be answered likewise.
    NumberTooLarge,
}

impl JsonError {
    /// Whether the text was JSON by the grammar, so that its sender did nothing forbidden by the protocol.
    #[must_use]
    pub const fn is_well_formed(self) -> bool {
        matches!(self, Self::LoneSurrogate | Self::NumberTooLarge)
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Syntax => "not valid JSON",
            Self::TooDeep => "JSON nested too deeply",
            Self::LoneSurrogate => "JSON string with half a surrogate pair",
            Self::NumberTooLarge => "JSON number out of range",
        })
    }
}

impl std::error::Error for JsonError {}

/// Validates JSON text, reusing its buffers; one per core.
pub struct Validator {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Validator {
    /// Makes a validator that has allocated nothing worth mentioning yet.
    #[must_use]
    pub fn new() -> Self {
        Self { scratch: Vec::new(), buffers: Buffers::with_max_depth(0, DEPTH_MAX), tape: Tape(Vec::new()) }
    }

    /// Checks that `text` is exactly one JSON value, with white space around it at most.
    ///
    /// Every byte is looked at, so a slice of the result can be put into other JSON text and cannot break out of it.
    ///
    /// # Errors
    /// [`JsonError`]: the first problem found.
    pub fn check<'a>(&mut self, text: &'a str) -> Result<Json<'a>, JsonError> {
        let json = Json::slice(text);
        let raw = json.as_raw();
        if raw.is_empty() || u32::try_from(raw.len()).is_err() {
            return Err(JsonError::Syntax);
        }
        let outcome = self.parse(raw);
        if raw.len() > KEPT_BYTES_MAX {
            *self = Self::new();
        }
        match outcome {
            Ok(()) => Ok(json),
            Err(ErrorType::DepthLimitExceeded) => Err(JsonError::TooDeep),
            Err(_) => Err(diagnose(raw)),
        }
    }

    fn parse(&mut self, raw: &str) -> Result<(), ErrorType> {
        self.scratch.clear();
        self.scratch.extend_from_slice(raw.as_bytes());
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let outcome = simd_json::fill_tape(&mut self.scratch, &mut self.buffers, &mut tape);
        self.tape = tape.reset();
        outcome.map_err(|error| match error.error() {
            ErrorType::DepthLimitExceeded => ErrorType::DepthLimitExceeded,
            _ => ErrorType::Syntax,
        })
    }
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Validator")
            .field("scratch_bytes", &self.scratch.capacity())
            .finish_non_exhaustive()
    }
}

/// Tells text that is JSON by the grammar, and refused for what it says, from text that is none.
///
/// Only refused text comes here, so a second parser costs honest traffic nothing. It does not recurse.
fn diagnose(raw: &str) -> JsonError {
    if serde_json::from_str::<IgnoredAny>(raw).is_err() {
        JsonError::Syntax
    } else if text::has_lone_surrogate(raw) {
        JsonError::LoneSurrogate
    } else {
        JsonError::NumberTooLarge
    }
}

/// Whether the text is JSON by the grammar alone, at any depth; for the rare place that has no [`Validator`].
pub(crate) fn is_json(raw: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(raw).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<&str, JsonError> {
        Validator::new().check(text).map(Json::as_raw)
    }

    #[test]
    fn the_text_itself_is_handed_out() {
        let text = " {\"a\\n\": [1, \"\\u00e4\"]}\r\n".to_owned();
        assert_eq!(verdict(&text), Ok(text.trim()));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let texts = [
            "",
            " ",
            "[",
            "]",
            "{",
            "nul",
            "01",
            "1.",
            "+1",
            "NaN",
            "'a'",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "[1] 2",
        ];
        let more = [
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "[1}",
            "\u{feff}[]",
            "[\u{a0}1]",
            "[]\0",
            "\"a",
            "{\"a\"}",
            "tru e",
            "--1",
        ];
        for text in texts.into_iter().chain(more) {
            assert_eq!(verdict(text), Err(JsonError::Syntax), "{text:?}");
        }
    }

    #[test]
    fn well_formed_but_unusable_text_is_told_apart() {
        assert_eq!(verdict(r#"["a","\ud83d"]"#), Err(JsonError::LoneSurrogate));
        assert_eq!(verdict(r#"["\udc00\ud800"]"#), Err(JsonError::LoneSurrogate));
        assert_eq!(verdict("[1e999]"), Err(JsonError::NumberTooLarge));
        assert_eq!(verdict(r#"["\ud83d"#), Err(JsonError::Syntax));
        assert!(verdict(r#"["\ud83d\ude42",-0,1E+2,123456789012345678901234567890]"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(verdict(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(verdict(&nested(DEPTH_MAX + 1)), Err(JsonError::TooDeep));
        assert_eq!(verdict(&"[".repeat(1_000_000)), Err(JsonError::TooDeep));
        assert_eq!(verdict(&"{\"a\":".repeat(1_000_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn one_validator_serves_many_texts_and_gives_large_buffers_back() {
        let mut validator = Validator::new();
        let large = format!("[{}0]", "0,".repeat(KEPT_BYTES_MAX));
        for text in ["[1]", "[", "{\"a\":{}}", &large, "\"x\"", &"[".repeat(200), "null"] {
            assert_eq!(validator.check(text).is_ok(), is_json(text), "{text:.20}");
            assert!(validator.scratch.capacity() <= 2 * KEPT_BYTES_MAX);
        }
    }
}
